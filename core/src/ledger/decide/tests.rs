//! The rules of [`decide`], one table a rule, and any history of requests against an independent model.
use super::*;
use crate::ledger::{AccountNumber, Gap, LedgerId, Name, SessionId, Ticket};
use crate::{
    few, ledger,
    money::{self, Amount},
    time,
};
use proptest::{collection::vec, prelude::*};

mod hello;
mod model;
mod operations;
mod script;

/// The ledger's identity in these tests.
const LEDGER: LedgerId = LedgerId(7);

/// The rows of one account and one terminal, as a store keeps them.
struct Books {
    account: Account,
    terminal: Option<Terminal>,
    has_room: bool,
    now: Option<UnixTime>,
}

impl Books {
    /// $100, and no terminal.
    fn new() -> Self {
        let account = Account { number: AccountNumber::OPEN, balance: units(100), version: 0 };
        Self { account, terminal: None, has_room: true, now: None }
    }

    /// $100, and a terminal in its third turn. Its numbers below 1,000 are reserved; those from 500 to 599 are its gap.
    fn with_terminal() -> Self {
        let gap = Gap { start: 500, end: 600 };
        let epoch = Some(Epoch::clear(2, 1));
        let terminal = Terminal { epoch, turn: 3, next_number: 1000, gap, ..Terminal::NEW };
        Self { terminal: Some(terminal), ..Self::new() }
    }

    fn decide(&self, request: &Request) -> Decision {
        // No session has a row.
        let terminal = request.origin.terminal().and(self.terminal.as_ref());
        let rows = Rows::open(LEDGER, &self.account, terminal, self.has_room);
        decide(request, &rows, self.now)
    }

    /// Decides a request and saves the changes.
    fn apply(&mut self, request: &Request) -> Decision {
        let decision = self.decide(request);
        self.account = decision.changes.account.unwrap_or(self.account);
        self.terminal = decision.changes.terminal.or(self.terminal);
        decision
    }

    /// A request of the terminal in its present turn.
    fn request(&mut self, command: Command) -> Decision {
        let turn = self.terminal.map_or(0, |terminal| terminal.turn);
        self.apply(&Request { ticket: Ticket::default(), origin: terminal(), turn, command })
    }
}

fn terminal() -> Origin {
    Origin::Terminal("kiosk-7".parse::<Name>().unwrap())
}

fn session() -> Origin {
    Origin::Session(SessionId { host: 2, number: 9 })
}

const fn units(units: u64) -> Amount {
    match Amount::from_units(units) {
        Some(amount) => amount,
        None => Amount::MAX,
    }
}

proptest! {
    #[test]
    fn any_history_is_decided_as_the_model_does(steps in vec(any::<[u8; 4]>(), 0..few(400))) {
        script::run(steps.as_flattened());
    }
}
