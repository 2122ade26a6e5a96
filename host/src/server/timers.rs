//! Timers: the deadlines of all connections, in a heap.
use atm_core::time::Instant;
use mio::Token;
use std::{cmp::Reverse, collections::BinaryHeap};

/// When a connection is woken next, as the connection knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarm(Option<Instant>);

/// Deadlines by connection.
///
/// Every answer moves its session's deadline, nearly always to a later time. So a deadline in the heap is
/// left to pass, and the connection, woken early, then sets the later one: one heap operation per deadline,
/// not one per answer.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Token)>>);

impl Timers {
    /// Makes `token` due at `deadline` or earlier.
    pub(super) fn set(&mut self, token: Token, alarm: &mut Alarm, deadline: Instant) {
        if alarm.0.is_some_and(|set| set <= deadline) {
            return;
        }
        alarm.0 = Some(deadline);
        self.0.push(Reverse((deadline, token)));
    }

    /// A time that is at most the first deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Takes a deadline that has passed. It is stale unless [`Alarm::take_if_due`] says otherwise.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Token, Instant)> {
        if self.next_deadline()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((deadline, token))| (token, deadline))
    }
}

impl Alarm {
    /// Clears the alarm and returns true if it is set to `deadline`; a deadline that an earlier one has
    /// replaced is stale.
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
        assert_eq!(timers.next_deadline(), Some(at(30)), "an alarm can be set again");
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one() {
        let (mut timers, mut alarm) = (Timers::default(), Alarm::default());
        timers.set(Token(5), &mut alarm, at(20));
        timers.set(Token(5), &mut alarm, at(10));
        assert_eq!(timers.pop(at(30)), Some((Token(5), at(10))));
        assert!(alarm.take_if_due(at(10)));
        assert_eq!(timers.pop(at(30)), Some((Token(5), at(20))));
        assert!(!alarm.take_if_due(at(20)), "the earlier deadline replaced it");
        assert_eq!(timers.pop(at(30)), None);
    }
}
