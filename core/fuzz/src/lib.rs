//! What the fuzz targets share.
use atm_core::{frame::cobs, wire::Wire};

/// A whole frame of a wire.
pub fn frame(wire: Wire, body: &[u8]) -> Vec<u8> {
    match wire {
        Wire::Json => [&(body.len() as u32).to_be_bytes()[..], body].concat(),
        Wire::Raw => body.to_vec(),
        Wire::Postcard => {
            let mut buffer = body.to_vec();
            buffer.resize(body.len() + body.len() / 254 + 8, 0);
            let length = cobs::encode(&mut buffer, body.len()).expect("the buffer has room");
            buffer.truncate(length);
            buffer
        }
    }
}
