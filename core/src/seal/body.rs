//! Bodies: padding to one length, tag and encryption, and the way back.
use super::{BUCKET, Key, TAG, Tag};
use crate::{codec::BufferTooSmall, xof::absorb};
use core::ops::Range;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

// What a key is absorbed with.
const AUTHENTICATE: u8 = 5;
const ENCRYPT: u8 = 6;

/// Ends the content of a bucket; zeros follow.
const PADDING: u8 = 0x80;

/// Where the content of a body with a header of `header` bytes begins.
pub fn content_at(header: usize) -> usize {
    const BEFORE: usize = 1 + TAG;
    header.saturating_add(BEFORE)
}

/// What is encrypted.
#[cfg(not(feature = "cards"))]
type Content = [u8; BUCKET];
#[cfg(feature = "cards")]
type Content = [u8];

/// The first bytes, as many as the bucket has.
#[cfg(not(feature = "cards"))]
#[inline(always)]
fn fill(rest: &mut [u8], _: usize) -> Option<&mut Content> {
    rest.first_chunk_mut()
}
#[cfg(feature = "cards")]
fn fill(rest: &mut [u8], bucket: usize) -> Option<&mut Content> {
    rest.get_mut(..bucket)
}

/// All bytes, if there are as many as a bucket has.
#[cfg(not(feature = "cards"))]
#[inline(always)]
fn whole(rest: &mut [u8]) -> Option<&mut Content> {
    rest.try_into().ok()
}
#[cfg(feature = "cards")]
fn whole(rest: &mut [u8]) -> Option<&mut Content> {
    matches!(rest.len(), BUCKET | super::WIDE_BUCKET).then_some(rest)
}

/// Seals a body in place, whose content of `length` bytes is at [`content_at`] in `out`; returns the body's length in bytes.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small, or the content does not fit in [`BUCKET`] with a byte to spare.
pub fn seal(
    key: &Key,
    index: u8,
    header: &[u8],
    out: &mut [u8],
    length: usize,
) -> Result<usize, BufferTooSmall> {
    seal_in(BUCKET, key, index, header, out, length)
}

/// The same with a bucket of so many bytes: [`BUCKET`], or the wide one of links with cards.
///
/// # Errors
/// [`BufferTooSmall`] if `out` is too small, or the content does not fit in the bucket with a byte to spare.
#[cfg_attr(not(feature = "cards"), inline(always))]
pub fn seal_in(
    bucket: usize,
    key: &Key,
    index: u8,
    header: &[u8],
    out: &mut [u8],
    length: usize,
) -> Result<usize, BufferTooSmall> {
    let (first, rest) = out.split_first_mut().ok_or(BufferTooSmall)?;
    let (place, rest) = rest.split_at_mut_checked(header.len()).ok_or(BufferTooSmall)?;
    let (tag, rest) = rest.split_first_chunk_mut::<TAG>().ok_or(BufferTooSmall)?;
    let content = fill(rest, bucket).ok_or(BufferTooSmall)?;
    pad(content, length)?;
    *first = index;
    // At `opt-level = "z"` a `copy_from_slice` has a panic.
    for (place, byte) in place.iter_mut().zip(header) {
        *place = *byte;
    }
    *tag = authenticate(key, index, header, content);
    crypt(key, tag, content);
    Ok(content_at(header.len()).saturating_add(content.len()))
}

/// Opens a sealed body with a header of `header` bytes in place; returns where in `body` its content is then. `None`, and the
/// body is wiped, if it is not authentic under `key`.
pub fn open(key: &Key, header: usize, body: &mut [u8]) -> Option<Range<usize>> {
    let opened = decrypt(key, header, body);
    if opened.is_none() {
        body.zeroize();
    }
    let start = content_at(header);
    opened.map(|length| start..start.saturating_add(length))
}

/// Decrypts and authenticates; the content's length.
fn decrypt(key: &Key, header: usize, body: &mut [u8]) -> Option<usize> {
    let (index, rest) = body.split_first_mut()?;
    let (header, rest) = rest.split_at_mut_checked(header)?;
    let (tag, rest) = rest.split_first_chunk_mut::<TAG>()?;
    let content = whole(rest)?;
    crypt(key, tag, content);
    let expected = authenticate(key, *index, header, content);
    if !bool::from(expected.ct_eq(tag)) {
        return None;
    }
    let length = content.iter().rposition(|byte| *byte != 0)?;
    content.get(length).filter(|byte| **byte == PADDING).map(|_| length)
}

/// Fills the bucket after `length` bytes of content.
fn pad(content: &mut Content, length: usize) -> Result<(), BufferTooSmall> {
    let (first, rest) = content.get_mut(length..).and_then(<[u8]>::split_first_mut).ok_or(BufferTooSmall)?;
    *first = PADDING;
    rest.fill(0);
    Ok(())
}

fn authenticate(key: &Key, index: u8, header: &[u8], padded: &Content) -> Tag {
    let mut tag = [0; TAG];
    absorb(key.bytes(), AUTHENTICATE, &[&[index], header, padded]).squeeze(&mut tag);
    tag
}

/// Encrypts or decrypts.
fn crypt(key: &Key, tag: &Tag, content: &mut Content) {
    let mut output = absorb(key.bytes(), ENCRYPT, &[tag]);
    let mut block = [0; 8];
    for chunk in content.chunks_mut(block.len()) {
        output.squeeze(&mut block);
        for (byte, mask) in chunk.iter_mut().zip(&block) {
            *byte ^= mask;
        }
    }
    block.zeroize();
}
