//! A ledger in memory.
use super::{InDoubt, Known, Ledger, LedgerId, Name, Numbers, Outcome, Record, Request, Response, Verdict};
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

    fn known(&self, terminal: &Name) -> Known<'_> {
        self.record(terminal).map_or(Known::New { room: !self.records.is_full() }, Known::Last)
    }

    fn carry_out(&mut self, terminal: Option<&Name>, verdict: Verdict) -> Outcome {
        let (outcome, balance, record) = match verdict {
            Verdict::Tell(outcome) => return outcome,
            Verdict::Commit { outcome, balance, record } => (outcome, balance, record),
        };
        self.balance = balance;
        if let (Some(terminal), Some(record)) = (terminal, record) {
            match self.records.iter_mut().find(|(name, _)| name == terminal) {
                Some((_, kept)) => *kept = record,
                // There is room, or the verdict would be another.
                None => drop(self.records.push((terminal.clone(), record))),
            }
        }
        outcome
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
                let terminal = origin.terminal();
                let known = terminal.map_or(Known::Unnamed, |terminal| self.known(terminal));
                let verdict = Verdict::operate(known, self.balance, *id, *operation);
                Response::Settled { id: *id, outcome: self.carry_out(terminal, verdict) }
            }
            Request::Settle { terminal, id } => {
                let verdict = Verdict::settle(self.known(terminal), self.balance, *id);
                Response::Settled { id: *id, outcome: self.carry_out(Some(terminal), verdict) }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Operation, Origin, Refusal, contract};

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
