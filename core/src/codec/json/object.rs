//! A JSON object, written field by field.
//!
//! serde-json-core writes a text one character at a time, its own keys too: two thirds of what an answer took. Most of
//! what a host says is the same each time, and needs no escape: it is copied as it stands.
use crate::{
    codec::NoRoom,
    message::Notice,
    screen::{Part, Screen},
};
use core::{
    fmt::{self, Write},
    mem,
};

/// An object that is written into the caller's slice.
pub(super) struct Object<'a> {
    /// What is left of the slice.
    out: &'a mut [u8],
    room: usize,
    begun: bool,
}

/// A field's name as it stands before its value: `"seq":`.
pub(super) type Key = &'static str;

impl<'a> Object<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        let room = out.len();
        Self { out, room, begun: false }
    }

    /// Writes what stands for itself.
    fn push(&mut self, text: &str) -> Result<(), NoRoom> {
        let (place, rest) = mem::take(&mut self.out).split_at_mut_checked(text.len()).ok_or(NoRoom)?;
        place.copy_from_slice(text.as_bytes());
        self.out = rest;
        Ok(())
    }

    fn key(&mut self, key: Key) -> Result<(), NoRoom> {
        let begun = mem::replace(&mut self.begun, true);
        self.push(if begun { "," } else { "{" })?;
        self.push(key)
    }

    pub(super) fn number(&mut self, key: Key, number: u64) -> Result<(), NoRoom> {
        self.key(key)?;
        self.digits(number)
    }

    fn digits(&mut self, number: u64) -> Result<(), NoRoom> {
        let written = serde_json_core::to_slice(&number, self.out).map_err(|_| NoRoom)?;
        self.out = mem::take(&mut self.out).get_mut(written..).ok_or(NoRoom)?;
        Ok(())
    }

    pub(super) fn flag(&mut self, key: Key, flag: bool) -> Result<(), NoRoom> {
        self.key(key)?;
        self.push(if flag { "true" } else { "false" })
    }

    /// A word that needs no escape.
    pub(super) fn word(&mut self, key: Key, word: &str) -> Result<(), NoRoom> {
        self.key(key)?;
        self.push("\"")?;
        self.push(word)?;
        self.push("\"")
    }

    /// Whatever is shown without a character that needs an escape.
    pub(super) fn shown(&mut self, key: Key, value: impl fmt::Display) -> Result<(), NoRoom> {
        self.key(key)?;
        write!(self, "\"{value}\"").map_err(|_| NoRoom)
    }

    /// A notice, then screens, a blank line between two of them.
    pub(super) fn texts(
        &mut self,
        key: Key,
        notice: Option<Notice>,
        screens: &[Screen],
    ) -> Result<(), NoRoom> {
        self.key(key)?;
        self.push("\"")?;
        self.push(notice.map_or("", Notice::text))?;
        let mut first = notice.is_none();
        for screen in screens {
            if !mem::take(&mut first) {
                self.push("\\n\\n")?;
            }
            screen.parts(|parts| parts.iter().try_for_each(|part| self.part(*part)))?;
        }
        self.push("\"")
    }

    fn part(&mut self, part: Part) -> Result<(), NoRoom> {
        match part {
            Part::Text(text) | Part::Lines { escaped: text, .. } => self.push(text),
            Part::Amount(amount) => {
                self.push("$")?;
                self.digits(amount.units())?;
                match amount.cents() {
                    0 => return Ok(()),
                    1..10 => self.push(".0")?,
                    _ => self.push(".")?,
                }
                self.digits(amount.cents())
            }
        }
    }

    /// Closes it; returns the bytes written.
    pub(super) fn end(mut self) -> Result<usize, NoRoom> {
        self.push("}")?;
        Ok(self.room.saturating_sub(self.out.len()))
    }
}

/// For what stands for itself.
impl Write for Object<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text).map_err(|_| fmt::Error)
    }
}
