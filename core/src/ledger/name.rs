//! The two names of the protocol: a terminal's name, and a ledger's identity.
use crate::number;
use core::{fmt, str::FromStr};
use heapless::String;
use serde::{Deserialize, Serialize, Serializer};

/// The name of a terminal: 1 to 32 of `A-Z a-z 0-9 . _ -`.
///
/// A name is an address, not a proof: without a sealed channel below, any peer may take it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(try_from = "String<32>")]
pub struct Name(String<32>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX: usize = 32;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a terminal's name: 1 to 32 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NameError;

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a terminal's name is 1 to 32 of A-Z a-z 0-9 . _ -")
    }
}

impl core::error::Error for NameError {}

impl TryFrom<String<32>> for Name {
    type Error = NameError;
    fn try_from(text: String<32>) -> Result<Self, NameError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(plain) {
            return Err(NameError);
        }
        Ok(Self(text))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number::serialize_text(&self.0, serializer)
    }
}

impl From<Name> for String<32> {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        String::try_from(text).map_err(|_| NameError)?.try_into()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A ledger's identity: random, new for every start in memory and after a restore. Numbers and outcomes of one
/// identity say nothing about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LedgerId(#[serde(with = "number")] pub u64);

impl LedgerId {
    /// Sixteen lower-case hexadecimal digits.
    pub fn digits(self) -> String<16> {
        let digit = |byte: u8| char::from(if byte < 10 { b'0' + byte } else { b'a' + byte - 10 });
        let digits = self.0.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut text = String::new();
        // There are as many as it takes.
        digits.for_each(|byte| text.push(digit(byte)).unwrap_or_default());
        text
    }
}

/// Its [digits](LedgerId::digits).
impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits())
    }
}

/// The text is not a ledger's identity: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LedgerIdError;

impl fmt::Display for LedgerIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a ledger's identity is 16 hexadecimal digits")
    }
}

impl core::error::Error for LedgerIdError {}

impl FromStr for LedgerId {
    type Err = LedgerIdError;
    fn from_str(text: &str) -> Result<Self, LedgerIdError> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(LedgerIdError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| LedgerIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_name_is_1_to_32_plain_characters() {
        let longest = "A-Za-z0-9._-ABCDEFGHIJKLMNOPQRST";
        assert_eq!(longest.len(), Name::MAX);
        for text in ["a", "kiosk-7", "A.b_C-9", longest] {
            let name: Name = text.parse().unwrap();
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
        }
        let long = std::format!("{longest}U");
        for text in ["", " ", "a b", "a/b", "\u{e9}", "a\0", &long] {
            assert_eq!(text.parse::<Name>(), Err(NameError), "{text:?}");
        }
        assert!(NameError.to_string().contains("1 to 32 of A-Z a-z 0-9 . _ -"));
        let name: Name = "kiosk-7".parse().unwrap();
        assert_eq!(String::<32>::from(name), "kiosk-7");
    }

    #[test]
    fn an_identity_is_16_hexadecimal_digits() {
        let identity = LedgerId(0x0123_4567_89ab_cdef);
        assert_eq!(identity.to_string(), "0123456789abcdef");
        for text in ["0123456789abcdef", "0123456789ABCDEF"] {
            assert_eq!(text.parse(), Ok(identity));
        }
        for text in ["", "0123456789abcde", "0123456789abcdef0", "+123456789abcdef", "0123456789abcdeg"] {
            assert_eq!(text.parse::<LedgerId>(), Err(LedgerIdError), "{text:?}");
        }
        assert!(LedgerIdError.to_string().contains("16 hexadecimal digits"));
    }
}
