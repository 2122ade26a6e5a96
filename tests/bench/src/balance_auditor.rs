//! Balance auditor: checks every reported balance against bounds that follow from what all sessions have
//! moved.
//!
//! Every movement that was acknowledged (to any session) before the request was sent is in the balance; no
//! movement that is requested only after the reply came is. A movement that was outstanding in between may be
//! in it or not. With one session nothing else is ever outstanding: the bounds are equal, and each balance is
//! checked to the cent. At the end, when nothing is outstanding, they are equal for any number of sessions.
use atm_core::money::{Amount, SignedAmount};
use std::{
    fmt,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// Violations that are kept as text; the others are only counted.
const MAX_TEXTS: usize = 5;

/// A movement of money: which way.
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

/// The totals of one run, shared by all its threads. Amounts are in minor units.
///
/// An amount is added to the requested total before its request is sent, and to the acknowledged total after
/// its reply has come: at any time the former is an upper bound of what the server has moved, and the latter
/// a lower one.
#[derive(Debug, Default)]
pub struct BalanceAuditor {
    /// The balance before the run; not set where others may move money too.
    initial: OnceLock<Amount>,
    deposits: MovementTotals,
    withdrawals: MovementTotals,
    checked: AtomicU64,
    wrong: AtomicU64,
    violations: Mutex<Vec<String>>,
}

/// The totals of the movements one way, in minor units.
#[derive(Debug, Default)]
struct MovementTotals {
    /// Requested and not refused.
    requested: AtomicI64,
    /// Acknowledged as done.
    acknowledged: AtomicI64,
}

/// The acknowledged totals at the time when a request was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditSnapshot {
    deposited: i64,
    withdrawn: i64,
}

/// What a request is to move, or has moved, if anything.
pub type Moved = Option<(Movement, Amount)>;

fn minor(amount: Amount) -> i64 {
    i64::try_from(amount.minor()).unwrap_or(i64::MAX)
}

impl BalanceAuditor {
    fn totals(&self, movement: Movement) -> &MovementTotals {
        match movement {
            Movement::Deposit => &self.deposits,
            Movement::Withdrawal => &self.withdrawals,
        }
    }

    /// Starts to check balances: `balance` is the one before the run, and no other client moves money.
    pub fn set_initial(&self, balance: Amount) {
        // It is set once a run.
        let _ = self.initial.set(balance);
    }

    /// The balance before the run.
    pub fn initial(&self) -> Option<Amount> {
        self.initial.get().copied()
    }

    /// Records that a request is about to be sent; returns the snapshot to check its reply against.
    pub fn request(&self, moves: Moved) -> AuditSnapshot {
        let snapshot = AuditSnapshot {
            deposited: self.acknowledged(Movement::Deposit),
            withdrawn: self.acknowledged(Movement::Withdrawal),
        };
        if let Some((movement, amount)) = moves {
            self.totals(movement).requested.fetch_add(minor(amount), Ordering::AcqRel);
        }
        snapshot
    }

    /// Checks a balance reported in the reply to a request that was sent at `snapshot` and has moved `moved`.
    pub fn check(&self, reported: Amount, snapshot: AuditSnapshot, moved: Moved) {
        let Some((low, high)) = self.bounds(snapshot, moved) else { return };
        self.checked.fetch_add(1, Ordering::Relaxed);
        if !(low..=high).contains(&minor(reported)) {
            let (reported, low, high) =
                (SignedAmount(minor(reported).into()), SignedAmount(low.into()), SignedAmount(high.into()));
            self.report_violation(if low == high {
                format!("a balance of {reported} was reported, but it must be {low}")
            } else {
                format!("a balance of {reported} was reported, but it must be from {low} to {high}")
            });
        }
    }

    /// Can the account be empty, as of a request that was sent at `snapshot`, was to withdraw `amount` and
    /// has moved nothing?
    pub fn may_be_empty(&self, snapshot: AuditSnapshot, amount: Amount) -> bool {
        self.bounds(snapshot, None)
            .is_none_or(|(low, high)| (low.saturating_add(minor(amount))..=high).contains(&0))
    }

    /// The bounds of a balance; `None` where others move money too.
    fn bounds(&self, snapshot: AuditSnapshot, moved: Moved) -> Option<(i64, i64)> {
        let initial = self.initial()?;
        let (mut low, mut high) = (minor(initial), minor(initial));
        low = low.saturating_add(snapshot.deposited).saturating_sub(self.requested(Movement::Withdrawal));
        high = high.saturating_add(self.requested(Movement::Deposit)).saturating_sub(snapshot.withdrawn);
        match moved {
            // The request's own movement is in the balance that its reply reports.
            Some((Movement::Deposit, amount)) => low = low.saturating_add(minor(amount)),
            Some((Movement::Withdrawal, amount)) => high = high.saturating_sub(minor(amount)),
            None => {}
        }
        Some((low, high))
    }

    /// Records that a movement was acknowledged as done.
    pub fn acknowledge(&self, (movement, amount): (Movement, Amount)) {
        self.totals(movement).acknowledged.fetch_add(minor(amount), Ordering::AcqRel);
    }

    /// Records that a movement was refused: it will be in no balance.
    pub fn refuse(&self, (movement, amount): (Movement, Amount)) {
        self.totals(movement).requested.fetch_sub(minor(amount), Ordering::AcqRel);
    }

    /// Records a reply of the server that contradicts the others.
    pub fn report_violation(&self, what: String) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        if violations.len() < MAX_TEXTS {
            violations.push(what);
        }
    }

    /// The requested amounts that were not refused, in minor units.
    pub fn requested(&self, movement: Movement) -> i64 {
        self.totals(movement).requested.load(Ordering::Acquire)
    }

    /// The acknowledged amounts, in minor units.
    pub fn acknowledged(&self, movement: Movement) -> i64 {
        self.totals(movement).acknowledged.load(Ordering::Acquire)
    }

    /// How many balances were checked.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// The number of violations, and the texts of the first of them.
    pub fn violations(&self) -> (u64, Vec<String>) {
        let violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        (self.wrong.load(Ordering::Relaxed), violations.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(units: u64) -> Amount {
        Amount::from_units(units).unwrap()
    }

    fn wrong(auditor: &BalanceAuditor) -> u64 {
        auditor.violations().0
    }

    #[test]
    fn the_balances_of_one_session_are_checked_to_the_cent() {
        let auditor = BalanceAuditor::default();
        auditor.set_initial(units(100));
        let forty = (Movement::Deposit, units(40));
        let snapshot = auditor.request(Some(forty));
        auditor.check(units(140), snapshot, Some(forty));
        auditor.acknowledge(forty);
        assert_eq!(wrong(&auditor), 0);
        for reported in [Amount::from_minor(13_999).unwrap(), Amount::from_minor(14_001).unwrap()] {
            let before = wrong(&auditor);
            auditor.check(reported, auditor.request(None), None);
            assert_eq!(wrong(&auditor), before + 1, "{reported}");
        }
        let ten = (Movement::Withdrawal, units(10));
        let snapshot = auditor.request(Some(ten));
        auditor.check(units(130), snapshot, Some(ten));
        assert_eq!(wrong(&auditor), 2);
        assert_eq!(auditor.violations().1[0], "a balance of $139.99 was reported, but it must be $140");
    }

    #[test]
    fn an_outstanding_movement_may_be_in_a_balance_and_an_acknowledged_one_must() {
        let auditor = BalanceAuditor::default();
        auditor.set_initial(units(100));
        let other = (Movement::Deposit, units(7));
        auditor.request(Some(other));
        for reported in [100, 107] {
            auditor.check(units(reported), auditor.request(None), None);
        }
        assert_eq!(wrong(&auditor), 0);
        let early = auditor.request(None);
        auditor.acknowledge(other);
        auditor.check(units(100), early, None);
        assert_eq!(wrong(&auditor), 0, "it was requested before the other movement was acknowledged");
        auditor.check(units(100), auditor.request(None), None);
        assert_eq!(wrong(&auditor), 1);
    }

    #[test]
    fn a_refused_movement_is_in_no_balance() {
        let auditor = BalanceAuditor::default();
        auditor.set_initial(units(5));
        let much = (Movement::Withdrawal, units(5));
        auditor.request(Some(much));
        auditor.refuse(much);
        auditor.check(units(0), auditor.request(None), None);
        assert_eq!(wrong(&auditor), 1);
    }

    #[test]
    fn nothing_is_checked_without_an_initial_balance() {
        let auditor = BalanceAuditor::default();
        auditor.check(units(5), auditor.request(None), None);
        assert_eq!((auditor.checked(), wrong(&auditor)), (0, 0));
    }
}
