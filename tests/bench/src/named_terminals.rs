//! Named terminals of a session: which of them speaks next, and what each has stored (core/PROTOCOL.md).
//!
//! Before the run every terminal says hello once, so that the ledger has a row of each. In the run a session
//! draws one of its terminals for each operation, and says hello if it is another one than before.
use super::{json_reader::JsonReply, protocol::SessionError};
use fastrand::Rng;
use std::io::Write;

/// The terminals of one session. No other session uses their names: two epochs of one name at once would take
/// over from each other.
#[derive(Debug)]
pub struct NamedTerminals {
    /// The number in the first name, and the distance to the next one.
    first: usize,
    step: usize,
    /// The highest number of a reply that each terminal has shown.
    shown: Vec<u64>,
    /// The epoch of the last hello: later than that of every earlier run.
    start: u64,
    attempt: u32,
    /// How many terminals have said hello.
    introduced: usize,
    /// The terminal that said hello last.
    current: usize,
    state: HelloState,
    /// The ledger's identity, as the first welcome named it.
    ledger: Vec<u8>,
    rng: Rng,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HelloState {
    /// A hello is outstanding.
    Sent,
    /// The terminal of the next operation is welcome.
    Welcome,
    /// The terminal of the next operation is to be drawn.
    Done,
}

impl NamedTerminals {
    /// Of `count` terminals those of session number `session` of `sessions`, at least one each. `start` must be
    /// greater than in earlier runs on the same ledger, as a time is.
    pub fn new(count: usize, (session, sessions): (usize, usize), start: u64, seed: u64) -> Self {
        Self {
            first: session,
            step: sessions,
            shown: vec![0; count.saturating_sub(session).div_ceil(sessions.max(1)).max(1)],
            start,
            attempt: 0,
            introduced: 0,
            current: 0,
            state: HelloState::Done,
            ledger: Vec::new(),
            rng: Rng::with_seed(seed),
        }
    }

    /// Is there a terminal that has not said hello yet?
    pub(super) fn is_opening(&self) -> bool {
        self.introduced < self.shown.len()
    }

    /// Is a hello outstanding?
    pub(super) fn awaits_welcome(&self) -> bool {
        self.state == HelloState::Sent
    }

    /// Chooses the terminal of the next operation; true if it must say hello before.
    pub(super) fn choose(&mut self) -> bool {
        let next = if self.is_opening() {
            self.introduced = self.introduced.saturating_add(1);
            self.introduced.saturating_sub(1)
        } else if self.state == HelloState::Welcome {
            self.state = HelloState::Done;
            return false;
        } else {
            match self.rng.usize(..self.shown.len()) {
                drawn if drawn == self.current => return false,
                drawn => drawn,
            }
        };
        self.current = next;
        self.attempt = self.attempt.saturating_add(1);
        self.state = HelloState::Sent;
        true
    }

    /// Appends the hello of the chosen terminal.
    pub(super) fn write_hello(&self, out: &mut Vec<u8>) {
        let (start, attempt) = (self.start, self.attempt);
        let number = self.first.saturating_add(self.step.saturating_mul(self.current));
        let shown = self.shown.get(self.current).copied().unwrap_or(0);
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            r#"{{"hello":1,"terminal":"terminal-{number}","start":{start},"attempt":{attempt},"shown":{shown}"#
        );
        if shown > 0 {
            out.extend_from_slice(br#","ledger":""#);
            out.extend_from_slice(&self.ledger);
            out.push(b'"');
        }
        out.push(b'}');
    }

    /// Takes the reply to a hello.
    ///
    /// # Errors
    /// It is not the welcome of this hello, or it names another ledger, or an outcome that the terminal knows.
    pub(super) fn receive_welcome(&mut self, welcome: &JsonReply<'_>) -> Result<(), SessionError> {
        let is_known = self.shown.get(self.current).is_some_and(|shown| *shown > 0);
        let (Some(ledger), Some(start), Some(attempt)) = (welcome.ledger, welcome.start, welcome.attempt)
        else {
            return Err(SessionError("a hello was not answered with a welcome".to_owned()));
        };
        if (start, attempt) != (self.start, u64::from(self.attempt)) {
            return Err(SessionError("a welcome answers another hello".to_owned()));
        }
        if self.ledger.is_empty() {
            self.ledger = ledger.to_vec();
        } else if self.ledger != ledger {
            return Err(SessionError("a welcome names another ledger than the one before".to_owned()));
        }
        // A terminal that has shown nothing yet may hear of the last operation of an earlier run.
        if is_known && welcome.outcome.is_some() {
            return Err(SessionError("a welcome has an outcome that was shown".to_owned()));
        }
        self.state = HelloState::Welcome;
        Ok(())
    }

    /// Stores the number of a reply that was shown. The greeting is for a session without a name.
    pub(super) fn show(&mut self, seq: u64) {
        let shown = self.shown.get_mut(self.current).filter(|_| self.introduced > 0);
        if let Some(shown) = shown {
            *shown = seq;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn names(terminals: &mut NamedTerminals, hellos: usize) -> Vec<String> {
        let mut names = Vec::new();
        while names.len() < hellos {
            if !terminals.choose() {
                continue;
            }
            let mut hello = Vec::new();
            terminals.write_hello(&mut hello);
            let hello: serde_json::Value = serde_json::from_slice(&hello).unwrap();
            names.push(hello["terminal"].as_str().unwrap().to_owned());
            let welcome = JsonReply {
                ledger: Some(b"0123456789abcdef"),
                start: hello["start"].as_u64(),
                attempt: hello["attempt"].as_u64(),
                ..JsonReply::default()
            };
            terminals.receive_welcome(&welcome).unwrap();
        }
        names
    }

    #[test]
    fn every_terminal_says_hello_before_the_run_and_belongs_to_one_session() {
        let mut all = HashSet::new();
        for session in 0..3 {
            let mut terminals = NamedTerminals::new(10, (session, 3), 7, 1);
            let own = [4, 3, 3][session];
            let first: HashSet<String> = names(&mut terminals, own).into_iter().collect();
            assert!(!terminals.is_opening() && first.len() == own);
            assert!(names(&mut terminals, 50).iter().all(|name| first.contains(name)));
            all.extend(first);
        }
        assert_eq!(all, (0..10).map(|number| format!("terminal-{number}")).collect());
    }

    #[test]
    fn a_session_with_one_terminal_says_hello_once() {
        let mut terminals = NamedTerminals::new(2, (1, 2), 7, 1);
        assert_eq!(names(&mut terminals, 1), ["terminal-1"]);
        assert!((0..20).all(|_| !terminals.choose()));
    }

    #[test]
    fn a_welcome_must_answer_the_hello() {
        let mut terminals = NamedTerminals::new(1, (0, 1), 7, 1);
        assert!(terminals.choose() && terminals.awaits_welcome());
        let ledger = Some(&b"0123456789abcdef"[..]);
        let welcome = JsonReply { ledger, start: Some(7), attempt: Some(1), ..JsonReply::default() };
        let wrong = [
            JsonReply { ledger: None, ..welcome },
            JsonReply { attempt: Some(2), ..welcome },
            JsonReply { start: Some(6), ..welcome },
        ];
        for wrong in wrong {
            assert!(terminals.receive_welcome(&wrong).is_err() && terminals.awaits_welcome());
        }
        // Of an operation of an earlier run.
        terminals.receive_welcome(&JsonReply { outcome: Some(b"done"), ..welcome }).unwrap();
        terminals.show(512);
        terminals.state = HelloState::Sent;
        for wrong in [
            JsonReply { outcome: Some(b"done"), ..welcome },
            JsonReply { ledger: Some(b"fedcba9876543210"), ..welcome },
        ] {
            assert!(terminals.receive_welcome(&wrong).is_err());
        }
        let mut hello = Vec::new();
        terminals.write_hello(&mut hello);
        let text = String::from_utf8(hello).unwrap();
        assert!(text.ends_with(r#""shown":512,"ledger":"0123456789abcdef"}"#), "{text}");
    }
}
