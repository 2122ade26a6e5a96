//! A session on the `json` or the `raw` wire, with as few instructions for a reply as possible.
//!
//! The core's terminal endpoint takes some 33,000 instructions for a reply in JSON, more than a server for an
//! answer: a load generator over it would measure itself. This one only parses what the simulated customer
//! checks.
use super::{
    atm_session::{self, AtmSession},
    balance_auditor::Movement,
    customer::{Customer, OpenPrompt, ParsedReply, ReportedOutcome},
    json_reader::{self, JsonReply},
    named_terminals::NamedTerminals,
    protocol::{ClientProtocol, Received, SessionError},
};
use atm_core::money::Amount;

/// The longest accepted message, in bytes; those of the server have at most 1,024.
const MAX_MESSAGE: usize = 4096;

/// Bytes of the length in front of a message on the `json` wire.
const HEADER: usize = 4;

/// The last words of each prompt, as escaped in JSON: those of this project and of the program that it
/// replaces.
const MENU: [&[u8]; 2] = [b"quit also stops the server.", br"3. Balance\n"];
const DEPOSIT: [&[u8]; 2] = [b"deposit? (whole units, or back)", b"deposit?"];
const WITHDRAW: [&[u8]; 2] = [b"(whole units, all, or back)", b"withdraw?"];

/// A session on the `json` or the `raw` wire.
#[derive(Debug)]
pub struct TextSession<'a> {
    customer: Customer<'a>,
    /// Do messages have a length in front of them, and numbers?
    framed: bool,
    /// The number of the open prompt.
    prompt: Option<u64>,
    /// The start of an incomplete message.
    kept: Vec<u8>,
    /// On the `raw` wire: the outcome in a message before the prompt.
    outcome: Option<ReportedOutcome>,
    /// `None` for a session without a name.
    terminals: Option<NamedTerminals>,
}

impl<'a> TextSession<'a> {
    /// A session on the `json` wire.
    pub fn json(customer: Customer<'a>) -> Self {
        Self { customer, framed: true, prompt: None, kept: Vec::new(), outcome: None, terminals: None }
    }

    /// A session on the `json` wire that says hello as one of these terminals.
    pub fn named(customer: Customer<'a>, terminals: NamedTerminals) -> Self {
        Self { terminals: Some(terminals), ..Self::json(customer) }
    }

    /// A session on the `raw` wire, with this project's server or the one that it replaces.
    pub fn raw(customer: Customer<'a>) -> Self {
        Self { framed: false, ..Self::json(customer) }
    }

    /// Takes messages up to the end of a reply; returns how many bytes.
    fn parse(&mut self, bytes: &[u8]) -> Result<(usize, Received), SessionError> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            let Some((length, object)) = self.message(rest)? else {
                return Ok((taken, Received::Incomplete));
            };
            taken = taken.saturating_add(length);
            let received = if self.framed { self.numbered(&object)? } else { self.unnumbered(&object)? };
            if received != Received::Incomplete {
                return Ok((taken, received));
            }
        }
    }

    /// The first message, and its number of bytes including the frame; `None` if it is incomplete.
    fn message<'b>(&self, bytes: &'b [u8]) -> Result<Option<(usize, JsonReply<'b>)>, SessionError> {
        if !self.framed {
            return match json_reader::read(bytes) {
                Some(object) => Ok(Some((object.length, object))),
                None if bytes.len() > MAX_MESSAGE || is_no_object(bytes) => Err(not_a_message(bytes)),
                None => Ok(None),
            };
        }
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
        if length > MAX_MESSAGE {
            return Err(not_a_message(bytes));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        match json_reader::read(body) {
            Some(object) if object.length == length => Ok(Some((length.saturating_add(HEADER), object))),
            _ => Err(not_a_message(body)),
        }
    }

    /// Handles a message of the `json` wire.
    fn numbered(&mut self, object: &JsonReply<'_>) -> Result<Received, SessionError> {
        let unexpected = || unexpected(object);
        if object.error.is_some() || object.notice.is_some() || object.end {
            return Err(unexpected());
        }
        let (Some(seq), Some(true), Some(open)) = (object.seq, object.input, open_prompt(object.data)) else {
            return Err(unexpected());
        };
        if let Some(terminals) = self.terminals.as_mut().filter(|terminals| terminals.awaits_welcome()) {
            if open != OpenPrompt::Menu {
                return Err(unexpected());
            }
            terminals.receive_welcome(object)?;
            terminals.show(seq);
            self.prompt = Some(seq);
            return Ok(Received::Reply { completes_operation: false });
        }
        if object.re != self.prompt || self.prompt.is_some_and(|prompt| seq <= prompt) {
            let prompt = |number: Option<u64>| number.map_or("none".to_owned(), |number| number.to_string());
            let (re, current) = (prompt(object.re), prompt(self.prompt));
            return Err(SessionError(format!(
                "message {seq} is a reply to prompt {re}, but the open one is {current}"
            )));
        }
        self.prompt = Some(seq);
        if let Some(terminals) = &mut self.terminals {
            terminals.show(seq);
        }
        let outcome = match object.outcome {
            None => None,
            Some(outcome) => Some(outcome_in_fields(outcome, object).ok_or_else(unexpected)?),
        };
        self.customer.receive(&ParsedReply { prompt: open, outcome })
    }

    /// Handles a message of the `raw` wire.
    fn unnumbered(&mut self, object: &JsonReply<'_>) -> Result<Received, SessionError> {
        let unexpected = || unexpected(object);
        let prompt = if object.input == Some(true) {
            Some(open_prompt(object.data).ok_or_else(unexpected)?)
        } else {
            None
        };
        // The original's prompt for a withdrawal starts like the outcome of a balance query, but is none.
        if !matches!(prompt, Some(OpenPrompt::Withdraw { .. }))
            || !object.data.starts_with(b"Your balance is ")
        {
            self.outcome = self.outcome.take().or(outcome_in_text(object.data));
        }
        match prompt {
            Some(prompt) => self.customer.receive(&ParsedReply { prompt, outcome: self.outcome.take() }),
            None if self.outcome.is_none() && !object.data.starts_with(b"Not a valid") => Err(unexpected()),
            None => Ok(Received::Incomplete),
        }
    }
}

impl ClientProtocol for TextSession<'_> {
    fn is_greeted(&self) -> bool {
        true
    }

    fn is_opening(&self) -> bool {
        self.terminals.as_ref().is_some_and(NamedTerminals::is_opening)
    }

    fn write_request(&mut self, out: &mut Vec<u8>) {
        if let Some(terminals) = &mut self.terminals
            && self.customer.is_at_menu()
            && terminals.choose()
        {
            return frame(out, |out| terminals.write_hello(out));
        }
        let (framed, prompt) = (self.framed, self.prompt);
        self.customer.write_input(|word, number| {
            let write_input = |out: &mut Vec<u8>| {
                out.extend_from_slice(word.as_bytes());
                if let Some(number) = number {
                    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
                }
            };
            if !framed {
                return write_input(out);
            }
            frame(out, |out| {
                out.push(b'{');
                if let Some(prompt) = prompt {
                    out.extend_from_slice(b"\"re\":");
                    out.extend_from_slice(itoa::Buffer::new().format(prompt).as_bytes());
                    out.push(b',');
                }
                out.extend_from_slice(b"\"data\":\"");
                write_input(out);
                out.extend_from_slice(b"\"}");
            });
        });
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Received, SessionError> {
        atm_session::receive_buffered(self, |session| &mut session.kept, Self::parse, bytes)
    }
}

impl<'a> AtmSession<'a> for TextSession<'a> {
    fn customer(&mut self) -> &mut Customer<'a> {
        &mut self.customer
    }
}

/// Appends a message with its length in front of it.
fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; HEADER]);
    write(out);
    let length = out.len().saturating_sub(begin).saturating_sub(HEADER);
    let header = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(slot) = out.get_mut(begin..begin.saturating_add(HEADER)) {
        slot.copy_from_slice(&header);
    }
}

/// Is this certainly not the start of an object?
fn is_no_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{')
}

fn unexpected(object: &JsonReply<'_>) -> SessionError {
    SessionError(format!("unexpected message from the server: {}", String::from_utf8_lossy(object.data)))
}

fn not_a_message(bytes: &[u8]) -> SessionError {
    let start = bytes.get(..bytes.len().min(80)).unwrap_or_default();
    SessionError(format!("not a message of this wire: {}", String::from_utf8_lossy(start).escape_debug()))
}

/// The prompt that a text ends with.
fn open_prompt(text: &[u8]) -> Option<OpenPrompt> {
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

/// The amount at the start of a text, without its `$`.
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

/// The outcome in a reply's fields; `None` for one that no operation of a customer has.
fn outcome_in_fields(outcome: &[u8], object: &JsonReply<'_>) -> Option<ReportedOutcome> {
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

/// The outcome in a reply's text, on the `raw` wire.
fn outcome_in_text(text: &[u8]) -> Option<ReportedOutcome> {
    let moved =
        |words: &[u8]| text.strip_prefix(words).map(|rest| rest.strip_prefix(b": $").and_then(amount));
    let balance = || {
        let at = memchr::memmem::find(text, b"balance is $")?;
        amount(text.get(at..)?.strip_prefix(b"balance is $")?)
    };
    if let Some(amount) = moved(b"Amount deposited") {
        return Some(ReportedOutcome::Moved(Movement::Deposit, amount, balance()?));
    }
    if let Some(amount) = moved(b"Amount withdrawn") {
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
