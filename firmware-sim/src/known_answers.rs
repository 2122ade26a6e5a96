//! Known answers of sealed links, computed by an image: those of Ascon-XOF128, and the golden bytes of the protocol
//! (core/PROTOCOL.md, section 6.6).
use atm_core::{
    ledger::Name,
    seal::{self, Header, Key, TerminalKey},
};
use core::{fmt, num::NonZeroU32};

/// A hello at step 1 without its tag.
const HELLO: &[u8] = b"\x04\x02\x01\x07kiosk-7\x03\x01\x01\xef\x9b\xaf\xcd\xf8\xac\xd1\x91\x01\xac\x02\x01\xac\x02\x00\x00\x01\x01\x88\xef\x99\xab\xc5\xe8\x8c\x91\x11\x00";

/// The contents of the golden bodies: `working`, a welcome, an answer and the reply to it.
const WORKING: &[u8] = &[3, 0, 0];
const WELCOME: &[u8] =
    b"\x02\x80\x04\x01\xac\x02\x01\x01\xef\x9b\xaf\xcd\xf8\xac\xd1\x91\x01\x03\x01\x03\x04\x03\x02\x00";
const ANSWER: &[u8] = b"\x01\x01\x80\x04\x01\x32";
const REPLY: &[u8] = b"\x02\x81\x04\x01\x80\x04\x00\x01\x02\x90\x4e";

/// Writes a line for each: its name in the protocol's document, and its bytes in hexadecimal. The first line says whether the known
/// answers of Ascon-XOF128 are right.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl fmt::Write) -> fmt::Result {
    writeln!(out, "xof {}", seal::gives_known_answers())?;
    let mut master = [0; Key::LENGTH];
    master.iter_mut().zip(0..).for_each(|(place, byte)| *place = byte);
    let Ok(name) = "kiosk-7".parse::<Name>() else { return Err(fmt::Error) };
    let first = TerminalKey::derive(&Key::from(master), NonZeroU32::MIN, &name);
    let key = first.next().ok_or(fmt::Error)?;
    row(out, "K_0", first.key().bytes())?;
    row(out, "K_1", key.key().bytes())?;
    row(out, "body", HELLO)?;
    let proof = key.prove(HELLO);
    row(out, "tag", proof.tag())?;
    let (early, session) = (proof.early(), proof.session(Header::new(0x0123_4567_89ab_cdef, 512)));
    let rows = [("early", early.bytes()), ("up", session.up.bytes()), ("down", session.down.bytes())];
    for (name, bytes) in rows {
        row(out, name, bytes)?;
    }
    sealed(out, &early, seal::EARLY, &[], WORKING)?;
    sealed(out, &session.down, seal::WELCOME, session.header.bytes(), WELCOME)?;
    sealed(out, &session.up, seal::SEALED, &[], ANSWER)?;
    sealed(out, &session.down, seal::SEALED, &[], REPLY)
}

fn row(out: &mut impl fmt::Write, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(out, "{name} ")?;
    for byte in bytes {
        write!(out, "{byte:02x}")?;
    }
    out.write_char('\n')
}

/// Seals a body, and opens it again.
fn sealed(out: &mut impl fmt::Write, key: &Key, index: u8, header: &[u8], content: &[u8]) -> fmt::Result {
    let mut bytes = [0; 128];
    let at = seal::content_at(header.len());
    let place = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..content.len())).ok_or(fmt::Error)?;
    place.iter_mut().zip(content).for_each(|(place, byte)| *place = *byte);
    let length = seal::seal(key, index, header, &mut bytes, content.len()).map_err(|_| fmt::Error)?;
    let body = bytes.get_mut(..length).ok_or(fmt::Error)?;
    row(out, "body", body)?;
    let range = seal::open(key, header.len(), body).ok_or(fmt::Error)?;
    if body.get(range) == Some(content) { Ok(()) } else { Err(fmt::Error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, vec::Vec};

    #[test]
    fn they_are_those_of_the_document() {
        let (page, mut answers) = (include_str!("../../core/PROTOCOL.md"), String::new());
        let (_, section) = page.split_once("### 6.6").unwrap();
        let section: String = section.split_whitespace().collect();
        write(&mut answers).unwrap();
        let mut lines = answers.lines();
        assert_eq!(lines.next(), Some("xof true"));
        let rest: Vec<_> = lines.collect();
        assert_eq!(rest.len(), 11);
        for line in rest {
            assert!(section.contains(&line.replace(' ', "")), "{line}");
        }
    }
}
