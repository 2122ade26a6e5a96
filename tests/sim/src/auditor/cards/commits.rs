//! What a commit did, by the response of a ledger in memory or by the entries of one on disk, and what the rows say after it.
use super::{CardAudit, CardEntry, CardRowsSeen, Id};
use atm_core::{
    ledger::{Command, Operation, Outcome, Receipt, Refusal, Request, Response, card::CardRequest},
    time::UnixTime,
};

impl CardAudit {
    /// The ledger committed a request, which changed the rows so; the receipt, if something was done that must be reported.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::auditor) fn committed(
        &mut self,
        (request, response): (&Request, &Response),
        (before, after): (&CardRowsSeen, &CardRowsSeen),
        wall: UnixTime,
    ) -> Result<Option<(Id, Operation, Receipt)>, String> {
        let done = self.judge(request, response, before == after, wall)?;
        self.compare(after)?;
        Ok(done)
    }

    /// The ledger committed this entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::auditor) fn entered(
        &mut self,
        entry: &CardEntry,
    ) -> Result<Option<(Id, Operation, Receipt)>, String> {
        let key = (entry.name.clone(), entry.id);
        if let Some(before) = self.settled.get(&key) {
            return Err(format!("{entry:?} was {before:?} before"));
        }
        match entry.operation {
            Some(operation) => self.settle(key, operation, entry.outcome, entry.time),
            None => {
                self.settled.insert(key, entry.outcome);
                Ok(None)
            }
        }
    }

    /// Compares rows that were read with those that must be.
    ///
    /// # Errors
    /// They differ.
    pub(in crate::auditor) fn compare(&self, after: &CardRowsSeen) -> Result<(), String> {
        let cards: Vec<_> = self.cards.iter().map(|card| (card.wrong, card.is_blocked)).collect();
        let expected = CardRowsSeen { balances: self.balances.clone(), cards };
        if *after != expected {
            return Err(format!("the rows are {after:?}, and must be {expected:?}"));
        }
        Ok(())
    }

    fn judge(
        &mut self,
        request: &Request,
        response: &Response,
        stays: bool,
        wall: UnixTime,
    ) -> Result<Option<(Id, Operation, Receipt)>, String> {
        let Some(name) = request.origin.terminal() else {
            return Err("an unnamed terminal was served".to_owned());
        };
        let settles = |id: u64| (name.clone(), id);
        match (&request.command, response) {
            (_, Response::Fenced) if stays => Ok(None),
            (Command::Card { id, request }, Response::Statement { .. }) if stays => {
                let CardRequest::Operate { operation: Operation::Statement, .. } = request else {
                    return Err("a statement was not asked for".to_owned());
                };
                self.reports.insert(settles(*id));
                self.session(&settles(*id)).map(|_| None)
            }
            (Command::Card { id, request }, Response::Settled { outcome, .. }) => {
                let key = settles(*id);
                let is_report = request.operation().is_report();
                if is_report {
                    let is_again = !self.reports.insert(key.clone());
                    // The session has changed the PIN since.
                    if is_again && *outcome == Outcome::Refused(Refusal::NoAccess) {
                        return Ok(None);
                    }
                }
                match self.settled.get(&key).filter(|_| !is_report) {
                    Some(known) if *known == *outcome && stays => return Ok(None),
                    // A later id is recorded.
                    _ if *outcome == Outcome::Unknown && stays => return Ok(None),
                    Some(known) => return Err(format!("a duplicate got {outcome:?} after {known:?}")),
                    None => {}
                }
                self.settle(key, request.operation(), *outcome, wall)
            }
            (Command::Operate { .. }, _) => Err("an operation without a card was requested".to_owned()),
            (Command::Settle { id }, Response::Settled { outcome, .. }) if stays => {
                // Void, or what is known already.
                self.settled.entry(settles(*id)).or_insert(*outcome);
                Ok(None)
            }
            _ if stays => Ok(None),
            _ => Err("rows of cards were changed".to_owned()),
        }
    }

    /// Judges the first outcome under an id.
    fn settle(
        &mut self,
        key: Id,
        operation: Operation,
        outcome: Outcome,
        wall: UnixTime,
    ) -> Result<Option<(Id, Operation, Receipt)>, String> {
        self.counts.count(outcome);
        if !operation.is_report() {
            self.settled.insert(key.clone(), outcome);
        }
        let done = match operation {
            Operation::Verify => self.verification(&key, outcome, wall)?,
            Operation::ChangePin => self.change_of_pin(&key, outcome, wall)?,
            _ => self.operation(&key, operation, outcome, wall)?,
        };
        self.last_done.extend(done.map(|_| (key.0.clone(), key.clone())));
        Ok(done.map(|receipt| (key, operation, receipt)))
    }
}
