//! How numbers, and texts behind their lengths, are written on the binary wire.
//!
//! The bytes are postcard's own varint. Its encoder is inlined at every number of a message, and each copy keeps a bounds
//! check that the compiler does not see through at `opt-level = "s"`: a panic in an image that is to have none. This one is
//! there once. In a format for people it is a number like any other; no other binary format is meant to be used.
use serde::{Serialize, Serializer, ser::SerializeTuple};

/// Writes a number; for `#[serde(serialize_with)]`.
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

/// Writes a number that may be missing.
pub(crate) fn serialize_option<S: Serializer>(
    number: &Option<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    struct Number<'a>(&'a u64);
    impl Serialize for Number<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serialize(self.0, serializer)
        }
    }
    number.as_ref().map(Number).serialize(serializer)
}

/// Writes a text: its length in bytes, which is a number too, and the bytes.
pub(crate) fn serialize_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    struct Length(usize);
    impl Serialize for Length {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // No machine has longer addresses than this.
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
