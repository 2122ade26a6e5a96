//! What a card's request does to the rows: a PIN is judged, a session's access is checked, and money is moved within the
//! limits.
//!
//! * An id that has an outcome gets it again before anything about the card is looked at: a duplicate burns no try.
//! * A wrong PIN, an unknown card and a blocked card change the same rows and get the same refusal.
//! * No PIN is judged, and nothing is counted, while the terminal's delay lasts. Without a clock there is no delay.
//! * Every other request is refused unless the card is not blocked, its version is the one of the verification, and the
//!   account is the card's.
use super::{
    Access, AccountState, Card, CardAccount, CardRequest, CardRows, Claim, Delay, OverLimit, Proof, Verifier,
};
use crate::{
    ledger::{
        Account, AccountNumber, Changes, Entry, Movement, Operation, Outcome, Receipt, Record, Refusal,
        Response, Side,
        decide::{RowsMut, look_up},
    },
    money::Amount,
    time::UnixTime,
};

/// The rows of cards, and what a decision changes them to.
pub(in crate::ledger) struct CardCopies<'a> {
    rows: CardRows<'a>,
    card: Card,
    account: Option<Account>,
    payee: Option<Account>,
}

/// The receipt of what was done, and the movement if money was moved; or why it was refused.
type Performed = Result<(Receipt, Option<Movement>), Refusal>;

impl<'a> CardCopies<'a> {
    pub(in crate::ledger) fn new(rows: CardRows<'a>) -> Self {
        let account = |row: Option<&CardAccount>| row.map(|row| row.account);
        Self { rows, card: *rows.card, account: account(rows.account), payee: account(rows.payee) }
    }

    /// Puts the rows that were changed into the changes of a decision.
    pub(in crate::ledger) fn save(&self, changes: &mut Changes) {
        let changed = |new: Option<Account>, row: Option<&CardAccount>| {
            new.filter(|new| row.is_none_or(|row| row.account != *new))
        };
        changes.card = (self.card != *self.rows.card).then_some(self.card);
        changes.account = changed(self.account, self.rows.account);
        changes.payee = changed(self.payee, self.rows.payee);
    }

    /// Judges a PIN, unless the terminal's delay lasts, which a wrong one makes longer.
    fn judge(
        &mut self,
        claim: &Claim,
        proof: &Proof,
        delay: &mut Delay,
        now: Option<UnixTime>,
    ) -> Result<(), Refusal> {
        let remaining = now.map_or(0, |now| delay.remaining(now));
        if remaining > 0 {
            // Or it would last until the clock is again where it was.
            *delay = now.map_or(*delay, |now| delay.bounded(now));
            let seconds = u32::try_from(remaining.div_ceil(1000)).unwrap_or(u32::MAX);
            return Err(Refusal::Delayed { seconds });
        }
        if self.card.judge(claim, proof) {
            return Ok(());
        }
        if let Some(now) = now {
            *delay = delay.after_refusal(now);
        }
        Err(Refusal::NotVerified)
    }

    /// The account of a session that has access to it, where its state permits it: a frozen one is only shown.
    fn admit(&self, access: &Access, is_shown: bool) -> Result<&'a CardAccount, Refusal> {
        let account = self.rows.account.filter(|row| row.account.number == access.account);
        let row = account.filter(|_| self.card.admits(access)).ok_or(Refusal::NoAccess)?;
        match row.state {
            AccountState::Open => Ok(row),
            AccountState::Frozen if is_shown => Ok(row),
            AccountState::Frozen => Err(Refusal::Frozen),
            AccountState::Closed => Err(Refusal::Closed),
        }
    }

    fn change_pin(
        &mut self,
        access: &Access,
        old: &Proof,
        new: &Verifier,
        delay: &mut Delay,
        now: Option<UnixTime>,
    ) -> Performed {
        if !self.card.admits(access) {
            return Err(Refusal::NoAccess);
        }
        self.judge(&Claim::of(access.token), old, delay, now)?;
        self.card.set_pin(*new);
        Ok((Receipt::PinChanged, None))
    }

    /// Does an operation with a card that was verified.
    fn perform(&mut self, access: &Access, operation: Operation, now: Option<UnixTime>) -> Performed {
        let row = self.admit(access, matches!(operation, Operation::Inquiry | Operation::Statement))?;
        let Account { balance, .. } = row.account;
        match operation {
            Operation::Inquiry => Ok((Receipt::Balance { balance }, None)),
            Operation::Deposit(amount) => {
                let after = balance.checked_add(amount).ok_or(Refusal::BalanceLimit { balance })?;
                let movement = Movement { debit: Side::Cash, credit: Side::Account(access.account), amount };
                self.account = Some(moved(row.account, after));
                Ok((Receipt::Deposited { amount, balance: after }, Some(movement)))
            }
            Operation::Withdraw(amount) => self.withdraw(row.account, amount, now),
            // A dispenser has no cents.
            Operation::WithdrawAll => {
                let amount = Amount::from_units(balance.units()).unwrap_or(Amount::ZERO);
                self.withdraw(row.account, amount, now)
            }
            Operation::Transfer { payee, amount } => self.transfer(row.account, payee, amount),
            Operation::LookUp { payee } => {
                let owner = self.payee(access.account, payee)?.owner.initials();
                Ok((Receipt::Payee { payee, owner }, None))
            }
            // These have a request or a response of their own.
            Operation::Verify | Operation::ChangePin | Operation::Statement => Err(Refusal::NoAccess),
        }
    }

    fn withdraw(&mut self, account: Account, amount: Amount, now: Option<UnixTime>) -> Performed {
        let Account { number, balance, .. } = account;
        let after = balance.checked_sub(amount).filter(|_| !amount.is_zero());
        let after = after.ok_or(Refusal::Insufficient { balance })?;
        let limits = self.rows.limits;
        self.card.withdraw(amount, &limits, now).map_err(|over| match over {
            OverLimit::Withdrawal => Refusal::WithdrawalLimit { limit: limits.withdrawal },
            OverLimit::Day(left) => Refusal::DayLimit { left },
        })?;
        self.account = Some(moved(account, after));
        let movement = Movement { debit: Side::Account(number), credit: Side::Cash, amount };
        Ok((Receipt::Withdrawn { amount, balance: after }, Some(movement)))
    }

    fn transfer(&mut self, account: Account, payee: AccountNumber, amount: Amount) -> Performed {
        let Account { number, balance, .. } = account;
        let to = self.payee(number, payee)?.account;
        let after = balance.checked_sub(amount).ok_or(Refusal::Insufficient { balance })?;
        let received = to.balance.checked_add(amount).ok_or(Refusal::NoPayee)?;
        (self.account, self.payee) = (Some(moved(account, after)), Some(moved(to, received)));
        let movement = Movement { debit: Side::Account(number), credit: Side::Account(payee), amount };
        Ok((Receipt::Transferred { payee, amount, balance: after }, Some(movement)))
    }

    /// The row of an open account to which money may go from another one.
    fn payee(&self, from: AccountNumber, payee: AccountNumber) -> Result<&'a CardAccount, Refusal> {
        if payee == from {
            return Err(Refusal::SameAccount);
        }
        let row = self.rows.payee.filter(|row| row.account.number == payee);
        row.filter(|row| row.state == AccountState::Open).ok_or(Refusal::NoPayee)
    }
}

/// The row of an account after a movement.
fn moved(account: Account, balance: Amount) -> Account {
    Account { balance, version: account.version.saturating_add(1), ..account }
}

impl RowsMut<'_> {
    /// Decides a card's request of a known terminal in its present turn.
    pub(in crate::ledger) fn operate_card(
        &mut self,
        id: u64,
        request: &CardRequest,
        now: Option<UnixTime>,
        response: &mut Response,
    ) -> Option<Entry> {
        *response = Response::Settled { id, outcome: Outcome::Refused(Refusal::NoAccess) };
        // With open access there is no card.
        let cards = self.cards.as_mut()?;
        let (operation, token) = (request.operation(), request.claim().newest());
        let mut record = Record { card: Some(token), ..Record::new(id, Some(operation), Outcome::NotDone) };
        if let CardRequest::Operate { access, operation: Operation::Statement } = request
            && let Ok(row) = cards.admit(access, true)
        {
            *response = Response::Statement { id, statement: row.statement };
            return None;
        }
        if !operation.is_report() && look_up(self.terminal, &mut record, self.has_room, self.floor) {
            *response = Response::Settled { id, outcome: record.outcome };
            return None;
        }
        let delay = &mut self.terminal.delay;
        let performed = match request {
            CardRequest::Verify { claim, proof } => cards.judge(claim, proof, delay, now).map(|()| {
                let Card { version, accounts, .. } = cards.card;
                (Receipt::Verified { version, accounts }, None)
            }),
            CardRequest::ChangePin { access, old, new } => cards.change_pin(access, old, new, delay, now),
            CardRequest::Operate { access, operation } => cards.perform(access, *operation, now),
        };
        let (outcome, movement) = match performed {
            Ok((receipt, movement)) => (Outcome::Done(receipt), movement),
            Err(refusal) => (Outcome::Refused(refusal), None),
        };
        record.outcome = outcome;
        *response = Response::Settled { id, outcome };
        if operation.is_report() {
            return None;
        }
        self.terminal.last = Some(record);
        Some(Entry { record, movement })
    }
}

#[cfg(test)]
mod tests;
