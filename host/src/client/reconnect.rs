//! Reconnecting: opens a lost TCP connection, or a serial port whose device was gone, again, with exponential backoff, and gives up after 60 seconds.
//!
//! ```text
//!               on_lost                                 attempt succeeds
//!   ┌────────┐ ────────► ┌──────────────────────────┐ ──────────────────► ┌───────────────────────┐
//!   │ served │           │ lost: backoff ⇄ attempt  │                     │ connected, not served │
//!   └────────┘           └──────────────────────────┘ ◄────────────────── └───────────────────────┘
//!        ▲                            │                     on_lost                   │
//!        │                            └─► 60 s after the loss: GaveUp                 │ on_served
//!        └────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! An open connection proves nothing (a proxy accepts it without a host behind), so the backoff starts over only after
//! the host has served a connection for 5 seconds. What is sent on a new connection is decided elsewhere: `link/recovery.rs`
//! calls this module and restarts the handshake.
use super::transport::{Opened, Wake};
use atm_core::time::{Duration, Instant};
use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, channel},
    },
    thread,
};

/// How long after the loss of a connection the attempts go on. A person at the terminal does not wait longer.
const GIVE_UP: Duration = Duration::from_secs(60);

/// The first wait between two attempts, and the longest; each is twice the one before.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The result of [`Reconnector::poll`].
pub(super) enum ReconnectProgress {
    /// No connection yet.
    Pending,
    /// There is a connection; whether the host serves it is not known yet.
    Connected(Opened),
    /// No connection was served in time; no more attempts will be made.
    GaveUp(io::Error),
}

/// One attempt to open a transport; `None` where it failed.
type Attempt = Arc<dyn Fn() -> Option<Opened> + Send + Sync>;

/// Opens connections to one address, or one serial port, one attempt at a time. Name resolution and connecting block, so
/// each attempt runs on a thread of its own, which ends by itself.
pub(super) struct Reconnector {
    /// The address or the port, for a person.
    name: String,
    open: Attempt,
    wake: Wake,
    /// When the host was lost; `None` while it serves the connection.
    lost_since: Option<Instant>,
    /// Since when the host has served the present connection, or served the last one; `None` for the first connection.
    served_since: Option<Instant>,
    /// Did the host of the last connection answer that it has no room?
    is_busy: bool,
    backoff: Duration,
    next_attempt: Instant,
    /// The attempt that is running; its thread sends `None` where it failed.
    attempt: Option<Receiver<Option<Opened>>>,
}

impl Reconnector {
    pub(super) fn new(
        name: &str,
        open: impl Fn() -> Option<Opened> + Send + Sync + 'static,
        wake: Wake,
    ) -> Self {
        let (lost_since, served_since, attempt) = (None, None, None);
        let (backoff, next_attempt) = (FIRST_BACKOFF, Instant::default());
        let (name, open) = (name.to_owned(), Arc::new(open));
        Self { name, open, wake, lost_since, served_since, is_busy: false, backoff, next_attempt, attempt }
    }

    /// Is there no connection that the host serves?
    pub(super) fn is_lost(&self) -> bool {
        self.lost_since.is_some()
    }

    /// Notes that the connection is lost, or that the host has no room for it; true if the host was serving it.
    pub(super) fn on_lost(&mut self, now: Instant, is_busy: bool) -> bool {
        // After a stable connection the first attempt is made at once, if the host has room; after an unstable one the
        // backoff goes on.
        let stable =
            self.lost_since.is_none() && self.served_since.is_none_or(|since| since + MAX_BACKOFF <= now);
        if stable {
            self.backoff = FIRST_BACKOFF;
        }
        self.is_busy = is_busy;
        self.next_attempt = if stable && !is_busy { now } else { self.back_off(now) };
        self.lost_since.replace(self.lost_since.unwrap_or(now)).is_none()
    }

    /// Notes that the host serves the connection.
    pub(super) fn on_served(&mut self, now: Instant) {
        self.lost_since = None;
        self.served_since = Some(now);
    }

    /// When [`poll`](Self::poll) must be called at the latest while there is no connection.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let end = self.lost_since? + GIVE_UP;
        Some(if self.attempt.is_some() { end } else { end.min(self.next_attempt) })
    }

    /// Takes the result of an attempt, or starts the next one when it is due.
    pub(super) fn poll(&mut self, now: Instant) -> ReconnectProgress {
        let Some(lost_since) = self.lost_since else { return ReconnectProgress::Pending };
        match self.attempt.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => {}
            Some(Ok(Some(opened))) => {
                self.attempt = None;
                return ReconnectProgress::Connected(opened);
            }
            Some(Ok(None) | Err(TryRecvError::Disconnected)) => {
                (self.attempt, self.is_busy) = (None, false);
                self.next_attempt = self.back_off(now);
            }
        }
        if lost_since + GIVE_UP <= now {
            self.attempt = None;
            let seconds = GIVE_UP.millis() / 1000;
            let text = if self.is_busy {
                format!("the server at {} had no room within {seconds} seconds", self.name)
            } else {
                format!("no server has answered at {} for {seconds} seconds", self.name)
            };
            return ReconnectProgress::GaveUp(io::Error::new(ErrorKind::TimedOut, text));
        }
        if self.attempt.is_none() && self.next_attempt <= now {
            self.start_attempt(now);
        }
        ReconnectProgress::Pending
    }

    /// The time of the next attempt; doubles the backoff.
    fn back_off(&mut self, now: Instant) -> Instant {
        let at = now + self.backoff;
        self.backoff = Duration::from_millis(self.backoff.millis().saturating_mul(2)).min(MAX_BACKOFF);
        at
    }

    fn start_attempt(&mut self, now: Instant) {
        let (result, attempt) = channel();
        let (open, wake) = (self.open.clone(), self.wake.clone());
        let run = move || {
            // Sending fails if the attempt was abandoned; the connection is then closed.
            let _ = result.send(open());
            wake.interrupt();
        };
        match thread::Builder::new().name("connect".into()).spawn(run) {
            Ok(_) => self.attempt = Some(attempt),
            Err(_) => self.next_attempt = self.back_off(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::connect::connect, *};
    use atm_core::wire::Wire;
    use std::net::TcpListener;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn reconnector(address: String) -> Reconnector {
        let open = move || connect(&address.clone(), Wire::Json, None).ok().map(Opened::Connection);
        Reconnector::new("the server", open, Wake::default())
    }

    /// Polls at `now` until no attempt is running.
    fn poll(reconnector: &mut Reconnector, now: Instant) -> ReconnectProgress {
        loop {
            match reconnector.poll(now) {
                ReconnectProgress::Pending if reconnector.attempt.is_some() => thread::yield_now(),
                progress => return progress,
            }
        }
    }

    #[test]
    fn failing_attempts_back_off_and_are_given_up() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut reconnector = reconnector(address.to_string());
        assert_eq!(reconnector.deadline(), None);
        assert!(reconnector.on_lost(at(1000), false));
        let (mut attempts, mut end) = (Vec::new(), None);
        while let Some(due) = reconnector.deadline() {
            if let ReconnectProgress::GaveUp(error) = poll(&mut reconnector, due) {
                end = Some((due, error.to_string()));
                break;
            }
            attempts.push(due.millis());
        }
        assert_eq!(attempts.first_chunk(), Some(&[1000, 1250, 1750, 2750, 4750, 8750, 13_750]));
        assert_eq!(attempts.len(), 16);
        assert_eq!(
            end.unwrap(),
            (at(61_000), "no server has answered at the server for 60 seconds".to_owned())
        );
    }

    #[test]
    fn a_host_without_room_is_tried_again_after_the_backoff_and_named_at_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reconnector = reconnector(listener.local_addr().unwrap().to_string());
        assert!(reconnector.on_lost(at(0), true));
        let end = loop {
            let due = reconnector.deadline().unwrap();
            match poll(&mut reconnector, due) {
                ReconnectProgress::Connected(_) => assert!(!reconnector.on_lost(due, true)),
                ReconnectProgress::GaveUp(error) => break (due, error.to_string()),
                ReconnectProgress::Pending => panic!("an attempt failed at {due:?}"),
            }
            assert!(reconnector.deadline().unwrap() >= due + FIRST_BACKOFF);
        };
        assert_eq!(end, (at(60_000), "the server at the server had no room within 60 seconds".to_owned()));
    }

    #[test]
    fn only_a_stable_connection_resets_the_backoff() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut reconnector = reconnector(address);
        assert!(reconnector.on_lost(at(0), false));
        assert!(matches!(poll(&mut reconnector, at(0)), ReconnectProgress::Connected(_)));
        assert!(!reconnector.on_lost(at(1), false), "the host never served it");
        assert_eq!(reconnector.deadline(), Some(at(251)));
        assert!(matches!(poll(&mut reconnector, at(251)), ReconnectProgress::Connected(_)));
        reconnector.on_served(at(260));
        assert!(reconnector.on_lost(at(300), false));
        assert_eq!(reconnector.deadline(), Some(at(800)));
        assert!(matches!(poll(&mut reconnector, at(800)), ReconnectProgress::Connected(_)));
        reconnector.on_served(at(900));
        assert!(reconnector.on_lost(at(5900), false));
        assert_eq!(reconnector.deadline(), Some(at(5900)), "it was served for 5 seconds");
    }
}
