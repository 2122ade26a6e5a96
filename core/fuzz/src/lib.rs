//! Shared by the fuzz targets: framing for each wire, and a ledger of cards.
use atm_core::{frame::cobs, wire::Wire};

pub mod cards;

/// Encodes a body as a whole frame of a wire.
pub fn frame(wire: Wire, body: &[u8]) -> Vec<u8> {
    match wire {
        Wire::Json => [&(body.len() as u32).to_be_bytes()[..], body].concat(),
        Wire::Raw => body.to_vec(),
        Wire::Postcard => {
            let mut buffer = vec![0; body.len() + body.len() / 200 + 8];
            let length = cobs::encode(&mut buffer, |out| {
                out[..body.len()].copy_from_slice(body);
                Ok(body.len())
            }).expect("the buffer has room");
            buffer.truncate(length);
            buffer
        }
    }
}
