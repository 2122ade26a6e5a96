//! Postcard codec of the `postcard` wire: typed screens instead of text, about ten bytes a message.
//!
//! Both directions share one enum, so that an endpoint recognises the echo of its own messages by the first
//! byte, and a host carries no code to decode a host's messages. The order of its variants, and of those of
//! every enum in it, is the wire format: new variants go to the end. Format:
//! <https://postcard.jamesmunns.com/wire-format>.
use super::{BufferTooSmall, HostMessage, MessageText};
use crate::ledger::Name;
use crate::message::{Answer, Fault, Hello, Notice, Reply, TerminalMessage, VERSION, Welcome, outcome_of};
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
/// The first byte of no message is greater.
pub(crate) const LAST: u8 = NOTICE;

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
    let (first, rest) = out.split_first_mut().ok_or(BufferTooSmall)?;
    *first = index;
    let written = postcard::to_slice(body, rest).map_err(|_| BufferTooSmall)?;
    written.len().checked_add(1).ok_or(BufferTooSmall)
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
        HELLO => match read(rest) {
            Ok(hello) => Ok(Some(TerminalMessage::Hello(hello))),
            // A hello of another version may have other fields, but its first byte is always the version.
            Err(_) if rest.first().is_some_and(|version| *version != VERSION) => Err(Fault::Version),
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

/// Encodes a hello; returns the bytes written.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small.
pub fn write_hello(hello: &Hello, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    write(HELLO, hello, out)
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
