//! The client protocol of the echo servers.
use atm_bench::protocol::{ClientProtocol, Received, SessionError};

/// Bytes of the length in front of a frame.
pub(super) const HEADER: usize = 4;

/// A session with an echo server: requests of one size, replies of another.
#[derive(Debug)]
pub(super) struct EchoProtocol {
    request: Vec<u8>,
    header: Vec<u8>,
    /// Missing bytes of the body.
    left: usize,
}

impl EchoProtocol {
    /// Requests with bodies of `body` bytes.
    pub(super) fn new(body: usize) -> Self {
        let length = u32::try_from(body).unwrap().to_be_bytes();
        Self { request: [&length[..], &vec![b'x'; body]].concat(), header: Vec::new(), left: 0 }
    }
}

impl ClientProtocol for EchoProtocol {
    fn is_greeted(&self) -> bool {
        false
    }

    fn write_request(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
    }

    fn receive(&mut self, mut bytes: &[u8]) -> Result<Received, SessionError> {
        if self.left == 0 {
            let header = bytes.len().min(HEADER - self.header.len());
            self.header.extend_from_slice(&bytes[..header]);
            bytes = &bytes[header..];
            let Ok(length) = <[u8; HEADER]>::try_from(&self.header[..]) else {
                return Ok(Received::Incomplete);
            };
            self.header.clear();
            self.left = u32::from_be_bytes(length) as usize;
        }
        if bytes.len() > self.left {
            return Err(SessionError("more than one frame was received".to_owned()));
        }
        self.left -= bytes.len();
        Ok(if self.left == 0 { Received::Reply { completes_operation: true } } else { Received::Incomplete })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_an_echo_server_is_complete_however_it_is_cut() {
        let reply = [&[0, 0, 0, 7][..], b"seven77"].concat();
        for cut in 1..=reply.len() {
            let mut session = EchoProtocol::new(3);
            for _ in 0..2 {
                let mut out = Vec::new();
                session.write_request(&mut out);
                assert_eq!(out, b"\0\0\0\x03xxx");
                let received: Vec<Received> =
                    reply.chunks(cut).map(|piece| session.receive(piece).unwrap()).collect();
                let (last, before) = received.split_last().unwrap();
                assert_eq!(*last, Received::Reply { completes_operation: true }, "{cut}");
                assert!(before.iter().all(|received| *received == Received::Incomplete));
            }
        }
    }
}
