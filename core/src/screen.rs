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

const NO_FUNDS: &str = "There is nothing to withdraw: your balance is $0.";

impl Screen {
    /// Does this ask for an answer?
    pub fn is_prompt(&self) -> bool {
        matches!(self, Self::Menu | Self::DepositPrompt | Self::WithdrawPrompt { .. })
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Menu => f.write_str(
                "Welcome to the ATM. What would you like to do?\n1. Deposit\n2. Withdraw\n3. Balance\n\
                 Type a number or a word; exit ends the session, quit also stops the server.",
            ),
            Self::DepositPrompt => f.write_str("How much would you like to deposit? (whole units, or back)"),
            Self::WithdrawPrompt { balance } => {
                write!(
                    f,
                    "Balance: {balance}. How much would you like to withdraw? (whole units, all, or back)"
                )
            }
            Self::Outcome(outcome) => outcome_text(outcome, f),
            Self::Earlier => f.write_str("About your earlier request:"),
            Self::InvalidChoice => f.write_str("That is not a valid choice."),
            Self::NotAnAmount => f.write_str("That is not an amount: type a whole number in digits."),
            Self::NotPositive => f.write_str("The amount must be more than zero."),
            Self::OverLimit { limit } => write!(f, "That is over the limit of {limit} for one operation."),
            Self::AnswerTooLong => f.write_str("That answer is too long."),
            Self::NoFunds => f.write_str(NO_FUNDS),
            Self::QuitNotPermitted => f.write_str("You are not permitted to stop the server."),
            Self::Goodbye => f.write_str("Goodbye."),
            Self::Stopping => f.write_str("The server is stopping. Goodbye."),
        }
    }
}

fn outcome_text(outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match outcome {
        Outcome::Done(Receipt::Balance { balance }) => write!(f, "Your balance is {balance}."),
        Outcome::Done(Receipt::Deposited { amount, balance }) => {
            write!(f, "Amount deposited: {amount}. Your balance is {balance}.")
        }
        Outcome::Done(Receipt::Withdrawn { amount, balance }) => {
            write!(f, "Amount withdrawn: {amount}. Your balance is {balance}.")
        }
        Outcome::Refused(Refusal::Insufficient { balance }) => {
            if balance.is_zero() {
                return f.write_str(NO_FUNDS);
            }
            write!(f, "There is not enough money: your balance is {balance}.")
        }
        Outcome::Refused(Refusal::BalanceLimit { balance }) => {
            write!(f, "The account cannot hold that much more: your balance is {balance}.")
        }
        Outcome::Refused(Refusal::Conflict) => {
            f.write_str("Refused: another request was made under the same number.")
        }
        Outcome::Refused(Refusal::Full) => f.write_str("Refused: this ledger takes no new terminals."),
        Outcome::NotDone => f.write_str("Your request was not done. No money was moved."),
        Outcome::Unknown => f.write_str("It is unknown what became of your request: check the balance."),
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
