//! Reconnecting: opens a lost TCP connection, to any host of a list, or a serial port whose device was gone, again, with exponential backoff,
//! and gives up after 60 seconds.
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
//! A connection that was closed is opened once more at the same host, which may hold the conversation; where it is refused, or the
//! host was silent, has no room or stops, the next host is tried at once. Only a whole round over the list is followed by the backoff.
//!
//! An open connection proves nothing (a proxy accepts it without a host behind), so the backoff starts over only after
//! the host has served a connection for 5 seconds. What is sent on a new connection is decided elsewhere: `link/recovery.rs`
//! calls this module and restarts the handshake.
use super::{
    hosts::{Hosts, Move},
    transport::{Opened, Wake},
};
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

/// How a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was closed, or the port's device is gone. The host may resume the conversation.
    Closed,
    /// The host is silent, or stops.
    Gone,
    /// The host has no room.
    Busy,
    /// The session has ended, so there is no conversation to resume.
    SessionEnded,
}

/// One attempt to open a transport to a host; `None` where it failed.
type Attempt = Arc<dyn Fn(&str) -> Option<Opened> + Send + Sync>;

/// Opens connections to the hosts of a list, or one serial port, one attempt at a time. Name resolution and connecting block, so
/// each attempt runs on a thread of its own, which ends by itself.
pub(super) struct Reconnector {
    /// The addresses, or the port's path.
    hosts: Hosts,
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
        hosts: Hosts,
        open: impl Fn(&str) -> Option<Opened> + Send + Sync + 'static,
        wake: Wake,
    ) -> Self {
        let (lost_since, served_since, attempt) = (None, None, None);
        let (backoff, next_attempt) = (FIRST_BACKOFF, Instant::default());
        let open = Arc::new(open);
        Self { hosts, open, wake, lost_since, served_since, is_busy: false, backoff, next_attempt, attempt }
    }

    /// Are there hosts other than the present one?
    pub(super) fn has_others(&self) -> bool {
        self.hosts.are_several()
    }

    /// Is there no connection that the host serves?
    pub(super) fn is_lost(&self) -> bool {
        self.lost_since.is_some()
    }

    /// Notes that the connection is lost, or that the host has no room for it; true if the host was serving it.
    pub(super) fn on_lost(&mut self, now: Instant, loss: Loss) -> bool {
        // After a stable connection the first attempt is made at once, if the host has room; after an unstable one the
        // round over the hosts goes on, and so does the backoff.
        let stable =
            self.lost_since.is_none() && self.served_since.is_none_or(|since| since + MAX_BACKOFF <= now);
        if stable {
            self.backoff = FIRST_BACKOFF;
            self.hosts.begin_round();
            if loss == Loss::SessionEnded {
                self.hosts.return_to_first(now);
            }
        }
        self.is_busy = loss == Loss::Busy;
        let stays = stable && matches!(loss, Loss::Closed | Loss::SessionEnded);
        let goes_on = !stays && self.hosts.go_on();
        let at_once = goes_on || (stable && !self.is_busy);
        self.next_attempt = if at_once { now } else { self.back_off(now) };
        self.lost_since.replace(self.lost_since.unwrap_or(now)).is_none()
    }

    /// Notes that the host serves the connection; returns the move, if another host did before.
    pub(super) fn on_served(&mut self, now: Instant) -> Option<Move> {
        self.lost_since = None;
        self.served_since = Some(now);
        self.hosts.on_served(now)
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
                self.next_attempt = if self.hosts.go_on() { now } else { self.back_off(now) };
            }
        }
        if lost_since + GIVE_UP <= now {
            self.attempt = None;
            let seconds = GIVE_UP.millis() / 1000;
            let text = if self.is_busy {
                format!("the server at {} had no room within {seconds} seconds", self.hosts.names())
            } else {
                format!("no server has answered at {} for {seconds} seconds", self.hosts.names())
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
        let (open, wake, host) = (self.open.clone(), self.wake.clone(), self.hosts.present().to_owned());
        let run = move || {
            // Sending fails if the attempt was abandoned; the connection is then closed.
            let _ = result.send(open(&host));
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
    use std::net::TcpListener;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn reconnector(addresses: &[String]) -> Reconnector {
        let open = |host: &str| connect(host, "", None).ok().map(Opened::Connection);
        Reconnector::new(Hosts::new(addresses, None), open, Wake::default())
    }

    /// An address where no server listens.
    fn unused_address() -> String {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
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
        let address = unused_address();
        let mut reconnector = reconnector(std::slice::from_ref(&address));
        assert_eq!(reconnector.deadline(), None);
        assert!(reconnector.on_lost(at(1000), Loss::Closed));
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
        assert_eq!(end.unwrap(), (at(61_000), format!("no server has answered at {address} for 60 seconds")));
    }

    #[test]
    fn a_host_without_room_is_tried_again_after_the_backoff_and_named_at_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut reconnector = reconnector(std::slice::from_ref(&address));
        assert!(reconnector.on_lost(at(0), Loss::Busy));
        let end = loop {
            let due = reconnector.deadline().unwrap();
            match poll(&mut reconnector, due) {
                ReconnectProgress::Connected(_) => assert!(!reconnector.on_lost(due, Loss::Busy)),
                ReconnectProgress::GaveUp(error) => break (due, error.to_string()),
                ReconnectProgress::Pending => panic!("an attempt failed at {due:?}"),
            }
            assert!(reconnector.deadline().unwrap() >= due + FIRST_BACKOFF);
        };
        assert_eq!(end, (at(60_000), format!("the server at {address} had no room within 60 seconds")));
    }

    #[test]
    fn only_a_stable_connection_resets_the_backoff() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut reconnector = reconnector(&[address]);
        assert!(reconnector.on_lost(at(0), Loss::Closed));
        assert!(matches!(poll(&mut reconnector, at(0)), ReconnectProgress::Connected(_)));
        assert!(!reconnector.on_lost(at(1), Loss::Closed), "the host never served it");
        assert_eq!(reconnector.deadline(), Some(at(251)));
        assert!(matches!(poll(&mut reconnector, at(251)), ReconnectProgress::Connected(_)));
        assert_eq!(reconnector.on_served(at(260)), None);
        assert!(reconnector.on_lost(at(300), Loss::Closed));
        assert_eq!(reconnector.deadline(), Some(at(800)));
        assert!(matches!(poll(&mut reconnector, at(800)), ReconnectProgress::Connected(_)));
        assert_eq!(reconnector.on_served(at(900)), None);
        assert!(reconnector.on_lost(at(5900), Loss::Closed));
        assert_eq!(reconnector.deadline(), Some(at(5900)), "it was served for 5 seconds");
    }

    /// Lets the attempt that is due succeed; returns the host.
    fn connect_now(reconnector: &mut Reconnector, now: Instant) -> String {
        assert!(matches!(poll(reconnector, now), ReconnectProgress::Connected(_)));
        reconnector.hosts.present().to_owned()
    }

    #[test]
    fn the_next_host_is_tried_at_once_and_the_backoff_comes_after_a_round() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (served, gone) =
            (listener.local_addr().unwrap().to_string(), [unused_address(), unused_address()]);
        let list = [gone.as_slice(), std::slice::from_ref(&served)].concat();
        for loss in [Loss::Closed, Loss::Gone, Loss::Busy] {
            let mut reconnector = reconnector(&list);
            assert!(reconnector.on_lost(at(0), loss));
            assert_eq!(connect_now(&mut reconnector, at(0)), served, "{loss:?}");
            // It is not served there either.
            assert!(!reconnector.on_lost(at(3), loss));
            assert_eq!(reconnector.deadline(), Some(at(253)), "{loss:?}");
            assert_eq!(
                connect_now(&mut reconnector, at(253)),
                served,
                "a new round begins with the first host"
            );
            assert!(!reconnector.on_lost(at(260), loss));
            assert_eq!(reconnector.deadline(), Some(at(760)), "the backoff of the second round");
        }
    }

    #[test]
    fn a_closed_connection_is_opened_at_the_same_host_and_a_silent_full_or_unstable_one_is_left() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [first, second] = listeners.each_ref().map(|listener| listener.local_addr().unwrap().to_string());
        let list = [first.clone(), second.clone()];
        for (loss, next) in [
            (Loss::Closed, &first),
            (Loss::SessionEnded, &first),
            (Loss::Gone, &second),
            (Loss::Busy, &second),
        ] {
            let mut reconnector = reconnector(&list);
            assert!(reconnector.on_lost(at(0), loss));
            assert_eq!(connect_now(&mut reconnector, at(0)), *next, "{loss:?}");
        }
        let mut reconnector = reconnector(&list);
        assert!(reconnector.on_lost(at(0), Loss::Closed));
        connect_now(&mut reconnector, at(0));
        assert_eq!(reconnector.on_served(at(1)), None);
        assert!(reconnector.on_lost(at(4000), Loss::Closed));
        assert_eq!(
            connect_now(&mut reconnector, at(4000)),
            second,
            "the first host did not serve it for 5 seconds"
        );
        let moved = reconnector.on_served(at(4001)).unwrap();
        assert_eq!((&moved.from, &moved.to), (&first, &second));
        // The conversation is there, until its session ends.
        assert!(reconnector.on_lost(at(70_000), Loss::Closed));
        assert_eq!(connect_now(&mut reconnector, at(70_000)), second);
        assert_eq!(reconnector.on_served(at(70_001)), None);
        assert!(reconnector.on_lost(at(80_000), Loss::SessionEnded));
        assert_eq!(connect_now(&mut reconnector, at(80_000)), first);
    }
}
