//! How a connection that was lost is opened again.
use super::transport::{Wake, connect};
use atm_core::{
    time::{Duration, Instant},
    wire::Wire,
};
use std::{
    io::{self, ErrorKind},
    net::TcpStream,
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
};

/// How long a connection may be lost. Whoever waits at the terminal does not wait longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The shortest and the longest time between two attempts; each is twice the one before.
const FIRST: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(5);

/// What came of trying.
pub(super) enum ReconnectProgress {
    /// Nothing yet.
    Wait,
    /// There is a connection; whether the host serves it is to be seen.
    Connected(TcpStream),
    /// It has taken too long.
    GaveUp(io::Error),
}

/// Opens connections to one address, one at a time. Connecting blocks, and so does asking for the address of a name:
/// each attempt has a thread of its own, which ends by itself.
pub(super) struct Reconnector {
    address: String,
    wire: Wire,
    wake: Wake,
    /// Since when there is no host, whether there is a connection or not.
    lost: Option<Instant>,
    /// Since when there is one again.
    mended: Option<Instant>,
    pause: Duration,
    try_at: Instant,
    trying: Option<Receiver<Option<TcpStream>>>,
}

impl Reconnector {
    pub(super) fn new(address: String, wire: Wire, wake: Wake) -> Self {
        let (lost, mended, trying) = (None, None, None);
        Self { address, wire, wake, lost, mended, pause: FIRST, try_at: Instant::default(), trying }
    }

    /// Is there no host?
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// The connection is lost; true where it is news.
    pub(super) fn lose(&mut self, now: Instant) -> bool {
        // A connection that held for a while is opened again at once; one that did not, later and later.
        let held = self.lost.is_none() && self.mended.is_none_or(|since| since + MOST <= now);
        if held {
            self.pause = FIRST;
        }
        self.try_at = if held { now } else { self.after_pause(now) };
        self.lost.replace(self.lost.unwrap_or(now)).is_none()
    }

    /// The host serves the connection.
    pub(super) fn mend(&mut self, now: Instant) {
        self.lost = None;
        self.mended = Some(now);
    }

    /// When [`turn`](Self::turn) is to be called at the latest while there is no connection.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let end = self.lost? + PATIENCE;
        Some(if self.trying.is_some() { end } else { end.min(self.try_at) })
    }

    /// Tries, where it is time.
    pub(super) fn turn(&mut self, now: Instant) -> ReconnectProgress {
        let Some(lost) = self.lost else { return ReconnectProgress::Wait };
        match self.trying.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => {}
            Some(Ok(Some(stream))) => {
                self.trying = None;
                return ReconnectProgress::Connected(stream);
            }
            Some(Ok(None) | Err(TryRecvError::Disconnected)) => {
                self.trying = None;
                self.try_at = self.after_pause(now);
            }
        }
        if lost + PATIENCE <= now {
            self.trying = None;
            let seconds = PATIENCE.millis() / 1000;
            let text = format!("no server has answered at {} for {seconds} seconds", self.address);
            return ReconnectProgress::GaveUp(io::Error::new(ErrorKind::TimedOut, text));
        }
        if self.trying.is_none() && self.try_at <= now {
            self.start(now);
        }
        ReconnectProgress::Wait
    }

    fn after_pause(&mut self, now: Instant) -> Instant {
        let at = now + self.pause;
        self.pause = Duration::from_millis(self.pause.millis().saturating_mul(2)).min(MOST);
        at
    }

    fn start(&mut self, now: Instant) {
        let (done, trying) = channel();
        let (address, wire, wake) = (self.address.clone(), self.wire, self.wake.clone());
        let attempt = move || {
            // Nobody waits for it any more where this fails; the connection is closed then.
            let _ = done.send(connect(&address, wire).ok());
            wake.nudge();
        };
        match thread::Builder::new().name("connect".into()).spawn(attempt) {
            Ok(_) => self.trying = Some(trying),
            Err(_) => self.try_at = self.after_pause(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Tries at `now` until something comes of it.
    fn tried(reconnector: &mut Reconnector, now: Instant) -> ReconnectProgress {
        loop {
            match reconnector.turn(now) {
                ReconnectProgress::Wait if reconnector.trying.is_some() => thread::yield_now(),
                turn => return turn,
            }
        }
    }

    #[test]
    fn attempts_come_more_and_more_seldom_and_end() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut reconnector = Reconnector::new(address.to_string(), Wire::Json, Wake::default());
        assert_eq!(reconnector.deadline(), None);
        assert!(reconnector.lose(at(1000)));
        let (mut attempts, mut end) = (Vec::new(), None);
        while let Some(due) = reconnector.deadline() {
            if let ReconnectProgress::GaveUp(error) = tried(&mut reconnector, due) {
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
    fn a_connection_that_does_not_hold_is_not_opened_again_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut reconnector = Reconnector::new(address, Wire::Json, Wake::default());
        assert!(reconnector.lose(at(0)));
        assert!(matches!(tried(&mut reconnector, at(0)), ReconnectProgress::Connected(_)));
        assert!(!reconnector.lose(at(1)), "nobody had said that it was back");
        assert_eq!(reconnector.deadline(), Some(at(251)));
        assert!(matches!(tried(&mut reconnector, at(251)), ReconnectProgress::Connected(_)));
        reconnector.mend(at(260));
        assert!(reconnector.lose(at(300)));
        assert_eq!(reconnector.deadline(), Some(at(800)));
        assert!(matches!(tried(&mut reconnector, at(800)), ReconnectProgress::Connected(_)));
        reconnector.mend(at(900));
        assert!(reconnector.lose(at(5900)));
        assert_eq!(reconnector.deadline(), Some(at(5900)), "it held");
    }
}
