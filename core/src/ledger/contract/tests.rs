//! The suite against ledgers that break one clause each: it must say which.
use super::*;
use crate::ledger::{
    Account, AccountNumber, Decision, Gap, InDoubt, RamLedger, Record, Rows, Terminal, decide,
};
use std::vec::Vec;

mod broken_hellos;
mod broken_operations;

/// A ledger whose rows a test can reach.
#[derive(Clone)]
struct Plain {
    identity: LedgerId,
    account: Account,
    terminals: Vec<(Name, Terminal)>,
}

impl Plain {
    /// As many as it has room for.
    const TERMINALS: u32 = 3;

    fn new(identity: LedgerId, balance: Amount) -> Self {
        let account = Account { number: AccountNumber::OPEN, balance, version: 0 };
        Self { identity, account, terminals: Vec::new() }
    }

    fn apply(&mut self, request: &Request) -> Response {
        let terminal = self.row(request).copied();
        let has_room = terminal.is_some() || self.terminals.len() < 3;
        let rows = Rows::open(self.identity, &self.account, terminal.as_ref(), has_room);
        let Decision { response, changes, .. } = decide(request, &rows, None);
        self.account = changes.account.unwrap_or(self.account);
        match (changes.terminal, self.row(request), request.origin.terminal()) {
            (Some(changed), Some(row), _) => *row = changed,
            (Some(new), None, Some(name)) => self.terminals.push((name.clone(), new)),
            _ => {}
        }
        response
    }

    /// The row of the terminal that makes the request.
    fn row(&mut self, request: &Request) -> Option<&mut Terminal> {
        let name = request.origin.terminal()?;
        self.terminals.iter_mut().find(|(known, _)| known == name).map(|(_, row)| row)
    }

    /// That terminal's last record.
    fn last(&mut self, request: &Request) -> Option<Record> {
        self.row(request).and_then(|row| row.last)
    }

    /// Does an operation as for a session without a name: with no record.
    fn unrecorded(&mut self, operation: Operation) -> Outcome {
        let origin = Origin::Session(SessionId::new(0));
        let command = Command::Operate { id: 0, operation };
        match self.apply(&Request { ticket: Ticket::default(), origin, turn: 0, command }) {
            Response::Settled { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }
}

/// A ledger that answers some requests otherwise than it should.
struct Bent {
    ledger: Plain,
    bend: Bend,
}

type Bend = fn(&mut Plain, &Request) -> Response;

impl Ledger for Bent {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        Ok((self.bend)(&mut self.ledger, request))
    }
}

/// What a loss of power leaves of a ledger.
type Reopen = fn(Plain) -> Plain;

/// A store of such ledgers, and how one comes back.
struct Shop<const KEEPS_ROWS: bool> {
    bend: Bend,
    reopen: Reopen,
}

impl<const KEEPS_ROWS: bool> Store for Shop<KEEPS_ROWS> {
    type Ledger = Bent;
    const KEEPS_ROWS: bool = KEEPS_ROWS;
    const TERMINALS: Option<u32> = Some(Plain::TERMINALS);

    fn create(&mut self, balance: Amount) -> Bent {
        Bent { ledger: Plain::new(LedgerId(7), balance), bend: self.bend }
    }

    fn reopen(&mut self, old: Bent) -> Bent {
        Bent { ledger: (self.reopen)(old.ledger), bend: old.bend }
    }
}

/// The clause that a ledger breaks, by how it answers and by what a loss of power leaves of it.
fn broken<const KEEPS_ROWS: bool>(bend: Bend, reopen: Reopen) -> Result<(), Broken> {
    check(&mut Shop::<KEEPS_ROWS> { bend, reopen })
}

/// Asserts that the suite names the clause that each of these ledgers breaks, by how it answers or over a loss of power.
fn assert_named(bent: &[(Broken, Bend)], forgetful: &[(Broken, Reopen)]) {
    for (number, (clause, bend)) in bent.iter().enumerate().step_by(crate::STRIDE) {
        assert_eq!(broken::<true>(*bend, |old| old), Err(*clause), "ledger {number}");
    }
    for (number, (clause, reopen)) in forgetful.iter().enumerate().step_by(crate::STRIDE) {
        assert_eq!(broken::<true>(Plain::apply, *reopen), Err(*clause), "forgetful ledger {number}");
        assert_eq!(broken::<false>(Plain::apply, *reopen), Err(*clause), "forgetful ledger {number}");
    }
}

const SUM: Broken = "the balance is the sum of what was done";
const SAME: Broken = "a response is that of decide for the rows as the requests before it left them";

/// A ledger in memory, which outlives a loss of power for the suite's sake.
struct Memory;

impl Store for Memory {
    type Ledger = RamLedger<2>;
    const TERMINALS: Option<u32> = Some(2);

    fn create(&mut self, balance: Amount) -> RamLedger<2> {
        RamLedger::new(LedgerId(7), balance)
    }

    fn reopen(&mut self, old: RamLedger<2>) -> RamLedger<2> {
        old
    }
}

#[test]
fn the_ledger_in_memory_keeps_the_contract() {
    assert_eq!(check(&mut Memory), Ok(()));
}

#[test]
fn a_plain_ledger_keeps_the_contract() {
    assert_eq!(broken::<true>(Plain::apply, |old| old), Ok(()));
    assert_eq!(broken::<false>(Plain::apply, |old| old), Ok(()));
}
