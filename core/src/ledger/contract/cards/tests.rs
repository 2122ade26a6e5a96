//! The suite holds [`CardLedger`], and ledgers that break one rule each are found out.
use super::*;
use crate::ledger::InDoubt;

type Kept = CardLedger<2, 2, 4>;

/// A ledger whose requests and rows a test may change.
struct Broken {
    ledger: Kept,
    before: fn(&mut Kept, &mut Request),
}

impl Ledger for Broken {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let mut request = request.clone();
        (self.before)(&mut self.ledger, &mut request);
        self.ledger.apply(&request)
    }
}

/// Keeps all, but for what a loss of power changes.
struct Memory {
    before: fn(&mut Kept, &mut Request),
    power: fn(&mut Card),
}

impl CardStore for Memory {
    type Ledger = Broken;

    fn create(&mut self, limits: Limits, accounts: &[CardAccount], cards: &[Card]) -> Broken {
        let mut ledger = Kept::new(LedgerId(9), limits);
        accounts.iter().for_each(|account| ledger.open_account(account.clone()).unwrap());
        cards.iter().for_each(|card| ledger.issue(*card).unwrap());
        Broken { ledger, before: self.before }
    }

    fn reopen(&mut self, mut old: Broken) -> Broken {
        for number in &NUMBERS[..2] {
            let token = keys().claim(&number.parse().unwrap()).newest();
            (self.power)(old.ledger.card_mut(token).unwrap());
        }
        old
    }

    fn set_time(ledger: &mut Broken, now: UnixTime) {
        ledger.ledger.set_time(now);
    }
}

fn check(before: fn(&mut Kept, &mut Request), power: fn(&mut Card)) -> Result<(), super::Broken> {
    check_cards(&mut Memory { before, power })
}

/// The card of a request.
fn card<'a>(ledger: &'a mut Kept, request: &Request) -> Option<&'a mut Card> {
    ledger.card_mut(request.command.touched().card?.newest())
}

#[test]
fn a_card_ledger_keeps_the_contract() {
    assert_eq!(check(|_, _| {}, |_| {}), Ok(()));
}

#[test]
fn a_ledger_that_breaks_a_rule_does_not_pass() {
    let powers: [fn(&mut Card); 4] = [
        |card| card.tries = 0,
        |card| card.unblock(),
        |card| card.withdrawn = Amount::ZERO,
        |card| card.version = 0,
    ];
    for (place, power) in powers.into_iter().enumerate() {
        assert!(check(|_, _| {}, power).is_err(), "{place}");
    }
    let befores: [fn(&mut Kept, &mut Request); 5] = [
        // No try is counted.
        |ledger, request| {
            if let Some(card) = card(ledger, request) {
                card.tries = 0;
            }
        },
        // The session of another version is served.
        |ledger, request| {
            if let (Some(card), Command::Card { request: CardRequest::Operate { access, .. }, .. }) =
                (card(ledger, &request.clone()), &mut request.command)
            {
                access.version = card.version;
            }
        },
        // A blocked card is served.
        |ledger, request| {
            if let Some(card) = card(ledger, request) {
                card.is_blocked = false;
            }
        },
        // A frozen account is served.
        |ledger, _| ledger.account_mut(AccountNumber(10)).unwrap().state = AccountState::Open,
        // The limit of a day is forgotten.
        |ledger, request| {
            if let Some(card) = card(ledger, request) {
                card.withdrawn = Amount::ZERO;
            }
        },
    ];
    for (place, before) in befores.into_iter().enumerate() {
        assert!(check(before, |_| {}).is_err(), "{place}");
    }
}
