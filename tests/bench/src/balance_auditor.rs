//! What all sessions of a load have moved, and what a balance can be then.
//!
//! A balance that is told lies between two bounds. Whatever was acknowledged (to any session) before the request was
//! made is in it; whatever is asked for only after the reply came is not; what was out in between may be in it or not.
//! With one session nothing else is ever out: the bounds meet, and each balance is checked to the cent. At the end, when
//! nothing is out at all, they meet for any number of sessions.
use atm_core::money::Amount;
use std::{
    fmt,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// Faults that are kept as text; the others are counted.
const KEPT: usize = 5;

/// Which way money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// Into the account.
    Deposit,
    /// Out of it.
    Withdrawal,
}

impl fmt::Display for Movement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deposit => "a deposit",
            Self::Withdrawal => "a withdrawal",
        })
    }
}

/// The books of one load, for all its threads. Sums are in minor units.
///
/// Every counter only tells more than is so where it must be an upper bound and less where it must be a lower one: an
/// amount is added to what was asked before the request is sent, and to what was done after its reply has come.
#[derive(Debug, Default)]
pub struct BalanceAuditor {
    /// The balance before the load. Not known where others may move money too.
    start: OnceLock<Amount>,
    deposits: Sums,
    withdrawals: Sums,
    checked: AtomicU64,
    wrong: AtomicU64,
    faults: Mutex<Vec<String>>,
}

/// What goes one way, in minor units.
#[derive(Debug, Default)]
struct Sums {
    /// What was asked for and not refused.
    asked: AtomicI64,
    /// What was acknowledged.
    done: AtomicI64,
}

/// What was acknowledged when a request was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditSnapshot {
    deposited: i64,
    withdrawn: i64,
}

/// What a request moved, if anything.
pub type Moved = Option<(Movement, Amount)>;

fn minor(amount: Amount) -> i64 {
    i64::try_from(amount.minor()).unwrap_or(i64::MAX)
}

impl BalanceAuditor {
    fn sums(&self, way: Movement) -> &Sums {
        match way {
            Movement::Deposit => &self.deposits,
            Movement::Withdrawal => &self.withdrawals,
        }
    }

    /// From now on balances are checked against this one, and nobody else moves money.
    pub fn open(&self, balance: Amount) {
        // It is opened once.
        let _ = self.start.set(balance);
    }

    /// The balance before the load.
    pub fn start(&self) -> Option<Amount> {
        self.start.get().copied()
    }

    /// Notes that a request is to be made; returns what it is to be held against.
    pub fn ask(&self, moves: Moved) -> AuditSnapshot {
        let since = AuditSnapshot {
            deposited: self.done(Movement::Deposit),
            withdrawn: self.done(Movement::Withdrawal),
        };
        if let Some((way, amount)) = moves {
            self.sums(way).asked.fetch_add(minor(amount), Ordering::AcqRel);
        }
        since
    }

    /// Checks a balance that was told as of a request, which was made at `since` and moved `moved`.
    pub fn check(&self, told: Amount, since: AuditSnapshot, moved: Moved) {
        let Some((low, high)) = self.bounds(since, moved) else { return };
        self.checked.fetch_add(1, Ordering::Relaxed);
        if !(low..=high).contains(&minor(told)) {
            let (told, low, high) = (SignedMoney(minor(told)), SignedMoney(low), SignedMoney(high));
            self.fail(if low == high {
                format!("a balance of {told} was told, and it must be {low}")
            } else {
                format!("a balance of {told} was told, and it must be from {low} to {high}")
            });
        }
    }

    /// May the account be empty, as of a request that was made at `since`, was to withdraw `asked` and has moved nothing?
    pub fn may_be_empty(&self, since: AuditSnapshot, asked: Amount) -> bool {
        self.bounds(since, None)
            .is_none_or(|(low, high)| (low.saturating_add(minor(asked))..=high).contains(&0))
    }

    /// Between which amounts a balance must be; nothing is known where others move money too.
    fn bounds(&self, since: AuditSnapshot, moved: Moved) -> Option<(i64, i64)> {
        let start = self.start()?;
        let (mut low, mut high) = (minor(start), minor(start));
        low = low.saturating_add(since.deposited).saturating_sub(self.asked(Movement::Withdrawal));
        high = high.saturating_add(self.asked(Movement::Deposit)).saturating_sub(since.withdrawn);
        match moved {
            // It is in the balance that its own reply tells.
            Some((Movement::Deposit, amount)) => low = low.saturating_add(minor(amount)),
            Some((Movement::Withdrawal, amount)) => high = high.saturating_sub(minor(amount)),
            None => {}
        }
        Some((low, high))
    }

    /// Notes that a request was acknowledged as done.
    pub fn settle(&self, (way, amount): (Movement, Amount)) {
        self.sums(way).done.fetch_add(minor(amount), Ordering::AcqRel);
    }

    /// Notes that a request was refused: it will never be in a balance.
    pub fn refuse(&self, (way, amount): (Movement, Amount)) {
        self.sums(way).asked.fetch_sub(minor(amount), Ordering::AcqRel);
    }

    /// Notes something that cannot be so.
    pub fn fail(&self, what: String) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < KEPT {
            faults.push(what);
        }
    }

    /// What was asked to move this way and not refused, in minor units.
    pub fn asked(&self, way: Movement) -> i64 {
        self.sums(way).asked.load(Ordering::Acquire)
    }

    /// What was acknowledged as moved this way, in minor units.
    pub fn done(&self, way: Movement) -> i64 {
        self.sums(way).done.load(Ordering::Acquire)
    }

    /// How many balances were held against the bounds.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// How many things could not be so, and the first of them.
    pub fn faults(&self) -> (u64, Vec<String>) {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        (self.wrong.load(Ordering::Relaxed), faults.clone())
    }
}

/// Minor units, which may be owed, as money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedMoney(pub i64);

impl fmt::Display for SignedMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minor = self.0.unsigned_abs();
        write!(f, "{}${}.{:02}", if self.0 < 0 { "-" } else { "" }, minor / 100, minor % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(units: u64) -> Amount {
        Amount::from_units(units).unwrap()
    }

    fn wrong(books: &BalanceAuditor) -> u64 {
        books.faults().0
    }

    #[test]
    fn one_session_is_checked_to_the_cent() {
        let books = BalanceAuditor::default();
        books.open(units(100));
        let forty = (Movement::Deposit, units(40));
        let since = books.ask(Some(forty));
        books.check(units(140), since, Some(forty));
        books.settle(forty);
        assert_eq!(wrong(&books), 0);
        for told in [Amount::from_minor(13_999).unwrap(), Amount::from_minor(14_001).unwrap()] {
            let before = wrong(&books);
            books.check(told, books.ask(None), None);
            assert_eq!(wrong(&books), before + 1, "{told}");
        }
        let ten = (Movement::Withdrawal, units(10));
        let since = books.ask(Some(ten));
        books.check(units(130), since, Some(ten));
        assert_eq!(wrong(&books), 2);
        assert_eq!(books.faults().1[0], "a balance of $139.99 was told, and it must be $140.00");
    }

    #[test]
    fn what_is_out_may_be_in_a_balance_or_not_and_then_must() {
        let books = BalanceAuditor::default();
        books.open(units(100));
        let other = (Movement::Deposit, units(7));
        books.ask(Some(other));
        for told in [100, 107] {
            books.check(units(told), books.ask(None), None);
        }
        assert_eq!(wrong(&books), 0);
        let early = books.ask(None);
        books.settle(other);
        books.check(units(100), early, None);
        assert_eq!(wrong(&books), 0, "it was asked for before the other was acknowledged");
        books.check(units(100), books.ask(None), None);
        assert_eq!(wrong(&books), 1);
    }

    #[test]
    fn what_was_refused_is_in_no_balance() {
        let books = BalanceAuditor::default();
        books.open(units(5));
        let much = (Movement::Withdrawal, units(5));
        books.ask(Some(much));
        books.refuse(much);
        books.check(units(0), books.ask(None), None);
        assert_eq!(wrong(&books), 1);
    }

    #[test]
    fn nothing_is_checked_where_others_move_money_too() {
        let books = BalanceAuditor::default();
        books.check(units(5), books.ask(None), None);
        assert_eq!((books.checked(), wrong(&books)), (0, 0));
    }
}
