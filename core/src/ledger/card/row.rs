//! The row of a card, and what decides about it: a PIN is judged, a session's access is checked, a withdrawal counts
//! against the limit of its day.
use super::{CardAccount, Claim, KeyId, Proof, SECRET, Token, Verifier};
use crate::{ledger::AccountNumber, money::Amount, time::UnixTime};
use serde::{Deserialize, Serialize};

/// Wrong PINs in a row that block a card.
pub const TRIES: u8 = 3;

/// Accounts of one card.
pub const ACCOUNTS: usize = 4;

/// The first delay after a refused verification, in milliseconds; each further one is twice as long.
pub const FIRST_DELAY: u64 = 1_000;

/// The longest delay, in milliseconds. After as long without a refusal the delays begin anew.
pub const LONGEST_DELAY: u64 = 60_000;

/// Milliseconds of a day.
pub(super) const DAY: u64 = 24 * 60 * 60 * 1000;

/// The accounts of a card, at most [`ACCOUNTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Accounts([AccountNumber; ACCOUNTS]);

impl Accounts {
    /// No account.
    pub const NONE: Self = Self([AccountNumber(0); ACCOUNTS]);

    /// Of these accounts; `None` for more than [`ACCOUNTS`].
    pub fn new(numbers: &[AccountNumber]) -> Option<Self> {
        let mut accounts = Self::NONE;
        accounts
            .0
            .get_mut(..numbers.len())?
            .iter_mut()
            .zip(numbers)
            .for_each(|(place, number)| *place = *number);
        Some(accounts)
    }

    /// The accounts, without places that are not taken.
    pub fn iter(&self) -> impl Iterator<Item = AccountNumber> {
        self.0.into_iter().filter(|number| number.0 != 0)
    }

    /// Whether the card has this account.
    pub fn contains(&self, account: AccountNumber) -> bool {
        self.iter().any(|number| number == account)
    }
}

/// A card.
///
/// A store has one more, the [decoy](Self::DECOY), so that a wrong PIN, an unknown card and a blocked card change the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Card {
    /// Stands for its number.
    pub token: Token,
    /// Stands for its PIN.
    pub verifier: Verifier,
    /// The last four digits of its number, in ASCII.
    pub last_four: [u8; 4],
    /// The accounts that it gives access to.
    pub accounts: Accounts,
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
    /// The card that no number has. An unknown token loads it: a PIN is judged on a row of it, and is wrong.
    pub const DECOY: Self = Self {
        // No key has this id.
        token: Token { key: KeyId(u64::MAX), value: [0; SECRET] },
        verifier: Verifier { token_key: KeyId(u64::MAX), key: KeyId(u64::MAX), value: [0; SECRET] },
        last_four: [0; 4],
        accounts: Accounts::NONE,
        tries: 0,
        refusals: 0,
        is_blocked: true,
        version: 0,
        day: 0,
        withdrawn: Amount::ZERO,
    };

    /// A new card.
    pub fn new(claim: &Claim, proof: &Proof, last_four: [u8; 4], accounts: Accounts) -> Self {
        let (token, verifier) = (claim.newest(), proof.newest());
        Self { token, verifier, last_four, accounts, is_blocked: false, ..Self::DECOY }
    }

    /// Blocks the card, and ends its sessions.
    pub fn block(&mut self) {
        self.version = self.version.wrapping_add(u32::from(!self.is_blocked));
        self.is_blocked = true;
    }

    /// Unblocks the card: its PIN may be tried three times again.
    pub fn unblock(&mut self) {
        self.version = self.version.wrapping_add(u32::from(self.is_blocked));
        (self.is_blocked, self.tries) = (false, 0);
    }

    /// Gives the card another PIN, and ends its sessions. It does not unblock it.
    pub fn set_pin(&mut self, verifier: Verifier) {
        self.verifier = verifier;
        self.version = self.version.wrapping_add(1);
    }

    /// Judges a PIN, at a verification or a change of PIN, and counts a wrong one; returns whether it is right. The same
    /// fields change for a wrong PIN, a blocked card and the decoy. A right PIN moves the row to the newest keys.
    pub fn judge(&mut self, claim: &Claim, proof: &Proof) -> bool {
        // Every verifier is compared, so that the time says nothing.
        let matches = proof.verifiers().iter().filter(|verifier| verifier.matches(&self.verifier)).count();
        let is_own = claim.tokens().contains(&self.token);
        if matches > 0 && is_own && !self.is_blocked {
            (self.token, self.verifier, self.tries) = (claim.newest(), proof.newest(), 0);
            return true;
        }
        self.tries = self.tries.saturating_add(1).min(TRIES);
        self.refusals = self.refusals.saturating_add(1);
        if self.tries >= TRIES {
            self.block();
        }
        false
    }

    /// Whether a session may still act on its account with this card.
    pub fn admits(&self, access: &Access) -> bool {
        !self.is_blocked
            && self.version == access.version
            && self.token == access.token
            && self.accounts.contains(access.account)
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

/// The rows of cards and their accounts that a request touches.
#[derive(Clone, Copy, Debug)]
pub struct CardRows<'a> {
    /// The card of the request's claim or access; the decoy if no card has it, or the request names none.
    pub card: &'a Card,
    /// The account of the request's access.
    pub account: Option<&'a CardAccount>,
    /// The payee of a transfer or a look-up.
    pub payee: Option<&'a CardAccount>,
    /// The limits of a card's withdrawals.
    pub limits: Limits,
}

/// How long a terminal takes no verification after refused ones; a part of its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Delay {
    /// When it ends.
    pub until: UnixTime,
    /// Its length in milliseconds; 0 before the first refusal.
    pub length: u64,
}

impl Delay {
    /// Before the first refusal.
    pub const NONE: Self = Self { until: UnixTime::from_millis(0), length: 0 };

    /// Milliseconds until a PIN may be judged again: never more than the delay's length, also after the clock was set back.
    pub fn remaining(&self, now: UnixTime) -> u64 {
        self.until.millis().saturating_sub(now.millis()).min(self.length)
    }

    /// The same delay where the clock was set back: it ends its length after `now` at the latest.
    pub fn bounded(self, now: UnixTime) -> Self {
        let latest = now.millis().saturating_add(self.length);
        Self { until: UnixTime::from_millis(self.until.millis().min(latest)), ..self }
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
