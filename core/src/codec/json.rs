//! JSON codec of the `json` and `raw` wires: messages as JSON objects (RFC 8259).
//!
//! [`scan::check`] validates a whole body before serde-json-core parses it. That parser does not check
//! escapes, control characters, the depth of nesting or the values it skips; after the check, all it can
//! still refuse is a field of the wrong type or a duplicate field.
//!
//! Field names are matched as written: one with an escape (`"d\u0061ta"`) is an unknown field. Names,
//! identities and codes are not unescaped either: none of their characters needs an escape.
use super::{
    BufferTooSmall, HostMessage, MessageText,
    scan::{self, ScanError},
    unescape::{JsonStr, Piece},
};
#[cfg(feature = "cards")]
use crate::ledger::AccountNumber;
use crate::{
    ledger::{LedgerId, Outcome, Receipt, Refusal},
    message::{
        Answer, Capabilities, Dispenser, EXTENDED, Fault, Hello, Notice, TerminalMessage, VERSION, Welcome,
    },
    money::Amount,
    number::Number,
};
use serde::{Deserialize, Serialize};
use serde_json_core::str::EscapedStr;

mod fast_path;
mod object;
mod write;
pub use write::{write_bare, write_notice, write_reply};

/// The fields of a host's message, as a terminal parses them.
#[derive(Deserialize)]
struct HostIn<'a> {
    hello: Option<u8>,
    ledger: Option<&'a str>,
    start: Option<Number>,
    attempt: Option<u32>,
    seq: Option<Number>,
    re: Option<Number>,
    input: Option<bool>,
    #[serde(borrow)]
    data: Option<EscapedStr<'a>>,
    end: Option<bool>,
    error: Option<&'a str>,
    notice: Option<&'a str>,
    outcome: Option<&'a str>,
    operation: Option<&'a str>,
    reason: Option<&'a str>,
    amount: Option<Amount>,
    balance: Option<Amount>,
    #[cfg(feature = "cards")]
    secret: Option<bool>,
    #[cfg(feature = "cards")]
    payee: Option<u32>,
    #[cfg(feature = "cards")]
    seconds: Option<u32>,
    #[cfg(feature = "cards")]
    limit: Option<Amount>,
    #[cfg(feature = "cards")]
    left: Option<Amount>,
}

/// The fields of a terminal's message, as a terminal writes them: an answer or a hello.
#[derive(Default, Serialize)]
struct TerminalOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hello: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispenser: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispensed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    re: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
}

/// The fields of a terminal's message, as a host parses them.
#[derive(Deserialize)]
struct TerminalIn<'a> {
    input: Option<bool>,
    hello: Option<Number>,
    terminal: Option<&'a str>,
    start: Option<Number>,
    attempt: Option<Number>,
    ledger: Option<&'a str>,
    shown: Option<Number>,
    pending: Option<Number>,
    resume: Option<bool>,
    capabilities: Option<u8>,
    dispenser: Option<&'a str>,
    dispensed: Option<Number>,
    re: Option<Number>,
    #[serde(borrow)]
    data: Option<EscapedStr<'a>>,
}

/// Validates and parses an object.
fn fields<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    if core::str::from_utf8(body).is_err() {
        return Err(Fault::NotUtf8);
    }
    scan::check(body).map_err(|error| match error {
        ScanError::Malformed => Fault::NotJson,
        ScanError::TooDeep => Fault::TooDeep,
    })?;
    serde_json_core::from_slice(body).map(|(fields, _)| fields).map_err(|_| Fault::NotAMessage)
}

fn write(message: &impl Serialize, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    serde_json_core::to_slice(message, out).map_err(|_| BufferTooSmall)
}

/// Decodes a terminal's message; `None` for a host's message, which an echoing link returns.
///
/// # Errors
/// The [`Fault`] in the body.
pub fn read_terminal(body: &[u8]) -> Result<Option<TerminalMessage>, Fault> {
    if let Some((re, text)) = fast_path::answer(body) {
        return Ok(Some(TerminalMessage::Answer { re: Some(re), answer: Answer::new(text) }));
    }
    parsed(body)
}

/// [`read_terminal`] without the fast path.
fn parsed(body: &[u8]) -> Result<Option<TerminalMessage>, Fault> {
    let fields: TerminalIn<'_> = fields(body)?;
    let attempt = u32::try_from(fields.attempt.map_or(0, u64::from)).map_err(|_| Fault::NotAMessage)?;
    if fields.input.is_some() {
        return Ok(None);
    }
    if let Some(version) = fields.hello {
        let version = u8::try_from(u64::from(version)).map_err(|_| Fault::Version)?;
        let (capabilities, dispenser) =
            if version == EXTENDED { equipment(&fields)? } else { Default::default() };
        let mut hello = Hello {
            version,
            terminal: fields.terminal.map(str::parse).transpose().map_err(|_| Fault::BadName)?,
            start: fields.start.map_or(0, u64::from),
            attempt,
            ledger: fields.ledger.map(str::parse).transpose().map_err(|_| Fault::NotAMessage)?,
            shown: fields.shown.map_or(0, u64::from),
            pending: fields.pending.map(u64::from),
            resume: fields.resume.unwrap_or(false),
            ..Hello::EMPTY
        };
        hello.capabilities = capabilities;
        hello.set_dispenser(dispenser);
        return Ok(Some(TerminalMessage::Hello(hello)));
    }
    let data = fields.data.ok_or(Fault::NotAMessage)?;
    Ok(Some(TerminalMessage::Answer { re: fields.re.map(u64::from), answer: answer(data.0) }))
}

/// What version 2 adds to a hello in clear.
fn equipment(fields: &TerminalIn<'_>) -> Result<(Capabilities, Option<Dispenser>), Fault> {
    let dispenser = match (fields.dispenser, fields.dispensed) {
        (None, None) => None,
        (Some(serial), Some(count)) => {
            // Written like a ledger's identity.
            let LedgerId(serial) = serial.parse().map_err(|_| Fault::NotAMessage)?;
            Some(Dispenser { serial, count: count.into() })
        }
        _ => return Err(Fault::NotAMessage),
    };
    Ok((Capabilities::from_bits(fields.capabilities.unwrap_or(0)), dispenser))
}

/// The answer in a JSON string. One without escapes, the common case, is not copied character by character.
fn answer(escaped: &str) -> Answer {
    if !escaped.contains('\\') {
        return Answer::new(escaped);
    }
    Answer::from_chars(JsonStr::new(escaped).pieces().flat_map(|piece| {
        let (text, one) = match piece {
            Piece::Text(text) => (text, None),
            Piece::Char(c) => ("", Some(c)),
        };
        text.chars().chain(one)
    }))
}

/// Encodes a hello; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_hello(hello: &Hello, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let ledger = hello.ledger.map(LedgerId::digits);
    let is_extended = hello.version == EXTENDED;
    let dispenser = hello.dispenser().filter(|_| is_extended);
    let serial = dispenser.map(|dispenser| LedgerId(dispenser.serial).digits());
    let message = TerminalOut {
        hello: Some(hello.version),
        terminal: hello.terminal.as_ref().map(|name| name.as_str()),
        start: Some(hello.start),
        attempt: Some(hello.attempt),
        ledger: ledger.as_deref(),
        shown: Some(hello.shown),
        pending: hello.pending,
        resume: Some(hello.resume),
        capabilities: is_extended.then_some(hello.capabilities.bits()),
        dispenser: serial.as_deref(),
        dispensed: dispenser.map(|dispenser| dispenser.count),
        ..TerminalOut::default()
    };
    write(&message, out)
}

/// Encodes an answer; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_answer(re: Option<u64>, text: &str, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    write(&TerminalOut { re, data: Some(text), ..TerminalOut::default() }, out)
}

/// Decodes a host's message; `None` for a terminal's message, which an echoing link returns.
///
/// # Errors
/// The [`Fault`] in the body.
pub fn read_host(body: &[u8]) -> Result<Option<HostMessage<'_>>, Fault> {
    let fields: HostIn<'_> = fields(body)?;
    let Some(prompt) = fields.input else { return Ok(None) };
    let data = fields.data.ok_or(Fault::NotAMessage)?;
    let welcome = match (fields.hello, fields.start, fields.attempt) {
        (None, _, _) => None,
        (Some(VERSION), Some(start), Some(attempt)) => {
            let ledger = fields.ledger.map(str::parse).transpose().map_err(|_| Fault::NotAMessage)?;
            Some(Welcome { ledger, start: start.into(), attempt })
        }
        (Some(VERSION), _, _) => return Err(Fault::NotAMessage),
        _ => return Err(Fault::Version),
    };
    Ok(Some(HostMessage {
        seq: fields.seq.map(u64::from),
        re: fields.re.map(u64::from),
        prompt,
        ends: fields.end.unwrap_or(false),
        welcome,
        #[cfg(feature = "cards")]
        secret: fields.secret.unwrap_or(false),
        outcome: outcome(&fields),
        notice: notice(&fields),
        text: MessageText::Json(JsonStr::new(data.0)),
    }))
}

/// The outcome in a message's fields; `None` also for one that this version does not know.
fn outcome(fields: &HostIn<'_>) -> Option<Outcome> {
    Some(match fields.outcome? {
        #[cfg(feature = "cards")]
        "done" if fields.operation == Some("change-pin") => Outcome::Done(Receipt::PinChanged),
        "done" => Outcome::Done(match (fields.operation?, fields.amount, fields.balance?) {
            ("balance", _, balance) => Receipt::Balance { balance },
            ("deposit", Some(amount), balance) => Receipt::Deposited { amount, balance },
            ("withdrawal", Some(amount), balance) => Receipt::Withdrawn { amount, balance },
            #[cfg(feature = "cards")]
            ("transfer", Some(amount), balance) => {
                Receipt::Transferred { payee: AccountNumber(fields.payee?), amount, balance }
            }
            _ => return None,
        }),
        "refused" => Outcome::Refused(match (fields.reason?, fields.balance) {
            ("insufficient", Some(balance)) => Refusal::Insufficient { balance },
            ("balance-limit", Some(balance)) => Refusal::BalanceLimit { balance },
            ("conflict", _) => Refusal::Conflict,
            ("full", _) => Refusal::Full,
            #[cfg(feature = "cards")]
            (reason, _) => return card_refusal(reason, fields).map(Outcome::Refused),
            #[cfg(not(feature = "cards"))]
            _ => return None,
        }),
        "not-done" => Outcome::NotDone,
        "unknown" => Outcome::Unknown,
        _ => return None,
    })
}

/// The refusal that only cards have.
#[cfg(feature = "cards")]
fn card_refusal(reason: &str, fields: &HostIn<'_>) -> Option<Refusal> {
    Some(match reason {
        "not-verified" => Refusal::NotVerified,
        "delayed" => Refusal::Delayed { seconds: fields.seconds? },
        "no-access" => Refusal::NoAccess,
        "frozen" => Refusal::Frozen,
        "closed" => Refusal::Closed,
        "withdrawal-limit" => Refusal::WithdrawalLimit { limit: fields.limit? },
        "day-limit" => Refusal::DayLimit { left: fields.left? },
        "no-payee" => Refusal::NoPayee,
        "same-account" => Refusal::SameAccount,
        _ => return None,
    })
}

/// The notice in a message's fields; `None` also for one that this version does not know.
fn notice(fields: &HostIn<'_>) -> Option<Notice> {
    if let Some(code) = fields.error {
        return Fault::from_code(code).map(Notice::Fault);
    }
    Some(match (fields.notice?, fields.start, fields.attempt) {
        ("working", ..) => Notice::Working { re: fields.re.map(u64::from) },
        ("taken-over", Some(start), Some(attempt)) => Notice::TakenOver { start: start.into(), attempt },
        ("name-in-use", Some(start), Some(attempt)) => Notice::NameInUse { start: start.into(), attempt },
        ("who", ..) => Notice::Who,
        ("busy", ..) => Notice::Busy,
        ("idle", ..) => Notice::Idle,
        ("stopping", ..) => Notice::Stopping,
        ("out-of-service", ..) => Notice::OutOfService,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
