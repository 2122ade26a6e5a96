//! What the contract of a [`Ledger`](super::Ledger) makes of a request: decided here for every store.
use super::{Operation, Outcome, Receipt, Record, Refusal};
use crate::money::Amount;

/// What a ledger knows of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Known<'a> {
    /// A session without a name: nothing of it is remembered.
    Unnamed,
    /// A terminal without a record.
    New {
        /// Is there room for its record?
        room: bool,
    },
    /// A terminal, by its last record.
    Last(&'a Record),
}

/// What a ledger has to do before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// Nothing: tell this.
    Tell(Outcome),
    /// Commit all of this at once, and then tell the outcome.
    Commit {
        /// What to tell.
        outcome: Outcome,
        /// The balance from now on.
        balance: Amount,
        /// The terminal's record from now on; `None` for a session without a name.
        record: Option<Record>,
    },
}

impl Verdict {
    /// Of a [`Request::Operate`](super::Request::Operate).
    pub fn operate(known: Known<'_>, balance: Amount, id: u64, operation: Operation) -> Self {
        let (outcome, after) = operation.on(balance);
        match known {
            _ if operation == Operation::Inquiry => Self::Tell(outcome),
            Known::Unnamed if after == balance => Self::Tell(outcome),
            Known::Unnamed => Self::Commit { outcome, balance: after, record: None },
            Known::Last(last) if last.id == id => Self::Tell(match last.operation {
                Some(before) if before != operation => Outcome::Refused(Refusal::Conflict),
                _ => last.outcome,
            }),
            Known::Last(last) if last.id > id => Self::Tell(Outcome::Unknown),
            Known::New { room: false } => Self::Tell(Outcome::Refused(Refusal::Full)),
            Known::Last(_) | Known::New { room: true } => {
                let record = Some(Record { id, operation: Some(operation), outcome });
                Self::Commit { outcome, balance: after, record }
            }
        }
    }

    /// Of a [`Request::Settle`](super::Request::Settle).
    pub fn settle(known: Known<'_>, balance: Amount, id: u64) -> Self {
        match known {
            Known::Last(last) if last.id == id => Self::Tell(last.outcome),
            Known::Last(last) if last.id > id => Self::Tell(Outcome::Unknown),
            // Where there is no room for the void, nothing stands against a late operation: not "not done".
            Known::New { room: false } | Known::Unnamed => Self::Tell(Outcome::Unknown),
            Known::Last(_) | Known::New { room: true } => {
                let outcome = Outcome::NotDone;
                Self::Commit { outcome, balance, record: Some(Record { id, operation: None, outcome }) }
            }
        }
    }
}

impl Operation {
    /// What it comes to where there is this balance, and the balance after it.
    pub fn on(self, balance: Amount) -> (Outcome, Amount) {
        let amount = match self {
            Self::Inquiry => return (Outcome::Done(Receipt::Balance { balance }), balance),
            Self::Deposit(amount) => {
                return match balance.checked_add(amount) {
                    Some(after) => (Outcome::Done(Receipt::Deposited { amount, balance: after }), after),
                    None => (Outcome::Refused(Refusal::BalanceLimit { balance }), balance),
                };
            }
            Self::WithdrawAll if balance.is_zero() => None,
            Self::WithdrawAll => Some(balance),
            Self::Withdraw(amount) => Some(amount),
        };
        match amount.and_then(|amount| balance.checked_sub(amount).map(|after| (amount, after))) {
            Some((amount, after)) => (Outcome::Done(Receipt::Withdrawn { amount, balance: after }), after),
            None => (Outcome::Refused(Refusal::Insufficient { balance }), balance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contracts are held in `contract`; what costs a medium a write for nothing is not seen there.
    #[test]
    fn what_is_not_to_be_remembered_and_moves_nothing_is_not_committed() {
        let units = |units| Amount::from_units(units).unwrap();
        let asked = |operation| Verdict::operate(Known::Unnamed, units(5), 1, operation);
        let refused = Outcome::Refused(Refusal::Insufficient { balance: units(5) });
        assert_eq!(asked(Operation::Withdraw(units(6))), Verdict::Tell(refused));
        let (outcome, balance) = Operation::Withdraw(units(5)).on(units(5));
        assert_eq!(asked(Operation::Withdraw(units(5))), Verdict::Commit { outcome, balance, record: None });
    }
}
