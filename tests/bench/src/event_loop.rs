//! The event loop of a load: non-blocking sockets, one dialogue each.
use super::{
    measurements::{Measurements, computed},
    protocol::ClientProtocol,
    schedule::Schedule,
};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use session_table::{Session, SessionState, SessionTable};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

mod session_table;

/// Events that are taken at once.
const EVENTS: usize = 1024;

/// The system's timers are this coarse, in the loop's view: what is due sooner is not slept for but looked for again and
/// again. A load on schedule may take a whole core for that.
const COARSE: Duration = Duration::from_millis(1);

/// How often it is looked whether the load is to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// As many figures as the waits of requests that were never made are told apart in.
const STEPS: u64 = 4096;

/// What a load tells while it runs, and what it is told.
#[derive(Debug)]
pub struct Control<'a> {
    /// Replies that have come.
    pub replies: AtomicU64,
    /// Set when it is to stop before its time is over.
    pub stop: &'a AtomicBool,
}

impl<'a> Control<'a> {
    /// Nothing has come yet.
    pub fn new(stop: &'a AtomicBool) -> Self {
        Self { replies: AtomicU64::new(0), stop }
    }

    /// What is left until then; nothing where it is to stop.
    fn left(&self, until: Instant) -> Option<Duration> {
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        left.filter(|_| !self.stop.load(Ordering::Relaxed))
    }
}

/// How to open sessions.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// Where the server listens.
    pub address: SocketAddr,
    /// How many may be opening at once.
    pub burst: usize,
    /// How long nothing may happen before the rest of them are given up.
    pub patience: Duration,
}

/// Sessions that are open, and the thread's loop that drives them.
#[derive(Debug)]
pub struct EventLoop<D> {
    poll: Poll,
    events: Events,
    floor: SessionTable<D>,
}

impl<D: ClientProtocol> EventLoop<D> {
    /// Opens a session for each dialogue, and returns when the server has greeted all of them that it will greet.
    ///
    /// # Errors
    /// What makes waiting for sockets impossible. A session that cannot be opened is lost, and counted.
    pub fn open(opening: &ConnectOptions, dialogues: impl IntoIterator<Item = D>) -> io::Result<Self> {
        let mut load =
            Self { poll: Poll::new()?, events: Events::with_capacity(EVENTS), floor: SessionTable::new() };
        let mut rest = dialogues.into_iter();
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            while load.floor.opening < opening.burst {
                let Some(dialogue) = rest.next() else { break };
                load.add(opening.address, dialogue)?;
            }
            if load.floor.opening == 0 {
                return Ok(load);
            }
            let open = load.floor.sessions.len().saturating_sub(load.floor.opening);
            if open != seen {
                (seen, since) = (open, Instant::now());
            }
            let left = opening.patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                load.floor
                    .give_up(&format!("not greeted within {:?}: is it the same protocol?", opening.patience));
            } else {
                load.turn(Some(left))?;
            }
        }
    }

    fn add(&mut self, address: SocketAddr, dialogue: D) -> io::Result<()> {
        let mut stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(error) => {
                self.floor.lost = self.floor.lost.saturating_add(1);
                self.floor.note(format!("not connected: {error}"));
                return Ok(());
            }
        };
        let token = Token(self.floor.sessions.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.floor.add(stream, dialogue);
        Ok(())
    }

    /// Every session asks again as soon as it has its reply, until the time is over or `progress` says stop.
    ///
    /// # Errors
    /// What makes waiting for sockets impossible.
    pub fn closed(&mut self, until: Instant, progress: &Control<'_>) -> io::Result<()> {
        self.floor.closed = true;
        while let Some(index) = self.floor.next() {
            self.floor.ask(index, Instant::now());
        }
        while let Some(left) = progress.left(until) {
            if self.floor.out == 0 {
                break;
            }
            self.turn_and_tell(left, progress)?;
        }
        self.floor.closed = false;
        Ok(())
    }

    /// Requests are made as they are due, by whichever session has waited longest, until the time is over. What is due
    /// while every session waits for a reply is made up for as soon as one is free, and counts from when it was due.
    ///
    /// # Errors
    /// What makes waiting for sockets impossible.
    pub fn scheduled(
        &mut self,
        schedule: &mut Schedule,
        until: Instant,
        progress: &Control<'_>,
    ) -> io::Result<()> {
        while let Some(left) = progress.left(until) {
            let now = Instant::now();
            self.ask_for(schedule, now.min(until));
            if self.floor.living == 0 {
                return Ok(());
            }
            let due = schedule.due();
            let wait = if due <= now { left } else { (due - now).saturating_sub(COARSE).min(left) };
            self.turn_and_tell(wait, progress)?;
        }
        // The loop may have woken late: what was due by then is asked for where a session is free.
        self.ask_for(schedule, until.min(Instant::now()));
        Ok(())
    }

    /// Makes the requests that are due before `until`, as long as sessions are free.
    fn ask_for(&mut self, schedule: &mut Schedule, until: Instant) {
        let mut due = schedule.due();
        while due < until {
            let Some(index) = self.floor.next() else { return };
            self.floor.ask(index, due);
            schedule.step();
            due = schedule.due();
        }
    }

    /// What was due before `until`, or before now where that is sooner, and was never asked for is measured as if its reply
    /// came now.
    pub fn overdue(&mut self, schedule: &mut Schedule, until: Instant) {
        let now = Instant::now();
        let (until, measured) = (until.min(now), &mut self.floor.measured);
        let mut left = schedule.before(until);
        measured.late = measured.late.saturating_add(left);
        if self.floor.living == 0 {
            measured.orphaned = measured.orphaned.saturating_add(left);
        }
        let early = self.floor.from.map_or(left, |from| schedule.before(from).min(left));
        schedule.skip(early);
        left -= early;
        // In so many steps at the most, each with the longest wait in it.
        let step = left.div_ceil(STEPS).max(1);
        while left > 0 {
            let count = step.min(left);
            measured.never_answered(now.saturating_duration_since(schedule.due()), count);
            schedule.skip(count);
            left -= count;
        }
    }

    /// One request of one session, and its reply; false where that session cannot be asked or was lost.
    ///
    /// # Errors
    /// What makes waiting for sockets impossible.
    pub fn once(&mut self, index: usize, patience: Duration) -> io::Result<bool> {
        let state = |load: &Self| load.floor.sessions.get(index).map(|session| session.state);
        if state(self) != Some(SessionState::Free) {
            return Ok(false);
        }
        self.floor.free.retain(|free| *free != index);
        self.floor.ask(index, Instant::now());
        self.settle(patience)?;
        Ok(state(self) == Some(SessionState::Free))
    }

    /// Waits for the replies to whatever is out; a session whose reply does not come in time is lost.
    ///
    /// # Errors
    /// What makes waiting for sockets impossible.
    pub fn settle(&mut self, patience: Duration) -> io::Result<()> {
        let begin = Instant::now();
        while self.floor.out > 0 {
            let left = patience.saturating_sub(begin.elapsed());
            if left.is_zero() {
                self.floor.give_up(&format!("no reply within {patience:?}"));
            } else {
                self.turn(Some(left))?;
            }
        }
        Ok(())
    }

    /// Begins to measure: what was due before does not count.
    pub fn measure(&mut self) {
        self.floor.measured = Measurements { busy: computed(), ..Measurements::default() };
        self.floor.from = Some(Instant::now());
        self.floor.counting = true;
    }

    /// Replies that come now are not counted any more, but how long they took is measured.
    pub fn stop_counting(&mut self) {
        self.floor.counting = false;
        let measured = &mut self.floor.measured;
        measured.busy = measured.busy.zip(computed()).map(|(then, now)| now.saturating_sub(then));
        measured.elapsed = self.floor.from.map_or(Duration::ZERO, |from| from.elapsed());
    }

    /// What is asked for from now on is not measured.
    pub fn stop_measuring(&mut self) {
        self.floor.from = None;
    }

    /// What was measured.
    pub fn measured(self) -> Measurements {
        let mut measured = self.floor.measured;
        measured.lost = self.floor.lost;
        measured.reasons = self.floor.reasons;
        measured
    }

    /// The dialogues of sessions that were opened, lost ones too.
    pub fn dialogues(&mut self) -> impl Iterator<Item = &mut D> {
        self.floor.sessions.iter_mut().map(|session| &mut session.dialogue)
    }

    /// Sessions that have nothing out.
    pub fn free(&self) -> impl Iterator<Item = usize> {
        let free = |session: &Session<D>| session.state == SessionState::Free;
        self.floor
            .sessions
            .iter()
            .enumerate()
            .filter(move |(_, session)| free(session))
            .map(|(index, _)| index)
    }

    /// One session's dialogue.
    pub fn dialogue(&mut self, index: usize) -> Option<&mut D> {
        self.floor.sessions.get_mut(index).map(|session| &mut session.dialogue)
    }

    /// How many sessions were lost.
    pub fn lost(&self) -> usize {
        self.floor.lost
    }

    fn turn_and_tell(&mut self, wait: Duration, progress: &Control<'_>) -> io::Result<()> {
        let before = self.floor.replies;
        self.turn(Some(wait.min(GLANCE)))?;
        progress.replies.fetch_add(self.floor.replies.wrapping_sub(before), Ordering::Relaxed);
        Ok(())
    }

    fn turn(&mut self, wait: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &self.events {
            self.floor.ready(event);
        }
        Ok(())
    }
}
