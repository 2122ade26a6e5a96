//! The dialogue: a state machine that takes an answer and gives screens, or at most one ledger operation.
//!
//! ```
//! use atm_core::{ledger::Operation, money::Amount, session::{Action, Answer, Policy, Session}};
//! let mut session = Session::default();
//! let action = session.answer(&Answer::new("deposit 40"), &Policy::default());
//! assert_eq!(action, Action::Operate(Operation::Deposit(Amount::from_units(40).unwrap())));
//! ```
#[cfg(feature = "cards")]
use crate::ledger::card::{CardKeys, CardRequest, Statement};
use crate::{
    ledger::{Operation, Outcome, Receipt, Refusal},
    money::Amount,
    screen::{Screen, Screens, screens},
};

mod answer;
#[cfg(feature = "cards")]
mod card;
pub(crate) use answer::Fingerprint;
pub use answer::{Answer, MAX_ANSWER};
#[cfg(feature = "cards")]
pub use card::{At, CardSession, LOOK_UPS, Opened, Payee, Purpose as CardPurpose};

/// What a session may do. It does not change during a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Policy {
    /// The largest amount of one deposit or withdrawal. `withdraw all` has no limit.
    pub limit: Amount,
    /// Whether `quit` stops the host.
    pub may_quit: bool,
}

impl Policy {
    /// The default limit of one operation: 1,000,000 whole units.
    pub const LIMIT: Amount = match Amount::from_units(1_000_000) {
        Some(limit) => limit,
        None => Amount::MAX,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self { limit: Self::LIMIT, may_quit: false }
    }
}

/// The state of the dialogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Session {
    /// At the menu.
    #[default]
    Menu,
    /// Asked how much to deposit.
    Deposit,
    /// Asked how much to withdraw.
    Withdraw {
        /// The balance that was shown with the question.
        balance: Amount,
    },
    /// An operation is outstanding; its purpose decides what follows the outcome.
    Waiting(Purpose),
    /// Over.
    Ended,
    /// With a card.
    #[cfg(feature = "cards")]
    Card(CardSession),
}

/// The purpose of an outstanding operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Purpose {
    /// To show the balance.
    ShowBalance,
    /// To ask how much to withdraw, with the balance, after a notice if there is one.
    PromptWithdrawal(Option<Screen>),
    /// To deposit.
    Deposit,
    /// To withdraw.
    Withdraw,
}

/// What the caller must do after an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action {
    /// Show these screens.
    Show(Screens),
    /// Carry out this operation, then call [`Session::complete`] with its outcome.
    Operate(Operation),
    /// Show these screens and stop the host.
    Quit(Screens),
    /// Carry out this request, then call [`Session::complete`] with its outcome, or [`Session::show_statement`].
    #[cfg(feature = "cards")]
    Card(CardRequest),
}

/// A choice at the menu, with the amount that was typed behind it.
enum Choice<'a> {
    Deposit(&'a str),
    Withdraw(&'a str),
    Balance,
}

impl Session {
    /// Handles the answer to the open prompt. The caller must not pass an answer while no prompt is open:
    /// while an operation is outstanding, and after the end.
    pub fn answer(&mut self, answer: &Answer, policy: &Policy) -> Action {
        let Some(text) = answer.text() else { return self.reprompt(Screen::AnswerTooLong) };
        let word = Word(text);
        if word.is("exit") {
            *self = Self::Ended;
            return Action::Show(screens([Screen::Goodbye]));
        }
        if word.is("quit") {
            if !policy.may_quit {
                return self.reprompt(Screen::QuitNotPermitted);
            }
            *self = Self::Ended;
            return Action::Quit(screens([Screen::Stopping]));
        }
        match *self {
            Self::Menu => self.choose(text, policy),
            Self::Deposit => self.deposit(text, policy),
            Self::Withdraw { balance } => self.withdraw(text, Some(balance), policy),
            Self::Waiting(_) | Self::Ended => Action::Show(Screens::new()),
            // No card without keys.
            #[cfg(feature = "cards")]
            Self::Card(_) => Action::Show(Screens::new()),
        }
    }

    /// Handles the answer to the open prompt of a session with or without a card. The number of a card and a PIN are kept only
    /// as what these keys make of them.
    #[cfg(feature = "cards")]
    pub fn answer_with(&mut self, answer: &Answer, policy: &Policy, keys: &CardKeys) -> Action {
        let leaves = |text| Word(text).is("exit") || Word(text).is("quit");
        match self {
            Self::Card(card) if !answer.text().is_none_or(leaves) => card.answer(answer, policy, keys),
            _ => self.answer(answer, policy),
        }
    }

    /// Takes the statement that was requested and returns the screens to show.
    #[cfg(feature = "cards")]
    pub fn show_statement(&mut self, statement: &Statement) -> Screens {
        match self {
            Self::Card(card) => card.show_statement(statement),
            _ => Screens::new(),
        }
    }

    /// Drops the verifiers of a change of PIN, which then begins anew: the conversation has no link.
    #[cfg(feature = "cards")]
    pub(crate) fn drop_verifiers(&mut self) {
        if let Self::Card(card) = self {
            card.drop_verifiers();
        }
    }

    /// Takes the outcome of the outstanding operation and returns the screens to show.
    pub fn complete(&mut self, outcome: Outcome) -> Screens {
        #[cfg(feature = "cards")]
        if let Self::Card(card) = self {
            return card.complete(outcome);
        }
        let purpose = match *self {
            Self::Waiting(purpose) => purpose,
            _ => Purpose::ShowBalance,
        };
        *self = Self::Menu;
        let outcome_screen = Screen::Outcome(outcome);
        match (purpose, outcome) {
            (Purpose::PromptWithdrawal(notice), Outcome::Done(Receipt::Balance { balance })) => {
                let mut shown = Screens::new();
                if let Some(notice) = notice {
                    push(&mut shown, notice);
                }
                if balance.is_zero() {
                    push(&mut shown, Screen::NoFunds);
                    push(&mut shown, Screen::Menu);
                } else {
                    *self = Self::Withdraw { balance };
                    push(&mut shown, Screen::WithdrawPrompt { balance });
                }
                shown
            }
            (Purpose::Withdraw, Outcome::Refused(Refusal::Insufficient { balance }))
                if !balance.is_zero() =>
            {
                *self = Self::Withdraw { balance };
                screens([outcome_screen, Screen::WithdrawPrompt { balance }])
            }
            (Purpose::Deposit, Outcome::Refused(Refusal::BalanceLimit { .. })) => {
                *self = Self::Deposit;
                screens([outcome_screen, Screen::DepositPrompt])
            }
            _ => screens([outcome_screen, Screen::Menu]),
        }
    }

    /// The open prompt; `None` while an operation is outstanding and after the end.
    pub fn prompt(&self) -> Option<Screen> {
        match *self {
            Self::Menu => Some(Screen::Menu),
            Self::Deposit => Some(Screen::DepositPrompt),
            Self::Withdraw { balance } => Some(Screen::WithdrawPrompt { balance }),
            Self::Waiting(_) | Self::Ended => None,
            #[cfg(feature = "cards")]
            Self::Card(card) => card.prompt(),
        }
    }

    fn choose(&mut self, text: &str, policy: &Policy) -> Action {
        match parse_choice(text) {
            Some(Choice::Balance) => self.operate(Operation::Inquiry, Purpose::ShowBalance),
            Some(Choice::Deposit("")) => {
                *self = Self::Deposit;
                Action::Show(screens([Screen::DepositPrompt]))
            }
            Some(Choice::Deposit(amount)) => self.deposit(amount, policy),
            Some(Choice::Withdraw("")) => self.operate(Operation::Inquiry, Purpose::PromptWithdrawal(None)),
            Some(Choice::Withdraw(amount)) => self.withdraw(amount, None, policy),
            None => self.reprompt(Screen::InvalidChoice),
        }
    }

    fn deposit(&mut self, text: &str, policy: &Policy) -> Action {
        if Word(text).is("back") {
            return self.show_menu();
        }
        match parse_amount(text, policy) {
            Ok(amount) => self.operate(Operation::Deposit(amount), Purpose::Deposit),
            Err(reason) => {
                *self = Self::Deposit;
                self.reprompt(reason)
            }
        }
    }

    /// `shown_balance` is the balance that the prompt showed. At the menu there is none, so that the prompt
    /// after an invalid amount needs an inquiry first.
    fn withdraw(&mut self, text: &str, shown_balance: Option<Amount>, policy: &Policy) -> Action {
        let word = Word(text);
        if word.is("back") {
            return self.show_menu();
        }
        if word.is("all") {
            return self.operate(Operation::WithdrawAll, Purpose::Withdraw);
        }
        match (parse_amount(text, policy), shown_balance) {
            (Ok(amount), _) => self.operate(Operation::Withdraw(amount), Purpose::Withdraw),
            (Err(reason), Some(_)) => self.reprompt(reason),
            (Err(reason), None) => self.operate(Operation::Inquiry, Purpose::PromptWithdrawal(Some(reason))),
        }
    }

    fn operate(&mut self, operation: Operation, purpose: Purpose) -> Action {
        *self = Self::Waiting(purpose);
        Action::Operate(operation)
    }

    fn show_menu(&mut self) -> Action {
        *self = Self::Menu;
        Action::Show(screens([Screen::Menu]))
    }

    /// Shows the reason and the open prompt again.
    fn reprompt(&self, reason: Screen) -> Action {
        let mut shown = screens([reason]);
        if let Some(prompt) = self.prompt() {
            push(&mut shown, prompt);
        }
        Action::Show(shown)
    }
}

/// A typed word, compared in any case.
struct Word<'a>(&'a str);

impl Word<'_> {
    // Not inlined: one copy, not one for each keyword.
    #[inline(never)]
    fn is(&self, word: &str) -> bool {
        self.0.eq_ignore_ascii_case(word)
    }
}

#[inline(never)]
fn trimmed(text: &str) -> &str {
    text.trim_ascii()
}

fn parse_choice(text: &str) -> Option<Choice<'_>> {
    // By bytes, without decoding characters.
    let blank = text.bytes().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    let (first, rest) = text.split_at_checked(blank).unwrap_or((text, ""));
    let rest = trimmed(rest);
    let word = Word(first);
    // Only a word takes an amount: `1 40` is more likely a slip than a deposit.
    match (first, rest) {
        ("1", "") => Some(Choice::Deposit("")),
        ("2", "") => Some(Choice::Withdraw("")),
        ("3", "") => Some(Choice::Balance),
        _ if word.is("deposit") => Some(Choice::Deposit(rest)),
        _ if word.is("withdraw") => Some(Choice::Withdraw(rest)),
        (_, "") if word.is("balance") => Some(Choice::Balance),
        _ => None,
    }
}

/// Whether an answer, trimmed, chooses from the menu by a word. A prompt for an amount takes no such answer.
///
/// ```
/// # use atm_core::session::is_menu_word;
/// assert!(is_menu_word("deposit 40") && !is_menu_word("40") && !is_menu_word("back"));
/// ```
pub fn is_menu_word(answer: &str) -> bool {
    !answer.starts_with(|first: char| first.is_ascii_digit()) && parse_choice(answer).is_some()
}

fn parse_amount(text: &str, policy: &Policy) -> Result<Amount, Screen> {
    use crate::money::AmountError;
    let over = Screen::OverLimit { limit: policy.limit };
    match Amount::parse_units(text) {
        Ok(amount) if amount.is_zero() => Err(Screen::NotPositive),
        Ok(amount) if amount > policy.limit => Err(over),
        Ok(amount) => Ok(amount),
        Err(AmountError::TooLarge) => Err(over),
        Err(AmountError::Malformed) => Err(Screen::NotAnAmount),
    }
}

fn push(shown: &mut Screens, screen: Screen) {
    // Never full: the longest reply is a reason, a notice and a prompt.
    let _ = shown.push(screen);
}

#[cfg(test)]
mod tests;
