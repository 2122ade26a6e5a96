//! When which connection wants to be woken.
use atm_core::time::Instant;
use mio::Token;
use std::{cmp::Reverse, collections::BinaryHeap};

/// A connection's own note of when it is woken next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarm(Option<Instant>);

/// Deadlines by connection.
///
/// Every answer moves its session's deadline, nearly always to later. So a deadline that stands is left to pass, and
/// the connection, woken early, sets the later one then: one turn of the heap a deadline, not one an answer.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Token)>>);

impl Timers {
    /// Wakes `token` at `deadline` or before.
    pub(super) fn set(&mut self, token: Token, alarm: &mut Alarm, deadline: Instant) {
        if alarm.0.is_some_and(|set| set <= deadline) {
            return;
        }
        alarm.0 = Some(deadline);
        self.0.push(Reverse((deadline, token)));
    }

    /// The first deadline, or one that stood before it.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Takes a deadline that has passed; it counts if [`Alarm::take_if_due`].
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Token, Instant)> {
        if self.next_deadline()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((deadline, token))| (token, deadline))
    }
}

impl Alarm {
    /// Is it for this deadline, and not for an earlier one that was set later? It is off then.
    pub(super) fn take_if_due(&mut self, deadline: Instant) -> bool {
        self.0.take_if(|set| *set == deadline).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_later_deadline_waits_for_the_earlier_one() {
        let (mut timers, mut one, mut other) = (Timers::default(), Alarm::default(), Alarm::default());
        timers.set(Token(5), &mut one, at(10));
        timers.set(Token(5), &mut one, at(20));
        timers.set(Token(6), &mut other, at(15));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(15)), Some((Token(5), at(10))));
        assert_eq!(timers.pop(at(15)), Some((Token(6), at(15))));
        assert!(one.take_if_due(at(10)) && other.take_if_due(at(15)));
        assert_eq!(timers.pop(at(99)), None);
        timers.set(Token(5), &mut one, at(30));
        assert_eq!(timers.next_deadline(), Some(at(30)), "what has rung can be set again");
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        timers.set(Token(5), &mut alarm, at(20));
        timers.set(Token(5), &mut alarm, at(10));
        assert_eq!(timers.pop(at(30)), Some((Token(5), at(10))));
        assert!(alarm.take_if_due(at(10)));
        assert_eq!(timers.pop(at(30)), Some((Token(5), at(20))));
        assert!(!alarm.take_if_due(at(20)), "it has rung before");
        assert_eq!(timers.pop(at(30)), None);
    }
}
