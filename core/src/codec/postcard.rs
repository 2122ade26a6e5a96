//! Postcard codec of the `postcard` wire: typed screens instead of text, about ten bytes a message.
//!
//! Both directions share one enum, so that an endpoint recognises the echo of its own messages by the first
//! byte, and a host carries no code to decode a host's messages. The order of its variants, and of those of
//! every enum in it, is the wire format: new variants go to the end. Format:
//! <https://postcard.jamesmunns.com/wire-format>.
use super::{BufferTooSmall, HostMessage, MessageText};
use crate::ledger::Name;
#[cfg(feature = "seal")]
use crate::message::KeyId;
use crate::message::{
    Answer, Capabilities, Dispenser, EXTENDED, Fault, Hello, Notice, Reply, TerminalMessage, VERSION,
    Welcome, outcome_of,
};
use crate::number;
use crate::screen::{Screen, Screens};
use serde::{
    Deserialize, Serialize, Serializer,
    ser::{Error, SerializeTuple},
};

// The variant index of each message, its first byte.
const HELLO: u8 = 0;
const ANSWER: u8 = 1;
const REPLY: u8 = 2;
const NOTICE: u8 = 3;
/// The first byte of no message is greater; those above `NOTICE` are of sealed ones.
pub(crate) const LAST: u8 = 7;
/// The index of a sealed hello. The sealed bodies have the next ones.
#[cfg(feature = "seal")]
pub(crate) const SEALED_HELLO: u8 = 4;

/// What a sealed hello says of its key, between the two.
#[cfg(feature = "seal")]
#[derive(Serialize, Deserialize)]
struct KeyFields {
    #[serde(with = "number")]
    series: u64,
    #[serde(with = "number")]
    step: u64,
    #[serde(with = "number")]
    salt: u64,
}

#[derive(Serialize, Deserialize)]
struct AnswerBody<'a> {
    #[serde(with = "number::bounded_option")]
    re: Option<u64>,
    #[serde(serialize_with = "number::serialize_text")]
    text: &'a str,
}

#[derive(Deserialize)]
struct ReplyBody {
    #[serde(with = "number::bounded")]
    seq: u64,
    #[serde(with = "number::bounded_option")]
    re: Option<u64>,
    welcome: Option<Welcome>,
    screens: Screens,
}

/// [`ReplyBody`] for encoding, with borrowed screens.
#[derive(Serialize)]
struct ReplyParts<'a> {
    #[serde(serialize_with = "number::serialize")]
    seq: u64,
    #[serde(serialize_with = "number::serialize_option")]
    re: Option<u64>,
    welcome: &'a Option<Welcome>,
    #[serde(serialize_with = "write_screens")]
    screens: &'a [Screen],
}

/// Writes a reply's screens behind their count. The count is below 128, so that its varint is one byte;
/// postcard's own encoder of lengths contains a panic (see [`number`]).
fn write_screens<S: Serializer>(screens: &[Screen], serializer: S) -> Result<S::Ok, S::Error> {
    let count = u8::try_from(screens.len()).map_err(S::Error::custom)?;
    let mut list = serializer.serialize_tuple(screens.len())?;
    list.serialize_element(&count)?;
    for screen in screens {
        list.serialize_element(screen)?;
    }
    list.end()
}

/// Decodes what follows a message's index. Trailing bytes are an error.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        _ => Err(Fault::NotAMessage),
    }
}

fn write(index: u8, body: &impl Serialize, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let (first, _) = out.split_first_mut().ok_or(BufferTooSmall)?;
    *first = index;
    append(1, body, out)
}

/// Encodes `body` after the `length` bytes that `out` has; returns the length of both.
fn append(length: usize, body: &impl Serialize, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let rest = out.get_mut(length..).ok_or(BufferTooSmall)?;
    let written = postcard::to_slice(body, rest).map_err(|_| BufferTooSmall)?;
    written.len().checked_add(length).ok_or(BufferTooSmall)
}

/// Decodes the fields of version 1, which every hello has; returns what follows them too.
// Not inlined where hellos in clear and sealed ones share it.
#[cfg_attr(feature = "seal", inline(never))]
fn take_hello(body: &[u8]) -> Result<(Hello, &[u8]), Fault> {
    postcard::take_from_bytes(body).map_err(|_| Fault::NotAMessage)
}

/// Decodes the end of a hello of version 2.
#[cfg_attr(feature = "seal", inline(never))]
fn read_dispenser(rest: &[u8]) -> Result<Option<Dispenser>, Fault> {
    read(rest)
}

/// Decodes a hello in clear.
fn read_hello(body: &[u8]) -> Result<Hello, Fault> {
    let (mut hello, rest) = take_hello(body)?;
    if hello.version == EXTENDED {
        let (capabilities, rest) = rest.split_first().ok_or(Fault::NotAMessage)?;
        hello.capabilities = Capabilities::from_bits(*capabilities);
        hello.set_dispenser(read_dispenser(rest)?);
    } else if !rest.is_empty() {
        return Err(Fault::NotAMessage);
    }
    Ok(hello)
}

/// Whether a hello that did not decode has an invalid name. The name follows the version, behind its length.
fn has_bad_name(hello: &[u8]) -> bool {
    let [_, 1, len, rest @ ..] = hello else { return false };
    let is_valid = |name| core::str::from_utf8(name).is_ok_and(|name| name.parse::<Name>().is_ok());
    rest.get(..usize::from(*len)).is_some_and(|name| !is_valid(name))
}

/// Decodes a terminal's message; `None` for a host's message, which an echoing link returns.
///
/// # Errors
/// The [`Fault`] in the body.
pub fn read_terminal(body: &[u8]) -> Result<Option<TerminalMessage>, Fault> {
    let (index, rest) = body.split_first().ok_or(Fault::NotAMessage)?;
    match *index {
        HELLO => match read_hello(rest) {
            Ok(hello) => Ok(Some(TerminalMessage::Hello(hello))),
            // A hello of another version may have other fields, but its first byte is always the version.
            Err(_) if rest.first().is_some_and(|version| !matches!(*version, VERSION | EXTENDED)) => {
                Err(Fault::Version)
            }
            Err(_) if has_bad_name(rest) => Err(Fault::BadName),
            Err(fault) => Err(fault),
        },
        ANSWER => {
            let AnswerBody { re, text } = read(rest)?;
            Ok(Some(TerminalMessage::Answer { re, answer: Answer::new(text) }))
        }
        REPLY | NOTICE => Ok(None),
        _ => Err(Fault::NotAMessage),
    }
}

/// Decodes a host's message; `None` for a terminal's message, which an echoing link returns.
///
/// # Errors
/// The [`Fault`] in the body.
pub fn read_host(body: &[u8]) -> Result<Option<HostMessage<'_>>, Fault> {
    let (index, rest) = body.split_first().ok_or(Fault::NotAMessage)?;
    Ok(match *index {
        HELLO | ANSWER => None,
        REPLY => {
            let ReplyBody { seq, re, welcome, screens } = read(rest)?;
            let prompt = screens.last().is_some_and(Screen::is_prompt);
            Some(HostMessage {
                seq: Some(seq),
                re,
                prompt,
                #[cfg(feature = "cards")]
                secret: screens.last().is_some_and(Screen::is_secret),
                ends: !prompt,
                welcome,
                outcome: outcome_of(&screens),
                notice: None,
                text: MessageText::Screens(screens),
            })
        }
        NOTICE => {
            let notice: Notice = read(rest)?;
            Some(HostMessage {
                seq: None,
                re: None,
                prompt: false,
                #[cfg(feature = "cards")]
                secret: false,
                ends: notice.ends_session(),
                welcome: None,
                outcome: None,
                notice: Some(notice),
                text: MessageText::Notice(notice),
            })
        }
        _ => return Err(Fault::NotAMessage),
    })
}

/// Encodes a hello in clear; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_hello(hello: &Hello, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let length = write(HELLO, hello, out)?;
    if hello.version != EXTENDED {
        return Ok(length);
    }
    append(length, &(hello.capabilities, hello.dispenser()), out)
}

/// Encodes a sealed hello up to its tag; returns the bytes written. It must have a key.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
#[cfg(feature = "seal")]
pub fn write_sealed_hello(hello: &Hello, key: &KeyId, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let length = write(SEALED_HELLO, hello, out)?;
    let fields = KeyFields { series: key.series.get().into(), step: key.step.into(), salt: key.salt };
    append(length, &(hello.capabilities, fields, hello.dispenser()), out)
}

/// Decodes a sealed hello without its tag. It is not known to be authentic.
///
/// # Errors
/// [`Fault::NotAMessage`], also for a hello without a name, whose key could not be looked up.
#[cfg(feature = "seal")]
pub fn read_sealed_hello(body: &[u8]) -> Result<Hello, Fault> {
    let (_, fields) = body.split_first().ok_or(Fault::NotAMessage)?;
    let (mut hello, rest) = take_hello(fields)?;
    let (capabilities, rest) = rest.split_first().ok_or(Fault::NotAMessage)?;
    let (KeyFields { series, step, salt }, rest) =
        postcard::take_from_bytes(rest).map_err(|_| Fault::NotAMessage)?;
    let to_u32 = |number: u64| u32::try_from(number).map_err(|_| Fault::NotAMessage);
    let (series, step) = (to_u32(series)?.try_into().map_err(|_| Fault::NotAMessage)?, to_u32(step)?);
    if hello.terminal.is_none() {
        return Err(Fault::NotAMessage);
    }
    hello.capabilities = Capabilities::from_bits(*capabilities);
    hello.set_dispenser(read_dispenser(rest)?);
    hello.key = Some(KeyId { series, step, salt });
    Ok(hello)
}

/// Encodes an answer; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_answer(re: Option<u64>, text: &str, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    write(ANSWER, &AnswerBody { re, text }, out)
}

/// Encodes a reply; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_reply(reply: &Reply, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let Reply { seq, re, welcome, screens } = reply;
    write(REPLY, &ReplyParts { seq: *seq, re: *re, welcome, screens }, out)
}

/// Encodes a notice; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_notice(notice: Notice, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    write(NOTICE, &notice, out)
}

#[cfg(test)]
mod tests;
