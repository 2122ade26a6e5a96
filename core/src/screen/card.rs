//! The prompts and notices of a card's session, and the texts of what its operations did.
use super::{FixedText, Parts, Screen, needs_no_escape, reading::Failure};
use crate::{
    ledger::{
        AccountNumber, Outcome, Receipt, Refusal,
        card::{Accounts, Date, Initials, Kind, StatementLine},
    },
    money::Amount,
};
use core::fmt;
use serde::{Deserialize, Serialize};

/// A prompt or a notice of a card's session.
///
/// The order of the variants is the `postcard` wire's format: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CardScreen {
    /// Prompt: the card's number.
    CardPrompt,
    /// Secret prompt: the PIN.
    PinPrompt,
    /// Prompt: one of the card's accounts.
    AccountPrompt {
        /// The accounts.
        accounts: Accounts,
    },
    /// Prompt: the menu.
    Menu,
    /// Prompt: the amount to deposit.
    DepositPrompt,
    /// Prompt: the account that money is to go to.
    PayeePrompt,
    /// Prompt: the amount to transfer.
    TransferPrompt {
        /// The account that it is to go to.
        payee: AccountNumber,
        /// Its owner.
        owner: Initials,
    },
    /// Prompt: whether to transfer.
    ConfirmPrompt {
        /// The account that the money is to go to.
        payee: AccountNumber,
        /// Its owner.
        owner: Initials,
        /// How much.
        amount: Amount,
    },
    /// Secret prompt: the present PIN, to change it.
    OldPinPrompt,
    /// Secret prompt: the new PIN.
    NewPinPrompt,
    /// Secret prompt: the new PIN once more.
    RepeatPinPrompt,
    /// The answer is not a card's number.
    NotACardNumber,
    /// The answer is not a PIN.
    NotAPin,
    /// The new PIN is easily guessed.
    WeakPin,
    /// The new PIN was not typed twice.
    PinsDiffer,
    /// The change of PIN begins anew, because the connection was lost.
    StartAgain,
    /// The answer is not an account's number, or not one of the card's.
    NotAnAccount,
    /// The answer is not an amount with or without cents.
    NotAnAmount,
    /// The answer to a confirmation is neither yes nor back.
    NotConfirmed,
    /// Too many payees were not found: the card's session is over.
    TooManyPayees,
    /// The card's session is over.
    LoggedOut,
    /// There is no movement to show.
    NoMovements,
    /// A movement.
    Movement(StatementLine),
    /// An earlier request, of whichever card, was done.
    EarlierDone,
    /// An earlier request, of whichever card, was refused.
    EarlierRefused,
    /// What an earlier request of the same card did, whose reply may not have been shown.
    Earlier(Receipt),
}

/// A value in the text of a screen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Amount(Amount),
    Account(AccountNumber),
    Accounts(Accounts),
    Owner(Initials),
    Seconds(u32),
    Date(Option<Date>),
    Kind(Kind),
}

/// Values in the text of a screen.
pub(super) const VALUES: usize = 4;

/// In a place that no text has.
const NONE: Value = Value::Seconds(0);

/// The values of a text with up to two amounts.
pub(super) const fn pair(first: Amount, second: Amount) -> [Value; VALUES] {
    [Value::Amount(first), Value::Amount(second), NONE, NONE]
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(amount) => amount.fmt(f),
            Self::Account(AccountNumber(number)) | Self::Seconds(number) => number.fmt(f),
            Self::Accounts(accounts) => {
                for (place, AccountNumber(number)) in accounts.iter().enumerate() {
                    f.write_str(if place == 0 { "" } else { ", " })?;
                    number.fmt(f)?;
                }
                Ok(())
            }
            Self::Owner(owner) => owner.fmt(f),
            Self::Date(Some(date)) => date.fmt(f),
            Self::Date(None) => f.write_str("(no date)"),
            Self::Kind(kind) => f.write_str(match kind {
                Kind::Deposit => "deposit",
                Kind::Withdrawal => "withdrawal",
                Kind::TransferOut => "transfer out",
                Kind::TransferIn => "transfer in",
            }),
        }
    }
}

/// Makes [`Parts`] of constant texts and values.
macro_rules! text {
    ($($text:literal),+) => { text!($($text),+; NONE, NONE, NONE, NONE) };
    ($($text:literal),+; $a:expr) => { text!($($text),+; $a, NONE, NONE, NONE) };
    ($($text:literal),+; $a:expr, $b:expr) => { text!($($text),+; $a, $b, NONE, NONE) };
    ($($text:literal),+; $a:expr, $b:expr, $c:expr) => { text!($($text),+; $a, $b, $c, NONE) };
    ($($text:literal),+; $a:expr, $b:expr, $c:expr, $d:expr) => {
        (const { &[$(fixed!($text)),+] }, [$a, $b, $c, $d])
    };
}

impl CardScreen {
    /// Whether this is a prompt, which needs an answer.
    pub fn is_prompt(&self) -> bool {
        self.is_secret()
            || matches!(
                self,
                Self::CardPrompt
                    | Self::AccountPrompt { .. }
                    | Self::Menu
                    | Self::DepositPrompt
                    | Self::PayeePrompt
                    | Self::TransferPrompt { .. }
                    | Self::ConfirmPrompt { .. }
            )
    }

    /// Whether the answer to this prompt is hidden where it is typed.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::PinPrompt | Self::OldPinPrompt | Self::NewPinPrompt | Self::RepeatPinPrompt)
    }

    /// What it says about the answer before it, if that was not carried out.
    pub(super) fn failure(&self) -> Option<Failure> {
        FAILURES.contains(self).then_some(Failure::Refused)
    }

    pub(super) fn parts(&self) -> Parts {
        match *self {
            Self::CardPrompt => {
                text!("Welcome to the ATM. Please type the number of your card. (exit ends the session)")
            }
            Self::PinPrompt => text!("Please type your PIN. (or back)"),
            Self::AccountPrompt { accounts } => {
                text!("Which account? ", " (its number, or back)"; Value::Accounts(accounts))
            }
            Self::Menu => (
                const {
                    &[fixed!(
                        "What would you like to do?",
                        "1. Deposit",
                        "2. Withdraw",
                        "3. Balance",
                        "4. Transfer",
                        "5. Statement",
                        "6. Change PIN",
                        "7. Log out",
                        "Type a number or a word; exit ends the session."
                    )]
                },
                [NONE; VALUES],
            ),
            Self::DepositPrompt => text!("How much would you like to deposit? (as in 12 or 12.34, or back)"),
            Self::PayeePrompt => text!("To which account would you like to transfer? (its number, or back)"),
            Self::TransferPrompt { payee, owner } => text!(
                "Account ", " belongs to ", ". How much would you like to transfer? (as in 12 or 12.34, or back)";
                Value::Account(payee), Value::Owner(owner)
            ),
            Self::ConfirmPrompt { payee, owner, amount } => text!(
                "Transfer ", " to account ", " of ", "? (yes, or back)";
                Value::Amount(amount), Value::Account(payee), Value::Owner(owner)
            ),
            Self::OldPinPrompt => text!("Please type your present PIN. (or back)"),
            Self::NewPinPrompt => text!("Please type the new PIN: 4 to 12 digits. (or back)"),
            Self::RepeatPinPrompt => text!("Please type the new PIN again. (or back)"),
            Self::NotACardNumber => text!("That is not the number of a card."),
            Self::NotAPin => text!("That is not a PIN: type 4 to 12 digits."),
            Self::WeakPin => {
                text!("That PIN is easily guessed: choose one that is no run and no repetition.")
            }
            Self::PinsDiffer => text!("The two new PINs differ: the PIN is not changed."),
            Self::StartAgain => text!("The connection was lost: please begin again."),
            Self::NotAnAccount => text!("That is not the number of an account."),
            Self::NotAnAmount => text!("That is not an amount: type digits, as in 12 or 12.34."),
            Self::NotConfirmed => text!("Please type yes or back."),
            Self::TooManyPayees => text!("Too many accounts were not found: you are logged out."),
            Self::LoggedOut => text!("You are logged out."),
            Self::NoMovements => text!("There are no movements."),
            Self::Movement(StatementLine { date, kind, amount, balance }) => text!(
                "", " ", " ", ", balance ", "";
                Value::Date(date), Value::Kind(kind), Value::Amount(amount), Value::Amount(balance)
            ),
            Self::Earlier(receipt) => super::outcome_parts(Outcome::Done(receipt)),
            Self::EarlierDone => text!("An earlier request at this terminal was done."),
            Self::EarlierRefused => text!("An earlier request at this terminal was refused."),
        }
    }
}

/// The text of what an operation with a card did.
pub(super) fn receipt_parts(receipt: Receipt) -> Parts {
    match receipt {
        Receipt::Transferred { payee, amount, balance } => text!(
            "Amount transferred: ", " to account ", ". Your balance is ", ".";
            Value::Amount(amount), Value::Account(payee), Value::Amount(balance)
        ),
        Receipt::Payee { payee, owner } => text!(
            "Account ", " belongs to ", "."; Value::Account(payee), Value::Owner(owner)
        ),
        Receipt::PinChanged => text!("Your PIN is changed."),
        // The others have texts without cards, or are not shown.
        _ => text!("Your card and PIN are accepted."),
    }
}

/// The text of why an operation with a card was refused.
pub(super) fn refusal_parts(refusal: Refusal) -> Parts {
    match refusal {
        Refusal::NotVerified => text!("The card and the PIN were not accepted."),
        Refusal::Delayed { seconds } => {
            text!("After refused PINs, please try again in ", " s."; Value::Seconds(seconds))
        }
        Refusal::Frozen => text!("The account is frozen: no money can be moved."),
        Refusal::Closed => text!("The account is closed."),
        Refusal::WithdrawalLimit { limit } => {
            text!("That is over the limit of ", " for one withdrawal."; Value::Amount(limit))
        }
        Refusal::DayLimit { left } => {
            text!("That is over the limit of your card's day, of which ", " is left."; Value::Amount(left))
        }
        Refusal::NoPayee => text!("There is no account of that number that can take the money."),
        Refusal::SameAccount => text!("Money can be transferred only to another account."),
        // The others have texts without cards.
        _ => text!("Your card's session is over."),
    }
}

/// The notices that report a failure.
const FAILURES: [CardScreen; 9] = [
    CardScreen::NotACardNumber,
    CardScreen::NotAPin,
    CardScreen::WeakPin,
    CardScreen::PinsDiffer,
    CardScreen::StartAgain,
    CardScreen::NotAnAccount,
    CardScreen::NotAnAmount,
    CardScreen::NotConfirmed,
    CardScreen::TooManyPayees,
];

/// The refusals with a text of their own, whatever the values in it.
const REFUSALS: [Refusal; 9] = [
    Refusal::NotVerified,
    Refusal::Delayed { seconds: 0 },
    Refusal::NoAccess,
    Refusal::Frozen,
    Refusal::Closed,
    Refusal::WithdrawalLimit { limit: Amount::ZERO },
    Refusal::DayLimit { left: Amount::ZERO },
    Refusal::NoPayee,
    Refusal::SameAccount,
];

/// The screens of cards that report a failure, one for each beginning of a text.
pub(super) fn failures() -> impl Iterator<Item = Screen> {
    let refused = REFUSALS.iter().map(|refusal| Screen::Outcome(Outcome::Refused(*refusal)));
    FAILURES.iter().map(|screen| Screen::Card(*screen)).chain(refused)
}

/// What a reply of a card's session asks for at its end, where a terminal treats the answer apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CardPrompt {
    /// The number of a card, which is never kept.
    Number,
    /// One of the card's accounts.
    Account,
    /// The menu.
    Menu,
}

impl CardPrompt {
    /// The prompt that the text of a reply ends in.
    ///
    /// ```
    /// # use atm_core::screen::{CardPrompt, CardScreen, Screen, ScreenText};
    /// let screens = [CardScreen::LoggedOut, CardScreen::CardPrompt].map(Screen::Card);
    /// assert_eq!(CardPrompt::in_text(&ScreenText(&screens).to_string()), Some(CardPrompt::Number));
    /// ```
    pub fn in_text(text: &str) -> Option<Self> {
        let prompt = text.rsplit("\n\n").next()?;
        [
            (CardScreen::CardPrompt, Self::Number),
            (CardScreen::AccountPrompt { accounts: Accounts::NONE }, Self::Account),
            (CardScreen::Menu, Self::Menu),
        ]
        .into_iter()
        .find(|(screen, _)| prompt.starts_with(Screen::Card(*screen).first_text()))
        .map(|(_, asks)| asks)
    }
}

/// The prompts of cards for an amount.
pub(super) fn asks_for_amount(text: &str) -> bool {
    [
        CardScreen::DepositPrompt.parts(),
        text!("", ". How much would you like to transfer? (as in 12 or 12.34, or back)"),
    ]
    .iter()
    .any(|(texts, _)| texts.last().is_some_and(|last| text.ends_with(last.plain)))
}

#[cfg(test)]
pub(super) mod tests;
