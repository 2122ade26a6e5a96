//! Any history of requests: no money is made or lost, only a verified session moves it, and tries are never fewer than the wrong
//! PINs that were judged.
use super::*;

/// What the test knows of a card.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Wrong PINs that were judged since the last right one.
    wrong: u8,
    is_blocked: bool,
    /// Which of [`CHOSEN`] is its PIN, if it was changed.
    pin: Option<usize>,
    version: u32,
}

impl Known {
    fn pin(&self, card: usize) -> &'static str {
        self.pin.map_or(PINS[card], |pin| CHOSEN[pin])
    }

    fn admits(&self, access: &Access) -> bool {
        access.version == self.version && !self.is_blocked
    }
}

const WRONG: &str = "1111";
const CHOSEN: [&str; 2] = ["8642", "9753"];

fn is_delayed(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Refused(Refusal::Delayed { .. }))
}

struct History {
    bank: Bank,
    known: [Known; 2],
    sessions: Vec<(usize, Access)>,
    /// The money of all accounts together, by the cash that went in and out.
    money: i128,
}

impl History {
    /// A PIN is typed at a terminal.
    fn verify(&mut self, card: usize, c: u8) {
        let known = &mut self.known[card];
        let pin = if c.is_multiple_of(3) { WRONG } else { known.pin(card) };
        let outcome = self.bank.verify(if c < 128 { "a" } else { "b" }, card, pin);
        let is_right = pin != WRONG && !known.is_blocked;
        match outcome {
            Outcome::Done(Receipt::Verified { version, accounts }) => {
                assert!(is_right && version == known.version);
                let token = self.bank.card(card).token;
                let access = |account| (card, Access { token, version, account });
                self.sessions.extend(accounts.iter().map(access));
                known.wrong = 0;
            }
            outcome if is_delayed(outcome) => {}
            outcome => {
                assert_eq!((outcome, is_right), (refused(Refusal::NotVerified), false));
                known.wrong += u8::from(!known.is_blocked);
            }
        }
    }

    /// A session changes the PIN of its card.
    fn change_pin(&mut self, (card, access): (usize, Access), b: u8, c: u8) {
        let known = &mut self.known[card];
        let old = if c.is_multiple_of(2) { WRONG } else { known.pin(card) };
        let new = usize::from(b % 2);
        match self.bank.change_pin(access, old, CHOSEN[new]) {
            Outcome::Done(Receipt::PinChanged) => {
                assert!(known.admits(&access) && old != WRONG);
                *known = Known { pin: Some(new), version: access.version + 1, ..Known::default() };
            }
            Outcome::Refused(Refusal::NoAccess) => assert!(!known.admits(&access)),
            outcome => {
                assert!(known.admits(&access) && (is_delayed(outcome) || old == WRONG), "{outcome:?}");
                known.wrong += u8::from(!is_delayed(outcome));
            }
        }
    }

    /// A session moves money.
    fn operate(&mut self, (card, access): (usize, Access), operation: Operation) {
        let before = self.bank.ledger.total();
        let outcome = self.bank.operate(access, operation);
        assert_eq!(outcome == refused(Refusal::NoAccess), !self.known[card].admits(&access), "{outcome:?}");
        match outcome {
            Outcome::Done(Receipt::Deposited { amount, .. }) => self.money += i128::from(amount.minor()),
            Outcome::Done(Receipt::Withdrawn { amount, .. }) => self.money -= i128::from(amount.minor()),
            _ => assert_eq!(self.bank.ledger.total(), before),
        }
        // The same request again has the same outcome and does nothing more.
        let (id, after) = (self.bank.next, self.bank.ledger.clone());
        assert_eq!(self.bank.request("a", id, CardRequest::Operate { access, operation }), outcome);
        assert_eq!(self.bank.ledger, after);
    }

    /// Four bytes choose what is done, of which card, and how.
    fn step(&mut self, [kind, a, b, c]: [u8; 4]) {
        let card = usize::from(a % 2);
        self.bank.wait(u64::from(b) * 100);
        let session = self.sessions.get(usize::from(b) % self.sessions.len().max(1)).copied();
        match (kind % 8, session) {
            (0 | 1, _) => self.verify(card, c),
            (2, Some(session)) => self.change_pin(session, b, c),
            (3, _) if c.is_multiple_of(4) => {
                let token = self.bank.card(card).token;
                self.bank.ledger.card_mut(token).unwrap().unblock();
                let known = &mut self.known[card];
                known.version += u32::from(known.is_blocked);
                (known.wrong, known.is_blocked) = (0, false);
            }
            (4, Some(session)) => {
                self.operate(session, Operation::Deposit(cents(u64::from(c) * 100 + u64::from(a))))
            }
            (5, Some(session)) => self.operate(session, Operation::Withdraw(units(c.into()))),
            (6, Some(session)) => self.operate(session, Operation::WithdrawAll),
            (7, Some(session)) => {
                let payee = [ADA, BOB, SAVINGS, AccountNumber(10)][usize::from(a) % 4];
                self.operate(session, Operation::Transfer { payee, amount: cents(u64::from(c) * 77) });
            }
            _ => {}
        }
        assert_eq!(i128::from(self.bank.ledger.total()), self.money, "money is made or lost");
        for (card, known) in self.known.iter_mut().enumerate() {
            let row = self.bank.card(card);
            if known.wrong >= TRIES && !known.is_blocked {
                known.is_blocked = true;
                known.version += 1;
            }
            assert!(row.tries >= known.wrong.min(TRIES));
            assert_eq!((row.is_blocked, row.version), (known.is_blocked, known.version));
            assert!(row.withdrawn <= units(300));
        }
    }
}

proptest! {
    #[test]
    fn any_history_keeps_the_sums_the_tries_and_the_fences(script in vec(any::<[u8; 4]>(), 0..few(300))) {
        let bank = Bank::new();
        let money = bank.ledger.total().into();
        let mut history = History { bank, known: Default::default(), sessions: Vec::new(), money };
        script.into_iter().for_each(|step| history.step(step));
    }
}
