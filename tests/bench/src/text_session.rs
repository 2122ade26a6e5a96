//! The `json` and `raw` wires, read and written as cheaply as it can be done.
//!
//! The core's endpoint takes some 33,000 instructions for a reply in JSON, which is more than a server needs for an answer:
//! a load of it would measure itself. This side takes every byte apart only as far as a person needs it.
use super::{
    atm_session::{self, AtmSession},
    balance_auditor::Movement,
    customer::{Customer, OpenPrompt, ParsedReply, ReportedOutcome},
    json_reader::{self, JsonReply},
    protocol::{ClientProtocol, Received, SessionError},
};
use atm_core::money::Amount;

/// The longest message that is waited for, in bytes; a server's have at most 1,024.
const LONGEST: usize = 4096;

/// Bytes of the length before a message on the `json` wire.
const HEADER: usize = 4;

/// What the last words of a prompt are, as they stand in JSON: this program's and those of the one that it replaces.
const MENU: [&[u8]; 2] = [b"quit also stops the server.", br"3. Balance\n"];
const DEPOSIT: [&[u8]; 2] = [b"deposit? (whole units, or back)", b"deposit?"];
const WITHDRAW: [&[u8]; 2] = [b"(whole units, all, or back)", b"withdraw?"];

/// A session on the `json` or the `raw` wire.
#[derive(Debug)]
pub struct TextSession<'a> {
    person: Customer<'a>,
    /// Do messages have a length before them, and numbers?
    framed: bool,
    /// The number of the open prompt.
    prompt: Option<u64>,
    /// The beginning of a message whose end is still to come.
    held: Vec<u8>,
    /// On the `raw` wire: what the messages before the prompt told.
    outcome: Option<ReportedOutcome>,
}

impl<'a> TextSession<'a> {
    /// A session on the `json` wire.
    pub fn json(person: Customer<'a>) -> Self {
        Self { person, framed: true, prompt: None, held: Vec::new(), outcome: None }
    }

    /// A session on the `raw` wire, with this server or with the one that it replaces.
    pub fn raw(person: Customer<'a>) -> Self {
        Self { framed: false, ..Self::json(person) }
    }

    /// Takes messages up to the end of a reply; says how many bytes that were.
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, Received), SessionError> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            let Some((length, object)) = self.message(rest)? else { return Ok((taken, Received::More)) };
            taken = taken.saturating_add(length);
            let heard = if self.framed { self.numbered(&object)? } else { self.bare(&object)? };
            if heard != Received::More {
                return Ok((taken, heard));
            }
        }
    }

    /// The first message, where it is whole, and how many bytes it has with its frame.
    fn message<'b>(&self, bytes: &'b [u8]) -> Result<Option<(usize, JsonReply<'b>)>, SessionError> {
        if !self.framed {
            return match json_reader::read(bytes) {
                Some(object) => Ok(Some((object.length, object))),
                None if bytes.len() > LONGEST || no_object(bytes) => Err(unreadable(bytes)),
                None => Ok(None),
            };
        }
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(unreadable(bytes));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        match json_reader::read(body) {
            Some(object) if object.length == length => Ok(Some((length.saturating_add(HEADER), object))),
            _ => Err(unreadable(body)),
        }
    }

    fn numbered(&mut self, object: &JsonReply<'_>) -> Result<Received, SessionError> {
        let said = || SessionError(format!("the server said: {}", String::from_utf8_lossy(object.data)));
        if object.error.is_some() || object.notice.is_some() || object.end {
            return Err(said());
        }
        let (Some(seq), Some(true), Some(at)) = (object.seq, object.input, at(object.data)) else {
            return Err(said());
        };
        if object.re != self.prompt || self.prompt.is_some_and(|prompt| seq <= prompt) {
            let prompt = |number: Option<u64>| number.map_or("none".to_owned(), |number| number.to_string());
            let (re, open) = (prompt(object.re), prompt(self.prompt));
            return Err(SessionError(format!(
                "message {seq} is a reply to prompt {re}, and the open one is {open}"
            )));
        }
        self.prompt = Some(seq);
        let outcome = match object.outcome {
            None => None,
            Some(outcome) => Some(told(outcome, object).ok_or_else(said)?),
        };
        self.person.hear(&ParsedReply { at, outcome })
    }

    fn bare(&mut self, object: &JsonReply<'_>) -> Result<Received, SessionError> {
        let said = || SessionError(format!("the server said: {}", String::from_utf8_lossy(object.data)));
        let at = if object.input == Some(true) { Some(at(object.data).ok_or_else(said)?) } else { None };
        // What follows from a question needs none: it has the balance in the same words.
        if !matches!(at, Some(OpenPrompt::Withdraw { .. })) || !object.data.starts_with(b"Your balance is ") {
            self.outcome = self.outcome.take().or(shown(object.data));
        }
        match at {
            Some(at) => self.person.hear(&ParsedReply { at, outcome: self.outcome.take() }),
            None if self.outcome.is_none() && !object.data.starts_with(b"Not a valid") => Err(said()),
            None => Ok(Received::More),
        }
    }
}

impl ClientProtocol for TextSession<'_> {
    fn is_greeted(&self) -> bool {
        true
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        let (framed, prompt, begin) = (self.framed, self.prompt, out.len());
        self.person.answer(|word, number| {
            if framed {
                out.extend_from_slice(&[0; HEADER]);
                out.push(b'{');
                if let Some(prompt) = prompt {
                    out.extend_from_slice(b"\"re\":");
                    digits(prompt, out);
                    out.push(b',');
                }
                out.extend_from_slice(b"\"data\":\"");
            }
            out.extend_from_slice(word.as_bytes());
            if let Some(number) = number {
                digits(number, out);
            }
            if framed {
                out.extend_from_slice(b"\"}");
                let length = out.len().saturating_sub(begin).saturating_sub(HEADER);
                let header = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
                if let Some(slot) = out.get_mut(begin..begin.saturating_add(HEADER)) {
                    slot.copy_from_slice(&header);
                }
            }
        });
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<Received, SessionError> {
        atm_session::hear(self, |text| &mut text.held, Self::take, bytes)
    }
}

impl<'a> AtmSession<'a> for TextSession<'a> {
    fn person(&mut self) -> &mut Customer<'a> {
        &mut self.person
    }
}

/// Does it begin as no object does?
fn no_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{')
}

fn unreadable(bytes: &[u8]) -> SessionError {
    let start = bytes.get(..bytes.len().min(80)).unwrap_or_default();
    SessionError(format!(
        "this is no message of this wire: {}",
        String::from_utf8_lossy(start).escape_debug()
    ))
}

fn digits(mut number: u64, out: &mut Vec<u8>) {
    let (mut text, mut at) = ([0u8; 20], 20usize);
    loop {
        at = at.saturating_sub(1);
        if let Some(slot) = text.get_mut(at) {
            *slot = b'0' | u8::try_from(number % 10).unwrap_or(0);
        }
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
}

/// The prompt that a text ends in.
fn at(text: &[u8]) -> Option<OpenPrompt> {
    let ends = |words: [&[u8]; 2]| words.iter().any(|words| text.ends_with(words));
    if ends(MENU) {
        Some(OpenPrompt::Menu)
    } else if ends(DEPOSIT) {
        Some(OpenPrompt::Deposit)
    } else if ends(WITHDRAW) {
        let balance = text.strip_prefix(b"Balance: $").or(text.strip_prefix(b"Your balance is $"));
        Some(OpenPrompt::Withdraw { balance: balance.and_then(amount) })
    } else {
        None
    }
}

/// The amount that a text begins with, behind its `$`.
fn amount(text: &[u8]) -> Option<Amount> {
    let digit = |byte: &&u8| byte.is_ascii_digit();
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0u64, |sum, byte| sum.checked_mul(10)?.checked_add(u64::from(byte & 15)))
    };
    let (units, rest) = text.split_at_checked(text.iter().take_while(digit).count())?;
    let units = number(units).filter(|_| !units.is_empty())?.checked_mul(100)?;
    let cents = match rest {
        [b'.', cents @ ..] => {
            cents.get(..2).filter(|cents| cents.iter().all(u8::is_ascii_digit)).and_then(number)
        }
        _ => None,
    };
    Amount::from_minor(units.checked_add(cents.unwrap_or(0))?)
}

/// The outcome in a reply's fields; `None` for one that means nothing here.
fn told(outcome: &[u8], object: &JsonReply<'_>) -> Option<ReportedOutcome> {
    let amount = |minor: Option<u64>| minor.and_then(Amount::from_minor);
    let balance = amount(object.balance);
    match (outcome, object.operation, object.reason) {
        (b"done", Some(b"balance"), _) => Some(ReportedOutcome::Balance(balance?)),
        (b"done", Some(b"deposit"), _) => {
            Some(ReportedOutcome::Moved(Movement::Deposit, Some(amount(object.amount)?), balance?))
        }
        (b"done", Some(b"withdrawal"), _) => {
            Some(ReportedOutcome::Moved(Movement::Withdrawal, Some(amount(object.amount)?), balance?))
        }
        (b"refused", _, Some(b"insufficient")) => Some(ReportedOutcome::Insufficient(balance)),
        (b"refused", _, Some(b"balance-limit")) => Some(ReportedOutcome::BalanceLimit(balance)),
        _ => None,
    }
}

/// The outcome in a text, where there are no fields.
fn shown(text: &[u8]) -> Option<ReportedOutcome> {
    let way = |words: &[u8]| text.strip_prefix(words).map(|rest| rest.strip_prefix(b": $").and_then(amount));
    let balance = || {
        let at = memchr::memmem::find(text, b"balance is $")?;
        amount(text.get(at..)?.strip_prefix(b"balance is $")?)
    };
    if let Some(amount) = way(b"Amount deposited") {
        return Some(ReportedOutcome::Moved(Movement::Deposit, amount, balance()?));
    }
    if let Some(amount) = way(b"Amount withdrawn") {
        return Some(ReportedOutcome::Moved(Movement::Withdrawal, amount, balance()?));
    }
    let begins = |words: &[&[u8]]| words.iter().any(|words| text.starts_with(words));
    if begins(&[b"Your balance is $"]) {
        return Some(ReportedOutcome::Balance(balance()?));
    }
    if begins(&[b"There is not enough", b"There is nothing to withdraw", b"Insufficient funds"]) {
        return Some(ReportedOutcome::Insufficient(balance()));
    }
    begins(&[b"The account cannot hold"]).then(|| ReportedOutcome::BalanceLimit(balance()))
}

#[cfg(test)]
mod tests;
