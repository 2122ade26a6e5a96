//! Reading a reply: the failure that it reports, and whether it asks for an amount. A terminal reads them from the text,
//! which every wire has; the fields of an outcome are there only on some, and only for operations.
use super::Screen;
use crate::{
    ledger::{Outcome, Refusal},
    money::Amount,
};

/// Why an answer was not carried out, as a reply says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Failure {
    /// It was refused: it is not valid at this prompt, or the ledger refused its operation.
    Refused,
    /// Its operation was not done, and never will be.
    NotDone,
    /// It is unknown whether its operation was done.
    Unknown,
}

impl Failure {
    /// The failure that an outcome is; `None` if the operation was done.
    pub fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Done(_) => None,
            Outcome::Refused(_) => Some(Self::Refused),
            Outcome::NotDone => Some(Self::NotDone),
            Outcome::Unknown => Some(Self::Unknown),
        }
    }

    /// The failure that the text of a reply reports, whatever the amounts in it.
    ///
    /// ```
    /// # use atm_core::screen::Failure;
    /// let text = "That is over the limit of $30 for one operation.\n\nHow much would you like to deposit?";
    /// assert_eq!(Failure::in_text(text), Some(Failure::Refused));
    /// assert_eq!(Failure::in_text("Your balance is $30."), None);
    /// ```
    pub fn in_text(text: &str) -> Option<Self> {
        let mut paragraphs = text.split("\n\n");
        paragraphs.find_map(|paragraph| {
            failures().find(|screen| paragraph.starts_with(screen.first_text()))?.failure()
        })
    }
}

/// Whether the text of a reply ends by asking for an amount, where the words of the menu are not valid.
pub fn asks_for_amount(text: &str) -> bool {
    let prompts = [Screen::DepositPrompt, Screen::WithdrawPrompt { balance: Amount::ZERO }];
    #[cfg(feature = "cards")]
    if super::card::asks_for_amount(text) {
        return true;
    }
    prompts.iter().any(|prompt| text.ends_with(prompt.last_text()))
}

/// The screens that report a failure.
fn failures() -> impl Iterator<Item = Screen> {
    let failures = FAILURES.iter().copied();
    #[cfg(feature = "cards")]
    let failures = failures.chain(super::card::failures());
    failures
}

/// The screens that report a failure, one for each beginning of a text.
const FAILURES: [Screen; 13] = [
    Screen::Outcome(Outcome::Refused(Refusal::Insufficient { balance: Amount::MAX })),
    Screen::Outcome(Outcome::Refused(Refusal::BalanceLimit { balance: Amount::ZERO })),
    Screen::Outcome(Outcome::Refused(Refusal::Conflict)),
    Screen::Outcome(Outcome::Refused(Refusal::Full)),
    Screen::Outcome(Outcome::NotDone),
    Screen::Outcome(Outcome::Unknown),
    Screen::InvalidChoice,
    Screen::NotAnAmount,
    Screen::NotPositive,
    Screen::OverLimit { limit: Amount::ZERO },
    Screen::AnswerTooLong,
    Screen::NoFunds,
    Screen::QuitNotPermitted,
];

impl Screen {
    /// What it says about the answer before it, if that was not carried out.
    pub fn failure(&self) -> Option<Failure> {
        match *self {
            Self::Outcome(outcome) => Failure::of(outcome),
            Self::InvalidChoice
            | Self::NotAnAmount
            | Self::NotPositive
            | Self::OverLimit { .. }
            | Self::AnswerTooLong
            | Self::NoFunds
            | Self::QuitNotPermitted => Some(Failure::Refused),
            #[cfg(feature = "cards")]
            Self::Card(screen) => screen.failure(),
            Self::Menu
            | Self::DepositPrompt
            | Self::WithdrawPrompt { .. }
            | Self::EarlierRequest
            | Self::Goodbye
            | Self::Stopping => None,
        }
    }

    /// Its text up to the first amount.
    pub(super) fn first_text(&self) -> &'static str {
        self.parts().0.first().map_or("", |text| text.plain)
    }

    /// Its text behind the last amount.
    fn last_text(&self) -> &'static str {
        self.parts().0.last().map_or("", |text| text.plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::Receipt, screen::ScreenText};
    use std::string::ToString;

    /// One screen of each kind of text.
    fn screens() -> [Screen; 23] {
        let (amount, balance) = (Amount::from_units(40).unwrap(), Amount::from_units(140).unwrap());
        let done = |receipt| Screen::Outcome(Outcome::Done(receipt));
        let refused = |refusal| Screen::Outcome(Outcome::Refused(refusal));
        [
            Screen::Menu,
            Screen::DepositPrompt,
            Screen::WithdrawPrompt { balance },
            Screen::EarlierRequest,
            Screen::Goodbye,
            Screen::Stopping,
            done(Receipt::Balance { balance }),
            done(Receipt::Deposited { amount, balance }),
            done(Receipt::Withdrawn { amount, balance }),
            refused(Refusal::Insufficient { balance }),
            refused(Refusal::Insufficient { balance: Amount::ZERO }),
            refused(Refusal::BalanceLimit { balance }),
            refused(Refusal::Conflict),
            refused(Refusal::Full),
            Screen::Outcome(Outcome::NotDone),
            Screen::Outcome(Outcome::Unknown),
            Screen::InvalidChoice,
            Screen::NotAnAmount,
            Screen::NotPositive,
            Screen::OverLimit { limit: amount },
            Screen::AnswerTooLong,
            Screen::NoFunds,
            Screen::QuitNotPermitted,
        ]
    }

    #[test]
    fn the_text_of_a_reply_reports_the_failure_of_its_screens() {
        for screen in screens() {
            for prompt in [Screen::Menu, Screen::DepositPrompt] {
                for reply in [&[screen, prompt][..], &[screen], &[Screen::EarlierRequest, screen, prompt]] {
                    let text = ScreenText(reply).to_string();
                    assert_eq!(Failure::in_text(&text), screen.failure(), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_reply_asks_for_an_amount_by_its_last_screen() {
        for screen in screens() {
            let asks = matches!(screen, Screen::DepositPrompt | Screen::WithdrawPrompt { .. });
            for reply in [&[Screen::NotAnAmount, screen][..], &[screen]] {
                assert_eq!(asks_for_amount(&ScreenText(reply).to_string()), asks, "{screen:?}");
            }
        }
        assert!(!asks_for_amount(&ScreenText(&[Screen::DepositPrompt, Screen::Menu]).to_string()));
        assert!(!asks_for_amount(""));
    }

    #[test]
    fn other_text_reports_no_failure() {
        for text in ["", "\n\n", "Menu", "that is not a valid choice.", "So: That is not a valid choice."] {
            assert_eq!(Failure::in_text(text), None, "{text}");
        }
    }
}
