//! Judged PINs in a batch whose commit returned an error.
use super::*;
use crate::ledger::{
    reader::Reader,
    tests::{Doubtful, Fails},
};
use atm_core::ledger::card::TRIES;

#[test]
fn a_judged_pin_in_doubt_is_voided_or_counted_and_gives_no_try() {
    for (batch, settles) in [
        (Fails::Before, vec![]),
        (Fails::After, vec![]),
        (Fails::Before, vec![Fails::After]),
        (Fails::After, vec![Fails::Before, Fails::After]),
    ] {
        let folder = two_accounts();
        // From its end: the opening, five hellos and verifications, the batch, and the settling writes.
        let mut fails = [vec![Fails::Not; 11], vec![batch], settles.clone()].concat();
        fails.reverse();
        let wrap = |store| Doubtful { store, fails, reopened: 0 };
        let mut bank = Bank::open(folder.path(), LIMITS, wrap);
        let mut sessions =
            ["a", "b", "c", "d", "e"].map(|name| Session::begin(&mut bank, name, usize::from(name == "b")));
        let [a, b, c, d, e] = &mut sessions;
        let requests = [
            a.request(verification(0, "1379")),
            b.operation(transfer(7, 100)),
            c.operation(Operation::Inquiry),
            d.request(verification(2, "1379")),
            e.change_of_pin("2580", "1379"),
        ];
        requests.iter().for_each(|request| bank.committer.submit(request.clone()).unwrap());
        for _ in 0..20 {
            bank.committer.commit();
        }
        let responses = bank.committer.responses().unwrap();
        let found = requests.each_ref().map(|request| {
            let found = responses.iter().find(|(answered, _)| answered == request);
            outcome(found.map(|(_, response)| *response).unwrap())
        });
        let stands = batch == Fails::After;
        let tries = |number: u64| Reader::open(folder.path()).unwrap().card(number).unwrap().unwrap().tries;
        let balance = units(if stands { 1001 } else { 1000 });
        assert_eq!(found[2], Outcome::Done(Receipt::Balance { balance }), "{batch:?} {settles:?}");
        if stands {
            assert_eq!(found[0], Outcome::Refused(Refusal::NotVerified));
            assert_eq!(found[4], Outcome::Done(Receipt::PinChanged));
            // The right old PIN has cleared the wrong one.
            assert_eq!((tries(0), tries(1)), (1, 0));
        } else {
            for at in [0, 1, 3, 4] {
                assert_eq!(found[at], Outcome::NotDone, "{settles:?}");
            }
            assert_eq!((tries(0), tries(1)), (0, 0));
        }
        // The outcome is final, and a duplicate burns no try.
        for at in [0, 1, 3, 4] {
            assert_eq!(outcome(bank.apply(&requests[at]).unwrap()), found[at]);
        }
        assert_eq!(tries(1), 0);
        checked(folder.path());
        // Three wrong ones that are answered block the card, whatever was in doubt before.
        let right = if stands { "1379" } else { "2580" };
        for (tried, pin) in (1..).zip(["9034", "9034", "9034", right]) {
            bank.set_time(NOON + tried * 1_000_000);
            let request = sessions[0].request(verification(0, pin));
            assert_eq!(outcome(bank.apply(&request).unwrap()), Outcome::Refused(Refusal::NotVerified));
        }
        assert_eq!(tries(1), TRIES);
    }
}
