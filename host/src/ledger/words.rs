//! Words: an operation, its outcome, and what else a column has, as text, and back.
//!
//! A record is read only if it is the one that gives these very columns.
use atm_core::{
    ledger::{
        AccountNumber, Operation, Outcome, Receipt, Record, Refusal,
        card::{AccountState, Accounts, KeyId, Owner, SECRET, Token, Verifier},
    },
    money::Amount,
    time::UnixTime,
};
use std::{
    fmt::{self, Display},
    time::{Duration, UNIX_EPOCH},
};

/// What stands beside the words of an operation and its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What was moved, or what was requested and refused.
    pub amount: Option<Amount>,
    /// The balance after it.
    pub balance: Option<Amount>,
    /// The account that money was to go to.
    pub payee: Option<AccountNumber>,
    /// Verification: the card's version. Withdrawal-limit: the limit. Day-limit: what is left of it. Delayed: seconds.
    pub detail: Option<u64>,
    /// Verification: the card's accounts.
    pub accounts: Option<Accounts>,
}

/// A time in the format of RFC 3339, up to the year 9999.
pub fn time_text(time: UnixTime) -> String {
    if time.millis() >= 253_402_300_800_000 {
        return format!("{} ms", time.millis());
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(time.millis())).to_string()
}

/// An operation in a word.
pub fn operation_word(operation: Operation) -> &'static str {
    match operation {
        Operation::Inquiry => "balance",
        Operation::Deposit(_) => "deposit",
        Operation::Withdraw(_) => "withdrawal",
        Operation::WithdrawAll => "withdrawal-all",
        Operation::Verify => "verification",
        Operation::ChangePin => "pin-change",
        Operation::Transfer { .. } => "transfer",
        Operation::LookUp { .. } => "payee",
        Operation::Statement => "statement",
    }
}

/// The operation of that word, with the amount and the payee that it names.
pub fn operation(word: &str, Figures { amount, payee, .. }: &Figures) -> Option<Operation> {
    Some(match word {
        "balance" => Operation::Inquiry,
        "deposit" => Operation::Deposit((*amount)?),
        "withdrawal" => Operation::Withdraw((*amount)?),
        "withdrawal-all" => Operation::WithdrawAll,
        "verification" => Operation::Verify,
        "pin-change" => Operation::ChangePin,
        "transfer" => Operation::Transfer { payee: (*payee)?, amount: (*amount)? },
        "payee" => Operation::LookUp { payee: (*payee)? },
        "statement" => Operation::Statement,
        _ => return None,
    })
}

/// The words of an operation, if there is one, and of its outcome, and what stands beside them.
pub fn words(record: &Record) -> (Option<&'static str>, &'static str, Figures) {
    let mut figures = Figures::default();
    match record.operation {
        Some(Operation::Deposit(amount) | Operation::Withdraw(amount)) => figures.amount = Some(amount),
        Some(Operation::Transfer { payee, amount }) => {
            (figures.payee, figures.amount) = (Some(payee), Some(amount));
        }
        Some(Operation::LookUp { payee }) => figures.payee = Some(payee),
        _ => {}
    }
    let outcome = match record.outcome {
        Outcome::Done(receipt) => {
            match receipt {
                Receipt::Deposited { amount, balance }
                | Receipt::Withdrawn { amount, balance }
                | Receipt::Transferred { amount, balance, .. } => {
                    (figures.amount, figures.balance) = (Some(amount), Some(balance));
                }
                Receipt::Balance { balance } => figures.balance = Some(balance),
                Receipt::Verified { version, accounts } => {
                    (figures.detail, figures.accounts) = (Some(version.into()), Some(accounts));
                }
                Receipt::PinChanged | Receipt::Payee { .. } => {}
            }
            "done"
        }
        Outcome::Refused(refusal) => {
            figures.balance = refusal.balance();
            figures.detail = match refusal {
                Refusal::Delayed { seconds } => Some(seconds.into()),
                Refusal::WithdrawalLimit { limit } => Some(limit.minor()),
                Refusal::DayLimit { left } => Some(left.minor()),
                _ => None,
            };
            refusal.code()
        }
        Outcome::NotDone | Outcome::Unknown => "void",
    };
    (record.operation.map(operation_word), outcome, figures)
}

/// The record, without its card, that has these words and figures; `None` if none has exactly these. What only reports is never
/// recorded as done, nor is what was not tried.
pub fn record(
    id: u64,
    operation_word: Option<&str>,
    outcome_word: &str,
    figures: &Figures,
) -> Option<Record> {
    let operation = match operation_word {
        Some(word) => Some(operation(word, figures)?),
        None => None,
    };
    let outcome = match (outcome_word, operation) {
        ("void", None) => Outcome::NotDone,
        ("done", Some(operation)) => Outcome::Done(receipt(operation, figures)?),
        (code, Some(_)) => Outcome::Refused(refusal(code, figures)?),
        _ => return None,
    };
    let record = Record::new(id, operation, outcome);
    let (found, outcome, all) = words(&record);
    (found == operation_word && outcome == outcome_word && all == *figures).then_some(record)
}

fn receipt(operation: Operation, figures: &Figures) -> Option<Receipt> {
    let balance = figures.balance;
    Some(match operation {
        Operation::Deposit(amount) => Receipt::Deposited { amount, balance: balance? },
        Operation::Withdraw(_) | Operation::WithdrawAll => {
            Receipt::Withdrawn { amount: figures.amount?, balance: balance? }
        }
        Operation::Transfer { payee, amount } => Receipt::Transferred { payee, amount, balance: balance? },
        Operation::Verify => {
            Receipt::Verified { version: figures.detail?.try_into().ok()?, accounts: figures.accounts? }
        }
        Operation::ChangePin => Receipt::PinChanged,
        Operation::Inquiry | Operation::LookUp { .. } | Operation::Statement => return None,
    })
}

fn refusal(code: &str, figures: &Figures) -> Option<Refusal> {
    let (balance, detail) = (figures.balance, figures.detail);
    Some(match code {
        "insufficient" => Refusal::Insufficient { balance: balance? },
        "balance-limit" => Refusal::BalanceLimit { balance: balance? },
        "not-verified" => Refusal::NotVerified,
        "delayed" => Refusal::Delayed { seconds: detail?.try_into().ok()? },
        "no-access" => Refusal::NoAccess,
        "frozen" => Refusal::Frozen,
        "closed" => Refusal::Closed,
        "withdrawal-limit" => Refusal::WithdrawalLimit { limit: Amount::from_minor(detail?)? },
        "day-limit" => Refusal::DayLimit { left: Amount::from_minor(detail?)? },
        "no-payee" => Refusal::NoPayee,
        "same-account" => Refusal::SameAccount,
        _ => return None,
    })
}

/// The state of an account in a word.
pub fn state_word(state: AccountState) -> &'static str {
    match state {
        AccountState::Open => "open",
        AccountState::Frozen => "frozen",
        AccountState::Closed => "closed",
    }
}

/// The state of that word.
pub fn state(word: &str) -> Option<AccountState> {
    [AccountState::Open, AccountState::Frozen, AccountState::Closed]
        .into_iter()
        .find(|state| state_word(*state) == word)
}

/// The numbers of a card's accounts, with a blank between them.
pub fn accounts_text(accounts: &Accounts) -> impl Display {
    fmt::from_fn(move |f| {
        accounts.iter().enumerate().try_for_each(|(at, AccountNumber(number))| {
            write!(f, "{}{number}", if at == 0 { "" } else { " " })
        })
    })
}

/// The accounts of that text.
pub fn accounts(text: &str) -> Option<Accounts> {
    let numbers = text.split(' ').filter(|_| !text.is_empty()).map(|number| number.parse().ok());
    let numbers: Option<Vec<_>> = numbers.map(|number| number.filter(|number| *number > 0)).collect();
    Accounts::new(&numbers?.into_iter().map(AccountNumber).collect::<Vec<_>>())
}

/// An owner's name as an entry has it: every byte but ASCII letters, digits, blanks, dots and hyphens is `%XX`.
pub fn owner_text(owner: &Owner) -> impl Display {
    fmt::from_fn(move |f| {
        owner.as_str().bytes().try_for_each(|byte| match byte {
            b' ' | b'.' | b'-' => write!(f, "{}", char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => write!(f, "{}", char::from(byte)),
            _ => write!(f, "%{byte:02X}"),
        })
    })
}

/// The owner of that text.
pub fn owner(text: &str) -> Option<Owner> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()?.parse().ok()
}

/// A token as text: the id of its key and its value.
pub fn token_text(token: &Token) -> String {
    format!("{}:{}", hexadecimal(token.key.0.to_be_bytes()), hexadecimal(token.value))
}

/// The token of that text.
pub fn token(text: &str) -> Option<Token> {
    let (key, value) = text.split_once(':')?;
    Some(Token { key: key_id(key)?, value: bytes(value)? })
}

/// A verifier as text: the ids of its two keys and its value.
pub fn verifier_text(verifier: &Verifier) -> String {
    let [token_key, key] = [verifier.token_key, verifier.key].map(|key| hexadecimal(key.0.to_be_bytes()));
    format!("{token_key}:{key}:{}", hexadecimal(verifier.value))
}

/// The verifier of that text.
pub fn verifier(text: &str) -> Option<Verifier> {
    let (token_key, rest) = text.split_once(':')?;
    let (key, value) = rest.split_once(':')?;
    Some(Verifier { token_key: key_id(token_key)?, key: key_id(key)?, value: bytes::<SECRET>(value)? })
}

/// The id of a key as text.
pub fn key_text(key: KeyId) -> String {
    hexadecimal(key.0.to_be_bytes()).to_string()
}

fn key_id(text: &str) -> Option<KeyId> {
    bytes(text).map(u64::from_be_bytes).map(KeyId)
}

/// The lower-case hexadecimal digits of bytes.
pub fn hexadecimal(bytes: impl AsRef<[u8]>) -> impl Display {
    fmt::from_fn(move |f| bytes.as_ref().iter().try_for_each(|byte| write!(f, "{byte:02x}")))
}

/// The bytes of lower-case hexadecimal digits.
pub fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.as_bytes().iter().all(is_digit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
