//! Bare echo servers: the least that a server over TCP does for a request, and so the limit of what any can do. They read a
//! frame (a length of four bytes and a body, as on the `json` wire) and send one of a given size.
use super::protocols::HEADER;
use mio::{Events, Interest, Poll, Token, net};
use std::{
    io::{self, ErrorKind, Read, Write},
    thread,
};

/// What one read brings at the most, as in our server.
const READ: usize = 4096;

/// A thread's stack; it needs less.
const STACK: usize = 64 * 1024;

/// Connections that may wait to be accepted, as in our server.
const BACKLOG: i32 = 4096;

const LISTENER: Token = Token(usize::MAX);

/// How a server serves many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Concurrency {
    /// A thread each.
    Threads,
    /// One event loop.
    Loop,
}

/// Listens on a free port, says which, and serves until it is killed; each reply has a body of `reply` bytes.
///
/// # Errors
/// Whatever makes it impossible.
pub fn serve(way: Concurrency, reply: usize) -> io::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    rustix::net::listen(&listener, BACKLOG)?;
    let length = u32::try_from(reply).map_err(io::Error::other)?.to_be_bytes();
    let reply = [&length[..], &vec![b'x'; reply]].concat();
    println!("listening on {} (echo)", listener.local_addr()?);
    match way {
        Concurrency::Threads => threads(&listener, &reply),
        Concurrency::Loop => event_loop(listener, &reply),
    }
}

/// How many frames end in some bytes that go on from others.
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
                let (mut frames, mut bytes) = (FrameCounter::default(), [0; READ]);
                loop {
                    let count = match stream.read(&mut bytes) {
                        Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                        result => result.unwrap_or(0),
                    };
                    if count == 0 {
                        return;
                    }
                    for _ in 0..frames.count(&bytes[..count]) {
                        // Whoever is gone is seen at the next read.
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
    /// What the socket had no room for.
    unsent: Vec<u8>,
}

fn event_loop(listener: std::net::TcpListener, reply: &[u8]) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut listener = net::TcpListener::from_std(listener);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    // A connection's token is its place, and a place is used again: nothing is looked up, and nothing cleared for an event.
    let (mut connections, mut vacant) = (Vec::<Option<Connection>>::new(), Vec::new());
    let mut bytes = [0; READ];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let place = vacant.pop().unwrap_or(connections.len());
                    poll.registry().register(
                        &mut stream,
                        Token(place),
                        Interest::READABLE | Interest::WRITABLE,
                    )?;
                    let connection =
                        Connection { stream, frames: FrameCounter::default(), unsent: Vec::new() };
                    match connections.get_mut(place) {
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
    /// Does what there is to do; an error where the connection is over.
    fn serve(&mut self, reply: &[u8], bytes: &mut [u8; READ], ends: bool) -> io::Result<()> {
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
                    // Less than was asked for is all there is, but for the end of the stream.
                    if count < READ && !ends {
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
            // One without a body ends with the first byte behind it.
            assert_eq!(whole, 3, "{cut}");
        }
    }
}
