//! Entries packed one behind the other: each the length of its value in two bytes (little-endian), then the value, which
//! is its hash (32 bytes) and its line. They have consecutive numbers, which are not in it.
use super::{
    books::{Head, Row},
    entry::Hash,
};
use std::io;

/// Bytes that an entry takes beside its line.
const AROUND: usize = 34;

/// The bytes that an entry takes.
pub(super) fn size(row: &Row) -> usize {
    row.line.len().saturating_add(AROUND)
}

/// Packs an entry behind others.
///
/// # Errors
/// Its line is longer than 65,503 bytes; none is.
pub(super) fn pack(row: &Row, into: &mut Vec<u8>) -> io::Result<()> {
    let len = u16::try_from(row.line.len().saturating_add(32)).map_err(io::Error::other)?;
    into.extend_from_slice(&len.to_le_bytes());
    into.extend_from_slice(&row.head.hash.0);
    into.extend_from_slice(row.line.as_bytes());
    Ok(())
}

/// The entries that are packed in `bytes`, the first of which has the number `first`; `None` behind the last one that can be
/// read, where there is something else.
pub(super) fn unpack(mut bytes: &[u8], first: u64) -> impl Iterator<Item = Option<(Head, &str)>> {
    let mut number = first;
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let entry = one(&mut bytes, number);
        if entry.is_none() {
            bytes = &[];
        }
        number = number.saturating_add(1);
        Some(entry)
    })
}

fn one<'a>(bytes: &mut &'a [u8], number: u64) -> Option<(Head, &'a str)> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    *bytes = rest;
    let (hash, line) = value.split_first_chunk()?;
    Some((Head { number, hash: Hash(*hash) }, str::from_utf8(line).ok()?))
}
