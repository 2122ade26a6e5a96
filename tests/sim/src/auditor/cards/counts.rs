//! Counts of what happened with cards: that they are not zero shows that a run has it.
use atm_core::ledger::{Outcome, Receipt, Refusal};
use std::fmt;

/// How often each happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct CardCounts {
    /// Right PINs, and those refused.
    verified: u64,
    refused: u64,
    /// PINs that a delay kept from being judged.
    delayed: u64,
    /// Cards that wrong PINs have blocked.
    pub(super) blocked: u64,
    /// PINs changed at a terminal, and transfers.
    changed: u64,
    transferred: u64,
    /// Operations refused because their session was over.
    no_access: u64,
    /// Withdrawals over a limit, and what a frozen account refused.
    over_limit: u64,
    frozen: u64,
    /// Searches of Debug texts for secrets.
    pub(super) searches: u64,
}

impl CardCounts {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        let Self { verified, refused, delayed, blocked, changed, transferred, no_access, over_limit, .. } =
            other;
        self.verified += verified;
        self.refused += refused;
        self.delayed += delayed;
        self.blocked += blocked;
        self.changed += changed;
        self.transferred += transferred;
        self.no_access += no_access;
        self.over_limit += over_limit;
        self.frozen += other.frozen;
        self.searches += other.searches;
    }

    /// Counts an outcome.
    pub(super) fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Done(Receipt::Verified { .. }) => &mut self.verified,
            Outcome::Done(Receipt::PinChanged) => &mut self.changed,
            Outcome::Done(Receipt::Transferred { .. }) => &mut self.transferred,
            Outcome::Refused(Refusal::NotVerified) => &mut self.refused,
            Outcome::Refused(Refusal::Delayed { .. }) => &mut self.delayed,
            Outcome::Refused(Refusal::NoAccess) => &mut self.no_access,
            Outcome::Refused(Refusal::DayLimit { .. } | Refusal::WithdrawalLimit { .. }) => {
                &mut self.over_limit
            }
            Outcome::Refused(Refusal::Frozen) => &mut self.frozen,
            _ => return,
        };
        *counter += 1;
    }
}

impl fmt::Display for CardCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verified, refused, delayed, blocked, changed, transferred, no_access, over_limit, .. } =
            self;
        write!(
            f,
            "cards: {verified} right PINs, {refused} refused, {delayed} delayed, {blocked} cards blocked by them, {changed} PINs \
             changed; {transferred} transfers, {no_access} requests of a session that was over, {over_limit} over a limit, {} of \
             a frozen account; {} searches for secrets",
            self.frozen, self.searches
        )
    }
}
