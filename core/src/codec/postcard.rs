//! Messages in postcard's format: typed screens instead of text, about ten bytes each.
//!
//! One enum holds both directions, so that a side knows the echo of its own messages. The order of its variants, and of
//! every variant in them, is the wire's format: new ones go to the end.
use super::{NoRoom, Said, Words};
use crate::message::{Answer, Fault, FromTerminal, Hello, Notice, Reply, VERSION, Welcome, outcome_of};
use crate::screen::{Screen, Screens};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Packet<'a> {
    Hello(Hello),
    Answer { re: Option<u64>, text: &'a str },
    Reply { seq: u64, re: Option<u64>, welcome: Option<Welcome>, screens: Screens },
    Notice(Notice),
}

/// Reads one packet; bytes behind it make it none.
fn read(body: &[u8]) -> Result<Packet<'_>, Fault> {
    match postcard::take_from_bytes(body) {
        Ok((packet, [])) => Ok(packet),
        _ => Err(Fault::NotAMessage),
    }
}

fn write(packet: &Packet<'_>, out: &mut [u8]) -> Result<usize, NoRoom> {
    postcard::to_slice(packet, out).map(|written| written.len()).map_err(|_| NoRoom)
}

/// Reads what a terminal says. `None` is a message of the host's own direction: an echoing line.
///
/// # Errors
/// What is wrong with the body.
pub fn read_terminal(body: &[u8]) -> Result<Option<FromTerminal>, Fault> {
    Ok(match read(body) {
        Ok(Packet::Hello(hello)) => Some(FromTerminal::Hello(hello)),
        Ok(Packet::Answer { re, text }) => Some(FromTerminal::Answer { re, answer: Answer::new(text) }),
        Ok(Packet::Reply { .. } | Packet::Notice(_)) => None,
        // A hello of another version may have other fields: its variant and its version stand first in all of them.
        Err(_) if matches!(body, [0, version, ..] if *version != VERSION) => return Err(Fault::Version),
        Err(fault) => return Err(fault),
    })
}

/// Reads what a host says. `None` is a message of the terminal's own direction: an echoing line.
///
/// # Errors
/// What is wrong with the body.
pub fn read_host(body: &[u8]) -> Result<Option<Said<'_>>, Fault> {
    Ok(match read(body)? {
        Packet::Hello(_) | Packet::Answer { .. } => None,
        Packet::Reply { seq, re, welcome, screens } => {
            let prompt = screens.last().is_some_and(Screen::is_prompt);
            Some(Said {
                seq: Some(seq),
                re,
                prompt,
                ends: !prompt,
                welcome,
                outcome: outcome_of(&screens),
                notice: None,
                text: Words::Screens(screens),
            })
        }
        Packet::Notice(notice) => Some(Said {
            seq: None,
            re: None,
            prompt: false,
            ends: notice.ends(),
            welcome: None,
            outcome: None,
            notice: Some(notice),
            text: Words::Notice(notice),
        }),
    })
}

/// Writes a hello; returns the bytes written.
///
/// # Errors
/// [`NoRoom`] where `out` is too small.
pub fn write_hello(hello: &Hello, out: &mut [u8]) -> Result<usize, NoRoom> {
    write(&Packet::Hello(hello.clone()), out)
}

/// Writes an answer; returns the bytes written.
///
/// # Errors
/// [`NoRoom`] where `out` is too small.
pub fn write_answer(re: Option<u64>, text: &str, out: &mut [u8]) -> Result<usize, NoRoom> {
    write(&Packet::Answer { re, text }, out)
}

/// Writes a reply; returns the bytes written.
///
/// # Errors
/// [`NoRoom`] where `out` is too small.
pub fn write_reply(reply: &Reply, out: &mut [u8]) -> Result<usize, NoRoom> {
    let Reply { seq, re, welcome, screens } = reply.clone();
    write(&Packet::Reply { seq, re, welcome, screens }, out)
}

/// Writes a notice; returns the bytes written.
///
/// # Errors
/// [`NoRoom`] where `out` is too small.
pub fn write_notice(notice: Notice, out: &mut [u8]) -> Result<usize, NoRoom> {
    write(&Packet::Notice(notice), out)
}

#[cfg(test)]
mod tests;
