//! The rules about money: what a request does to the rows that it touches, decided once for every ledger.
//!
//! [`decide`] is a pure function. It reads the rows that a store has loaded and returns the response, the changed rows
//! and the entry of the journal. The store saves the last two in one commit before the response goes out. In a batch,
//! a request sees the rows as the requests before it have changed them.
//!
//! * One id has one outcome: the same id with the same operation gets the recorded outcome, with another operation a
//!   conflict. A refusal is recorded like a success. An id below the recorded one is [`Outcome::Unknown`], never
//!   [`Outcome::NotDone`].
//! * An id is used only if its number was reserved in this ledger's history. From [`Terminal::next_number`] on and inside
//!   [`Terminal::gap`] it is unknown, and so is every id of a name without a row.
//! * A hello commits its epoch and raises the turn. A request of an earlier turn is fenced and changes nothing.
//! * A hello that has seen numbers of this ledger that were never reserved proves that the ledger was set back. The
//!   numbers from the reserved ones up to that number become the terminal's gap, and the next block begins above it.
//! * With cards, nothing is done without one: `card/perform` has those rules.
#[cfg(feature = "cards")]
use super::card::CardCopies;
use super::{
    Account, Admission, Changes, Command, Entry, Epoch, HelloClaim, LedgerId, Movement, Numbers, Operation,
    Origin, Outcome, Receipt, Record, Refusal, Rejection, Request, Response, Rows, Side, Terminal,
};
use crate::time::UnixTime;

/// Numbers in a block: a session of a few hundred replies reserves once.
pub const BLOCK: u32 = 256;

/// How far above the reserved numbers a hello may claim to have seen one. A ledger that was set back by more than so
/// many replies is not believed to be the same: such claims would use up a terminal's numbers.
pub const MAX_SET_BACK: u64 = 1 << 24;

/// The shortest time between two hellos of one name that prove a set-back, in milliseconds. At 2^24 numbers each, 2^53
/// numbers last for a thousand years.
pub const SET_BACK_INTERVAL: u64 = 60_000;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The response, once the rest is committed.
    pub response: Response,
    /// The rows to save.
    pub changes: Changes,
    /// The entry to append to the journal.
    pub entry: Option<Entry>,
}

/// Decides a request. `now` is the ledger's wall clock; without one, a name may prove a set-back once.
pub fn decide(request: &Request, rows: &Rows<'_>, now: Option<UnixTime>) -> Decision {
    let mut account = *rows.account;
    let mut terminal = rows.terminal.copied().unwrap_or_else(|| Terminal::starting_at(1));
    let mut copies = RowsMut {
        ledger: rows.ledger,
        account: &mut account,
        terminal: &mut terminal,
        is_known: rows.terminal.is_some(),
        has_room: rows.has_room,
        block: BLOCK,
        floor: 0,
        #[cfg(feature = "cards")]
        cards: rows.cards.map(CardCopies::new),
    };
    let mut response = Response::Fenced;
    let entry = copies.decide(request, now, &mut response);
    let mut changes = Changes::default();
    #[cfg(feature = "cards")]
    if let Some(cards) = &copies.cards {
        cards.save(&mut changes);
    }
    let is_moved = copies.is_open() && entry.is_some_and(|entry| entry.movement.is_some());
    let is_changed = match response {
        Response::Admitted(_) | Response::Reserved(_) => true,
        _ => entry.is_some() && request.origin.terminal().is_some(),
    };
    changes.account = if is_moved { Some(account) } else { changes.account };
    changes.terminal = is_changed.then_some(terminal);
    Decision { response, changes, entry }
}

/// The rows that a request touches, in the place where a store in memory keeps them: a microcontroller has neither the
/// stack nor the time for copies.
pub(super) struct RowsMut<'a> {
    /// The ledger's identity.
    pub(super) ledger: LedgerId,
    /// The account: changed if the entry has a movement.
    pub(super) account: &'a mut Account,
    /// The terminal of the request's origin, or a new row for it. Changed if the response admits it or reserves numbers
    /// for it, and its last operation if there is an entry.
    pub(super) terminal: &'a mut Terminal,
    /// Whether the terminal has a row.
    pub(super) is_known: bool,
    /// As in [`Rows`].
    pub(super) has_room: bool,
    /// Numbers in a block.
    pub(super) block: u32,
    /// No operation is done under a lower id that has no record: it is not done, and needs no void. 0 where every
    /// outcome is committed.
    pub(super) floor: u64,
    /// The rows of cards, if there are any.
    #[cfg(feature = "cards")]
    pub(super) cards: Option<CardCopies<'a>>,
}

/// Takes a block of numbers.
fn reserve(terminal: &mut Terminal, block: u32) -> Numbers {
    let numbers = Numbers::block(terminal.next_number, block);
    terminal.next_number = numbers.end();
    numbers
}

impl RowsMut<'_> {
    /// Decides a request, changes the rows, and returns the entry. `response` is fenced before.
    // Not inlined on a microcontroller: what it needs of the stack is not needed while its changes are saved.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    pub(super) fn decide(
        &mut self,
        request: &Request,
        now: Option<UnixTime>,
        response: &mut Response,
    ) -> Option<Entry> {
        let is_named = matches!(request.origin, Origin::Terminal(_));
        let is_known = is_named && self.is_known;
        match &request.command {
            Command::Hello(claim) if is_named => *response = self.hello(claim, now),
            _ if is_known && self.terminal.turn != request.turn => {}
            Command::Reserve if is_known => {
                *response = Response::Reserved(reserve(self.terminal, self.block))
            }
            // No hello was admitted. An unnamed session has no turn and no reserved numbers.
            Command::Hello(_) | Command::Reserve => {}
            Command::Operate { id, operation } if is_known || !is_named => {
                return self.operate(is_named, *id, Some(*operation), response);
            }
            Command::Settle { id } if is_known => return self.operate(is_named, *id, None, response),
            // A name without a row was never given a number.
            Command::Operate { id, .. } | Command::Settle { id } => {
                *response = Response::Settled { id: *id, outcome: Outcome::Unknown };
            }
            #[cfg(feature = "cards")]
            Command::Card { id, request } if is_known => {
                return self.operate_card(*id, request, now, response);
            }
            // Cards are served at named terminals alone.
            #[cfg(feature = "cards")]
            Command::Card { id, .. } if is_named => {
                *response = Response::Settled { id: *id, outcome: Outcome::Unknown };
            }
            #[cfg(feature = "cards")]
            Command::Card { .. } => {}
        }
        None
    }

    /// Whether access is open: there are no cards.
    const fn is_open(&self) -> bool {
        #[cfg(feature = "cards")]
        return self.cards.is_none();
        #[cfg(not(feature = "cards"))]
        true
    }

    /// Admits a terminal: commits its epoch, raises its turn, and reserves numbers above all that it has seen. Or rejects
    /// it and changes nothing.
    fn hello(&mut self, claim: &HelloClaim, now: Option<UnixTime>) -> Response {
        let terminal = &mut *self.terminal;
        // Numbers of another ledger say nothing about this one.
        let knows_ledger = claim.ledger == Some(self.ledger);
        let proves_set_back = knows_ledger && claim.seen >= terminal.next_number;
        if !self.is_known && !self.has_room {
            return Response::Rejected(Rejection::Full);
        }
        if let Some(rejection) = reject(terminal, claim, proves_set_back, now) {
            return Response::Rejected(rejection);
        }
        let former = terminal.epoch;
        if proves_set_back {
            let end = claim.seen.saturating_add(1);
            terminal.gap = terminal.gap.extended(terminal.next_number, end);
            terminal.next_number = end;
            terminal.set_back_at = Some(now.unwrap_or_default());
        }
        terminal.epoch = Some(claim.epoch);
        terminal.turn = terminal.turn.wrapping_add(1);
        Response::Admitted(Admission {
            ledger: self.ledger,
            turn: terminal.turn,
            former,
            numbers: reserve(terminal, self.block),
            // Also for a hello that follows one whose welcome was lost.
            set_back: (knows_ledger && terminal.gap.contains(claim.seen)).then_some(terminal.gap),
            last: terminal.last,
        })
    }

    /// Does an operation, where access is open.
    fn perform(&mut self, operation: Operation) -> (Outcome, Option<Movement>) {
        #[cfg(feature = "cards")]
        if !self.is_open() {
            return (Outcome::Refused(Refusal::NoAccess), None);
        }
        perform(operation, self.account)
    }

    /// Carries out an operation under its id, or voids the id where there is no operation. That of an unnamed session is
    /// not recorded.
    // Not inlined on a microcontroller, which would have it twice.
    #[cfg_attr(target_os = "none", inline(never))]
    #[cfg_attr(not(target_os = "none"), inline)]
    fn operate(
        &mut self,
        is_named: bool,
        id: u64,
        operation: Option<Operation>,
        response: &mut Response,
    ) -> Option<Entry> {
        let mut record = Record::new(id, operation, Outcome::NotDone);
        let is_final = match operation {
            Some(Operation::Inquiry) if self.is_open() => {
                record.outcome = Outcome::Done(Receipt::Balance { balance: self.account.balance });
                true
            }
            _ => is_named && look_up(self.terminal, &mut record, self.has_room, self.floor),
        };
        let mut movement = None;
        if let (false, Some(operation)) = (is_final, operation) {
            (record.outcome, movement) = self.perform(operation);
        }
        *response = Response::Settled { id, outcome: record.outcome };
        // The refusal of an unnamed session changes nothing and is not recorded.
        if is_final || !(is_named || movement.is_some()) {
            return None;
        }
        if is_named {
            self.terminal.last = Some(record);
        }
        Some(Entry { record, movement })
    }
}

/// Why a terminal's hello is not admitted, if it is not.
fn reject(
    terminal: &Terminal,
    claim: &HelloClaim,
    proves_set_back: bool,
    now: Option<UnixTime>,
) -> Option<Rejection> {
    if terminal.epoch == Some(claim.epoch) && claim.epoch != Epoch::PLAIN && !claim.admit_equal {
        return Some(Rejection::InUse);
    }
    // A sealed hello of an earlier epoch is a replay; one in clear of a name that has a key is no terminal's.
    if terminal.epoch.is_some_and(|held| held.is_sealed() && held > claim.epoch) {
        return Some(Rejection::InUse);
    }
    if !proves_set_back {
        return None;
    }
    if claim.seen.saturating_sub(terminal.next_number) > MAX_SET_BACK {
        return Some(Rejection::Unsound);
    }
    terminal.set_back_at.is_some_and(|before| is_too_soon(before, now)).then_some(Rejection::TooSoon)
}

/// Within the interval. A clock that was set back does not say how long ago it was: then the hello is served.
fn is_too_soon(before: UnixTime, now: Option<UnixTime>) -> bool {
    now.is_none_or(|now| {
        now.millis().checked_sub(before.millis()).is_some_and(|since| since < SET_BACK_INTERVAL)
    })
}

/// Whether the outcome of an id is final, which is then in `record`.
pub(super) fn look_up(terminal: &Terminal, record: &mut Record, has_room: bool, floor: u64) -> bool {
    let id = record.id;
    record.outcome = match terminal.last {
        Some(last) if last.id == id => match (last.operation, record.operation) {
            (Some(before), Some(operation)) if before != operation => Outcome::Refused(Refusal::Conflict),
            #[cfg(feature = "cards")]
            (Some(_), Some(_)) if last.card != record.card => Outcome::Refused(Refusal::Conflict),
            _ => last.outcome,
        },
        Some(last) if last.id > id => Outcome::Unknown,
        _ if id >= terminal.next_number || terminal.gap.contains(id) => Outcome::Unknown,
        _ if id < floor => Outcome::NotDone,
        _ if has_room => return false,
        _ if record.operation.is_some() => Outcome::Refused(Refusal::Full),
        // Without a void a late operation under this id could still be done, so it is not "not done".
        _ => Outcome::Unknown,
    };
    true
}

/// Moves money between an account and the cash at the terminal.
fn perform(operation: Operation, account: &mut Account) -> (Outcome, Option<Movement>) {
    let balance = account.balance;
    let (account_side, cash) = (Side::Account(account.number), Side::Cash);
    let (amount, after) = match operation {
        Operation::Inquiry => return (Outcome::Done(Receipt::Balance { balance }), None),
        Operation::Deposit(amount) => (amount, balance.checked_add(amount)),
        Operation::WithdrawAll if balance.is_zero() => (balance, None),
        Operation::WithdrawAll => (balance, balance.checked_sub(balance)),
        Operation::Withdraw(amount) => (amount, balance.checked_sub(amount)),
        #[cfg(feature = "cards")]
        _ => return (Outcome::Refused(Refusal::NoAccess), None),
    };
    let is_deposit = matches!(operation, Operation::Deposit(_));
    let Some(after) = after else {
        let refusal =
            if is_deposit { Refusal::BalanceLimit { balance } } else { Refusal::Insufficient { balance } };
        return (Outcome::Refused(refusal), None);
    };
    (account.balance, account.version) = (after, account.version.saturating_add(1));
    let (receipt, debit, credit) = if is_deposit {
        (Receipt::Deposited { amount, balance: after }, cash, account_side)
    } else {
        (Receipt::Withdrawn { amount, balance: after }, account_side, cash)
    };
    (Outcome::Done(receipt), Some(Movement { debit, credit, amount }))
}

#[cfg(test)]
mod tests;
