//! Session table of an event loop: the state of every session, and its reads and writes.
use super::super::{
    measurements::Measurements,
    protocol::{ClientProtocol, Received, SessionError},
};
use mio::{event::Event, net::TcpStream};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    time::Instant,
};

/// Bytes of one read.
const READ_SIZE: usize = 16 * 1024;

/// Lost sessions whose reason is kept; the others are only counted.
const MAX_REASONS: usize = 5;

/// The sessions of one event loop, and their measurements.
#[derive(Debug)]
pub(super) struct SessionTable<P> {
    pub(super) sessions: Vec<Session<P>>,
    /// Sessions without an outstanding request, the one that has been idle longest first. Some may be lost by
    /// now.
    pub(super) idle: VecDeque<usize>,
    /// In a closed loop each reply is followed at once by the next request.
    pub(super) closed_loop: bool,
    /// Sessions that are not lost.
    pub(super) alive: usize,
    /// Sessions that are connecting, or wait for the greeting or the reply to an opening request.
    pub(super) opening: usize,
    /// Sessions with an outstanding request.
    pub(super) outstanding: usize,
    pub(super) lost: usize,
    pub(super) reasons: Vec<String>,
    /// Set during the measured time, in which replies and bytes are counted.
    pub(super) counting: bool,
    /// Requests that were due from here on are measured.
    pub(super) measured_from: Option<Instant>,
    pub(super) measurements: Measurements,
    /// All replies, the warm-up included.
    pub(super) replies: u64,
    incoming: Vec<u8>,
    request: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Session<P> {
    pub(super) stream: TcpStream,
    pub(super) protocol: P,
    pub(super) state: SessionState,
    /// Bytes that the socket had no room for.
    unsent: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    Connecting,
    /// Connected, before the server's greeting or the reply to an opening request.
    Connected,
    Idle,
    /// With an outstanding request that was due then.
    Waiting(Instant),
    Lost,
}

impl<P: ClientProtocol> SessionTable<P> {
    pub(super) fn new() -> Self {
        Self {
            sessions: Vec::new(),
            idle: VecDeque::new(),
            closed_loop: false,
            alive: 0,
            opening: 0,
            outstanding: 0,
            lost: 0,
            reasons: Vec::new(),
            counting: false,
            measured_from: None,
            measurements: Measurements::default(),
            replies: 0,
            incoming: vec![0; READ_SIZE],
            request: Vec::new(),
        }
    }

    /// Adds a session whose socket is connecting.
    pub(super) fn add(&mut self, stream: TcpStream, protocol: P) {
        self.sessions.push(Session { stream, protocol, state: SessionState::Connecting, unsent: Vec::new() });
        self.alive = self.alive.saturating_add(1);
        self.opening = self.opening.saturating_add(1);
    }

    /// Takes the session that has been idle longest from the queue.
    pub(super) fn next_idle(&mut self) -> Option<usize> {
        loop {
            let index = self.idle.pop_front()?;
            if self.sessions.get(index).is_some_and(|session| session.state == SessionState::Idle) {
                return Some(index);
            }
        }
    }

    pub(super) fn handle_event(&mut self, event: &Event) {
        let index = event.token().0;
        let Some(session) = self.sessions.get_mut(index) else { return };
        if session.state == SessionState::Connecting {
            match session.is_connected() {
                Ok(false) => return,
                Ok(true) if session.protocol.is_greeted() => session.state = SessionState::Connected,
                Ok(true) => self.open(index),
                Err(error) => return self.lose(index, format!("not connected: {error}")),
            }
        }
        if event.is_writable()
            && let Err(error) = self.sessions.get_mut(index).map_or(Ok(()), Session::flush)
        {
            return self.lose(index, format!("the connection was lost: {error}"));
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(index, event.is_read_closed() || event.is_error());
        }
    }

    /// Reads until the socket is empty: a short read shows it, except before the end of the stream.
    fn read(&mut self, index: usize, closed: bool) {
        loop {
            let Some(session) =
                self.sessions.get_mut(index).filter(|session| session.state != SessionState::Lost)
            else {
                return;
            };
            match session.stream.read(&mut self.incoming) {
                Ok(0) => return self.lose(index, "the server closed the connection".to_owned()),
                Ok(count) => {
                    if self.counting {
                        self.measurements.bytes_received += count as u64;
                    }
                    let received = session.protocol.receive(self.incoming.get(..count).unwrap_or_default());
                    self.handle_received(index, received);
                    // On Windows the next event only comes after a read that would block.
                    if count < READ_SIZE && !closed && !cfg!(windows) {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.lose(index, format!("the connection was lost: {error}")),
            }
        }
    }

    fn handle_received(&mut self, index: usize, received: Result<Received, SessionError>) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let completes_operation = match received {
            Ok(Received::Incomplete) => return,
            Ok(Received::Reply { completes_operation }) => completes_operation,
            Err(SessionError(reason)) => return self.lose(index, reason),
        };
        match session.state {
            SessionState::Connected => {
                self.replies = self.replies.wrapping_add(1);
                self.open(index);
            }
            SessionState::Waiting(due) => {
                let now = Instant::now();
                session.state = SessionState::Idle;
                self.outstanding = self.outstanding.saturating_sub(1);
                self.replies = self.replies.wrapping_add(1);
                if self.counting {
                    self.measurements.answers += 1;
                    self.measurements.operations += u64::from(completes_operation);
                }
                if self.measured_from.is_some_and(|from| due >= from) {
                    self.measurements.record_reply(now.saturating_duration_since(due), completes_operation);
                }
                if self.closed_loop { self.send_request(index, now) } else { self.idle.push_back(index) }
            }
            _ => self.lose(index, "the server sent a message without a request".to_owned()),
        }
    }

    /// Sends the next opening request of a session, or sets it open after the last one.
    fn open(&mut self, index: usize) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if session.protocol.is_opening() {
            session.state = SessionState::Connected;
            self.request.clear();
            session.protocol.write_request(&mut self.request);
            if let Err(error) = session.send(&self.request) {
                self.lose(index, format!("the connection was lost: {error}"));
            }
        } else {
            session.state = SessionState::Idle;
            self.idle.push_back(index);
            self.opening = self.opening.saturating_sub(1);
        }
    }

    /// Sends the next request of a session; its latency counts from `due`.
    pub(super) fn send_request(&mut self, index: usize, due: Instant) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        self.request.clear();
        session.protocol.write_request(&mut self.request);
        session.state = SessionState::Waiting(due);
        self.outstanding = self.outstanding.saturating_add(1);
        if self.counting {
            self.measurements.bytes_sent += self.request.len() as u64;
        }
        if let Err(error) = session.send(&self.request) {
            self.lose(index, format!("the connection was lost: {error}"));
        }
    }

    /// Closes every session that is opening or waits for a reply, and counts it as lost.
    pub(super) fn lose_waiting(&mut self, reason: &str) {
        for index in 0..self.sessions.len() {
            let state = self.sessions.get(index).map(|session| session.state);
            let waits = matches!(
                state,
                Some(SessionState::Connecting | SessionState::Connected | SessionState::Waiting(_))
            );
            if waits {
                self.lose(index, reason.to_owned());
            }
        }
    }

    fn lose(&mut self, index: usize, reason: String) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        match std::mem::replace(&mut session.state, SessionState::Lost) {
            SessionState::Lost => return,
            SessionState::Connecting | SessionState::Connected => {
                self.opening = self.opening.saturating_sub(1);
            }
            SessionState::Waiting(due) => {
                self.outstanding = self.outstanding.saturating_sub(1);
                // The latency is at least the time waited so far: a stall is recorded even if it ends in a
                // lost session.
                if self.measured_from.is_some_and(|from| due >= from) {
                    self.measurements.record_unanswered(due.elapsed(), 1);
                }
            }
            SessionState::Idle => {}
        }
        // Tells the server at once. It fails if the server has closed the connection, which is no error here.
        let _ = session.stream.shutdown(std::net::Shutdown::Both);
        self.alive = self.alive.saturating_sub(1);
        self.lost = self.lost.saturating_add(1);
        self.add_reason(reason);
    }

    pub(super) fn add_reason(&mut self, reason: String) {
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(reason);
        }
    }
}

impl<P> Session<P> {
    fn is_connected(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => self.stream.set_nodelay(true).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => sent = sent.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(rest);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.send(&unsent)
    }
}
