//! Turns, terminal epochs, gaps: what the ledger knows of conversations, and what a start forgets of them.
use super::*;

fn numbers(admission: &Admission) -> Vec<u64> {
    let mut numbers = admission.numbers;
    core::iter::from_fn(|| numbers.take()).collect()
}

#[test]
fn a_hello_fences_every_earlier_conversation() {
    let mut ledger = open(Medium::new()).unwrap();
    let step = |turn, terminal, id| request(Some(terminal), turn, deposit(terminal, id, 1).1);
    assert_eq!(ledger.apply(&step(0, "a", 1)), settled(1, Outcome::Unknown), "no number was given");
    let first = admitted(hello(&mut ledger, "a", 1, 0)).turn;
    let second = admitted(hello(&mut ledger, "a", 2, 0)).turn;
    assert_eq!(ledger.apply(&step(first, "a", 1)), Ok(Response::Fenced));
    assert_eq!(ledger.apply(&step(second, "a", 1)), settled(1, deposited(1, 101)));
    let other = admitted(hello(&mut ledger, "b", 1, 0)).turn;
    for command in [Command::Reserve, Command::Settle { id: 2 }, deposit("a", 2, 1).1] {
        assert_eq!(ledger.apply(&request(Some("a"), second, command)), Ok(Response::Fenced));
    }
    assert_eq!(ledger.apply(&step(other, "b", 2)), settled(2, deposited(1, 102)), "it is not in the way");
    assert_eq!(ledger.balance(), units(102));
}

#[test]
fn a_rejected_hello_fences_nothing() {
    let mut ledger = used();
    apply(&mut ledger, &deposit("c", 11, 1)).unwrap();
    let turn = admitted(hello(&mut ledger, "a", 1, 0)).turn;
    assert_eq!(hello(&mut ledger, "d", 1, 0), Ok(Response::Rejected(Rejection::Full)));
    assert_eq!(hello(&mut ledger, "a", 1, 1 << 40), Ok(Response::Rejected(Rejection::Unsound)));
    let request = request(Some("a"), turn, deposit("a", 20, 1).1);
    assert_eq!(ledger.apply(&request), settled(20, deposited(1, 9)));
}

#[test]
fn a_hello_gets_the_epoch_of_the_one_before_it() {
    let mut ledger = open(Medium::new()).unwrap();
    let mut former = |terminal, start| admitted(hello(&mut ledger, terminal, start, 0)).former;
    assert_eq!(former("a", 1), None);
    assert_eq!(former("a", 2), Some(Epoch::clear(1, 1)));
    assert_eq!(former("b", 2), None);
    assert_eq!(former("a", 3), None, "it is forgotten: the conversation begins anew");
    assert_eq!(former("a", 4), Some(Epoch::clear(3, 1)));
    let mut ledger = reopened(&ledger);
    assert_eq!(admitted(hello(&mut ledger, "a", 5, 0)).former, None);
}

#[test]
fn turn_and_epoch_survive_a_failed_commit() {
    let mut ledger = used();
    let turn = admitted(hello(&mut ledger, "a", 1, 0)).turn;
    medium(&mut ledger).worn = Some(0);
    let request = request(Some("a"), turn, deposit("a", 20, 5).1);
    assert_eq!(ledger.apply(&request), Err(InDoubt));
    medium(&mut ledger).worn = None;
    assert_eq!(ledger.apply(&request), settled(20, deposited(5, 12)));
    assert_eq!(admitted(hello(&mut ledger, "a", 2, 0)).former, Some(Epoch::clear(1, 1)));
}

#[test]
fn numbers_of_an_earlier_start_are_not_given_again() {
    let mut ledger = open(Medium::new()).unwrap();
    let mut highest = 0;
    for start in 0..6 {
        for terminal in ["a", "b"] {
            let numbers = numbers(&admitted(hello(&mut ledger, terminal, start, highest)));
            assert!(numbers[0] > highest);
            highest = *numbers.last().unwrap();
        }
        ledger = reopened(&ledger);
    }
}

#[test]
fn an_id_of_an_earlier_start_is_voided_and_one_above_the_reserve_is_unknown() {
    let mut ledger = open(Medium::new()).unwrap();
    let last = *numbers(&admitted(hello(&mut ledger, "a", 1, 0))).last().unwrap();
    let mut ledger = reopened(&ledger);
    let free = ledger.head.free;
    assert_eq!(apply(&mut ledger, &settle("a", last)), settled(last, Outcome::NotDone));
    assert_eq!(apply(&mut ledger, &deposit("a", last, 1)), settled(last, Outcome::NotDone));
    let never = free + 10_000;
    assert_eq!(apply(&mut ledger, &settle("a", never)), settled(never, Outcome::Unknown));
}

/// A ledger that was set back: other histories of it have used numbers from the second value on.
fn set_back() -> (StoredLedger<Medium>, u64) {
    let old = reopened(&used());
    let free = old.head.free;
    (old, free)
}

#[test]
fn ids_inside_the_gap_of_a_set_back_are_unknown_for_ever() {
    let (mut ledger, free) = set_back();
    let seen = free + 50;
    let admission = admitted(hello(&mut ledger, "a", 2, seen));
    assert_eq!(admission.set_back, Some(Gap { start: free, end: seen + 1 }));
    assert_eq!(numbers(&admission)[0], seen + 1);
    for mut ledger in [ledger.clone(), reopened(&ledger)] {
        for terminal in ["a", "b", "c"] {
            for id in [free, seen] {
                assert_eq!(apply(&mut ledger, &deposit(terminal, id, 1)), settled(id, Outcome::Unknown));
                assert_eq!(apply(&mut ledger, &settle(terminal, id)), settled(id, Outcome::Unknown));
            }
        }
        let above = ledger.terminal.next_number;
        assert!(above > seen);
        assert_eq!(apply(&mut ledger, &deposit("a", above, 1)), settled(above, deposited(1, 8)));
        assert_eq!(admitted(hello(&mut ledger, "a", 2, seen + 2)).set_back, None);
    }
}

#[test]
fn a_name_proves_one_set_back_and_then_another_name_may() {
    let (mut ledger, free) = set_back();
    admitted(hello(&mut ledger, "a", 2, free + 50));
    let commits = ledger.commits();
    assert_eq!(hello(&mut ledger, "a", 3, free + 5_000), Ok(Response::Rejected(Rejection::TooSoon)));
    assert_eq!(ledger.commits(), commits);
    let gap = Gap { start: free, end: free + 6_001 };
    assert_eq!(admitted(hello(&mut ledger, "b", 2, free + 6_000)).set_back, Some(gap));
    assert_eq!(reopened(&ledger).terminal.gap, gap);
}

#[test]
fn a_hello_in_doubt_proves_the_set_back_again() {
    let (ledger, free) = set_back();
    for power in 1..150 {
        let mut ledger = ledger.clone();
        medium(&mut ledger).power = power;
        let response = hello(&mut ledger, "a", 2, free + 50);
        medium(&mut ledger).power = usize::MAX;
        let admission = admitted(response.or_else(|InDoubt| hello(&mut ledger, "a", 2, free + 50)));
        assert_eq!((admission.turn, admission.former), (1, None), "{power}");
        assert_eq!(admission.set_back, Some(Gap { start: free, end: free + 51 }), "{power}");
        assert_eq!(reopened(&ledger).terminal.gap, ledger.terminal.gap);
    }
}
