//! One-shot operation: an operation of the command line in place of a conversation, and its result as one JSON object.
use super::ReceivedMessage;
use crate::exit::Exit;
use atm_core::ledger::{Outcome, Receipt};
use std::fmt::{self, Write as _};

/// What the words of a command line must be.
const USAGE: &str =
    "an address is HOST:PORT, and an operation balance, deposit AMOUNT, withdraw AMOUNT or withdraw all";

/// An operation of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Ask for the balance.
    Balance,
    /// Deposit so many whole units.
    Deposit(u64),
    /// Withdraw so many whole units.
    Withdraw(u64),
    /// Withdraw the whole balance.
    WithdrawAll,
}

/// An operation that a client carries out before it leaves, without reading its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneShot {
    /// The operation.
    pub operation: Operation,
    /// Is the result printed as a JSON object, and not as text?
    pub json: bool,
    /// The request of an earlier start that has no reply: its outcome is learned first.
    pub pending: Option<u64>,
}

impl OneShot {
    /// Does the operation move money?
    pub(super) fn moves_money(self) -> bool {
        self.operation != Operation::Balance
    }
}

impl Operation {
    /// Reads the words of a command line.
    ///
    /// # Errors
    /// What the words must be.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let amount = |text: &str| match text.parse() {
            Ok(units) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(units),
            _ => Err(format!("{text} is not an amount in whole units: {USAGE}")),
        };
        match words.as_slice() {
            ["balance"] => Ok(Self::Balance),
            ["deposit", text] => amount(text).map(Self::Deposit),
            ["withdraw", "all"] => Ok(Self::WithdrawAll),
            ["withdraw", text] => amount(text).map(Self::Withdraw),
            _ => Err(USAGE.to_owned()),
        }
    }

    /// Its name on the wire.
    fn name(self) -> &'static str {
        match self {
            Self::Balance => "balance",
            Self::Deposit(_) => "deposit",
            Self::Withdraw(_) | Self::WithdrawAll => "withdrawal",
        }
    }

    /// Does a reply say that it is done: by its outcome, or by its text on a wire without fields? A host of others may reply with anything.
    pub(super) fn is_confirmed_by(self, outcome: Option<Outcome>, text: &str) -> bool {
        let begin = match self {
            Self::Balance => "Your balance is $",
            Self::Deposit(_) => "Amount deposited: $",
            Self::Withdraw(_) | Self::WithdrawAll => "Amount withdrawn: $",
        };
        match outcome {
            Some(Outcome::Done(Receipt::Balance { .. })) => self == Self::Balance,
            Some(outcome) => self.is_done_by(outcome),
            None => text.starts_with(begin),
        }
    }

    /// Is this the outcome of a request for the same movement of money? Then the command is the repetition of that request.
    pub(super) fn is_done_by(self, outcome: Outcome) -> bool {
        match (self, outcome) {
            (Self::Deposit(asked), Outcome::Done(Receipt::Deposited { amount, .. }))
            | (Self::Withdraw(asked), Outcome::Done(Receipt::Withdrawn { amount, .. })) => {
                (asked, 0) == (amount.units(), amount.cents())
            }
            (Self::WithdrawAll, Outcome::Done(Receipt::Withdrawn { balance, .. })) => balance.is_zero(),
            _ => false,
        }
    }
}

/// The answer to the menu.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balance => f.write_str("balance"),
            Self::Deposit(amount) => write!(f, "deposit {amount}"),
            Self::Withdraw(amount) => write!(f, "withdraw {amount}"),
            Self::WithdrawAll => f.write_str("withdraw all"),
        }
    }
}

/// The result as a JSON object in one line. Amounts are in minor units, as on the wire and in an export; `text` is what the host said.
pub(super) fn json(
    operation: Operation,
    exit: Exit,
    message: &ReceivedMessage,
    text: &str,
    earlier: bool,
) -> String {
    let mut object = format!(r#"{{"operation":"{}","outcome":"{}""#, operation.name(), outcome_name(exit));
    let (mut amounts, mut reason) = ([("amount", None), ("balance", None)], None);
    let [(_, amount), (_, balance)] = &mut amounts;
    match message.outcome {
        Some(Outcome::Done(Receipt::Balance { balance: shown })) => *balance = Some(shown),
        Some(Outcome::Done(
            Receipt::Deposited { amount: moved, balance: shown }
            | Receipt::Withdrawn { amount: moved, balance: shown }
            | Receipt::Transferred { amount: moved, balance: shown, .. },
        )) => (*amount, *balance) = (Some(moved), Some(shown)),
        Some(Outcome::Refused(refusal)) => {
            (reason, *balance) = (Some(refusal.code()), refusal.balance());
        }
        Some(
            Outcome::Done(Receipt::Verified { .. } | Receipt::PinChanged | Receipt::Payee { .. })
            | Outcome::NotDone
            | Outcome::Unknown,
        )
        | None => {}
    }
    // Writing to a string cannot fail.
    for (name, amount) in amounts {
        let _ = amount.map_or(Ok(()), |amount| write!(object, r#","{name}":{}"#, amount.minor()));
    }
    let _ = reason.map_or(Ok(()), |reason| write!(object, r#","reason":"{reason}""#));
    let _ = message.re.map_or(Ok(()), |id| write!(object, r#","id":{id}"#));
    if earlier {
        object.push_str(r#","earlier":true"#);
    }
    if !text.is_empty() {
        object.push_str(r#","text":""#);
        for c in text.chars() {
            let _ = match c {
                '"' | '\\' => write!(object, "\\{c}"),
                ' '..='~' => write!(object, "{c}"),
                c => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(object, "\\u{unit:04x}")),
            };
        }
        object.push('"');
    }
    object + "}"
}

/// The name of an outcome on the wire.
fn outcome_name(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Refused => "refused",
        Exit::NotDone => "not-done",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::{ledger::Refusal, money::Amount};

    fn units(units: u64) -> Amount {
        Amount::from_units(units).unwrap()
    }

    #[test]
    fn the_words_of_a_command_line_are_an_operation() {
        let parse = |line: &str| Operation::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for line in ["balance", "deposit 40", "withdraw 30", "withdraw all", "deposit 0"] {
            assert_eq!(parse(line).unwrap().to_string(), line);
        }
        for line in
            ["", "deposit", "deposit all", "deposit -1", "deposit 40.00", "Balance 3", "balance 3", "exit"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_same_movement_of_money_is_a_repetition() {
        let deposited = |amount| Outcome::Done(Receipt::Deposited { amount, balance: units(140) });
        let withdrawn =
            |amount, balance| Outcome::Done(Receipt::Withdrawn { amount, balance: units(balance) });
        for (operation, outcome, same) in [
            (Operation::Deposit(40), deposited(units(40)), true),
            (Operation::Deposit(40), deposited(units(41)), false),
            (Operation::Deposit(40), withdrawn(units(40), 1), false),
            (Operation::Deposit(40), Outcome::NotDone, false),
            (Operation::Withdraw(40), withdrawn(units(40), 1), true),
            (Operation::WithdrawAll, withdrawn(units(40), 0), true),
            (Operation::WithdrawAll, withdrawn(units(40), 1), false),
            (Operation::Balance, Outcome::Done(Receipt::Balance { balance: units(1) }), false),
        ] {
            assert_eq!(operation.is_done_by(outcome), same, "{operation} {outcome:?}");
        }
    }

    #[test]
    fn a_reply_of_another_host_confirms_nothing() {
        let deposit = Operation::Deposit(40);
        assert!(deposit.is_confirmed_by(None, "Amount deposited: $40. Your balance is $140."));
        assert!(!deposit.is_confirmed_by(None, "Invalid choice") && !deposit.is_confirmed_by(None, ""));
        assert!(!deposit.is_confirmed_by(Some(Outcome::NotDone), "Amount deposited: $40."));
        let confirms =
            |operation: Operation, receipt| operation.is_confirmed_by(Some(Outcome::Done(receipt)), "");
        let (balance, amount) = (units(140), units(40));
        assert!(confirms(Operation::Balance, Receipt::Balance { balance }));
        assert!(!confirms(deposit, Receipt::Balance { balance }));
        assert!(confirms(deposit, Receipt::Deposited { amount, balance }));
        assert!(!confirms(deposit, Receipt::Deposited { amount: units(41), balance }));
        assert!(!confirms(deposit, Receipt::Withdrawn { amount, balance }));
    }

    #[test]
    fn a_result_is_one_json_object() {
        let message = |outcome| ReceivedMessage { outcome: Some(outcome), re: Some(7), ..Default::default() };
        let done = message(Outcome::Done(Receipt::Withdrawn { amount: units(40), balance: units(100) }));
        assert_eq!(
            json(Operation::WithdrawAll, Exit::Done, &done, "a \"b\"\n\u{1f600}", true),
            r#"{"operation":"withdrawal","outcome":"done","amount":4000,"balance":10000,"id":7,"earlier":true,"text":"a \"b\"\u000a\ud83d\ude00"}"#
        );
        let refused = message(Outcome::Refused(Refusal::Insufficient { balance: units(1) }));
        assert_eq!(
            json(Operation::Withdraw(9), Exit::Refused, &refused, "", false),
            r#"{"operation":"withdrawal","outcome":"refused","balance":100,"reason":"insufficient","id":7}"#
        );
        assert_eq!(
            json(Operation::Deposit(9), Exit::Unknown, &ReceivedMessage::default(), "", false),
            r#"{"operation":"deposit","outcome":"unknown"}"#
        );
    }
}
