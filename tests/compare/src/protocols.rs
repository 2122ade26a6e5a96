//! The client protocols of the echo servers and of Redis.
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

/// A session with Redis: `INCRBY account N` in RESP, as every client library sends it. All sessions increment
/// the same key, as all of ours use the same account.
#[derive(Debug)]
pub(super) struct RedisProtocol {
    rng: fastrand::Rng,
    last: u64,
    kept: Vec<u8>,
}

impl RedisProtocol {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed), last: 0, kept: Vec::new() }
    }

    /// Checks the number in a reply, which must have grown.
    fn check_reply(&mut self, line: &[u8]) -> Result<Received, SessionError> {
        let number = str::from_utf8(line)
            .ok()
            .and_then(|line| line.strip_prefix(':'))
            .and_then(|line| line.parse().ok());
        match number {
            Some(number) if number > self.last => {
                self.last = number;
                Ok(Received::Reply { completes_operation: true })
            }
            _ => Err(SessionError(format!(
                "Redis replied {} after {}",
                String::from_utf8_lossy(line),
                self.last
            ))),
        }
    }
}

impl ClientProtocol for RedisProtocol {
    fn is_greeted(&self) -> bool {
        false
    }

    fn write_request(&mut self, out: &mut Vec<u8>) {
        let number = self.rng.u8(1..=100);
        let digits = match number {
            100.. => 3,
            10.. => 2,
            _ => 1,
        };
        out.extend_from_slice(b"*3\r\n$6\r\nINCRBY\r\n$7\r\naccount\r\n$");
        out.extend_from_slice(&[b'0' + digits, b'\r', b'\n']);
        let figures = [b'0' + number / 100, b'0' + number / 10 % 10, b'0' + number % 10];
        out.extend_from_slice(&figures[3 - usize::from(digits)..]);
        out.extend_from_slice(b"\r\n");
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Received, SessionError> {
        if self.kept.is_empty()
            && let Some(line) = bytes.strip_suffix(b"\r\n")
        {
            return self.check_reply(line);
        }
        self.kept.extend_from_slice(bytes);
        match self.kept.strip_suffix(b"\r\n").map(<[u8]>::to_vec) {
            Some(line) => {
                self.kept.clear();
                self.check_reply(&line)
            }
            None => Ok(Received::Incomplete),
        }
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

    #[test]
    fn a_redis_reply_must_grow_and_requests_are_well_formed() {
        let mut session = RedisProtocol::new(1);
        assert_eq!(session.receive(b":5\r\n"), Ok(Received::Reply { completes_operation: true }));
        assert_eq!(session.receive(b":1"), Ok(Received::Incomplete));
        assert_eq!(session.receive(b"2\r\n"), Ok(Received::Reply { completes_operation: true }));
        assert!(session.receive(b":12\r\n").is_err());
        assert!(session.receive(b"-MISCONF\r\n").is_err());
        let (mut lengths, mut out) = (std::collections::HashSet::new(), Vec::new());
        for _ in 0..1000 {
            out.clear();
            session.write_request(&mut out);
            let text = String::from_utf8(out.clone()).unwrap();
            let words: Vec<&str> = text.split("\r\n").collect();
            assert_eq!(words[5], format!("${}", words[6].len()));
            assert!((1..=100).contains(&words[6].parse::<u8>().unwrap()), "{text}");
            lengths.insert(words[6].len());
        }
        assert_eq!(lengths.len(), 3);
    }
}
