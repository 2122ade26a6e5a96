//! JSON object writer: appends fields to the caller's slice in pieces that are already escaped.
//!
//! serde-json-core writes texts and keys one character at a time, which took two thirds of the time of a
//! reply. Nearly all of a host's message is fixed text that needs no escape: it is copied in the longest
//! pieces there are.
use crate::{
    codec::BufferTooSmall,
    message::Notice,
    money::Amount,
    screen::{Screen, Value},
};
#[cfg(feature = "cards")]
use core::fmt::Write;
use core::mem;

/// A JSON object that is being written.
pub(super) struct ObjectWriter<'a> {
    /// The unused rest of the slice.
    out: &'a mut [u8],
    /// The slice's length in bytes.
    capacity: usize,
}

impl<'a> ObjectWriter<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        let capacity = out.len();
        Self { out, capacity }
    }

    /// Appends JSON text as it is.
    pub(super) fn push(&mut self, text: &str) -> Result<(), BufferTooSmall> {
        let (place, rest) =
            mem::take(&mut self.out).split_at_mut_checked(text.len()).ok_or(BufferTooSmall)?;
        place.copy_from_slice(text.as_bytes());
        self.out = rest;
        Ok(())
    }

    /// Appends JSON text and a number.
    pub(super) fn number(&mut self, before: &str, number: u64) -> Result<(), BufferTooSmall> {
        self.push(before)?;
        self.push(itoa::Buffer::new().format(number))
    }

    /// Appends `input` (whether the last screen is a prompt) and `data`: the texts of the notice and the
    /// screens, with a blank line between two.
    pub(super) fn input_and_data(
        &mut self,
        notice: Option<Notice>,
        screens: &[Screen],
    ) -> Result<(), BufferTooSmall> {
        let prompt = screens.last().is_some_and(Screen::is_prompt);
        self.push(if prompt { r#""input":true,"data":""# } else { r#""input":false,"data":""# })?;
        self.push(notice.map_or("", Notice::text))?;
        let mut first = notice.is_none();
        for screen in screens {
            if !mem::take(&mut first) {
                self.push(r"\n\n")?;
            }
            screen.for_each_part(|text, value| {
                self.push(text.escaped)?;
                value.map_or(Ok(()), |value| self.value(value))
            })?;
        }
        self.push("\"")
    }

    #[cfg(not(feature = "cards"))]
    fn value(&mut self, value: Value) -> Result<(), BufferTooSmall> {
        self.amount(value)
    }

    /// Appends a value; none needs an escape.
    #[cfg(feature = "cards")]
    fn value(&mut self, value: Value) -> Result<(), BufferTooSmall> {
        match value {
            Value::Amount(amount) => self.amount(amount),
            other => write!(self, "{other}").map_err(|_| BufferTooSmall),
        }
    }

    fn amount(&mut self, amount: Amount) -> Result<(), BufferTooSmall> {
        self.number("$", amount.units())?;
        match amount.cents() {
            0 => Ok(()),
            cents @ 1..10 => self.number(".0", cents),
            cents => self.number(".", cents),
        }
    }

    /// Closes the object; returns the bytes written.
    pub(super) fn end(mut self) -> Result<usize, BufferTooSmall> {
        self.push("}")?;
        Ok(self.capacity.saturating_sub(self.out.len()))
    }
}

#[cfg(feature = "cards")]
impl Write for ObjectWriter<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.push(text).map_err(|_| core::fmt::Error)
    }
}
