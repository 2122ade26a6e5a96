//! A plain client: a socket with a deadline.
use crate::TIMEOUT;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle};
use serde_json::{Value, json};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// How long to wait before looking elsewhere.
const GLANCE: Duration = Duration::from_millis(20);

/// A body behind its length, as the `json` wire wants it.
pub fn frame(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

/// A message's text.
pub fn text_of(message: &Value) -> &str {
    message["data"].as_str().expect("a message has data")
}

/// A connection to a server, of a client that says no hello.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Connects and reads nothing.
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect_timeout(&address, TIMEOUT).expect("the server lets a client in"))
    }

    /// Connects to a server that may be gone.
    pub fn try_connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
        // A server that is killed while it is connected to may be gone without a word: the system had the client's end of two
        // such connections, and no other, among some twenty kills on a busy machine. Whoever only listens there would listen
        // for ever; after a second without a word, the system asks.
        set_socket_keepalive(&stream, true).unwrap();
        set_tcp_keepidle(&stream, Duration::from_secs(1)).unwrap();
        // Where nobody listens, a socket may be given the very port that it connects to, and is connected with itself.
        (stream.local_addr().ok()? != address).then(|| Self::new(stream))
    }

    /// A client on a connection that is open already.
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

    /// Sends bytes as they are, in one write.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes bytes");
    }

    /// Sends bytes to somebody who may not want them; false where the connection is gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) if is_gone(error.kind()) => false,
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

    /// The balance in minor units, as the menu tells it.
    pub fn balance(&mut self) -> u64 {
        let reply = self.ask("balance");
        assert_eq!(reply["operation"], "balance", "{reply}");
        reply["balance"].as_u64().unwrap()
    }

    /// Reads one message of the `json` wire.
    pub fn read(&mut self) -> Value {
        self.read_or_end().expect("a message, and not the end of the stream")
    }

    /// Reads one message of the `json` wire, unless `enough` says that none is to be waited for.
    pub fn read_unless(&mut self, enough: impl Fn() -> bool) -> Option<Value> {
        let until = Instant::now() + TIMEOUT;
        loop {
            if let Some(message) = self.message() {
                return Some(message);
            }
            if enough() {
                return None;
            }
            assert!(Instant::now() < until, "nothing came in time");
            assert!(self.receive_some(Instant::now() + GLANCE).unwrap(), "the server is gone");
        }
    }

    /// Reads one message of the `json` wire, or `None` where the server is gone before it was whole.
    pub fn try_read(&mut self) -> Option<Value> {
        let until = Instant::now() + TIMEOUT;
        loop {
            if let Some(message) = self.message() {
                return Some(message);
            }
            assert!(Instant::now() < until, "nothing came in time: {self:?}");
            match self.receive_some(until) {
                Ok(true) => {}
                Ok(false) => return None,
                // It was killed with something unread.
                Err(error) if is_gone(error.kind()) => return None,
                Err(error) => panic!("receiving failed: {error}"),
            }
        }
    }

    /// Reads one message of the `json` wire, or `None` at the end of the stream.
    pub fn read_or_end(&mut self) -> Option<Value> {
        let until = Instant::now() + TIMEOUT;
        loop {
            if let Some(message) = self.message() {
                return Some(message);
            }
            if !self.receive(until) {
                assert!(
                    self.received.is_empty(),
                    "cut in a message: {:?}",
                    String::from_utf8_lossy(&self.received)
                );
                return None;
            }
        }
    }

    /// Takes a message that was received.
    fn message(&mut self) -> Option<Value> {
        let (header, rest) = self.received.split_first_chunk()?;
        let length = u32::from_be_bytes(*header) as usize;
        assert!(length <= 4096, "not a length: {:?}", String::from_utf8_lossy(&self.received));
        let message = serde_json::from_slice(rest.get(..length)?).expect("a message is JSON");
        self.received.drain(..4 + length);
        Some(message)
    }

    /// Reads messages up to one that ends in a prompt.
    pub fn read_to_prompt(&mut self) -> Vec<Value> {
        let mut messages = vec![self.read()];
        while messages.last().is_some_and(|message| message["input"] != true) {
            messages.push(self.read());
        }
        messages
    }

    /// What one read brings, up to 1024 bytes, as the program that this one replaces reads; empty at the end.
    pub fn read_once(&mut self) -> Vec<u8> {
        self.stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut bytes = [0; 1024];
        let count = self.stream.read(&mut bytes).expect("bytes in time");
        bytes[..count].to_vec()
    }

    /// Everything up to the end of the stream.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let until = Instant::now() + TIMEOUT;
        while self.receive(until) {}
        std::mem::take(&mut self.received)
    }

    /// The server closes the connection, without another word.
    pub fn expect_end(&mut self) {
        assert_eq!(self.read_or_end(), None);
    }

    /// Sends nothing more; reading goes on.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends nothing more to somebody who may be gone; false where it is.
    pub fn try_half_close(&mut self) -> bool {
        self.stream.shutdown(Shutdown::Write).is_ok()
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Receives something; false at the end of the stream.
    fn receive(&mut self, until: Instant) -> bool {
        assert!(
            Instant::now() < until,
            "nothing came in time; before: {:?}",
            String::from_utf8_lossy(&self.received)
        );
        self.receive_some(until).unwrap_or_else(|error| panic!("receiving failed: {error}"))
    }

    /// Receives what comes in time, if anything does; false at the end of the stream.
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

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Program, python};

    /// A server that accepts and is gone: in repair mode the system closes a socket without a word (tcp(7) has it not;
    /// linux/tcp.h, TCP_REPAIR; it takes an administrator).
    const VANISHES: &str = "
import socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1])
stream, _ = listener.accept()
try:
    stream.setsockopt(socket.IPPROTO_TCP, 19, 1)
except PermissionError:
    print('may not')
stream.close()
print('gone')
input()
";

    #[test]
    fn a_server_that_is_gone_without_a_word_is_noticed() {
        let Some(command) = python("-c".as_ref(), &[VANISHES]) else { return };
        let program = Program::start(command);
        let port: u16 = program.wait_until(|text| text.split_once('\n')?.0.parse().ok());
        let mut client = Client::try_connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        program.wait_for("gone");
        assert_eq!(client.try_read(), None, "{}", program.stdout());
    }
}
