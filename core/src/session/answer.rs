//! An answer: what a person typed at a prompt, and how a duplicate of it is recognised.
use super::trimmed;
use crate::checksum::{self, checksum};
use heapless::String;

/// The longest answer, in bytes of UTF-8 after trimming: enough for any amount, choice or name.
pub const MAX_ANSWER: usize = 64;

/// What a person typed: at most [`MAX_ANSWER`] bytes after trimming ASCII white space, or the fact that it
/// was longer.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "cards"), derive(Debug))]
#[cfg_attr(all(feature = "defmt", not(feature = "cards")), derive(defmt::Format))]
pub struct Answer(Option<String<MAX_ANSWER>>);

#[cfg(feature = "cards")]
impl core::fmt::Debug for Answer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Answer(..)")
    }
}

#[cfg(all(feature = "cards", feature = "defmt"))]
impl defmt::Format for Answer {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Answer(..)");
    }
}

/// It may be a PIN: it is wiped when it is released.
#[cfg(feature = "cards")]
impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(text) = &mut self.0 {
            text.clear();
            while text.push('\0').is_ok() {}
            core::hint::black_box(&*text);
        }
    }
}

impl Answer {
    /// The answer with this text.
    pub fn new(text: &str) -> Self {
        Self(String::try_from(trimmed(text)).ok())
    }

    /// The answer with these characters, without a buffer for a text that is too long.
    pub fn from_chars(text: impl Iterator<Item = char>) -> Self {
        let mut trimmed_text = String::<MAX_ANSWER>::new();
        // Blanks are held back until another character follows: those at the end are trimmed.
        let mut blanks = String::<MAX_ANSWER>::new();
        for c in text {
            if !c.is_ascii_whitespace() {
                if trimmed_text.push_str(&blanks).is_err() || trimmed_text.push(c).is_err() {
                    return Self(None);
                }
                blanks.clear();
            } else if !trimmed_text.is_empty() {
                // When the buffer is full, any further character makes the answer too long.
                let _ = blanks.push(c);
            }
        }
        Self(Some(trimmed_text))
    }

    /// The fingerprint by which a duplicate is recognised.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let text = self.text();
        Fingerprint { length: text.map(str::len), checksum: checksum(text.unwrap_or("").as_bytes()) }
    }

    /// The text; `None` if it was too long.
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// An answer's length and CRC-32, by which a duplicate is recognised in a tenth of the answer's memory.
///
/// The same answer always has the same fingerprint. A different answer has it in about one of 2^32 cases, and
/// then gets the reply to the first instead of a conflict. No money depends on it: an answered prompt never
/// takes another answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint {
    length: Option<usize>,
    checksum: [u8; checksum::LENGTH],
}

impl Fingerprint {
    /// Stands for any answer to a secret prompt, of which no fingerprint is taken: a conflict would tell PINs apart.
    #[cfg(feature = "cards")]
    pub(crate) const SECRET: Self = Self { length: Some(usize::MAX), checksum: [0; checksum::LENGTH] };

    /// Whether an answer to the same prompt is a duplicate.
    pub(crate) fn matches(self, answer: &Answer) -> bool {
        #[cfg(feature = "cards")]
        if self == Self::SECRET {
            return true;
        }
        self == answer.fingerprint()
    }
}
