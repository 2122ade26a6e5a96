//! An independent model of `decide`: it keeps the whole history of a ledger, and no row.
use super::{
    ledger::{
        Admission, Command, Epoch, Gap, HelloClaim, LedgerId, Numbers, Operation, Outcome, Receipt, Record,
        Refusal, Rejection, Request, Response, Terminal,
    },
    money::Amount,
    time::UnixTime,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    vec::Vec,
};

/// The balance of a new ledger, in minor units.
pub(super) const START: u64 = 1000;

/// What one terminal did in one history.
#[derive(Clone, Default)]
pub(super) struct Life {
    hellos: Vec<Epoch>,
    blocks: Vec<Range<u64>>,
    /// What hellos proved to be the numbers of another history, and when.
    lost: Vec<(Range<u64>, UnixTime)>,
    outcomes: BTreeMap<u64, (Option<Operation>, Outcome)>,
    /// Reserved ids whose outcome was said to be unknown.
    unknown: BTreeSet<u64>,
}

impl Life {
    /// The first number that no block had and no hello has shown to be used.
    pub(super) fn unused(&self) -> u64 {
        let lost = self.lost.iter().map(|(range, _)| range.end);
        self.blocks.iter().map(|block| block.end).chain(lost).max().unwrap_or(1)
    }

    /// One range around all that was lost.
    pub(super) fn gap(&self) -> Gap {
        let start = self.lost.iter().map(|(range, _)| range.start).min().unwrap_or(0);
        Gap { start, end: self.lost.iter().map(|(range, _)| range.end).max().unwrap_or(0) }
    }

    /// Whether this history gave the id to the terminal. No prompt has the number 0, which is as good as given.
    fn was_given(&self, id: u64) -> bool {
        id == 0 || self.blocks.iter().any(|block| block.contains(&id))
    }

    pub(super) fn last(&self) -> Option<Record> {
        let (&id, &(operation, outcome)) = self.outcomes.last_key_value()?;
        Some(Record::new(id, operation, outcome))
    }
}

/// All that a ledger has ever done.
#[derive(Clone)]
pub(super) struct History {
    pub(super) identity: LedgerId,
    /// The changes of the balance, in minor units.
    pub(super) movements: Vec<i128>,
    pub(super) lives: BTreeMap<usize, Life>,
}

impl History {
    /// A new ledger.
    pub(super) fn new() -> Self {
        Self { identity: LedgerId(1), movements: Vec::new(), lives: BTreeMap::new() }
    }

    pub(super) fn balance(&self) -> Amount {
        let balance = i128::from(START) + self.movements.iter().sum::<i128>();
        Amount::from_minor(balance.try_into().expect("it is not overdrawn")).expect("it is within the limit")
    }

    /// The outcome of an operation on the present balance, and what it moves.
    fn perform(&self, operation: Operation) -> (Outcome, Option<i128>) {
        let before = self.balance();
        let (change, amount) = match operation {
            Operation::Inquiry => return (Outcome::Done(Receipt::Balance { balance: before }), None),
            Operation::Deposit(amount) => (i128::from(amount.minor()), amount),
            Operation::Withdraw(amount) => (-i128::from(amount.minor()), amount),
            Operation::WithdrawAll => (-i128::from(before.minor()), before),
            #[cfg(feature = "cards")]
            _ => return (Outcome::Refused(Refusal::NoAccess), None),
        };
        let after = i128::from(before.minor()) + change;
        let nothing = operation == Operation::WithdrawAll && change == 0;
        match u64::try_from(after) {
            Ok(after) if !nothing => match (Amount::from_minor(after), operation) {
                (None, _) => (Outcome::Refused(Refusal::BalanceLimit { balance: before }), None),
                (Some(balance), Operation::Deposit(_)) => {
                    (Outcome::Done(Receipt::Deposited { amount, balance }), Some(change))
                }
                (Some(balance), _) => (Outcome::Done(Receipt::Withdrawn { amount, balance }), Some(change)),
            },
            _ => (Outcome::Refused(Refusal::Insufficient { balance: before }), None),
        }
    }

    /// The response to a hello.
    fn hello(&mut self, who: usize, claim: &HelloClaim, has_room: bool, now: Option<UnixTime>) -> Response {
        let life = match self.lives.get(&who) {
            Some(life) => life.clone(),
            None if has_room => Life::default(),
            None => return Response::Rejected(Rejection::Full),
        };
        let mut next = life.clone();
        let former = life.hellos.last().copied();
        let plain = claim.epoch.start == 0 && claim.epoch.attempt == 0;
        if former == Some(claim.epoch) && !claim.admit_equal && !plain {
            return Response::Rejected(Rejection::InUse);
        }
        let unused = life.unused();
        let lost = unused..claim.seen.saturating_add(1);
        let knows_ledger = claim.ledger == Some(self.identity);
        if knows_ledger && !lost.is_empty() {
            if claim.seen - unused > 1 << 24 {
                return Response::Rejected(Rejection::Unsound);
            }
            if let Some((_, before)) = life.lost.last() {
                let minute = before.millis()..before.millis() + 60_000;
                if now.is_none_or(|now| minute.contains(&now.millis())) {
                    return Response::Rejected(Rejection::TooSoon);
                }
            }
            next.lost.push((lost, now.unwrap_or_default()));
        }
        let first = next.unused();
        next.blocks.push(first..first + 256);
        next.hellos.push(claim.epoch);
        let admission = Admission {
            ledger: self.identity,
            turn: next.hellos.len() as u32,
            former,
            numbers: Numbers::block(first, 256),
            // Also after a welcome that was lost.
            set_back: Some(next.gap()).filter(|gap| knows_ledger && gap.contains(claim.seen)),
            last: next.last(),
        };
        self.lives.insert(who, next);
        Response::Admitted(admission)
    }

    /// The response to a request; what it does is added to the history.
    pub(super) fn respond(
        &mut self,
        who: Option<usize>,
        request: &Request,
        has_room: bool,
        now: Option<UnixTime>,
    ) -> Response {
        let Some(who) = who else {
            let Command::Operate { id, operation } = request.command else { return Response::Fenced };
            let (outcome, change) = self.perform(operation);
            self.movements.extend(change);
            return Response::Settled { id, outcome };
        };
        if let Command::Hello(claim) = &request.command {
            return self.hello(who, claim, has_room, now);
        }
        let life = self.lives.get(&who).cloned();
        if life.as_ref().is_some_and(|life| life.hellos.len() as u32 != request.turn) {
            return Response::Fenced;
        }
        let (id, wanted) = match request.command {
            Command::Operate { id, operation } => (id, Some(operation)),
            Command::Settle { id } => (id, None),
            #[cfg(feature = "cards")]
            Command::Card { id, .. } => {
                return Response::Settled { id, outcome: Outcome::Refused(Refusal::NoAccess) };
            }
            Command::Hello(_) | Command::Reserve => {
                let Some(life) = self.lives.get_mut(&who) else { return Response::Fenced };
                let first = life.unused();
                life.blocks.push(first..first + 256);
                return Response::Reserved(Numbers::block(first, 256));
            }
        };
        let Some(mut life) = life else { return Response::Settled { id, outcome: Outcome::Unknown } };
        let outcome = match (life.last().filter(|last| last.id >= id), wanted) {
            (_, Some(Operation::Inquiry)) => self.perform(Operation::Inquiry).0,
            (Some(last), _) if last.id > id => Outcome::Unknown,
            (Some(Record { operation: Some(done), .. }), Some(other)) if done != other => {
                Outcome::Refused(Refusal::Conflict)
            }
            (Some(last), _) => last.outcome,
            (None, _) if !life.was_given(id) || life.gap().contains(id) => Outcome::Unknown,
            (None, None) if !has_room => Outcome::Unknown,
            (None, Some(_)) if !has_room => Outcome::Refused(Refusal::Full),
            (None, _) => {
                let (outcome, change) =
                    wanted.map_or((Outcome::NotDone, None), |wanted| self.perform(wanted));
                self.movements.extend(change);
                assert_eq!(life.outcomes.insert(id, (wanted, outcome)), None, "one id has one outcome");
                assert!(!life.unknown.contains(&id), "what was unknown stays so");
                outcome
            }
        };
        if outcome == Outcome::Unknown && has_room && life.was_given(id) {
            life.unknown.insert(id);
        }
        self.lives.insert(who, life);
        Response::Settled { id, outcome }
    }

    /// The row that stands for a terminal's life.
    pub(super) fn row(&self, who: usize) -> Option<Terminal> {
        self.lives.get(&who).map(|life| Terminal {
            epoch: life.hellos.last().copied(),
            turn: life.hellos.len() as u32,
            next_number: life.unused(),
            gap: life.gap(),
            set_back_at: life.lost.last().map(|(_, at)| *at),
            last: life.last(),
            #[cfg(feature = "cards")]
            delay: Default::default(),
        })
    }
}
