//! Bare echo servers: the least work of a server over TCP for a request, and so an upper bound of the
//! throughput. They read frames (a length of four bytes and a body, as on the `json` wire) and send one of a
//! fixed size for each.
use super::echo_protocol::HEADER;
use atm_e2e::println;
use mio::{Events, Interest, Poll, Token, net};
use std::{
    io::{self, ErrorKind, Read, Write},
    thread,
};

/// Bytes of one read, as in our server.
const READ_SIZE: usize = 4096;

/// Bytes of a thread's stack; it needs less.
const STACK: usize = 64 * 1024;

/// The backlog of listen(2), as in our server.
const BACKLOG: i32 = 4096;

const LISTENER: Token = Token(usize::MAX);

/// How an echo server serves many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Concurrency {
    /// A thread per connection.
    Threads,
    /// One event loop.
    Loop,
}

/// Listens on a free port, prints its address, and serves until it is killed. Each reply has a body of
/// `reply` bytes.
///
/// # Errors
/// A call to the system fails.
pub fn serve(concurrency: Concurrency, reply: usize) -> io::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    rustix::net::listen(&listener, BACKLOG)?;
    let length = u32::try_from(reply).map_err(io::Error::other)?.to_be_bytes();
    let reply = [&length[..], &vec![b'x'; reply]].concat();
    println!("listening on {} (echo)", listener.local_addr()?);
    match concurrency {
        Concurrency::Threads => threads(&listener, &reply),
        Concurrency::Loop => event_loop(listener, &reply),
    }
}

/// Counts the frames in a stream of bytes, without their contents.
#[derive(Debug, Default)]
struct FrameCounter {
    header: [u8; HEADER],
    have: usize,
    left: usize,
}

impl FrameCounter {
    fn count(&mut self, mut bytes: &[u8]) -> usize {
        let mut whole = 0;
        while !bytes.is_empty() {
            if self.left == 0 {
                let part = bytes.len().min(HEADER - self.have);
                self.header[self.have..self.have + part].copy_from_slice(&bytes[..part]);
                self.have += part;
                bytes = &bytes[part..];
                if self.have < HEADER {
                    break;
                }
                self.have = 0;
                self.left = u32::from_be_bytes(self.header) as usize;
            }
            let part = bytes.len().min(self.left);
            self.left -= part;
            bytes = &bytes[part..];
            whole += usize::from(self.left == 0);
        }
        whole
    }
}

fn threads(listener: &std::net::TcpListener, reply: &[u8]) -> io::Result<()> {
    thread::scope(|scope| {
        loop {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
                let (mut frames, mut bytes) = (FrameCounter::default(), [0; READ_SIZE]);
                loop {
                    let count = match stream.read(&mut bytes) {
                        Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                        result => result.unwrap_or(0),
                    };
                    if count == 0 {
                        return;
                    }
                    for _ in 0..frames.count(&bytes[..count]) {
                        // A closed connection ends the thread at the next read.
                        let _ = stream.write_all(reply);
                    }
                }
            })?;
        }
    })
}

struct Connection {
    stream: net::TcpStream,
    frames: FrameCounter,
    /// Bytes that the socket had no room for.
    unsent: Vec<u8>,
}

fn event_loop(listener: std::net::TcpListener, reply: &[u8]) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut listener = net::TcpListener::from_std(listener);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    // A connection's token is its index, and free indices are used again: an event needs no lookup.
    let (mut connections, mut vacant) = (Vec::<Option<Connection>>::new(), Vec::new());
    let mut bytes = [0; READ_SIZE];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let index = vacant.pop().unwrap_or(connections.len());
                    poll.registry().register(
                        &mut stream,
                        Token(index),
                        Interest::READABLE | Interest::WRITABLE,
                    )?;
                    let connection =
                        Connection { stream, frames: FrameCounter::default(), unsent: Vec::new() };
                    match connections.get_mut(index) {
                        Some(slot) => *slot = Some(connection),
                        None => connections.push(Some(connection)),
                    }
                }
            } else if let Some(slot) = connections.get_mut(event.token().0)
                && let Some(connection) = slot
                && connection.serve(reply, &mut bytes, event.is_read_closed()).is_err()
            {
                *slot = None;
                vacant.push(event.token().0);
            }
        }
    }
}

impl Connection {
    /// Handles an event; an error if the connection is closed.
    fn serve(&mut self, reply: &[u8], bytes: &mut [u8; READ_SIZE], closed: bool) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            self.send(&unsent)?;
        }
        loop {
            match self.stream.read(bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    for _ in 0..self.frames.count(&bytes[..count]) {
                        self.send(reply)?;
                    }
                    // A short read shows that the socket is empty, except before the end of the stream.
                    if count < READ_SIZE && !closed {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if !self.unsent.is_empty() {
                self.unsent.extend_from_slice(bytes);
                return Ok(());
            }
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(bytes);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let stream = [&[0, 0, 0, 2, 1, 2][..], &[0, 0, 0, 0], &[0, 0, 0, 5, 1, 2, 3, 4, 5], &[0, 0]].concat();
        for cut in 1..=stream.len() {
            let mut frames = FrameCounter::default();
            let whole: usize = stream.chunks(cut).map(|piece| frames.count(piece)).sum();
            // A frame without a body is counted at the first byte behind it.
            assert_eq!(whole, 3, "{cut}");
        }
    }
}
