//! A TCP client of an unnamed session: sends frames or raw bytes, reads replies, each with a timeout.
use crate::TIMEOUT;
use rustix::net::{
    self, AddressFamily, SocketType,
    sockopt::{set_socket_keepalive, set_tcp_keepidle},
};
use serde_json::{Value, json};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// How often a wait for a message checks its other condition.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A frame of the `json` wire: the body behind its length in 4 bytes, big-endian.
pub fn frame(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

/// The text of a message: its field `data`.
pub fn text_of(message: &Value) -> &str {
    message["data"].as_str().expect("a message has data")
}

/// A connection to a server. It sends no hello by itself.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Connects, without reading the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect_timeout(&address, TIMEOUT).expect("the server accepts the connection"))
    }

    /// Connects from an address of this machine, as any of 127.0.0.0/8.
    pub fn connect_from(source: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        net::bind(&socket, &SocketAddr::from((source, 0))).unwrap();
        net::connect(&socket, &address).expect("the server accepts the connection");
        Self::new(socket.into())
    }

    /// Connects to a server that may not be running; `None` if the connection is refused.
    pub fn try_connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
        // A server that is killed while a client connects may close neither by FIN nor by RST: seen twice in some twenty kills
        // on a busy machine. A client that only reads would wait for ever; with keepalive (tcp(7)) the system probes a
        // connection that was idle for a second.
        set_socket_keepalive(&stream, true).unwrap();
        set_tcp_keepidle(&stream, Duration::from_secs(1)).unwrap();
        // If no process listens, the socket may get the port that it connects to as its own: it is connected to itself.
        (stream.local_addr().ok()? != address).then(|| Self::new(stream))
    }

    /// A client on an open connection.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Connects on the `json` wire and reads the greeting, which is the menu.
    pub fn greeted(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        let greeting = client.read();
        assert!(
            text_of(&greeting).starts_with("Welcome to the ATM") && greeting["input"] == true,
            "{greeting}"
        );
        client
    }

    /// Sends bytes without a frame.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server receives");
    }

    /// Sends bytes to a server that may have closed the connection; false if it has.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) if is_closed(error.kind()) => false,
            Err(error) => panic!("sending failed: {error}"),
        }
    }

    /// Sends an answer on the `json` wire.
    pub fn answer(&mut self, text: &str) {
        self.send(&frame(json!({ "data": text }).to_string()));
    }

    /// Sends an answer and reads its reply.
    pub fn ask(&mut self, text: &str) -> Value {
        self.answer(text);
        self.read()
    }

    /// Asks for the balance, in minor units.
    pub fn balance(&mut self) -> u64 {
        let reply = self.ask("balance");
        assert_eq!(reply["operation"], "balance", "{reply}");
        reply["balance"].as_u64().unwrap()
    }

    /// Reads one message of the `json` wire.
    pub fn read(&mut self) -> Value {
        self.read_or_end().expect("a message instead of the end of the stream")
    }

    /// Reads one message of the `json` wire; `None` once `given_up` returns true.
    pub fn read_unless(&mut self, given_up: impl Fn() -> bool) -> Option<Value> {
        let until = Instant::now() + TIMEOUT;
        loop {
            if let Some(message) = self.message() {
                return Some(message);
            }
            if given_up() {
                return None;
            }
            assert!(Instant::now() < until, "no message in time");
            assert!(
                self.receive_some(Instant::now() + POLL_INTERVAL).unwrap(),
                "the server closed the connection"
            );
        }
    }

    /// Reads one message of the `json` wire; `None` if the connection ends before the message is complete.
    pub fn try_read(&mut self) -> Option<Value> {
        let until = Instant::now() + TIMEOUT;
        loop {
            if let Some(message) = self.message() {
                return Some(message);
            }
            assert!(Instant::now() < until, "no message in time: {self:?}");
            match self.receive_some(until) {
                Ok(true) => {}
                Ok(false) => return None,
                // The server was killed with unread input: its system sends a reset.
                Err(error) if is_closed(error.kind()) => return None,
                Err(error) => panic!("receiving failed: {error}"),
            }
        }
    }

    /// Reads one message of the `json` wire; `None` at the end of the stream, which must not be inside a message.
    pub fn read_or_end(&mut self) -> Option<Value> {
        let until = Instant::now() + TIMEOUT;
        loop {
            if let Some(message) = self.message() {
                return Some(message);
            }
            if !self.receive(until) {
                assert!(
                    self.received.is_empty(),
                    "the stream ends inside a message: {:?}",
                    String::from_utf8_lossy(&self.received)
                );
                return None;
            }
        }
    }

    /// Decodes a message, once all of it was received.
    fn message(&mut self) -> Option<Value> {
        let (header, rest) = self.received.split_first_chunk()?;
        let length = u32::from_be_bytes(*header) as usize;
        assert!(length <= 4096, "not the length of a message: {:?}", String::from_utf8_lossy(&self.received));
        let message = serde_json::from_slice(rest.get(..length)?).expect("a message is JSON");
        self.received.drain(..4 + length);
        Some(message)
    }

    /// Reads messages up to and including the first with a prompt.
    pub fn read_to_prompt(&mut self) -> Vec<Value> {
        let mut messages = vec![self.read()];
        while messages.last().is_some_and(|message| message["input"] != true) {
            messages.push(self.read());
        }
        messages
    }

    /// Reads once, at most 1024 bytes, as the original client does (tests/e2e/original); empty at the end of the stream.
    pub fn read_once(&mut self) -> Vec<u8> {
        self.stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut bytes = [0; 1024];
        let count = self.stream.read(&mut bytes).expect("bytes in time");
        bytes[..count].to_vec()
    }

    /// Reads up to the end of the stream.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let until = Instant::now() + TIMEOUT;
        while self.receive(until) {}
        std::mem::take(&mut self.received)
    }

    /// Waits for the end of the stream; no message may come before it.
    pub fn expect_end(&mut self) {
        assert_eq!(self.read_or_end(), None);
    }

    /// Shuts down the sending direction; reading goes on.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// As [`Client::half_close`], on a connection that may be closed; false if it is.
    pub fn try_half_close(&mut self) -> bool {
        self.stream.shutdown(Shutdown::Write).is_ok()
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Receives bytes; false at the end of the stream.
    fn receive(&mut self, until: Instant) -> bool {
        assert!(
            Instant::now() < until,
            "nothing received in time; before: {:?}",
            String::from_utf8_lossy(&self.received)
        );
        self.receive_some(until).unwrap_or_else(|error| panic!("receiving failed: {error}"))
    }

    /// Receives what arrives before `until`, if anything; false at the end of the stream.
    fn receive_some(&mut self, until: Instant) -> io::Result<bool> {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Ok(false),
            Ok(count) => self.received.extend_from_slice(&bytes[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Program, python};

    /// A server that accepts and vanishes: in repair mode (`TCP_REPAIR` of linux/tcp.h; needs CAP_NET_ADMIN) Linux closes a
    /// socket without a FIN or RST.
    const VANISHES: &str = "
import socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1])
stream, _ = listener.accept()
try:
    stream.setsockopt(socket.IPPROTO_TCP, 19, 1)
except PermissionError:
    print('not permitted')
stream.close()
print('gone')
input()
";

    #[test]
    fn a_connection_that_was_closed_without_fin_is_noticed() {
        let Some(command) = python("-c".as_ref(), &[VANISHES]) else { return };
        let program = Program::start(command);
        let port: u16 = program.wait_until(|text| text.split_once('\n')?.0.parse().ok());
        let mut client = Client::try_connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        program.wait_for("gone");
        assert_eq!(client.try_read(), None, "{}", program.stdout());
    }
}
