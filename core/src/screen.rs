//! Everything the ATM can say or ask, as typed values; `Display` gives the English text.
use crate::{
    ledger::{Outcome, Receipt, Refusal},
    money::Amount,
};
use core::fmt;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// One thing that the ATM says (a notice) or asks (a prompt).
///
/// The order of the variants is the `postcard` wire's format: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Screen {
    /// Prompt: what would you like to do?
    Menu,
    /// Prompt: how much to deposit?
    DepositPrompt,
    /// Prompt: how much to withdraw?
    WithdrawPrompt {
        /// The balance when it was asked.
        balance: Amount,
    },
    /// What became of an operation.
    Outcome(Outcome),
    /// The outcome that follows is of an earlier request, whose reply may not have been seen.
    Earlier,
    /// The answer is not one of the menu's choices.
    InvalidChoice,
    /// The answer is not a whole number of units.
    NotAnAmount,
    /// The answer is zero.
    NotPositive,
    /// The amount is over the limit of one operation.
    OverLimit {
        /// The limit.
        limit: Amount,
    },
    /// The answer is longer than a session takes.
    AnswerTooLong,
    /// There is nothing to withdraw.
    NoFunds,
    /// This peer may not stop the host.
    QuitNotPermitted,
    /// The session ends, as the person asked.
    Goodbye,
    /// The host stops, as the person asked.
    Stopping,
}

impl Screen {
    /// Does this ask for an answer?
    pub fn is_prompt(&self) -> bool {
        matches!(self, Self::Menu | Self::DepositPrompt | Self::WithdrawPrompt { .. })
    }
}

/// A part of what a screen says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Characters that stand for themselves on every wire: see [`text!`].
    Text(&'static str),
    /// Lines of such characters.
    Lines {
        plain: &'static str,
        /// As they stand in a JSON string.
        escaped: &'static str,
    },
    /// An amount.
    Amount(Amount),
}

/// Text of a screen. That none of it needs an escape in JSON is seen to when the crate is built, and not each time that it
/// is said.
macro_rules! text {
    ($text:literal) => {
        const {
            assert!(stands_for_itself($text));
            Part::Text($text)
        }
    };
}

/// Lines of text of a screen: the same, line by line.
macro_rules! lines {
    ($first:literal, $($line:literal),+) => {
        const {
            assert!(stands_for_itself($first) $(&& stands_for_itself($line))+);
            Part::Lines {
                plain: concat!($first $(, "\n", $line)+),
                escaped: concat!($first $(, "\\n", $line)+),
            }
        }
    };
}

/// Is none of this escaped in JSON, and none of it another character on another wire?
pub(crate) const fn stands_for_itself(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        if !matches!(first, b' '..=b'~') || matches!(first, b'"' | b'\\') {
            return false;
        }
        rest = others;
    }
    true
}

impl Screen {
    /// Hands what it says to `say`.
    pub(crate) fn parts<T>(&self, say: impl FnOnce(&[Part]) -> T) -> T {
        use Part::Amount as Sum;
        match *self {
            Self::Menu => say(&[lines!(
                "Welcome to the ATM. What would you like to do?",
                "1. Deposit",
                "2. Withdraw",
                "3. Balance",
                "Type a number or a word; exit ends the session, quit also stops the server."
            )]),
            Self::DepositPrompt => {
                say(&[text!("How much would you like to deposit? (whole units, or back)")])
            }
            Self::WithdrawPrompt { balance } => say(&[
                text!("Balance: "),
                Sum(balance),
                text!(". How much would you like to withdraw? (whole units, all, or back)"),
            ]),
            Self::Outcome(outcome) => outcome_parts(outcome, say),
            Self::Earlier => say(&[text!("About your earlier request:")]),
            Self::InvalidChoice => say(&[text!("That is not a valid choice.")]),
            Self::NotAnAmount => say(&[text!("That is not an amount: type a whole number in digits.")]),
            Self::NotPositive => say(&[text!("The amount must be more than zero.")]),
            Self::OverLimit { limit } => {
                say(&[text!("That is over the limit of "), Sum(limit), text!(" for one operation.")])
            }
            Self::AnswerTooLong => say(&[text!("That answer is too long.")]),
            Self::NoFunds => say(&NO_FUNDS),
            Self::QuitNotPermitted => say(&[text!("You are not permitted to stop the server.")]),
            Self::Goodbye => say(&[text!("Goodbye.")]),
            Self::Stopping => say(&[text!("The server is stopping. Goodbye.")]),
        }
    }
}

const NO_FUNDS: [Part; 1] = [text!("There is nothing to withdraw: your balance is $0.")];

fn outcome_parts<T>(outcome: Outcome, say: impl FnOnce(&[Part]) -> T) -> T {
    use Part::Amount as Sum;
    match outcome {
        Outcome::Done(Receipt::Balance { balance }) => {
            say(&[text!("Your balance is "), Sum(balance), text!(".")])
        }
        Outcome::Done(Receipt::Deposited { amount, balance }) => say(&[
            text!("Amount deposited: "),
            Sum(amount),
            text!(". Your balance is "),
            Sum(balance),
            text!("."),
        ]),
        Outcome::Done(Receipt::Withdrawn { amount, balance }) => say(&[
            text!("Amount withdrawn: "),
            Sum(amount),
            text!(". Your balance is "),
            Sum(balance),
            text!("."),
        ]),
        Outcome::Refused(Refusal::Insufficient { balance }) if balance.is_zero() => say(&NO_FUNDS),
        Outcome::Refused(Refusal::Insufficient { balance }) => {
            say(&[text!("There is not enough money: your balance is "), Sum(balance), text!(".")])
        }
        Outcome::Refused(Refusal::BalanceLimit { balance }) => say(&[
            text!("The account cannot hold that much more: your balance is "),
            Sum(balance),
            text!("."),
        ]),
        Outcome::Refused(Refusal::Conflict) => {
            say(&[text!("Refused: another request was made under the same number.")])
        }
        Outcome::Refused(Refusal::Full) => say(&[text!("Refused: this ledger takes no new terminals.")]),
        Outcome::NotDone => say(&[text!("Your request was not done. No money was moved.")]),
        Outcome::Unknown => say(&[text!("It is unknown what became of your request: check the balance.")]),
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Lines { plain: text, .. } => f.write_str(text),
            Self::Amount(amount) => amount.fmt(f),
        }
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts(|parts| parts.iter().try_for_each(|part| part.fmt(f)))
    }
}

/// The screens of one reply: notices, then a prompt, or notices alone at the end of a session.
pub type Screens = Vec<Screen, 4>;

/// The screens of a reply that is made here. (`collect` would carry a panic for a list that is too long.)
pub(crate) fn screens<const N: usize>(list: [Screen; N]) -> Screens {
    const { assert!(N <= 4, "a reply holds at most four screens") };
    listed(&list)
}

// Not inlined: there are a dozen places that say something.
#[inline(never)]
fn listed(list: &[Screen]) -> Screens {
    let mut screens = Screens::new();
    for screen in list {
        // They were seen to fit.
        let _ = screens.push(*screen);
    }
    screens
}

/// Shows screens as one text, a blank line between two.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a [Screen]);

impl fmt::Display for Text<'_> {
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
    fn what_needs_an_escape_is_seen() {
        assert!(stands_for_itself(" ~!#[]{}$0aZ"));
        for text in ["a\"", "\\a", "\n", "a\tb", "\u{1f}", "\u{7f}", "\u{e9}"] {
            assert!(!stands_for_itself(text), "{text:?}");
        }
    }

    #[test]
    fn a_reply_reads_as_one_text() {
        let amount = |units| Amount::from_units(units).unwrap();
        let done = Outcome::Done(Receipt::Deposited { amount: amount(40), balance: amount(140) });
        let text = Text(&[Screen::Outcome(done), Screen::DepositPrompt]).to_string();
        assert_eq!(
            text,
            "Amount deposited: $40. Your balance is $140.\n\n\
             How much would you like to deposit? (whole units, or back)"
        );
    }
}
