//! JSON text, written piece by piece into the caller's slice.
//!
//! serde-json-core writes a text one character at a time, and its own keys so too: two thirds of what an answer took.
//! Most of what a host says is the same each time and needs no escape: it is copied as it stands, in as long pieces as
//! there are.
use crate::{codec::NoRoom, message::Notice, money::Amount, screen::Screen};
use core::mem;

/// An object that is being written.
pub(super) struct ObjectWriter<'a> {
    /// What is left of the slice.
    out: &'a mut [u8],
    room: usize,
}

impl<'a> ObjectWriter<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        let room = out.len();
        Self { out, room }
    }

    /// Writes what stands for itself.
    pub(super) fn push(&mut self, text: &str) -> Result<(), NoRoom> {
        let (place, rest) = mem::take(&mut self.out).split_at_mut_checked(text.len()).ok_or(NoRoom)?;
        place.copy_from_slice(text.as_bytes());
        self.out = rest;
        Ok(())
    }

    /// Writes a number, after what stands before it.
    pub(super) fn number(&mut self, before: &str, number: u64) -> Result<(), NoRoom> {
        self.push(before)?;
        self.push(itoa::Buffer::new().format(number))
    }

    /// Writes whether to ask and what to show: a notice, then screens, a blank line between two of them.
    pub(super) fn input_and_data(
        &mut self,
        notice: Option<Notice>,
        screens: &[Screen],
    ) -> Result<(), NoRoom> {
        let prompt = screens.last().is_some_and(Screen::is_prompt);
        self.push(if prompt { r#""input":true,"data":""# } else { r#""input":false,"data":""# })?;
        self.push(notice.map_or("", Notice::text))?;
        let mut first = notice.is_none();
        for screen in screens {
            if !mem::take(&mut first) {
                self.push(r"\n\n")?;
            }
            screen.tell(|text, amount| {
                self.push(text.escaped)?;
                amount.map_or(Ok(()), |amount| self.amount(amount))
            })?;
        }
        self.push("\"")
    }

    fn amount(&mut self, amount: Amount) -> Result<(), NoRoom> {
        self.number("$", amount.units())?;
        match amount.cents() {
            0 => Ok(()),
            cents @ 1..10 => self.number(".0", cents),
            cents => self.number(".", cents),
        }
    }

    /// Closes it; returns the bytes written.
    pub(super) fn end(mut self) -> Result<usize, NoRoom> {
        self.push("}")?;
        Ok(self.room.saturating_sub(self.out.len()))
    }
}
