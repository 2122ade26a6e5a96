//! JSON encoding of the host's messages: replies, notices, and the bare objects of the `raw` wire.
use super::object::ObjectWriter;
use crate::{
    codec::BufferTooSmall,
    ledger::{Outcome, Receipt, Refusal},
    message::{Notice, Reply, VERSION},
    screen::Screen,
};

/// Encodes a reply; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_reply(reply: &Reply, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let mut object = ObjectWriter::new(out);
    match reply.welcome {
        None => object.number(r#"{"seq":"#, reply.seq)?,
        Some(welcome) => {
            object.number(r#"{"hello":"#, VERSION.into())?;
            if let Some(ledger) = welcome.ledger {
                object.push(r#","ledger":""#)?;
                object.push(&ledger.digits())?;
                object.push("\"")?;
            }
            object.number(r#","start":"#, welcome.start)?;
            object.number(r#","attempt":"#, welcome.attempt.into())?;
            object.number(r#","seq":"#, reply.seq)?;
        }
    }
    if let Some(re) = reply.re {
        object.number(r#","re":"#, re)?;
    }
    object.push(",")?;
    object.input_and_data(None, &reply.screens)?;
    #[cfg(feature = "cards")]
    if reply.screens.last().is_some_and(Screen::is_secret) {
        object.push(r#","secret":true"#)?;
    }
    if !reply.is_prompt() {
        object.push(END)?;
    }
    if let Some(outcome) = reply.outcome() {
        write_outcome(outcome, &mut object)?;
    }
    object.end()
}

const END: &str = r#","end":true"#;

/// Encodes an object of the `raw` wire, which has only `input` and `data`: the text of a notice, of screens
/// or of both; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_bare(
    notice: Option<Notice>,
    screens: &[Screen],
    out: &mut [u8],
) -> Result<usize, BufferTooSmall> {
    let mut object = ObjectWriter::new(out);
    object.push("{")?;
    object.input_and_data(notice, screens)?;
    object.end()
}

/// Encodes a notice; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_notice(notice: Notice, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let mut object = ObjectWriter::new(out);
    match notice {
        Notice::Working { re: Some(re) } => {
            object.number(r#"{"re":"#, re)?;
            object.push(",")?;
        }
        Notice::TakenOver { start, attempt } | Notice::NameInUse { start, attempt } => {
            object.number(r#"{"start":"#, start)?;
            object.number(r#","attempt":"#, attempt.into())?;
            object.push(",")?;
        }
        _ => object.push("{")?,
    }
    object.input_and_data(Some(notice), &[])?;
    if notice.ends_session() {
        object.push(END)?;
    }
    let code = match notice {
        Notice::Fault(fault) => {
            object.push(r#","error":""#)?;
            object.push(fault.code())?;
            "\""
        }
        Notice::Working { .. } => r#","notice":"working""#,
        Notice::TakenOver { .. } => r#","notice":"taken-over""#,
        Notice::NameInUse { .. } => r#","notice":"name-in-use""#,
        Notice::Who => r#","notice":"who""#,
        Notice::Busy => r#","notice":"busy""#,
        Notice::Idle => r#","notice":"idle""#,
        Notice::Stopping => r#","notice":"stopping""#,
        Notice::OutOfService => r#","notice":"out-of-service""#,
    };
    object.push(code)?;
    object.end()
}

/// Appends an outcome as fields.
fn write_outcome(outcome: Outcome, object: &mut ObjectWriter<'_>) -> Result<(), BufferTooSmall> {
    let (fields, amount, balance) = match outcome {
        Outcome::Done(Receipt::Balance { balance }) => {
            (r#","outcome":"done","operation":"balance""#, None, Some(balance))
        }
        Outcome::Done(Receipt::Deposited { amount, balance }) => {
            (r#","outcome":"done","operation":"deposit""#, Some(amount), Some(balance))
        }
        Outcome::Done(Receipt::Withdrawn { amount, balance }) => {
            (r#","outcome":"done","operation":"withdrawal""#, Some(amount), Some(balance))
        }
        Outcome::Refused(Refusal::Insufficient { balance }) => {
            (r#","outcome":"refused","reason":"insufficient""#, None, Some(balance))
        }
        Outcome::Refused(Refusal::BalanceLimit { balance }) => {
            (r#","outcome":"refused","reason":"balance-limit""#, None, Some(balance))
        }
        Outcome::Refused(Refusal::Conflict) => (r#","outcome":"refused","reason":"conflict""#, None, None),
        Outcome::Refused(Refusal::Full) => (r#","outcome":"refused","reason":"full""#, None, None),
        Outcome::NotDone => (r#","outcome":"not-done""#, None, None),
        Outcome::Unknown => (r#","outcome":"unknown""#, None, None),
        #[cfg(feature = "cards")]
        Outcome::Done(_) | Outcome::Refused(_) => return write_card_outcome(outcome, object),
    };
    object.push(fields)?;
    if let Some(amount) = amount {
        object.number(r#","amount":"#, amount.minor())?;
    }
    if let Some(balance) = balance {
        object.number(r#","balance":"#, balance.minor())?;
    }
    Ok(())
}

/// Appends the outcome of an operation that only cards have as fields.
#[cfg(feature = "cards")]
fn write_card_outcome(outcome: Outcome, object: &mut ObjectWriter<'_>) -> Result<(), BufferTooSmall> {
    match outcome {
        Outcome::Done(Receipt::Transferred { payee, amount, balance }) => {
            object.push(r#","outcome":"done","operation":"transfer""#)?;
            object.number(r#","payee":"#, payee.0.into())?;
            object.number(r#","amount":"#, amount.minor())?;
            object.number(r#","balance":"#, balance.minor())
        }
        Outcome::Done(Receipt::PinChanged) => object.push(r#","outcome":"done","operation":"change-pin""#),
        // A payee and a verification are shown by the prompt that follows.
        Outcome::Done(_) => object.push(r#","outcome":"done""#),
        Outcome::Refused(refusal) => {
            object.push(r#","outcome":"refused","reason":""#)?;
            object.push(refusal.code())?;
            object.push("\"")?;
            match refusal {
                Refusal::Delayed { seconds } => object.number(r#","seconds":"#, seconds.into()),
                Refusal::WithdrawalLimit { limit } => object.number(r#","limit":"#, limit.minor()),
                Refusal::DayLimit { left } => object.number(r#","left":"#, left.minor()),
                _ => Ok(()),
            }
        }
        Outcome::NotDone | Outcome::Unknown => Ok(()),
    }
}
