//! Numbers in messages and stored entries: the bound of those that count, and varint encoding for postcard without a
//! panic.
//!
//! The bytes are those of postcard's own varint. Its encoder is inlined at every number of a message, and
//! each copy keeps a bounds check that the compiler does not remove at `opt-level = "s"`: a panic in an image
//! that must have none. These functions are for `#[serde(serialize_with)]`. In a human-readable format they
//! write an ordinary number or text.
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error, ser::SerializeTuple};

/// What replies and starts count with is below this. Above it a JSON reader may round an integer (RFC 8259, section 6);
/// the first number behind a block is at most this.
pub(crate) const MAX: u64 = (1 << 53) - 1;

/// A number below [`MAX`]: every number in a message that counts replies or starts. A message with a greater one is
/// malformed.
#[derive(Clone, Copy)]
pub(crate) struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserialize(deserializer)?;
        if number < MAX { Ok(Self(number)) } else { Err(D::Error::custom("a number of 2^53 - 1 or above")) }
    }
}

impl From<Number> for u64 {
    fn from(Number(number): Number) -> Self {
        number
    }
}

/// For `#[serde(with)]`: a field that is a [`Number`].
pub(crate) mod bounded {
    pub(crate) use super::serialize;
    use super::*;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Number::deserialize(deserializer).map(u64::from)
    }
}

/// For `#[serde(with)]`: a field that is an optional [`Number`].
pub(crate) mod bounded_option {
    pub(crate) use super::serialize_option as serialize;
    use super::*;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        Ok(Option::<Number>::deserialize(deserializer)?.map(u64::from))
    }
}

/// Serializes a number.
pub(crate) fn serialize<T, S>(number: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + Into<u64>,
    S: Serializer,
{
    write((*number).into(), serializer)
}

#[inline(never)]
fn write<S: Serializer>(number: u64, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serializer.serialize_u64(number);
    }
    let mut bytes = serializer.serialize_tuple(0)?;
    let mut rest = number;
    while rest >= 0x80 {
        bytes.serialize_element(&(low_byte(rest) | 0x80))?;
        rest >>= 7;
    }
    bytes.serialize_element(&low_byte(rest))?;
    bytes.end()
}

/// Deserializes a number: one copy of postcard's decoder, which is inlined at every number otherwise.
#[inline(never)]
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    u64::deserialize(deserializer)
}

/// Serializes an optional number.
pub(crate) fn serialize_option<S: Serializer>(
    number: &Option<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    struct Varint<'a>(&'a u64);
    impl Serialize for Varint<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serialize(self.0, serializer)
        }
    }
    number.as_ref().map(Varint).serialize(serializer)
}

/// Serializes a text: its length in bytes as a varint, and the bytes.
pub(crate) fn serialize_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    struct Length(usize);
    impl Serialize for Length {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // A `usize` has at most 64 bits on every target.
            write(u64::try_from(self.0).unwrap_or(u64::MAX), serializer)
        }
    }
    if serializer.is_human_readable() {
        return serializer.serialize_str(text);
    }
    let mut bytes = serializer.serialize_tuple(0)?;
    bytes.serialize_element(&Length(text.len()))?;
    for byte in text.bytes() {
        bytes.serialize_element(&byte)?;
    }
    bytes.end()
}

fn low_byte(number: u64) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}
