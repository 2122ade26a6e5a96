//! One-shot operation: an operation of the command line in place of a conversation, and its result as one JSON object.
use super::ReceivedMessage;
use crate::exit::Exit;
use atm_core::ledger::{AccountNumber, Outcome, Receipt};
use std::fmt::{self, Write as _};
use zeroize::Zeroizing;

/// What the words of a command line must be.
const USAGE: &str =
    "an address is HOST:PORT, and an operation balance, deposit AMOUNT, withdraw AMOUNT or withdraw all";

/// What they may be too, with a card.
const CARD_USAGE: &str = "transfer PAYEE AMOUNT or statement";

/// The greatest number of an account: 9 digits.
const MAX_ACCOUNT: u32 = 999_999_999;

/// An operation of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Ask for the balance.
    Balance,
    /// Deposit so much: whole units, or cents too with a card.
    Deposit(Sum),
    /// Withdraw so many whole units.
    Withdraw(u64),
    /// Withdraw the whole balance.
    WithdrawAll,
    /// Transfer so much to this account, with a card.
    Transfer {
        /// The account.
        payee: AccountNumber,
        /// How much.
        amount: Sum,
    },
    /// Show the last movements, with a card.
    Statement,
}

/// A sum of money as it was typed, of any size: the host has the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    units: u64,
    cents: u64,
}

impl Sum {
    fn is(self, units: u64, cents: u64) -> bool {
        (self.units, self.cents) == (units, cents)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cents {
            0 => write!(f, "{}", self.units),
            cents => write!(f, "{}.{cents:02}", self.units),
        }
    }
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
    /// Do a card's number and PIN come first?
    pub by_card: bool,
    /// The card's account, if it has several.
    pub account: Option<AccountNumber>,
}

impl OneShot {
    /// Does the operation move money?
    pub(super) fn moves_money(self) -> bool {
        !matches!(self.operation, Operation::Balance | Operation::Statement)
    }

    /// How many answers come before those of the operation.
    pub(super) fn sign_in_answers(self) -> usize {
        if self.by_card { 2_usize.saturating_add(self.account.iter().count()) } else { 0 }
    }

    /// The answers, each with its newline; `card` has those with the number and the PIN.
    pub(super) fn lines(self, card: &str) -> Zeroizing<String> {
        let account = self.account.map_or_else(String::new, |AccountNumber(number)| format!("{number}\n"));
        let operation = self.operation.answers().join("\n");
        // Of its whole length from the start: a string that grows leaves a copy of what it had.
        let length = [card.len(), account.len(), operation.len()].iter().sum();
        let mut lines = Zeroizing::new(String::with_capacity(length));
        for part in [card, &account, &operation] {
            lines.push_str(part);
        }
        lines
    }
}

impl Operation {
    /// Reads the words of a command line; with a card there are more of them, and cents.
    ///
    /// # Errors
    /// What the words must be.
    pub fn parse(words: &[String], by_card: bool) -> Result<Self, String> {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let usage = if by_card { format!("{USAGE}, {CARD_USAGE}") } else { USAGE.to_owned() };
        let amount = |text: &str| {
            units(text).ok_or_else(|| format!("{text} is not an amount in whole units: {usage}"))
        };
        let sum = |text: &str| match text.split_once('.').filter(|_| by_card) {
            None => amount(text).map(|units| Sum { units, cents: 0 }),
            Some((whole, cents)) => match (units(whole), units(cents).filter(|_| cents.len() == 2)) {
                (Some(units), Some(cents)) => Ok(Sum { units, cents }),
                _ => Err(format!("{text} is not an amount, as 12 or 12.34: {usage}")),
            },
        };
        match words.as_slice() {
            ["balance"] => Ok(Self::Balance),
            ["deposit", text] => sum(text).map(Self::Deposit),
            ["withdraw", "all"] => Ok(Self::WithdrawAll),
            ["withdraw", text] => amount(text).map(Self::Withdraw),
            ["statement"] if by_card => Ok(Self::Statement),
            ["transfer", payee, text] if by_card => {
                let number = payee.parse().ok().filter(|number| (1..=MAX_ACCOUNT).contains(number));
                let payee = number.map(AccountNumber).ok_or(format!("{payee} is not an account's number"))?;
                Ok(Self::Transfer { payee, amount: sum(text)? })
            }
            ["statement" | "transfer", ..] => Err(format!("{CARD_USAGE} needs a card: --card-fd")),
            _ => Err(usage),
        }
    }

    /// The answers to the menu and to the prompts after it. A payee is confirmed by its number, which is on the command line.
    fn answers(self) -> Vec<String> {
        match self {
            Self::Balance => vec!["balance".to_owned()],
            Self::Statement => vec!["statement".to_owned()],
            Self::Deposit(sum) => vec![format!("deposit {sum}")],
            Self::Withdraw(units) => vec![format!("withdraw {units}")],
            Self::WithdrawAll => vec!["withdraw all".to_owned()],
            Self::Transfer { payee: AccountNumber(payee), amount } => {
                vec!["transfer".to_owned(), payee.to_string(), amount.to_string(), "yes".to_owned()]
            }
        }
    }

    /// How many answers it needs.
    pub(super) fn answer_count(self) -> usize {
        self.answers().len()
    }

    /// Its name on the wire.
    fn name(self) -> &'static str {
        match self {
            Self::Balance => "balance",
            Self::Deposit(_) => "deposit",
            Self::Withdraw(_) | Self::WithdrawAll => "withdrawal",
            Self::Transfer { .. } => "transfer",
            Self::Statement => "statement",
        }
    }

    /// Does a reply say that it is done: by its outcome, or by its text on a wire without fields? A host of others may reply with anything.
    pub(super) fn is_confirmed_by(self, outcome: Option<Outcome>, text: &str) -> bool {
        let begin = match self {
            Self::Balance => "Your balance is $",
            Self::Deposit(_) => "Amount deposited: $",
            Self::Withdraw(_) | Self::WithdrawAll => "Amount withdrawn: $",
            Self::Transfer { .. } => "Amount transferred: $",
            Self::Statement => {
                return outcome.is_none()
                    && (text.contains(", balance $") || text == "There are no movements.");
            }
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
            (Self::Deposit(asked), Outcome::Done(Receipt::Deposited { amount, .. })) => {
                asked.is(amount.units(), amount.cents())
            }
            (Self::Withdraw(units), Outcome::Done(Receipt::Withdrawn { amount, .. })) => {
                Sum { units, cents: 0 }.is(amount.units(), amount.cents())
            }
            (
                Self::Transfer { payee, amount },
                Outcome::Done(Receipt::Transferred { payee: to, amount: moved, .. }),
            ) => payee == to && amount.is(moved.units(), moved.cents()),
            // A dispenser has no cents: they are left.
            (Self::WithdrawAll, Outcome::Done(Receipt::Withdrawn { balance, .. })) => balance.units() == 0,
            _ => false,
        }
    }

    /// Does a text say that an earlier request of the same card has done it? With a card, an earlier outcome comes without fields.
    pub(super) fn was_done_by(self, text: &str) -> bool {
        let Some((_, earlier)) = text.split_once(EARLIER) else { return false };
        let begin = match self {
            Self::Balance | Self::Statement => return false,
            Self::Deposit(sum) => format!("Amount deposited: ${sum}. "),
            Self::Withdraw(units) => format!("Amount withdrawn: ${units}. "),
            Self::WithdrawAll => "Amount withdrawn: $".to_owned(),
            Self::Transfer { payee: AccountNumber(payee), amount } => {
                format!("Amount transferred: ${amount} to account {payee}. ")
            }
        };
        let has_no_unit = earlier.split("\n\n").next().is_some_and(|text| text.contains("balance is $0."));
        earlier.starts_with(&begin) && (self != Self::WithdrawAll || has_no_unit)
    }
}

/// What comes before the outcome of an earlier request.
const EARLIER: &str = "About your earlier request:\n\n";

/// A whole number of units.
fn units(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
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
mod tests;
