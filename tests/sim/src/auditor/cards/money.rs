//! What an operation of a card's session may move, show or refuse.
use super::{CardAudit, Id, Prompt, Typed};
use crate::bank::OWNERS;
use atm_core::{
    ledger::{AccountNumber, Operation, Outcome, Receipt, Refusal},
    money::Amount,
    time::UnixTime,
};

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

fn minor(amount: Amount) -> i128 {
    i128::from(amount.minor())
}

/// An amount as a person types it, in minor units.
fn parse(text: &str) -> Option<i128> {
    let (units, cents) = text.split_once('.').unwrap_or((text, "00"));
    if cents.len() != 2 {
        return None;
    }
    Some(units.parse::<i128>().ok()? * 100 + cents.parse::<i128>().ok()?)
}

/// Whether this was typed: at its own prompt, or after its word at the menu.
fn is_typed(typed: &Typed, word: &str, prompt: Prompt, is_it: impl Fn(&str) -> bool) -> bool {
    let at_menu = typed.text.split_once(' ').filter(|(first, _)| *first == word).map(|(_, rest)| rest);
    match typed.prompt {
        Prompt::Menu => at_menu.is_some_and(is_it),
        other => other == prompt && is_it(&typed.text),
    }
}

impl Typed {
    fn is_of(&self, operation: Operation, owner: &str) -> bool {
        let amounts = |amount: Amount| move |text: &str| parse(text) == Some(minor(amount));
        match operation {
            Operation::Deposit(amount) => is_typed(self, "deposit", Prompt::Deposit, amounts(amount)),
            Operation::Withdraw(amount) => is_typed(self, "withdraw", Prompt::Withdraw, amounts(amount)),
            Operation::WithdrawAll => is_typed(self, "withdraw", Prompt::Withdraw, |text| text == "all"),
            Operation::Transfer { payee: AccountNumber(payee), amount } => {
                let names_both =
                    format!("Transfer {amount} to account {payee} of O*** {owner}***? (yes, or back)");
                self.prompt == Prompt::Confirm
                    && self.text == "yes"
                    && self.dialogue.payee == Some(payee)
                    && parse(&self.dialogue.amount) == Some(minor(amount))
                    && self.dialogue.confirmation == names_both
            }
            // Also asked for by a withdrawal, for the balance.
            Operation::Inquiry => self.prompt == Prompt::Menu,
            Operation::Statement => self.prompt == Prompt::Menu && matches!(&*self.text, "5" | "statement"),
            Operation::LookUp { payee } => self.prompt == Prompt::Payee && self.text.parse() == Ok(payee.0),
            Operation::Verify | Operation::ChangePin => false,
        }
    }
}

impl CardAudit {
    fn account(&self, AccountNumber(number): AccountNumber) -> Option<usize> {
        self.bank.accounts.iter().position(|(known, _)| *known == number)
    }

    /// The sum that a card has withdrawn on its day, which the clock may begin.
    fn day(&self, card: usize, wall: UnixTime) -> (u64, i128) {
        let truth = &self.cards[card];
        let day = truth.day.max(wall.millis() / DAY);
        (day, if day == truth.day { truth.withdrawn } else { 0 })
    }

    /// Judges an outcome, and moves what it moved; the receipt if that must be reported.
    pub(super) fn operation(
        &mut self,
        key: &Id,
        operation: Operation,
        outcome: Outcome,
        wall: UnixTime,
    ) -> Result<Option<Receipt>, String> {
        let typed = self.answer(key)?;
        let payee = match operation {
            Operation::Transfer { payee, .. } => self.account(payee),
            _ => None,
        };
        if !typed.is_of(operation, payee.map_or("", |payee| &OWNERS[payee][..1])) {
            return Err(format!("{operation:?}, but {typed:?} was typed"));
        }
        let session = self.session(key);
        let (card, account) = match (session, outcome) {
            (Err(_), Outcome::Refused(Refusal::NoAccess)) => return Ok(None),
            (Err(why), _) => return Err(format!("{operation:?} is {outcome:?}, but {why}")),
            (Ok(session), _) => session,
        };
        let balance = self.balances[account];
        let receipt = match outcome {
            Outcome::Done(receipt) => receipt,
            Outcome::Refused(refusal) => {
                let is_true = self.is_refused((card, account), operation, refusal, wall);
                return if is_true { Ok(None) } else { Err(format!("{operation:?} is {outcome:?}")) };
            }
            Outcome::NotDone | Outcome::Unknown => return Err(format!("{operation:?} is {outcome:?}")),
        };
        let (amount, shown) = match (operation, receipt) {
            (Operation::Inquiry, Receipt::Balance { balance: shown }) if minor(shown) == balance => {
                return Ok(None);
            }
            (Operation::LookUp { payee }, Receipt::Payee { payee: found, .. })
                if payee == found && self.account(payee).is_some_and(|payee| payee != account) =>
            {
                return Ok(None);
            }
            (Operation::Deposit(_), Receipt::Deposited { amount, balance }) => (minor(amount), balance),
            (Operation::Withdraw(_) | Operation::WithdrawAll, Receipt::Withdrawn { amount, balance }) => {
                self.withdraw(card, amount, wall)?;
                (-minor(amount), balance)
            }
            (Operation::Transfer { payee, .. }, Receipt::Transferred { payee: to, amount, balance })
                if payee == to =>
            {
                let to = self.account(to).filter(|to| *to != account && !self.frozen[*to]);
                self.balances[to.ok_or("the payee cannot take it")?] += minor(amount);
                (-minor(amount), balance)
            }
            _ => return Err(format!("{operation:?} is {outcome:?}")),
        };
        let is_all = operation != Operation::WithdrawAll || -amount == balance / 100 * 100;
        let asked = match operation {
            Operation::Deposit(asked)
            | Operation::Withdraw(asked)
            | Operation::Transfer { amount: asked, .. } => minor(asked),
            _ => amount.abs(),
        };
        self.balances[account] += amount;
        let after = self.balances[account];
        if self.frozen[account] || after < 0 || minor(shown) != after || asked != amount.abs() || !is_all {
            return Err(format!("{operation:?} is {outcome:?} with {balance} and {after} after it"));
        }
        Ok(Some(receipt))
    }

    /// Counts a withdrawal against the limits.
    fn withdraw(&mut self, card: usize, amount: Amount, wall: UnixTime) -> Result<(), String> {
        let (day, before) = self.day(card, wall);
        let (sum, limits) = (before + minor(amount), self.bank.limits);
        (self.cards[card].day, self.cards[card].withdrawn) = (day, sum);
        if minor(amount) > minor(limits.withdrawal) || sum > minor(limits.day) {
            return Err(format!("{amount} of card {card} makes {sum} on day {day}, over {limits:?}"));
        }
        Ok(())
    }

    /// Is it refused for a reason that is true?
    fn is_refused(
        &self,
        (card, account): (usize, usize),
        operation: Operation,
        refusal: Refusal,
        wall: UnixTime,
    ) -> bool {
        let balance = self.balances[account];
        let asked = match operation {
            Operation::Withdraw(amount) | Operation::Transfer { amount, .. } => minor(amount),
            Operation::WithdrawAll => balance / 100 * 100,
            _ => 0,
        };
        let payee = match operation {
            Operation::Transfer { payee, .. } | Operation::LookUp { payee } => Some(self.account(payee)),
            _ => None,
        };
        let is_withdrawal = matches!(operation, Operation::Withdraw(_) | Operation::WithdrawAll);
        let is_report = matches!(operation, Operation::Inquiry | Operation::Statement);
        match refusal {
            Refusal::Insufficient { balance: shown } => {
                let is_nothing = operation == Operation::WithdrawAll && asked == 0;
                minor(shown) == balance && (asked > balance || is_nothing)
            }
            Refusal::Frozen => self.frozen[account] && !is_report,
            Refusal::WithdrawalLimit { limit } => {
                limit == self.bank.limits.withdrawal && is_withdrawal && asked > minor(limit)
            }
            Refusal::DayLimit { left } => {
                let (_, sum) = self.day(card, wall);
                let limit = minor(self.bank.limits.day);
                is_withdrawal && minor(left) == limit - sum && sum + asked > limit
            }
            Refusal::NoPayee => payee.is_some_and(|payee| payee.is_none_or(|payee| self.frozen[payee])),
            Refusal::SameAccount => payee == Some(Some(account)),
            _ => false,
        }
    }
}
