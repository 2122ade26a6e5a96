//! A ledger in memory.
use super::{
    InDoubt, Ledger, LedgerId, Name, Numbers, Operation, Origin, Outcome, Receipt, Record, Refusal, Request,
    Response,
};
use crate::money::Amount;
use heapless::Vec;

/// Numbers given by one [`Request::Open`]: a session of a few hundred answers asks once.
const BLOCK: u32 = 256;

/// A [`Ledger`] in memory, for at most `TERMINALS` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RamLedger<const TERMINALS: usize> {
    identity: LedgerId,
    balance: Amount,
    next_number: u64,
    records: Vec<(Name, Record), TERMINALS>,
}

impl<const TERMINALS: usize> RamLedger<TERMINALS> {
    /// A ledger that starts with `balance`. `identity` must be new for every start: random bits, or a counter kept
    /// in non-volatile memory.
    pub fn new(identity: LedgerId, balance: Amount) -> Self {
        Self { identity, balance, next_number: 1, records: Vec::new() }
    }

    /// The balance.
    pub fn balance(&self) -> Amount {
        self.balance
    }

    /// The ledger's identity.
    pub fn identity(&self) -> LedgerId {
        self.identity
    }

    fn record(&self, terminal: &Name) -> Option<&Record> {
        self.records.iter().find(|(name, _)| name == terminal).map(|(_, record)| record)
    }

    /// Keeps a terminal's record; false where the ledger is full.
    fn keep(&mut self, terminal: &Name, record: Record) -> bool {
        match self.records.iter_mut().find(|(name, _)| name == terminal) {
            Some((_, kept)) => {
                *kept = record;
                true
            }
            None => self.records.push((terminal.clone(), record)).is_ok(),
        }
    }

    fn operate(&mut self, origin: &Origin, id: u64, operation: Operation) -> Outcome {
        let Origin::Terminal(terminal) = origin else { return self.execute(operation) };
        if operation == Operation::Inquiry {
            return self.execute(operation);
        }
        match self.record(terminal) {
            Some(last) if last.id == id && last.operation.is_none_or(|known| known == operation) => {
                return last.outcome;
            }
            Some(last) if last.id == id => return Outcome::Refused(Refusal::Conflict),
            Some(last) if last.id > id => return Outcome::Unknown,
            None if self.records.is_full() => return Outcome::Refused(Refusal::Full),
            _ => {}
        }
        let outcome = self.execute(operation);
        self.keep(terminal, Record { id, operation: Some(operation), outcome });
        outcome
    }

    fn execute(&mut self, operation: Operation) -> Outcome {
        let balance = self.balance;
        let refused = |refusal| Outcome::Refused(refusal);
        match operation {
            Operation::Inquiry => Outcome::Done(Receipt::Balance { balance }),
            Operation::Deposit(amount) => match balance.checked_add(amount) {
                Some(balance) => {
                    self.balance = balance;
                    Outcome::Done(Receipt::Deposited { amount, balance })
                }
                None => refused(Refusal::BalanceLimit { balance }),
            },
            Operation::Withdraw(amount) => self.take(amount),
            Operation::WithdrawAll if balance.is_zero() => refused(Refusal::Insufficient { balance }),
            Operation::WithdrawAll => self.take(balance),
        }
    }

    fn take(&mut self, amount: Amount) -> Outcome {
        match self.balance.checked_sub(amount) {
            Some(balance) => {
                self.balance = balance;
                Outcome::Done(Receipt::Withdrawn { amount, balance })
            }
            None => Outcome::Refused(Refusal::Insufficient { balance: self.balance }),
        }
    }

    fn settle(&mut self, terminal: &Name, id: u64) -> Outcome {
        match self.record(terminal) {
            Some(last) if last.id == id => last.outcome,
            Some(last) if last.id > id => Outcome::Unknown,
            _ => {
                let void = Record { id, operation: None, outcome: Outcome::NotDone };
                // Where there is no room for the void, nothing stands against a late operation: not "not done".
                if self.keep(terminal, void) { Outcome::NotDone } else { Outcome::Unknown }
            }
        }
    }
}

impl<const TERMINALS: usize> Ledger for RamLedger<TERMINALS> {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        Ok(match request {
            Request::Open { terminal } => {
                let numbers = Numbers::block(self.next_number, BLOCK);
                self.next_number = self.next_number.saturating_add(u64::from(BLOCK)).min(Numbers::MAX);
                Response::Opened { ledger: self.identity, numbers, last: self.record(terminal).copied() }
            }
            Request::Operate { origin, id, operation } => {
                Response::Settled { id: *id, outcome: self.operate(origin, *id, *operation) }
            }
            Request::Settle { terminal, id } => {
                Response::Settled { id: *id, outcome: self.settle(terminal, *id) }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::contract;

    fn ledger() -> RamLedger<2> {
        RamLedger::new(LedgerId(7), units(100))
    }

    fn units(units: u64) -> Amount {
        Amount::from_units(units).unwrap()
    }

    fn operate(ledger: &mut RamLedger<2>, terminal: &str, id: u64, operation: Operation) -> Outcome {
        let origin = Origin::Terminal(terminal.parse().unwrap());
        outcome(ledger.apply(&Request::Operate { origin, id, operation }))
    }

    fn settle(ledger: &mut RamLedger<2>, terminal: &str, id: u64) -> Outcome {
        outcome(ledger.apply(&Request::Settle { terminal: terminal.parse().unwrap(), id }))
    }

    fn outcome(response: Result<Response, InDoubt>) -> Outcome {
        match response {
            Ok(Response::Settled { outcome, .. }) => outcome,
            other => panic!("{other:?}"),
        }
    }

    struct Memory;

    impl contract::Store for Memory {
        type Ledger = RamLedger<2>;
        fn create(&mut self, balance: Amount) -> RamLedger<2> {
            RamLedger::new(LedgerId(7), balance)
        }
        fn reopen(&mut self, old: RamLedger<2>) -> RamLedger<2> {
            old
        }
    }

    #[test]
    fn it_keeps_the_contract() {
        assert_eq!(contract::check(&mut Memory), Ok(()));
    }

    #[test]
    fn a_full_ledger_refuses_new_names_and_forgets_no_old_one() {
        let mut ledger = ledger();
        operate(&mut ledger, "a", 1, Operation::Deposit(units(1)));
        operate(&mut ledger, "b", 1, Operation::Deposit(units(1)));
        assert_eq!(
            operate(&mut ledger, "c", 1, Operation::Deposit(units(1))),
            Outcome::Refused(Refusal::Full)
        );
        assert_eq!(settle(&mut ledger, "c", 2), Outcome::Unknown);
        operate(&mut ledger, "a", 1, Operation::Deposit(units(1)));
        assert_eq!(ledger.balance(), units(102));
    }

    #[test]
    fn the_balance_cannot_overflow() {
        let mut ledger = RamLedger::<1>::new(LedgerId(7), Amount::MAX);
        let origin = Origin::Session(1);
        let deposit = Request::Operate { origin, id: 1, operation: Operation::Deposit(units(1)) };
        let refused = Outcome::Refused(Refusal::BalanceLimit { balance: Amount::MAX });
        assert_eq!(outcome(ledger.apply(&deposit)), refused);
        assert_eq!(ledger.balance(), Amount::MAX);
    }
}
