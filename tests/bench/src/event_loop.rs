//! Event loop of the load generator: drives many sessions over non-blocking sockets, in a closed or an open
//! loop.
use super::{
    measurements::{Measurements, thread_cpu_time},
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

/// Events taken by one poll.
const MAX_EVENTS: usize = 1024;

/// The resolution of a poll's timeout. The loop does not sleep for a request that is due sooner, but polls
/// without a timeout: an open loop may take a whole core.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

/// How often the stop flag is read.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// The greatest number of histogram entries for requests that were never sent.
const MISSED_STEPS: u64 = 4096;

/// What the event loops share with the thread that observes them.
#[derive(Debug)]
pub struct Control<'a> {
    /// Replies received so far.
    pub replies: AtomicU64,
    /// Set to stop the loops early.
    pub stop: &'a AtomicBool,
}

impl<'a> Control<'a> {
    /// Counts replies from zero.
    pub fn new(stop: &'a AtomicBool) -> Self {
        Self { replies: AtomicU64::new(0), stop }
    }

    /// The time left until then; `None` if it has passed or the stop flag is set.
    fn time_left(&self, until: Instant) -> Option<Duration> {
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        left.filter(|_| !self.stop.load(Ordering::Relaxed))
    }
}

/// How to open sessions.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions<'a> {
    /// The servers' addresses, at least one: the sessions take them in turn.
    pub addresses: &'a [SocketAddr],
    /// How many sessions may be opening at once.
    pub burst: usize,
    /// After this time without progress of any session, those that are opening are given up.
    pub timeout: Duration,
}

/// One thread's event loop with its sessions.
#[derive(Debug)]
pub struct EventLoop<P> {
    poll: Poll,
    events: Events,
    table: SessionTable<P>,
}

impl<P: ClientProtocol> EventLoop<P> {
    /// Opens a session for each protocol, and returns when each is open or lost.
    ///
    /// # Errors
    /// The system cannot poll sockets. A session that cannot be opened is counted as lost.
    pub fn connect(options: &ConnectOptions<'_>, protocols: impl IntoIterator<Item = P>) -> io::Result<Self> {
        let mut event_loop = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(MAX_EVENTS),
            table: SessionTable::new(),
        };
        let mut rest = protocols.into_iter().zip(options.addresses.iter().cycle());
        let (mut progress, mut since) = ((0, 0), Instant::now());
        loop {
            while event_loop.table.opening < options.burst {
                let Some((protocol, address)) = rest.next() else { break };
                event_loop.add(*address, protocol)?;
            }
            if event_loop.table.opening == 0 {
                return Ok(event_loop);
            }
            let open = event_loop.table.sessions.len().saturating_sub(event_loop.table.opening);
            if (open, event_loop.table.replies) != progress {
                (progress, since) = ((open, event_loop.table.replies), Instant::now());
            }
            let left = options.timeout.saturating_sub(since.elapsed());
            if left.is_zero() {
                let reason = format!("no greeting within {:?}: is it the same protocol?", options.timeout);
                event_loop.table.lose_waiting(&reason);
            } else {
                event_loop.poll(Some(left))?;
            }
        }
    }

    fn add(&mut self, address: SocketAddr, protocol: P) -> io::Result<()> {
        let mut stream = match TcpStream::connect(address).and_then(|stream| refuse_itself(stream, address)) {
            Ok(stream) => stream,
            Err(error) => {
                self.table.lost = self.table.lost.saturating_add(1);
                self.table.add_reason(format!("not connected: {error}"));
                return Ok(());
            }
        };
        let token = Token(self.table.sessions.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.table.add(stream, protocol);
        Ok(())
    }

    /// Runs a closed loop: each session sends its next request as soon as it has its reply, until `until` or
    /// the stop flag.
    ///
    /// # Errors
    /// The system cannot poll sockets.
    pub fn run_closed(&mut self, until: Instant, control: &Control<'_>) -> io::Result<()> {
        self.table.closed_loop = true;
        while let Some(index) = self.table.next_idle() {
            self.table.send_request(index, Instant::now());
        }
        while let Some(left) = control.time_left(until) {
            if self.table.outstanding == 0 {
                break;
            }
            self.poll_and_count(left, control)?;
        }
        self.table.closed_loop = false;
        Ok(())
    }

    /// Runs an open loop: requests are sent when they are due, each by the session that has been idle
    /// longest, until `until` or the stop flag. A request that is due while every session waits for a reply
    /// is sent as soon as one is idle, and its latency counts from when it was due.
    ///
    /// # Errors
    /// The system cannot poll sockets.
    pub fn run_open(
        &mut self,
        schedule: &mut Schedule,
        until: Instant,
        control: &Control<'_>,
    ) -> io::Result<()> {
        while let Some(left) = control.time_left(until) {
            let now = Instant::now();
            self.send_due(schedule, now.min(until));
            if self.table.alive == 0 {
                return Ok(());
            }
            let due = schedule.next_due();
            let wait = if due <= now { left } else { (due - now).saturating_sub(TIMER_RESOLUTION).min(left) };
            self.poll_and_count(wait, control)?;
        }
        // The last poll may have returned late: requests that are due by now are sent where a session is
        // idle.
        self.send_due(schedule, until.min(Instant::now()));
        Ok(())
    }

    /// Sends the requests that are due before `until`, as long as sessions are idle.
    fn send_due(&mut self, schedule: &mut Schedule, until: Instant) {
        let mut due = schedule.next_due();
        while due < until {
            let Some(index) = self.table.next_idle() else { return };
            self.table.send_request(index, due);
            schedule.advance();
            due = schedule.next_due();
        }
    }

    /// Records the requests that were due before `until` (or before now, if that is earlier) and never sent,
    /// each with the time from when it was due to now as its latency.
    pub fn record_missed(&mut self, schedule: &mut Schedule, until: Instant) {
        let now = Instant::now();
        let (until, measurements) = (until.min(now), &mut self.table.measurements);
        let mut left = schedule.due_before(until);
        measurements.missed = measurements.missed.saturating_add(left);
        if self.table.alive == 0 {
            measurements.missed_without_session = measurements.missed_without_session.saturating_add(left);
        }
        let early = self.table.measured_from.map_or(left, |from| schedule.due_before(from).min(left));
        schedule.skip(early);
        left -= early;
        // In a bounded number of steps, each with the longest wait of its requests.
        let step = left.div_ceil(MISSED_STEPS).max(1);
        while left > 0 {
            let count = step.min(left);
            measurements.record_unanswered(now.saturating_duration_since(schedule.next_due()), count);
            schedule.skip(count);
            left -= count;
        }
    }

    /// Sends one request of one session and waits for the reply; false if the session is not idle or is lost.
    ///
    /// # Errors
    /// The system cannot poll sockets.
    pub fn exchange(&mut self, index: usize, timeout: Duration) -> io::Result<bool> {
        let state = |event_loop: &Self| event_loop.table.sessions.get(index).map(|session| session.state);
        if state(self) != Some(SessionState::Idle) {
            return Ok(false);
        }
        self.table.idle.retain(|idle| *idle != index);
        self.table.send_request(index, Instant::now());
        self.drain(timeout)?;
        Ok(state(self) == Some(SessionState::Idle))
    }

    /// Waits for the outstanding replies; a session without its reply after `timeout` is lost.
    ///
    /// # Errors
    /// The system cannot poll sockets.
    pub fn drain(&mut self, timeout: Duration) -> io::Result<()> {
        let begin = Instant::now();
        while self.table.outstanding > 0 {
            let left = timeout.saturating_sub(begin.elapsed());
            if left.is_zero() {
                self.table.lose_waiting(&format!("no reply within {timeout:?}"));
            } else {
                self.poll(Some(left))?;
            }
        }
        Ok(())
    }

    /// Starts to measure, at the end of the warm-up: requests that were due before do not count.
    pub fn start_measuring(&mut self) {
        self.table.measurements = Measurements { cpu_time: thread_cpu_time(), ..Measurements::default() };
        self.table.measured_from = Some(Instant::now());
        self.table.counting = true;
    }

    /// Ends the measured time: later replies do not count for the throughput, but their latency is still
    /// recorded.
    pub fn stop_counting(&mut self) {
        self.table.counting = false;
        let measurements = &mut self.table.measurements;
        measurements.cpu_time =
            measurements.cpu_time.zip(thread_cpu_time()).map(|(then, now)| now.saturating_sub(then));
        measurements.elapsed = self.table.measured_from.map_or(Duration::ZERO, |from| from.elapsed());
    }

    /// Ends the measurement: later requests are not measured.
    pub fn stop_measuring(&mut self) {
        self.table.measured_from = None;
    }

    /// The measurements.
    pub fn into_measurements(self) -> Measurements {
        self.into_parts().0
    }

    /// The measurements, and the protocols of all sessions.
    pub fn into_parts(self) -> (Measurements, Vec<P>) {
        let SessionTable { mut measurements, lost, reasons, sessions, .. } = self.table;
        (measurements.lost, measurements.reasons) = (lost, reasons);
        (measurements, sessions.into_iter().map(|session| session.protocol).collect())
    }

    /// The protocols of all sessions, lost ones too.
    pub fn protocols(&mut self) -> impl Iterator<Item = &mut P> {
        self.table.sessions.iter_mut().map(|session| &mut session.protocol)
    }

    /// The indices of the sessions without an outstanding request.
    pub fn idle_sessions(&self) -> impl Iterator<Item = usize> {
        let is_idle = |session: &Session<P>| session.state == SessionState::Idle;
        let sessions = self.table.sessions.iter().enumerate();
        sessions.filter(move |(_, session)| is_idle(session)).map(|(index, _)| index)
    }

    /// One session's protocol.
    pub fn protocol(&mut self, index: usize) -> Option<&mut P> {
        self.table.sessions.get_mut(index).map(|session| &mut session.protocol)
    }

    /// How many sessions were lost.
    pub fn lost(&self) -> usize {
        self.table.lost
    }

    fn poll_and_count(&mut self, wait: Duration, control: &Control<'_>) -> io::Result<()> {
        let before = self.table.replies;
        self.poll(Some(wait.min(STOP_INTERVAL)))?;
        control.replies.fetch_add(self.table.replies.wrapping_sub(before), Ordering::Relaxed);
        Ok(())
    }

    fn poll(&mut self, wait: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &self.events {
            self.table.handle_event(event);
        }
        Ok(())
    }
}

/// Refuses a connection of a socket with itself (simultaneous open, RFC 9293, section 3.5): where no server listens on a port of
/// the ephemeral range, the system may choose that port for the client. The connection may still be in progress.
fn refuse_itself(stream: TcpStream, address: SocketAddr) -> io::Result<TcpStream> {
    let local = stream.local_addr()?;
    if local != address && stream.peer_addr().ok() != Some(local) {
        return Ok(stream);
    }
    // Without the state TIME-WAIT, in which a server could not listen on the port for a minute.
    #[cfg(unix)]
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    Err(ErrorKind::ConnectionRefused.into())
}
