//! The row of a card, and what decides about it: a PIN is judged, a session's access is checked, a withdrawal counts
//! against the limit of its day.
use super::{Claim, Proof, Token, Verifier};
use crate::{ledger::AccountNumber, money::Amount, time::UnixTime};
use heapless::Vec;

/// Wrong PINs in a row that block a card.
pub const TRIES: u8 = 3;

/// Accounts of one card.
pub const ACCOUNTS: usize = 4;

/// The first delay after a refused verification, in milliseconds; each further one is twice as long.
pub const FIRST_DELAY: u64 = 1_000;

/// The longest delay, in milliseconds. After as long without a refusal the delays begin anew.
pub const LONGEST_DELAY: u64 = 60_000;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// A card.
///
/// A store has one decoy more, which is blocked and which no number has. An unknown token loads it, so that a wrong PIN, an
/// unknown card and a blocked card change the same rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Card {
    /// Stands for its number.
    pub token: Token,
    /// Stands for its PIN.
    pub verifier: Verifier,
    /// The accounts that it gives access to.
    pub accounts: Vec<AccountNumber, ACCOUNTS>,
    /// Wrong PINs since the last right one.
    pub tries: u8,
    /// Refused verifications in all.
    pub refusals: u64,
    /// Whether it is blocked.
    pub is_blocked: bool,
    /// Raised by each change of PIN, block and unblock: sessions of an earlier version are over.
    pub version: u32,
    /// The day of the last withdrawal, counted from the beginning of 1970 in UTC. It never goes back.
    pub day: u64,
    /// The sum of the withdrawals on that day.
    pub withdrawn: Amount,
}

/// What a request of a card's session is authorised by: what its verification returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// The card's token.
    pub token: Token,
    /// The card's version.
    pub version: u32,
    /// The account that was chosen.
    pub account: AccountNumber,
}

/// The limits of a card's withdrawals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Of one withdrawal.
    pub withdrawal: Amount,
    /// Of a day's withdrawals together.
    pub day: Amount,
}

/// The limit that a withdrawal would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OverLimit {
    /// That of one withdrawal.
    Withdrawal,
    /// That of the day, of which this is left.
    Day(Amount),
}

impl Card {
    /// Judges a PIN, at a verification or a change of PIN, and counts a wrong one; returns whether it is right. The same
    /// fields change for a wrong PIN, a blocked card and the decoy. A right PIN moves the row to the newest keys.
    pub fn judge(&mut self, claim: &Claim, proof: &Proof) -> bool {
        // Every verifier is compared, so that the time says nothing.
        let matches = proof.verifiers().iter().filter(|verifier| verifier.matches(&self.verifier)).count();
        let is_own = claim.tokens().contains(&self.token);
        let newest = claim.tokens().first().zip(proof.verifiers().first());
        match newest {
            Some((token, verifier)) if matches > 0 && is_own && !self.is_blocked => {
                (self.token, self.verifier, self.tries) = (*token, *verifier, 0);
                true
            }
            _ => {
                self.tries = self.tries.saturating_add(1).min(TRIES);
                self.refusals = self.refusals.saturating_add(1);
                let is_blocked = self.is_blocked || self.tries >= TRIES;
                // A block ends the sessions of the card.
                self.version = self.version.wrapping_add(u32::from(is_blocked != self.is_blocked));
                self.is_blocked = is_blocked;
                false
            }
        }
    }

    /// Whether a session may still act on its account with this card.
    pub fn admits(&self, access: &Access) -> bool {
        !self.is_blocked
            && self.version == access.version
            && self.token == access.token
            && self.accounts.contains(&access.account)
    }

    /// Counts a withdrawal that is done now against the limits. Without a clock there is no limit of a day.
    ///
    /// # Errors
    /// The limit that it would pass; nothing is counted then.
    pub fn withdraw(
        &mut self,
        amount: Amount,
        limits: &Limits,
        now: Option<UnixTime>,
    ) -> Result<(), OverLimit> {
        if amount > limits.withdrawal {
            return Err(OverLimit::Withdrawal);
        }
        let Some(now) = now else { return Ok(()) };
        let day = self.day.max(now.millis() / DAY);
        let before = if day == self.day { self.withdrawn } else { Amount::ZERO };
        let sum = before.checked_add(amount).filter(|sum| *sum <= limits.day);
        let left = limits.day.checked_sub(before).unwrap_or(Amount::ZERO);
        (self.day, self.withdrawn) = (day, sum.ok_or(OverLimit::Day(left))?);
        Ok(())
    }
}

/// How long a terminal takes no verification after refused ones; a part of its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Delay {
    /// When it ends.
    pub until: UnixTime,
    /// Its length in milliseconds; 0 before the first refusal.
    pub length: u64,
}

impl Delay {
    /// Milliseconds until a PIN may be judged again: never more than the delay's length, also after the clock was set back.
    pub fn remaining(&self, now: UnixTime) -> u64 {
        self.until.millis().saturating_sub(now.millis()).min(self.length)
    }

    /// The delay after one more refusal. A right PIN does not clear it.
    pub fn after_refusal(self, now: UnixTime) -> Self {
        let is_over = now.millis().saturating_sub(self.until.millis()) >= LONGEST_DELAY;
        let length = match self.length {
            0 => FIRST_DELAY,
            _ if is_over => FIRST_DELAY,
            length => length.saturating_mul(2).min(LONGEST_DELAY),
        };
        Self { until: UnixTime::from_millis(now.millis().saturating_add(length)), length }
    }
}

#[cfg(test)]
mod tests;
