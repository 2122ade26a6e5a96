//! Frames of the `postcard` wire over TCP, as an attacker has them: bodies with a right checksum, whatever is in them.
use crate::TIMEOUT;
use atm_core::frame::{Decoded, cobs};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

/// Room for a frame of any message.
const ROOM: usize = 1024;

/// A frame with a right checksum, behind a zero that ends what was before it.
pub fn postcard_frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = [0; ROOM];
    let length = cobs::encode(&mut bytes[1..], |out| {
        out[..body.len()].copy_from_slice(body);
        Ok(body.len())
    });
    bytes[..=length.unwrap()].to_vec()
}

/// Decodes the frames of one direction of a connection.
#[derive(Debug, Default)]
pub struct FrameReader {
    decoder: cobs::Decoder,
    body: heapless::Vec<u8, ROOM>,
}

impl FrameReader {
    /// The bodies of the frames that end in these bytes. A damaged frame is dropped.
    pub fn read(&mut self, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        while !bytes.is_empty() {
            let (taken, decoded) = self.decoder.push(&mut self.body, bytes);
            bytes = &bytes[taken..];
            if decoded == Decoded::Frame {
                bodies.push(self.body.to_vec());
            }
        }
        bodies
    }
}

/// Sends bodies on a connection of its own, ends the sending direction, and returns the bodies that the server sends up to the
/// end of the stream.
pub fn exchange_frames(address: SocketAddr, bodies: &[impl AsRef<[u8]>]) -> Vec<Vec<u8>> {
    Peer::connect(address).end_with(bodies)
}

/// The same with a hello first, whose reply is awaited: what follows comes when the server has a session, if it has.
pub fn replay_session(address: SocketAddr, bodies: &[impl AsRef<[u8]>]) -> Vec<Vec<u8>> {
    let (hello, rest) = bodies.split_first().expect("a session begins with a hello");
    let mut peer = Peer::connect(address);
    peer.send(hello.as_ref());
    while peer.received.is_empty() && peer.receive() {}
    peer.end_with(rest)
}

struct Peer {
    stream: TcpStream,
    reader: FrameReader,
    received: Vec<Vec<u8>>,
}

impl Peer {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self { stream, reader: FrameReader::default(), received: Vec::new() }
    }

    /// False if the server has closed the connection; what it has sent can be read all the same.
    fn send(&mut self, body: &[u8]) -> bool {
        self.stream.write_all(&postcard_frame(body)).is_ok()
    }

    /// False at the end of the stream.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(count @ 1..) => self.received.extend(self.reader.read(&bytes[..count])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the connection does not end"),
            // A reset, where the server has closed the connection with input unread.
            Ok(0) | Err(_) => return false,
        }
        true
    }

    fn end_with(mut self, bodies: &[impl AsRef<[u8]>]) -> Vec<Vec<u8>> {
        let _all_sent = bodies.iter().all(|body| self.send(body.as_ref()));
        // The server may have closed it.
        let _ = self.stream.shutdown(Shutdown::Write);
        while self.receive() {}
        self.received
    }
}
