//! The dialogue of a card: its number, its PIN, an account, then the menu.
//!
//! ```text
//! card ─► PIN ─► account (if there are several) ─► menu ─► deposit │ withdrawal │ payee ─► amount ─► confirmation
//!                                                          │ old PIN ─► new PIN ─► again
//! ```
//!
//! Number and PIN are turned into tokens and verifiers in the call that takes them: no state has a digit of them.
use super::{Action, Answer, Word, trimmed};
use crate::{
    ledger::{
        AccountNumber, Operation,
        card::{Access, Accounts, CardKeys, CardRequest, Claim, Initials, Pin, PinError, Proof, Verifier},
    },
    money::{Amount, AmountError},
    screen::{CardScreen, Screen, Screens, screens},
    session::{Policy, parse_amount},
};

mod outcome;

/// Look-ups of a payee that may fail in one session.
pub const LOOK_UPS: u8 = 3;

/// The state of a card's dialogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CardSession {
    /// Asked for the card's number.
    #[default]
    Card,
    /// Asked for the PIN.
    Pin {
        /// The card.
        claim: Claim,
    },
    /// The PIN is being verified.
    Verifying {
        /// The card.
        claim: Claim,
    },
    /// Asked which account.
    Account(Opened),
    /// The card is verified, and an account is chosen.
    Open(Opened, At),
}

/// What a verified session knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Opened {
    /// What the verification returned, and the account.
    access: Access,
    /// The card's accounts.
    accounts: Accounts,
    /// Look-ups that failed.
    failed: u8,
}

/// A payee that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Payee {
    number: AccountNumber,
    owner: Initials,
}

/// Where a verified session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum At {
    /// At the menu.
    Menu,
    /// Asked how much to deposit.
    Deposit,
    /// Asked how much to withdraw, with this balance.
    Withdraw(Amount),
    /// Asked for the payee.
    Payee,
    /// Asked how much to transfer.
    Transfer(Payee),
    /// Asked whether to transfer.
    Confirm(Payee, Amount),
    /// Asked for the present PIN.
    OldPin,
    /// Asked for the new PIN.
    NewPin(Proof),
    /// Asked for the new PIN again.
    RepeatPin(Proof, Verifier),
    /// At one of the last two, whose verifiers were dropped.
    Dropped {
        /// At the second of them.
        is_repeated: bool,
    },
    /// An operation is outstanding; its purpose decides what follows the outcome.
    Waiting(Purpose),
}

/// The purpose of an outstanding operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Purpose {
    /// To show the outcome, and the menu.
    Show,
    /// To deposit.
    Deposit,
    /// To ask how much to withdraw, with the balance, after a notice if there is one.
    PromptWithdrawal(Option<Screen>),
    /// To withdraw.
    Withdraw,
    /// To find the payee.
    LookUp,
}

impl CardSession {
    /// Handles the answer to the open prompt, which is neither `exit` nor `quit`.
    pub(super) fn answer(&mut self, answer: &Answer, policy: &Policy, keys: &CardKeys) -> Action {
        let Some(text) = answer.text() else { return self.reprompt(Screen::AnswerTooLong) };
        let is_back = Word(text).is("back");
        match *self {
            Self::Card => match text.parse() {
                Ok(number) => self.go(Self::Pin { claim: keys.claim(&number) }),
                Err(_) => self.reprompt(Screen::Card(CardScreen::NotACardNumber)),
            },
            Self::Pin { .. } if is_back => self.go(Self::Card),
            Self::Pin { claim } => match text.parse::<Pin>() {
                Ok(pin) => {
                    *self = Self::Verifying { claim };
                    Action::Card(CardRequest::Verify { claim, proof: keys.proof(&claim, &pin) })
                }
                Err(_) => self.reprompt(Screen::Card(CardScreen::NotAPin)),
            },
            Self::Account(_) if is_back => self.log_out(),
            Self::Account(opened) => {
                match parse_account(text).filter(|number| opened.accounts.contains(*number)) {
                    Some(account) => {
                        let access = Access { account, ..opened.access };
                        self.go(Self::Open(Opened { access, ..opened }, At::Menu))
                    }
                    None => self.reprompt(Screen::Card(CardScreen::NotAnAccount)),
                }
            }
            Self::Open(opened, At::Menu) if is_back => match opened.accounts.iter().nth(1) {
                Some(_) => self.go(Self::Account(opened)),
                None => self.log_out(),
            },
            Self::Open(opened, At::Transfer(_)) if is_back => self.go(Self::Open(opened, At::Payee)),
            Self::Open(opened, At::Confirm(payee, _)) if is_back => {
                self.go(Self::Open(opened, At::Transfer(payee)))
            }
            Self::Open(opened, At::RepeatPin(old, _)) if is_back => {
                self.go(Self::Open(opened, At::NewPin(old)))
            }
            Self::Open(opened, At::NewPin(_)) if is_back => self.go(Self::Open(opened, At::OldPin)),
            Self::Open(opened, _) if is_back => self.go(Self::Open(opened, At::Menu)),
            Self::Open(opened, at) => self.act(opened, at, text, policy, keys),
            Self::Verifying { .. } => Action::Show(Screens::new()),
        }
    }

    /// Handles an answer where an account is chosen.
    fn act(&mut self, opened: Opened, at: At, text: &str, policy: &Policy, keys: &CardKeys) -> Action {
        let claim = Claim::of(opened.access.token);
        match at {
            At::Menu => self.choose(opened, text, policy),
            At::Deposit => self.deposit(opened, text, policy),
            At::Withdraw(_) => self.withdraw(opened, text, true, policy),
            At::Payee => match parse_account(text) {
                Some(payee) => self.operate(opened, Operation::LookUp { payee }, Purpose::LookUp),
                None => self.reprompt(Screen::Card(CardScreen::NotAnAccount)),
            },
            At::Transfer(payee) => match parse_cents(text, policy) {
                Ok(amount) => self.go(Self::Open(opened, At::Confirm(payee, amount))),
                Err(reason) => self.reprompt(reason),
            },
            At::Confirm(payee, amount) if Word(text).is("yes") => {
                let transfer = Operation::Transfer { payee: payee.number, amount };
                self.operate(opened, transfer, Purpose::Show)
            }
            At::Confirm(..) => self.reprompt(Screen::Card(CardScreen::NotConfirmed)),
            At::OldPin => match text.parse() {
                Ok(pin) => self.go(Self::Open(opened, At::NewPin(keys.proof(&claim, &pin)))),
                Err(_) => self.reprompt(Screen::Card(CardScreen::NotAPin)),
            },
            At::NewPin(old) => match Pin::chosen(text) {
                Ok(pin) => {
                    let new = keys.proof(&claim, &pin).newest();
                    self.go(Self::Open(opened, At::RepeatPin(old, new)))
                }
                Err(PinError::Weak) => self.reprompt(Screen::Card(CardScreen::WeakPin)),
                Err(PinError::Malformed) => self.reprompt(Screen::Card(CardScreen::NotAPin)),
            },
            At::RepeatPin(old, new) => {
                let again = text.parse().map(|pin| keys.proof(&claim, &pin).newest());
                if again.is_ok_and(|again| again.matches(&new)) {
                    *self = Self::Open(opened, At::Waiting(Purpose::Show));
                    return Action::Card(CardRequest::ChangePin { access: opened.access, old, new });
                }
                *self = Self::Open(opened, At::Menu);
                self.reprompt(Screen::Card(CardScreen::PinsDiffer))
            }
            At::Dropped { .. } => {
                *self = Self::Open(opened, At::OldPin);
                self.reprompt(Screen::Card(CardScreen::StartAgain))
            }
            At::Waiting(_) => Action::Show(Screens::new()),
        }
    }

    fn choose(&mut self, opened: Opened, text: &str, policy: &Policy) -> Action {
        let chosen = CHOICES.iter().find(|(digit, name, _)| text == *digit || Word(text).is(name));
        if let Some((_, _, choice)) = chosen {
            return match *choice {
                Choice::Prompt(at) => self.go(Self::Open(opened, at)),
                Choice::Operate(operation, purpose) => self.operate(opened, operation, purpose),
                Choice::LogOut => self.log_out(),
            };
        }
        let (word, amount) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        match Word(word) {
            word if word.is("deposit") => self.deposit(opened, trimmed(amount), policy),
            word if word.is("withdraw") => self.withdraw(opened, trimmed(amount), false, policy),
            _ => self.reprompt(Screen::InvalidChoice),
        }
    }

    fn deposit(&mut self, opened: Opened, text: &str, policy: &Policy) -> Action {
        match parse_cents(text, policy) {
            Ok(amount) => self.operate(opened, Operation::Deposit(amount), Purpose::Deposit),
            Err(reason) => {
                *self = Self::Open(opened, At::Deposit);
                self.reprompt(reason)
            }
        }
    }

    /// At the menu no balance is shown: the prompt after an invalid amount needs an inquiry first.
    fn withdraw(&mut self, opened: Opened, text: &str, is_prompted: bool, policy: &Policy) -> Action {
        if Word(text).is("all") {
            return self.operate(opened, Operation::WithdrawAll, Purpose::Withdraw);
        }
        match parse_amount(text, policy) {
            Ok(amount) => self.operate(opened, Operation::Withdraw(amount), Purpose::Withdraw),
            Err(reason) if is_prompted => self.reprompt(reason),
            Err(reason) => self.operate(opened, Operation::Inquiry, Purpose::PromptWithdrawal(Some(reason))),
        }
    }

    /// Drops the verifiers of a change of PIN, which then begins anew: the conversation has no link.
    pub(super) fn drop_verifiers(&mut self) {
        if let Self::Open(opened, at @ (At::NewPin(_) | At::RepeatPin(..))) = *self {
            *self = Self::Open(opened, At::Dropped { is_repeated: matches!(at, At::RepeatPin(..)) });
        }
    }

    /// The open prompt; `None` while an operation is outstanding.
    pub(super) fn prompt(&self) -> Option<Screen> {
        Some(match *self {
            Self::Card => Screen::Card(CardScreen::CardPrompt),
            Self::Pin { .. } => Screen::Card(CardScreen::PinPrompt),
            Self::Account(Opened { accounts, .. }) => Screen::Card(CardScreen::AccountPrompt { accounts }),
            Self::Open(_, At::Withdraw(balance)) => Screen::WithdrawPrompt { balance },
            Self::Open(_, at) => Screen::Card(match at {
                At::Menu => CardScreen::Menu,
                At::Deposit => CardScreen::DepositPrompt,
                At::Payee => CardScreen::PayeePrompt,
                At::Transfer(Payee { number, owner }) => CardScreen::TransferPrompt { payee: number, owner },
                At::Confirm(Payee { number, owner }, amount) => {
                    CardScreen::ConfirmPrompt { payee: number, owner, amount }
                }
                At::OldPin => CardScreen::OldPinPrompt,
                At::NewPin(_) | At::Dropped { is_repeated: false } => CardScreen::NewPinPrompt,
                At::RepeatPin(..) | At::Dropped { is_repeated: true } => CardScreen::RepeatPinPrompt,
                At::Withdraw(_) | At::Waiting(_) => return None,
            }),
            Self::Verifying { .. } => return None,
        })
    }

    /// The open prompt, where there is one.
    fn prompt_screen(&self) -> Screen {
        self.prompt().unwrap_or(Screen::Card(CardScreen::CardPrompt))
    }

    /// Goes to a prompt.
    fn go(&mut self, to: Self) -> Action {
        *self = to;
        Action::Show(screens([self.prompt_screen()]))
    }

    fn log_out(&mut self) -> Action {
        *self = Self::Card;
        self.reprompt(Screen::Card(CardScreen::LoggedOut))
    }

    fn operate(&mut self, opened: Opened, operation: Operation, purpose: Purpose) -> Action {
        *self = Self::Open(opened, At::Waiting(purpose));
        Action::Card(CardRequest::Operate { access: opened.access, operation })
    }

    /// The notice and the open prompt.
    fn after(&self, notice: Screen) -> Screens {
        screens([notice, self.prompt_screen()])
    }

    fn reprompt(&self, notice: Screen) -> Action {
        Action::Show(self.after(notice))
    }
}

/// A choice at the menu.
enum Choice {
    Prompt(At),
    Operate(Operation, Purpose),
    LogOut,
}

/// The choices at the menu, each by its digit and its word.
const CHOICES: [(&str, &str, Choice); 9] = [
    ("1", "deposit", Choice::Prompt(At::Deposit)),
    ("2", "withdraw", Choice::Operate(Operation::Inquiry, Purpose::PromptWithdrawal(None))),
    ("3", "balance", Choice::Operate(Operation::Inquiry, Purpose::Show)),
    ("4", "transfer", Choice::Prompt(At::Payee)),
    ("5", "statement", Choice::Operate(Operation::Statement, Purpose::Show)),
    ("6", "pin", Choice::Prompt(At::OldPin)),
    ("6", "change PIN", Choice::Prompt(At::OldPin)),
    ("7", "logout", Choice::LogOut),
    ("7", "log out", Choice::LogOut),
];

/// The number of an account: 1 to 9 digits, not zero.
fn parse_account(text: &str) -> Option<AccountNumber> {
    let is_number = matches!(text.len(), 1..=9) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_number && *number != 0);
    number.map(AccountNumber)
}

/// An amount with or without cents.
fn parse_cents(text: &str, policy: &Policy) -> Result<Amount, Screen> {
    let over = Screen::OverLimit { limit: policy.limit };
    match text.parse::<Amount>() {
        Ok(amount) if amount.is_zero() => Err(Screen::NotPositive),
        Ok(amount) if amount > policy.limit => Err(over),
        Ok(amount) => Ok(amount),
        Err(AmountError::TooLarge) => Err(over),
        Err(AmountError::Malformed) => Err(Screen::Card(CardScreen::NotAnAmount)),
    }
}

#[cfg(test)]
mod tests;
