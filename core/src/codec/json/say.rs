//! What a host says, as JSON.
use super::object::Object;
use crate::{
    codec::NoRoom,
    ledger::{Outcome, Receipt, Refusal},
    message::{Notice, Reply, VERSION},
    screen::Screen,
};

/// Writes a reply; returns the bytes written.
///
/// # Errors
/// [`NoRoom`] where `out` is too small.
pub fn write_reply(reply: &Reply, out: &mut [u8]) -> Result<usize, NoRoom> {
    let mut object = Object::new(out);
    if let Some(welcome) = reply.welcome {
        object.number("\"hello\":", VERSION.into())?;
        if let Some(ledger) = welcome.ledger {
            object.shown("\"ledger\":", ledger)?;
        }
        object.number("\"start\":", welcome.start)?;
        object.number("\"attempt\":", welcome.attempt.into())?;
    }
    object.number("\"seq\":", reply.seq)?;
    if let Some(re) = reply.re {
        object.number("\"re\":", re)?;
    }
    say(&mut object, None, &reply.screens)?;
    if !reply.is_prompt() {
        object.flag("\"end\":", true)?;
    }
    if let Some(outcome) = reply.outcome() {
        tell(outcome, &mut object)?;
    }
    object.end()
}

/// Writes the bare object of the program that this one replaces: whether to ask, and the text of a notice, of screens or
/// of both; returns the bytes written.
///
/// # Errors
/// [`NoRoom`] where `out` is too small.
pub fn write_bare(notice: Option<Notice>, screens: &[Screen], out: &mut [u8]) -> Result<usize, NoRoom> {
    let mut object = Object::new(out);
    say(&mut object, notice, screens)?;
    object.end()
}

/// Writes a notice; returns the bytes written.
///
/// # Errors
/// [`NoRoom`] where `out` is too small.
pub fn write_notice(notice: Notice, out: &mut [u8]) -> Result<usize, NoRoom> {
    let mut object = Object::new(out);
    match notice {
        Notice::Working { re: Some(re) } => object.number("\"re\":", re)?,
        Notice::TakenOver { start, attempt } | Notice::NameInUse { start, attempt } => {
            object.number("\"start\":", start)?;
            object.number("\"attempt\":", attempt.into())?;
        }
        _ => {}
    }
    say(&mut object, Some(notice), &[])?;
    if notice.ends() {
        object.flag("\"end\":", true)?;
    }
    match notice {
        Notice::Fault(fault) => object.word("\"error\":", fault.code())?,
        Notice::Working { .. } => object.word(NOTICE, "working")?,
        Notice::TakenOver { .. } => object.word(NOTICE, "taken-over")?,
        Notice::NameInUse { .. } => object.word(NOTICE, "name-in-use")?,
        Notice::Who => object.word(NOTICE, "who")?,
        Notice::Busy => object.word(NOTICE, "busy")?,
        Notice::Idle => object.word(NOTICE, "idle")?,
        Notice::Stopping => object.word(NOTICE, "stopping")?,
        Notice::OutOfService => object.word(NOTICE, "out-of-service")?,
    }
    object.end()
}

const NOTICE: &str = "\"notice\":";

/// Whether to ask, and the text.
fn say(object: &mut Object<'_>, notice: Option<Notice>, screens: &[Screen]) -> Result<(), NoRoom> {
    object.flag("\"input\":", screens.last().is_some_and(Screen::is_prompt))?;
    object.texts("\"data\":", notice, screens)
}

/// Tells an outcome as fields.
fn tell(outcome: Outcome, object: &mut Object<'_>) -> Result<(), NoRoom> {
    let (word, detail) = match outcome {
        Outcome::Done(Receipt::Balance { .. }) => ("done", Some(("\"operation\":", "balance"))),
        Outcome::Done(Receipt::Deposited { .. }) => ("done", Some(("\"operation\":", "deposit"))),
        Outcome::Done(Receipt::Withdrawn { .. }) => ("done", Some(("\"operation\":", "withdrawal"))),
        Outcome::Refused(Refusal::Insufficient { .. }) => ("refused", Some((REASON, "insufficient"))),
        Outcome::Refused(Refusal::BalanceLimit { .. }) => ("refused", Some((REASON, "balance-limit"))),
        Outcome::Refused(Refusal::Conflict) => ("refused", Some((REASON, "conflict"))),
        Outcome::Refused(Refusal::Full) => ("refused", Some((REASON, "full"))),
        Outcome::NotDone => ("not-done", None),
        Outcome::Unknown => ("unknown", None),
    };
    object.word("\"outcome\":", word)?;
    if let Some((key, word)) = detail {
        object.word(key, word)?;
    }
    let (amount, balance) = match outcome {
        Outcome::Done(Receipt::Deposited { amount, balance } | Receipt::Withdrawn { amount, balance }) => {
            (Some(amount), balance)
        }
        Outcome::Done(Receipt::Balance { balance })
        | Outcome::Refused(Refusal::Insufficient { balance } | Refusal::BalanceLimit { balance }) => {
            (None, balance)
        }
        _ => return Ok(()),
    };
    if let Some(amount) = amount {
        object.number("\"amount\":", amount.minor())?;
    }
    object.number("\"balance\":", balance.minor())
}

const REASON: &str = "\"reason\":";
