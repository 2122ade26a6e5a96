//! The ATM's prompts and notices as typed values; `Display` gives the English text.
use crate::{
    ledger::{Outcome, Receipt, Refusal},
    money::Amount,
};
use core::fmt;
use heapless::Vec;
use serde::{Deserialize, Serialize};

mod reading;
pub use reading::{Failure, asks_for_amount};

/// A prompt or a notice of the ATM.
///
/// The order of the variants is the `postcard` wire's format: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Screen {
    /// Prompt: the menu.
    Menu,
    /// Prompt: the amount to deposit.
    DepositPrompt,
    /// Prompt: the amount to withdraw.
    WithdrawPrompt {
        /// The balance when the prompt was made.
        balance: Amount,
    },
    /// The outcome of an operation.
    Outcome(Outcome),
    /// The outcome that follows is of an earlier request, whose reply may not have been shown.
    EarlierRequest,
    /// The answer is not one of the menu's choices.
    InvalidChoice,
    /// The answer is not a whole number of units.
    NotAnAmount,
    /// The answer is zero.
    NotPositive,
    /// The amount is above the limit of one operation.
    OverLimit {
        /// The limit.
        limit: Amount,
    },
    /// The answer is longer than [`MAX_ANSWER`](crate::session::MAX_ANSWER).
    AnswerTooLong,
    /// There is nothing to withdraw.
    NoFunds,
    /// `quit` is not permitted here.
    QuitNotPermitted,
    /// The session ends, after `exit`.
    Goodbye,
    /// The host stops, after `quit`.
    Stopping,
    /// A prompt or a notice of a card's session.
    #[cfg(feature = "cards")]
    Card(CardScreen),
}

impl Screen {
    /// Whether this is a prompt, which needs an answer.
    pub fn is_prompt(&self) -> bool {
        #[cfg(feature = "cards")]
        if let Self::Card(screen) = self {
            return screen.is_prompt();
        }
        matches!(self, Self::Menu | Self::DepositPrompt | Self::WithdrawPrompt { .. })
    }

    /// Whether the answer to this prompt is hidden where it is typed, and never kept.
    pub fn is_secret(&self) -> bool {
        #[cfg(feature = "cards")]
        if let Self::Card(screen) = self {
            return screen.is_secret();
        }
        false
    }
}

/// A constant part of a screen's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FixedText {
    plain: &'static str,
    /// The text as part of a JSON string.
    #[cfg(feature = "json")]
    pub(crate) escaped: &'static str,
}

/// Constant text, one literal for each line. The build checks that only the line breaks need an escape in
/// JSON.
macro_rules! fixed {
    ($first:literal $(, $line:literal)*) => {{
        assert!(needs_no_escape($first) $(&& needs_no_escape($line))*);
        FixedText {
            plain: concat!($first $(, "\n", $line)*),
            #[cfg(feature = "json")]
            escaped: concat!($first $(, "\\n", $line)*),
        }
    }};
}

// Behind the macro, which it uses.
#[cfg(feature = "cards")]
mod card;
#[cfg(feature = "cards")]
pub(crate) use card::Value;
#[cfg(all(test, feature = "cards"))]
pub(crate) use card::tests::texts as card_texts;
#[cfg(feature = "cards")]
pub use card::{CardPrompt, CardScreen};
#[cfg(feature = "cards")]
use card::{VALUES, pair};

/// Whether all of this is printable ASCII that needs no escape in JSON.
pub(crate) const fn needs_no_escape(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        if !matches!(first, b' '..=b'~') || matches!(first, b'"' | b'\\') {
            return false;
        }
        rest = others;
    }
    true
}

/// A value in the text of a screen.
#[cfg(not(feature = "cards"))]
pub(crate) type Value = Amount;

/// Values in the text of a screen.
#[cfg(not(feature = "cards"))]
const VALUES: usize = 2;

/// Constant texts, and the values between them.
type Parts = (&'static [FixedText], [Value; VALUES]);

/// The values of a text with up to two amounts.
#[cfg(not(feature = "cards"))]
#[inline(always)]
const fn pair(first: Amount, second: Amount) -> [Value; VALUES] {
    [first, second]
}

/// Makes [`Parts`] of constant texts and up to two amounts.
macro_rules! parts {
    ($($text:expr),+) => { parts!($($text),+; Amount::ZERO, Amount::ZERO) };
    ($($text:expr),+; $amount:expr) => { parts!($($text),+; $amount, Amount::ZERO) };
    ($($text:expr),+; $first:expr, $second:expr) => { (const { &[$($text),+] }, pair($first, $second)) };
}

impl Screen {
    /// The parts of its text.
    fn parts(&self) -> Parts {
        match *self {
            Self::Menu => parts!(fixed!(
                "Welcome to the ATM. What would you like to do?",
                "1. Deposit",
                "2. Withdraw",
                "3. Balance",
                "Type a number or a word; exit ends the session, quit also stops the server."
            )),
            Self::DepositPrompt => {
                parts!(fixed!("How much would you like to deposit? (whole units, or back)"))
            }
            Self::WithdrawPrompt { balance } => parts!(
                fixed!("Balance: "),
                fixed!(". How much would you like to withdraw? (whole units, all, or back)");
                balance
            ),
            Self::Outcome(outcome) => outcome_parts(outcome),
            Self::EarlierRequest => parts!(fixed!("About your earlier request:")),
            Self::InvalidChoice => parts!(fixed!("That is not a valid choice.")),
            Self::NotAnAmount => parts!(fixed!("That is not an amount: type a whole number in digits.")),
            Self::NotPositive => parts!(fixed!("The amount must be more than zero.")),
            Self::OverLimit { limit } => {
                parts!(fixed!("That is over the limit of "), fixed!(" for one operation."); limit)
            }
            Self::AnswerTooLong => parts!(fixed!("That answer is too long.")),
            Self::NoFunds => parts!(fixed!("There is nothing to withdraw: your balance is $0.")),
            Self::QuitNotPermitted => parts!(fixed!("You are not permitted to stop the server.")),
            Self::Goodbye => parts!(fixed!("Goodbye.")),
            Self::Stopping => parts!(fixed!("The server is stopping. Goodbye.")),
            #[cfg(feature = "cards")]
            Self::Card(screen) => screen.parts(),
        }
    }

    /// Passes the parts of the text to `write` in order: a constant text, and the value behind it if there
    /// is one.
    pub(crate) fn for_each_part<E>(
        &self,
        mut write: impl FnMut(FixedText, Option<Value>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (texts, values) = self.parts();
        let mut texts = texts.iter();
        let mut values = values.iter();
        while let Some(text) = texts.next() {
            let value = if texts.as_slice().is_empty() { None } else { values.next() };
            write(*text, value.copied())?;
        }
        Ok(())
    }
}

fn outcome_parts(outcome: Outcome) -> Parts {
    match outcome {
        Outcome::Done(Receipt::Balance { balance }) => {
            parts!(fixed!("Your balance is "), fixed!("."); balance)
        }
        Outcome::Done(Receipt::Deposited { amount, balance }) => parts!(
            fixed!("Amount deposited: "), fixed!(". Your balance is "), fixed!("."); amount, balance
        ),
        Outcome::Done(Receipt::Withdrawn { amount, balance }) => parts!(
            fixed!("Amount withdrawn: "), fixed!(". Your balance is "), fixed!("."); amount, balance
        ),
        Outcome::Refused(Refusal::Insufficient { balance }) if balance.is_zero() => Screen::NoFunds.parts(),
        Outcome::Refused(Refusal::Insufficient { balance }) => {
            parts!(fixed!("There is not enough money: your balance is "), fixed!("."); balance)
        }
        Outcome::Refused(Refusal::BalanceLimit { balance }) => parts!(
            fixed!("The account cannot hold that much more: your balance is "), fixed!("."); balance
        ),
        Outcome::Refused(Refusal::Conflict) => {
            parts!(fixed!("Refused: another request was made under the same number."))
        }
        Outcome::Refused(Refusal::Full) => parts!(fixed!("Refused: this ledger takes no new terminals.")),
        Outcome::NotDone => parts!(fixed!("Your request was not done. No money was moved.")),
        Outcome::Unknown => {
            parts!(fixed!("It is unknown what became of your request: check the balance."))
        }
        #[cfg(feature = "cards")]
        Outcome::Done(receipt) => card::receipt_parts(receipt),
        #[cfg(feature = "cards")]
        Outcome::Refused(refusal) => card::refusal_parts(refusal),
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.for_each_part(|text, value| {
            f.write_str(text.plain)?;
            value.map_or(Ok(()), |value| value.fmt(f))
        })
    }
}

/// The screens of one reply: notices, then a prompt, or notices alone at the end of a session.
#[cfg(not(feature = "cards"))]
pub type Screens = Vec<Screen, 4>;

/// The screens of one reply: notices, then a prompt, or notices alone at the end of a session. The longest is a statement and the
/// menu.
#[cfg(feature = "cards")]
pub type Screens = Vec<Screen, 6>;

/// Makes the screens of a reply. (`collect` would link a panic for a list that is too long.)
pub(crate) fn screens<const N: usize>(list: [Screen; N]) -> Screens {
    const { assert!(N <= 4, "a reply holds at most four screens") };
    let mut screens = Screens::new();
    append(&mut screens, &list);
    screens
}

/// Appends to the screens of a reply those that fit.
// Not inlined on a microcontroller: it has a dozen callers. It appends, because a return would copy the whole capacity.
#[cfg_attr(target_os = "none", inline(never))]
#[cfg_attr(not(target_os = "none"), inline)]
pub(crate) fn append(screens: &mut Screens, list: &[Screen]) {
    for screen in list {
        let _ = screens.push(*screen);
    }
}

/// Displays screens as one text, with a blank line between two of them.
#[derive(Clone, Copy, Debug)]
pub struct ScreenText<'a>(pub &'a [Screen]);

impl fmt::Display for ScreenText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, screen) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{screen}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn text_that_needs_an_escape_in_json_is_recognised() {
        assert!(needs_no_escape(" ~!#[]{}$0aZ"));
        for text in ["a\"", "\\a", "\n", "a\tb", "\u{1f}", "\u{7f}", "\u{e9}"] {
            assert!(!needs_no_escape(text), "{text:?}");
        }
    }

    #[test]
    fn screens_are_displayed_with_a_blank_line_between_them() {
        let amount = |units| Amount::from_units(units).unwrap();
        let done = Outcome::Done(Receipt::Deposited { amount: amount(40), balance: amount(140) });
        let text = ScreenText(&[Screen::Outcome(done), Screen::DepositPrompt]).to_string();
        assert_eq!(
            text,
            "Amount deposited: $40. Your balance is $140.\n\n\
             How much would you like to deposit? (whole units, or back)"
        );
    }
}
