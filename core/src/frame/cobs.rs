//! Frames for a serial line: COBS, ended by a zero byte, with a CRC-32 inside.
//!
//! COBS (Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999) takes
//! every zero out of a frame, so the next zero is always the end of one: whatever noise came, the receiver is in step
//! again there. The CRC is CRC-32/ISO-HDLC (the one of Ethernet and zip), little-endian, behind the body.
use super::Step;
use crate::message::Fault;
use heapless::VecView;

/// CRC bytes behind a body.
pub const TRAILER: usize = 4;

const CRC: crc::Crc<u32, crc::NoTable> = crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);

/// The check sum of a body.
pub fn checksum(body: &[u8]) -> [u8; TRAILER] {
    CRC.checksum(body).to_le_bytes()
}

/// The decoder's state; the body stands in the caller's buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decoder {
    /// Bytes of the present block that are still to come.
    left: u8,
    /// Does the block end in a zero of the frame's own?
    zero: bool,
    /// Has a frame begun?
    partial: bool,
    /// It is not to be saved: everything up to the next zero is dropped.
    spoilt: Option<Fault>,
}

impl Decoder {
    /// Takes bytes up to the end of a frame; says how many it took and what it found.
    pub fn push(&mut self, body: &mut VecView<u8>, bytes: &[u8]) -> (usize, Step) {
        for (taken, &byte) in bytes.iter().enumerate() {
            if byte == 0 {
                match self.finish(body) {
                    Step::More => {}
                    step => return (taken.saturating_add(1), step),
                }
            } else if self.spoilt.is_none() {
                self.byte(body, byte);
            }
        }
        (bytes.len(), Step::More)
    }

    /// Has a frame begun that is not whole yet?
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// The stream has ended, or the time for a frame has: what has begun is given up.
    pub fn end(&mut self) -> Step {
        if core::mem::take(self).partial { Step::Fault(Fault::Incomplete) } else { Step::More }
    }

    fn byte(&mut self, body: &mut VecView<u8>, byte: u8) {
        if !self.partial {
            body.clear();
            self.partial = true;
            self.zero = false;
        }
        let fits = if self.left > 0 {
            self.left = self.left.saturating_sub(1);
            body.push(byte).is_ok()
        } else {
            // The byte says how far away the next zero is; 255 says that none follows its 254 bytes.
            let fits = !self.zero || body.push(0).is_ok();
            self.left = byte.saturating_sub(1);
            self.zero = byte != u8::MAX;
            fits
        };
        if !fits {
            self.spoilt = Some(Fault::TooLong);
        }
    }

    fn finish(&mut self, body: &mut VecView<u8>) -> Step {
        let Self { left, partial, spoilt, .. } = core::mem::take(self);
        if let Some(fault) = spoilt {
            return Step::Fault(fault);
        }
        if !partial {
            // Zeros between frames: senders may put one before a frame to end whatever noise came first.
            return Step::More;
        }
        let whole = left == 0
            && body.split_last_chunk::<TRAILER>().is_some_and(|(content, sum)| checksum(content) == *sum);
        if !whole {
            return Step::Fault(Fault::Damaged);
        }
        body.truncate(body.len().saturating_sub(TRAILER));
        Step::Frame
    }
}

/// Makes a frame of the first `length` bytes of `buffer`, in place; returns the frame's length, or `None` where the
/// buffer is too small.
pub fn encode(buffer: &mut [u8], length: usize) -> Option<usize> {
    let sum = checksum(buffer.get(..length)?);
    let content = length.checked_add(TRAILER)?;
    buffer.get_mut(length..content)?.copy_from_slice(&sum);
    // One byte before each block of 254, and the zero: the content moves to the end of what it will take, and is
    // encoded from there to the front.
    let overhead = content.checked_div(254)?.checked_add(1)?;
    let most = content.checked_add(overhead)?.checked_add(1)?;
    let buffer = buffer.get_mut(..most)?;
    buffer.copy_within(..content, overhead);
    let (mut code_at, mut out, mut code) = (0usize, 1usize, 1u8);
    for from in overhead..overhead.checked_add(content)? {
        let byte = *buffer.get(from)?;
        if byte != 0 {
            *buffer.get_mut(out)? = byte;
            out = out.checked_add(1)?;
            code = code.saturating_add(1);
        }
        if byte == 0 || code == u8::MAX {
            *buffer.get_mut(code_at)? = code;
            (code_at, code) = (out, 1);
            out = out.checked_add(1)?;
        }
    }
    *buffer.get_mut(code_at)? = code;
    *buffer.get_mut(out)? = 0;
    out.checked_add(1)
}
