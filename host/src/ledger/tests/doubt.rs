//! A batch in doubt: what the process knows of terminals survives it, and a hello is applied once.
use super::*;
use crate::ledger::keeper::Answer;
use atm_core::ledger::{Admission, Outcome, Response};

/// The admission in an answer to a hello.
fn admission(answer: &Answer) -> Admission {
    match answer.1 {
        Response::Admitted(admission) => admission,
        other => panic!("{other:?}"),
    }
}

fn answers(keeper: &mut Keeper, requests: Vec<Request>) -> Vec<Answer> {
    keeper.serve(requests).unwrap()
}

#[test]
fn epochs_and_turns_survive_a_doubt_but_not_those_of_a_batch_that_does_not_stand() {
    let folder = TempDir::new().unwrap();
    let wrong = Wrong::default();
    let mut keeper = open(Faulty::over(folder.path(), &wrong), Default::default()).unwrap();
    let first = answers(&mut keeper, vec![hello("a", 1), hello("b", 1), named("a", 1, deposit(1))]);
    let (a, b) = (Epoch { start: 1, attempt: 1 }, Epoch { start: 2, attempt: 1 });
    assert_eq!((admission(&first[0]).turn, admission(&first[0]).former), (1, None));

    // Of these nothing comes to the disk: b's hello is applied again, and a goes on in its turn.
    *wrong.lock().unwrap() = Some(ErrorKind::StorageFull);
    let batch = vec![hello("b", 2), named("a", 1, deposit(2)), unnamed(9, Operation::Deposit(units(1)))];
    assert!(keeper.serve(batch.clone()).is_err());
    assert!(keeper.recover().is_err(), "the fault lasts");
    *wrong.lock().unwrap() = None;
    let recovered = keeper.recover().unwrap();
    let asked: Vec<&Request> = recovered.iter().map(|(request, _)| request).collect();
    assert_eq!(asked, batch.iter().collect::<Vec<_>>(), "each comes back as it was asked");
    assert_eq!((admission(&recovered[0]).turn, admission(&recovered[0]).former), (2, Some(a)));
    assert_ne!(admission(&recovered[0]).numbers, admission(&first[1]).numbers);
    assert_eq!(recovered[1].1, Response::Settled { id: 2, outcome: Outcome::NotDone });
    assert_eq!(recovered[2].1, Response::Settled { id: 1, outcome: Outcome::NotDone });
    let later =
        answers(&mut keeper, vec![hello("b", 3), named("a", 1, deposit(3)), named("a", 2, deposit(4))]);
    assert_eq!((admission(&later[0]).turn, admission(&later[0]).former), (3, Some(b)));
    assert!(matches!(later[1].1, Response::Settled { id: 3, outcome: Outcome::Done(_) }), "{later:?}");
    assert_eq!(later[2].1, Response::Fenced);
}

#[test]
fn a_retried_hello_gets_the_response_of_the_doubt_and_is_not_applied_again() {
    let folder = TempDir::new().unwrap();
    let wrong = Wrong::default();
    let mut keeper = open(Faulty::over(folder.path(), &wrong), Default::default()).unwrap();
    *wrong.lock().unwrap() = Some(ErrorKind::StorageFull);
    assert!(keeper.apply(&hello("a", 1)).is_err());
    *wrong.lock().unwrap() = None;
    let Ok(Response::Admitted(admission)) = keeper.apply(&hello("a", 1)) else { panic!() };
    assert_eq!((admission.turn, admission.former), (1, None));
}
