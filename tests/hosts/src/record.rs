//! Record of a terminal: every id that it has sent, what the person asked for under it, and the outcome that it has learned.
use atm_core::ledger::{Outcome, Receipt};
use std::{collections::BTreeMap, time::Instant};

/// What a person asked for, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Deposit(i64),
    Withdraw(i64),
    WithdrawAll,
    Balance,
    /// To go back to the menu.
    Nothing,
}

impl Asked {
    /// Whether it is in the ledger when it is done, or refused.
    pub(crate) fn is_money(self) -> bool {
        !matches!(self, Self::Balance | Self::Nothing)
    }

    /// Whether an outcome is one of what was asked for.
    fn has(self, outcome: Outcome) -> bool {
        let Outcome::Done(receipt) = outcome else {
            return !matches!(outcome, Outcome::Refused(_)) || self.is_money();
        };
        match (self, receipt) {
            (Self::Deposit(asked), Receipt::Deposited { amount, .. })
            | (Self::Withdraw(asked), Receipt::Withdrawn { amount, .. }) => {
                i128::from(asked) == amount.minor().into()
            }
            (Self::WithdrawAll, Receipt::Withdrawn { balance, .. }) => balance.minor() == 0,
            (Self::Balance, Receipt::Balance { .. }) => true,
            _ => false,
        }
    }
}

/// An answer of the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) asked: Asked,
    at: Instant,
    pub(crate) outcome: Option<Outcome>,
    /// Its reply was shown.
    pub(crate) is_over: bool,
}

/// All answers of a terminal, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) operations: BTreeMap<u64, Operation>,
}

impl Record {
    pub(crate) fn ask(&mut self, id: u64, asked: Asked) {
        self.operations.insert(id, Operation { asked, at: Instant::now(), outcome: None, is_over: false });
    }

    /// The reply to an answer was shown.
    pub(crate) fn answered(&mut self, id: u64) {
        self.operations.entry(id).and_modify(|operation| operation.is_over = true);
    }

    /// Notes an outcome. Returns when it was asked for, if it is the first of an operation that moved money.
    ///
    /// # Errors
    /// No such outcome may be reported for this id.
    pub(crate) fn learn(&mut self, id: u64, outcome: Outcome) -> Result<Option<Instant>, String> {
        let Some(operation) = self.operations.get_mut(&id) else {
            return Err(format!("{outcome:?} was reported for {id}, which was not asked for"));
        };
        let before = operation.outcome.replace(outcome);
        if outcome == Outcome::Unknown || !operation.asked.has(outcome) {
            return Err(format!("{outcome:?} was reported for {id}, {:?}", operation.asked));
        }
        if let Some(before) = before.filter(|before| *before != outcome) {
            return Err(format!("{outcome:?} was reported for {id}, and {before:?} before"));
        }
        let is_first = before.is_none() && operation.asked.is_money() && matches!(outcome, Outcome::Done(_));
        Ok(is_first.then_some(operation.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::{ledger::Refusal, money::Amount};

    fn units(units: u64) -> Amount {
        Amount::from_units(units).unwrap()
    }

    fn deposited(amount: u64) -> Outcome {
        Outcome::Done(Receipt::Deposited { amount: units(amount), balance: units(100) })
    }

    #[test]
    fn an_outcome_that_was_not_asked_for_or_differs_is_reported() {
        let mut record = Record::default();
        record.ask(7, Asked::Deposit(500));
        record.ask(8, Asked::Balance);
        let refused = Outcome::Refused(Refusal::Insufficient { balance: units(1) });
        for (id, outcome) in
            [(6, deposited(5)), (7, deposited(4)), (7, Outcome::Unknown), (8, deposited(5)), (8, refused)]
        {
            assert!(record.clone().learn(id, outcome).is_err(), "{id} {outcome:?}");
        }
        assert!(record.learn(7, deposited(5)).unwrap().is_some());
        assert!(record.learn(7, deposited(5)).unwrap().is_none(), "it is counted once");
        assert!(record.learn(7, Outcome::NotDone).is_err());
        assert!(record.learn(8, Outcome::NotDone).unwrap().is_none());
    }
}
