//! The steps of the demo, and what must come of each.
use crate::client::ReceivedMessage;
use anyhow::{Result, ensure};
use atm_core::{
    ledger::{Outcome, Receipt, Refusal},
    money::Amount,
};

/// One answer and its reply.
pub(super) struct DemoStep {
    /// What is done.
    pub(super) title: String,
    /// What is answered; `None` for the greeting.
    pub(super) answer: Option<String>,
    /// What the reply's text must hold.
    words: &'static str,
    /// The outcome that the reply must tell.
    outcome: Option<Outcome>,
    /// The balance that the reply must show.
    pub(super) balance: Option<Amount>,
    /// Is the session over with it?
    pub(super) ends: bool,
}

const MENU: &str = "Welcome to the ATM. What would you like to do?";

impl DemoStep {
    fn new(title: &str, answer: &str, words: &'static str) -> Self {
        let title = format!("{title}: {answer}");
        Self { title, answer: Some(answer.into()), words, outcome: None, balance: None, ends: false }
    }

    fn shows(self, balance: Amount) -> Self {
        Self { balance: Some(balance), ..self }
    }

    fn tells(self, outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), ..self }
    }

    /// Is this the reply that it must be? On a wire without numbers there are no fields to tell it.
    pub(super) fn check(&self, said: &ReceivedMessage, fields: bool) -> Result<()> {
        ensure!(said.text.contains(self.words), "the reply does not say: {}", self.words);
        let prompt = if self.ends { "the reply asks for more" } else { "the reply asks nothing" };
        ensure!(said.prompt.is_some() != self.ends, "{prompt}");
        let balance = shown_balance(&said.text);
        let named = |balance: Option<Amount>| balance.map_or("none".into(), |balance| balance.to_string());
        ensure!(
            balance == self.balance,
            "the balance in the text is {}, and must be {}",
            named(balance),
            named(self.balance)
        );
        if fields {
            ensure!(said.ends == self.ends, "the reply's end field is {}", said.ends);
            let (told, must) = (said.outcome, self.outcome);
            ensure!(told == must, "the outcome in the fields is {told:?}, and must be {must:?}");
        }
        Ok(())
    }
}

/// The steps from a balance on, and the balance after them; `None` where it is too much to deposit to.
pub(super) fn steps(start: Amount) -> Option<(Vec<DemoStep>, Amount)> {
    let (forty, thirty) = (Amount::from_units(40)?, Amount::from_units(30)?);
    let sum = start.checked_add(forty)?;
    // One unit more than there is, in whole units, as a person types it; within the limit of one operation.
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
        DemoStep::new("Ask for the balance", "3", MENU).shows(start).tells(receipt(start)),
        DemoStep::new("Choose to deposit", "1", "How much would you like to deposit?"),
        DemoStep::new("Deposit", "40", "Amount deposited: $40.")
            .shows(sum)
            .tells(Outcome::Done(Receipt::Deposited { amount: forty, balance: sum })),
        DemoStep::new("Ask for the balance", "balance", MENU).shows(sum).tells(receipt(sum)),
        DemoStep::new("Choose what is not there", "4", "That is not a valid choice."),
        DemoStep::new("Choose to withdraw", "2", "How much would you like to withdraw?").shows(sum),
        DemoStep::new("Type what is no amount", "-40", "That is not an amount").shows(sum),
        DemoStep::new("Withdraw more than there is", &too_much.to_string(), "There is not enough money")
            .shows(sum)
            .tells(insufficient(sum)),
        DemoStep::new("Withdraw", "30", "Amount withdrawn: $30.").shows(rest).tells(withdrawn(thirty, rest)),
        DemoStep::new("Withdraw in one answer", "withdraw all", "Amount withdrawn: ")
            .shows(Amount::ZERO)
            .tells(withdrawn(rest, Amount::ZERO)),
        DemoStep::new("Withdraw from nothing", "2", "There is nothing to withdraw").shows(Amount::ZERO),
        DemoStep::new("Ask for the balance", "3", MENU).shows(Amount::ZERO).tells(receipt(Amount::ZERO)),
        DemoStep { ends: true, ..DemoStep::new("Leave", "exit", "Goodbye.") },
    ];
    Some((steps, Amount::ZERO))
}

/// The balance that a text names first.
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
    fn a_wrong_reply_is_found() {
        let steps = steps(Amount::from_units(100).unwrap()).unwrap().0;
        let deposit = &steps[3];
        let balance = deposit.balance;
        let good = ReceivedMessage {
            text: "Amount deposited: $40. Your balance is $140.\n\nWelcome".into(),
            prompt: Some(Some(3)),
            ends: false,
            welcome: false,
            outcome: deposit.outcome,
            notice: None,
            seq: Some(3),
            re: Some(2),
            plain: false,
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
    fn any_balance_that_leaves_room_will_do() {
        for minor in [0, 1, 10_050, 80_000_000] {
            assert!(steps(Amount::from_minor(minor).unwrap()).is_some(), "{minor}");
        }
        assert!(steps(Amount::MAX).is_none());
    }
}
