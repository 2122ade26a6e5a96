//! Checks an entry before the books take it: that its kind may come next, and that it is the one that comes of its request.
use super::{Books, Misfit};
use crate::ledger::entry::{ACCOUNT, Entry, Fact, Time};
use atm_core::ledger::{
    Command, Name, Operation, Origin, Outcome, Record, Request, SessionId, Terminal, Ticket,
};

impl Books {
    /// May an entry of this kind come next?
    pub(super) fn check_kind(&self, entry: &Entry) -> Result<(), Misfit> {
        if entry.number != self.head.number.saturating_add(1) {
            return Err("its number is not the next one");
        }
        match (&entry.fact, self.ledger) {
            (Fact::Created { .. }, Some(_)) => Err("the ledger was created before"),
            (Fact::Created { .. }, None) => Ok(()),
            (_, None) => Err("the ledger was not created"),
            (Fact::Restored { ledger }, Some(before)) if *ledger == before => {
                Err("a restored ledger has the identity that it had before")
            }
            (Fact::Numbers { end }, _) if *end <= self.reserved => Err("the numbers were reserved before"),
            (Fact::SetBack { terminal, gap }, _) => {
                let before = self.tills.get(terminal).map_or(Terminal::NEW.gap, |till| till.row.gap);
                let grows = *gap != before && *gap == before.extended(gap.start, gap.end);
                if !grows || gap.start >= gap.end {
                    Err("the gap is not more than the terminal's last one")
                } else if gap.end > self.reserved {
                    Err("the numbers above the gap are not reserved")
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }

    /// Is this entry the one that comes of its request?
    pub(super) fn check_decision(
        &self,
        key: Option<&(Name, u64)>,
        operation: Option<Operation>,
        outcome: Outcome,
        account: u64,
        time: Time,
    ) -> Result<(), Misfit> {
        if account != ACCOUNT || !self.accounts.contains_key(&account) {
            return Err("there is no such account");
        }
        let till = key.and_then(|(name, _)| self.tills.get(name));
        // The entries do not say which numbers a terminal was given, but those of its gap.
        let row = Terminal { next_number: u64::MAX, ..till.map_or(Terminal::NEW, |till| till.row) };
        let id = key.map_or(0, |(_, id)| *id);
        let request = Request {
            ticket: Ticket::default(),
            origin: key
                .map_or(Origin::Session(SessionId::default()), |(name, _)| Origin::Terminal(name.clone())),
            turn: row.turn,
            command: operation.map_or(Command::Settle { id }, |operation| Command::Operate { id, operation }),
        };
        let decision = self.decide_by(key.map(|_| &row), true, &request, time);
        match decision.entry.map(|entry| entry.record) {
            Some(record) if record == (Record { id, operation, outcome }) => Ok(()),
            _ => Err("that is not what comes of its request"),
        }
    }
}
