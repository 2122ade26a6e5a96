//! The demo's script: the answer of each step, and the reply that is expected.
use crate::client::ReceivedMessage;
use anyhow::{Result, ensure};
use atm_core::{
    ledger::{Outcome, Receipt, Refusal},
    money::Amount,
};

/// One answer and its reply.
pub(super) struct DemoStep {
    /// What the step does, for the reader.
    pub(super) title: String,
    /// The answer to send; `None` for the greeting.
    pub(super) answer: Option<String>,
    /// What the reply's text must contain.
    expected_text: &'static str,
    /// The outcome that the reply must have in its fields.
    outcome: Option<Outcome>,
    /// The balance that the reply must show.
    pub(super) balance: Option<Amount>,
    /// Whether the reply must end the session.
    pub(super) ends: bool,
}

const MENU: &str = "Welcome to the ATM. What would you like to do?";

impl DemoStep {
    fn new(title: &str, answer: &str, expected_text: &'static str) -> Self {
        let title = format!("{title}: {answer}");
        Self { title, answer: Some(answer.into()), expected_text, outcome: None, balance: None, ends: false }
    }

    fn expect_balance(self, balance: Amount) -> Self {
        Self { balance: Some(balance), ..self }
    }

    fn expect_outcome(self, outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), ..self }
    }

    /// Checks a reply. On a wire without numbers it has no fields, only text.
    pub(super) fn check(&self, reply: &ReceivedMessage, fields: bool) -> Result<()> {
        ensure!(reply.text.contains(self.expected_text), "the reply does not say: {}", self.expected_text);
        let prompt = if self.ends { "the reply opens a prompt" } else { "the reply opens no prompt" };
        ensure!(reply.prompt.is_some() != self.ends, "{prompt}");
        let balance = shown_balance(&reply.text);
        let text_of = |balance: Option<Amount>| balance.map_or("none".into(), |balance| balance.to_string());
        ensure!(
            balance == self.balance,
            "the balance in the text is {}, and must be {}",
            text_of(balance),
            text_of(self.balance)
        );
        if fields {
            ensure!(reply.ends == self.ends, "the reply's end field is {}", reply.ends);
            let (actual, expected) = (reply.outcome, self.outcome);
            ensure!(actual == expected, "the outcome in the fields is {actual:?}, and must be {expected:?}");
        }
        Ok(())
    }
}

/// Returns the steps for a first balance, and the last balance; `None` where the first one leaves no room for
/// a deposit.
pub(super) fn steps(start: Amount) -> Option<(Vec<DemoStep>, Amount)> {
    let (forty, thirty) = (Amount::from_units(40)?, Amount::from_units(30)?);
    let sum = start.checked_add(forty)?;
    // One unit more than the balance, in whole units as a person types it, and within the limit of one
    // operation.
    let too_much = (sum.minor() / 100).checked_add(1).filter(|units| *units < 900_000)?;
    let rest = sum.checked_sub(thirty)?;
    let insufficient = |balance| Outcome::Refused(Refusal::Insufficient { balance });
    let receipt = |balance| Outcome::Done(Receipt::Balance { balance });
    let withdrawn = |amount, balance| Outcome::Done(Receipt::Withdrawn { amount, balance });
    let greeting = DemoStep {
        title: "Connect: the host greets with the menu".into(),
        answer: None,
        ..DemoStep::new("", "", MENU)
    };
    let steps = vec![
        greeting,
        DemoStep::new("Ask for the balance", "3", MENU).expect_balance(start).expect_outcome(receipt(start)),
        DemoStep::new("Choose to deposit", "1", "How much would you like to deposit?"),
        DemoStep::new("Deposit", "40", "Amount deposited: $40.")
            .expect_balance(sum)
            .expect_outcome(Outcome::Done(Receipt::Deposited { amount: forty, balance: sum })),
        DemoStep::new("Ask for the balance", "balance", MENU)
            .expect_balance(sum)
            .expect_outcome(receipt(sum)),
        DemoStep::new("Choose an invalid option", "4", "That is not a valid choice."),
        DemoStep::new("Choose to withdraw", "2", "How much would you like to withdraw?").expect_balance(sum),
        DemoStep::new("Type an invalid amount", "-40", "That is not an amount").expect_balance(sum),
        DemoStep::new("Withdraw more than there is", &too_much.to_string(), "There is not enough money")
            .expect_balance(sum)
            .expect_outcome(insufficient(sum)),
        DemoStep::new("Withdraw", "30", "Amount withdrawn: $30.")
            .expect_balance(rest)
            .expect_outcome(withdrawn(thirty, rest)),
        DemoStep::new("Withdraw in one answer", "withdraw all", "Amount withdrawn: ")
            .expect_balance(Amount::ZERO)
            .expect_outcome(withdrawn(rest, Amount::ZERO)),
        DemoStep::new("Withdraw from nothing", "2", "There is nothing to withdraw")
            .expect_balance(Amount::ZERO),
        DemoStep::new("Ask for the balance", "3", MENU)
            .expect_balance(Amount::ZERO)
            .expect_outcome(receipt(Amount::ZERO)),
        DemoStep { ends: true, ..DemoStep::new("Leave", "exit", "Goodbye.") },
    ];
    Some((steps, Amount::ZERO))
}

/// Reads the first balance in a text.
fn shown_balance(text: &str) -> Option<Amount> {
    let (_, rest) = ["balance is $", "Balance: $"].iter().find_map(|words| text.split_once(words))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest.get(..end)?.trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_read_from_the_text() {
        let minor = |text| shown_balance(text).map(Amount::minor);
        assert_eq!(minor("Amount deposited: $40. Your balance is $140.\n\nWelcome"), Some(14_000));
        assert_eq!(minor("Balance: $0.05. How much"), Some(5));
        assert_eq!(minor("Welcome to the ATM."), None);
    }

    #[test]
    fn a_wrong_reply_is_refused() {
        let steps = steps(Amount::from_units(100).unwrap()).unwrap().0;
        let deposit = &steps[3];
        let balance = deposit.balance;
        let good = ReceivedMessage {
            text: "Amount deposited: $40. Your balance is $140.\n\nWelcome".into(),
            prompt: Some(Some(3)),
            outcome: deposit.outcome,
            seq: Some(3),
            re: Some(2),
            ..ReceivedMessage::default()
        };
        deposit.check(&good, true).unwrap();
        assert_eq!(balance, Amount::from_units(140));
        let text = good.text.replace("140", "180");
        let other = Some(Outcome::Done(Receipt::Balance { balance: Amount::ZERO }));
        for bad in [
            ReceivedMessage { text, ..good.clone() },
            ReceivedMessage { text: String::new(), ..good.clone() },
            ReceivedMessage { prompt: None, ..good.clone() },
            ReceivedMessage { ends: true, ..good.clone() },
            ReceivedMessage { outcome: None, ..good.clone() },
            ReceivedMessage { outcome: other, ..good.clone() },
        ] {
            assert!(deposit.check(&bad, true).is_err(), "{bad:?}");
        }
        deposit.check(&ReceivedMessage { outcome: None, ..good }, false).unwrap();
    }

    #[test]
    fn every_balance_with_room_for_a_deposit_has_steps() {
        for minor in [0, 1, 10_050, 80_000_000] {
            assert!(steps(Amount::from_minor(minor).unwrap()).is_some(), "{minor}");
        }
        assert!(steps(Amount::MAX).is_none());
    }
}
