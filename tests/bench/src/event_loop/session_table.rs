//! The sessions of one event loop, and what happens at them.
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

/// What one read brings at the most.
const READ: usize = 16 * 1024;

/// Sessions that were lost whose reason is kept; the others are counted.
const KEPT: usize = 5;

/// Everything but what the events come from.
#[derive(Debug)]
pub(super) struct SessionTable<D> {
    pub(super) sessions: Vec<Session<D>>,
    /// Sessions to be asked next, the one that has waited longest first; some may be lost by now.
    pub(super) free: VecDeque<usize>,
    /// Where a reply is followed by the next request at once.
    pub(super) closed: bool,
    /// How many sessions are there, opening, have a request out, and are lost.
    pub(super) living: usize,
    pub(super) opening: usize,
    pub(super) out: usize,
    pub(super) lost: usize,
    pub(super) reasons: Vec<String>,
    /// Set while replies count.
    pub(super) counting: bool,
    /// Requests that were due from here on are measured.
    pub(super) from: Option<Instant>,
    pub(super) measured: Measurements,
    /// Replies since the load was begun.
    pub(super) replies: u64,
    incoming: Vec<u8>,
    request: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Session<D> {
    pub(super) stream: TcpStream,
    pub(super) dialogue: D,
    pub(super) state: SessionState,
    /// What the socket had no room for.
    unsent: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    Connecting,
    Greeted,
    Free,
    /// A request is out that was due then.
    Asked(Instant),
    Lost,
}

impl<D: ClientProtocol> SessionTable<D> {
    /// A floor without a session.
    pub(super) fn new() -> Self {
        Self {
            sessions: Vec::new(),
            free: VecDeque::new(),
            closed: false,
            living: 0,
            opening: 0,
            out: 0,
            lost: 0,
            reasons: Vec::new(),
            counting: false,
            from: None,
            measured: Measurements::default(),
            replies: 0,
            incoming: vec![0; READ],
            request: Vec::new(),
        }
    }

    /// A socket is to be a session's.
    pub(super) fn add(&mut self, stream: TcpStream, dialogue: D) {
        self.sessions.push(Session { stream, dialogue, state: SessionState::Connecting, unsent: Vec::new() });
        self.living = self.living.saturating_add(1);
        self.opening = self.opening.saturating_add(1);
    }

    /// A session to be asked.
    pub(super) fn next(&mut self) -> Option<usize> {
        loop {
            let index = self.free.pop_front()?;
            if self.sessions.get(index).is_some_and(|session| session.state == SessionState::Free) {
                return Some(index);
            }
        }
    }

    pub(super) fn ready(&mut self, event: &Event) {
        let index = event.token().0;
        let Some(session) = self.sessions.get_mut(index) else { return };
        if session.state == SessionState::Connecting {
            match session.is_connected() {
                Ok(false) => return,
                Ok(true) if session.dialogue.is_greeted() => session.state = SessionState::Greeted,
                Ok(true) => self.opened(index),
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

    /// Reads what there is. Less than was asked for is all there is, but for the end of the stream.
    fn read(&mut self, index: usize, ends: bool) {
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
                        self.measured.received += count as u64;
                    }
                    let heard = session.dialogue.hear(self.incoming.get(..count).unwrap_or_default());
                    self.heard(index, heard);
                    // On Windows the next event only comes after a read that found nothing.
                    if count < READ && !ends && !cfg!(windows) {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.lose(index, format!("the connection was lost: {error}")),
            }
        }
    }

    fn heard(&mut self, index: usize, heard: Result<Received, SessionError>) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let settles = match heard {
            Ok(Received::More) => return,
            Ok(Received::Reply { settles }) => settles,
            Err(SessionError(reason)) => return self.lose(index, reason),
        };
        match session.state {
            SessionState::Greeted => self.opened(index),
            SessionState::Asked(due) => {
                let now = Instant::now();
                session.state = SessionState::Free;
                self.out = self.out.saturating_sub(1);
                self.replies = self.replies.wrapping_add(1);
                if self.counting {
                    self.measured.answers += 1;
                    self.measured.settled += u64::from(settles);
                }
                if self.from.is_some_and(|from| due >= from) {
                    self.measured.answered(now.saturating_duration_since(due), settles);
                }
                if self.closed { self.ask(index, now) } else { self.free.push_back(index) }
            }
            _ => self.lose(index, "the server spoke without being asked".to_owned()),
        }
    }

    fn opened(&mut self, index: usize) {
        self.opening = self.opening.saturating_sub(1);
        if let Some(session) = self.sessions.get_mut(index) {
            session.state = SessionState::Free;
            self.free.push_back(index);
        }
    }

    pub(super) fn ask(&mut self, index: usize, due: Instant) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        self.request.clear();
        session.dialogue.ask(&mut self.request);
        session.state = SessionState::Asked(due);
        self.out = self.out.saturating_add(1);
        if self.counting {
            self.measured.sent += self.request.len() as u64;
        }
        if let Err(error) = session.send(&self.request) {
            self.lose(index, format!("the connection was lost: {error}"));
        }
    }

    /// Gives up whatever is opening or out.
    pub(super) fn give_up(&mut self, reason: &str) {
        for index in 0..self.sessions.len() {
            let state = self.sessions.get(index).map(|session| session.state);
            if matches!(
                state,
                Some(SessionState::Connecting | SessionState::Greeted | SessionState::Asked(_))
            ) {
                self.lose(index, reason.to_owned());
            }
        }
    }

    fn lose(&mut self, index: usize, reason: String) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        match std::mem::replace(&mut session.state, SessionState::Lost) {
            SessionState::Lost => return,
            SessionState::Connecting | SessionState::Greeted => self.opening = self.opening.saturating_sub(1),
            SessionState::Asked(due) => {
                self.out = self.out.saturating_sub(1);
                // It has waited as long at the least: a server that stalls does not make that unseen by losing it.
                if self.from.is_some_and(|from| due >= from) {
                    self.measured.answered(due.elapsed(), false);
                }
            }
            SessionState::Free => {}
        }
        // The server need not wait to learn it; that it may know already is no fault.
        let _ = session.stream.shutdown(std::net::Shutdown::Both);
        self.living = self.living.saturating_sub(1);
        self.lost = self.lost.saturating_add(1);
        self.note(reason);
    }

    pub(super) fn note(&mut self, reason: String) {
        if self.reasons.len() < KEPT {
            self.reasons.push(reason);
        }
    }
}

impl<D> Session<D> {
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
