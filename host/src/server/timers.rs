//! When which connection wants to be woken.
use atm_core::time::Instant;
use mio::Token;
use rustc_hash::FxHashMap;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Deadlines by connection.
///
/// Every answer moves its session's deadline, nearly always to later. So a deadline that stands is left to pass, and
/// the connection, woken early, sets the later one then: one turn of the heap a deadline, not one an answer.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Token)>>,
    set: FxHashMap<Token, Instant>,
}

impl Timers {
    /// Wakes `token` at `deadline` or before.
    pub(super) fn set(&mut self, token: Token, deadline: Instant) {
        if self.set.get(&token).is_some_and(|set| *set <= deadline) {
            return;
        }
        self.set.insert(token, deadline);
        self.heap.push(Reverse((deadline, token)));
    }

    /// Does not wake `token` any more.
    pub(super) fn clear(&mut self, token: Token) {
        self.set.remove(&token);
    }

    /// The first deadline, or one that stood before it.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Takes a connection whose deadline has passed.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Token> {
        while self.next().is_some_and(|deadline| deadline <= now) {
            let Reverse((deadline, token)) = self.heap.pop()?;
            if self.set.get(&token) == Some(&deadline) {
                self.set.remove(&token);
                return Some(token);
            }
        }
        None
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
        let mut timers = Timers::default();
        timers.set(Token(5), at(10));
        timers.set(Token(5), at(20));
        timers.set(Token(6), at(15));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(15)), Some(Token(5)));
        assert_eq!(timers.pop(at(15)), Some(Token(6)));
        assert_eq!(timers.pop(at(99)), None);
    }

    #[test]
    fn an_earlier_deadline_replaces_a_later_one_and_a_cleared_one_is_silent() {
        let mut timers = Timers::default();
        timers.set(Token(5), at(20));
        timers.set(Token(5), at(10));
        timers.set(Token(6), at(10));
        timers.clear(Token(6));
        assert_eq!(timers.pop(at(30)), Some(Token(5)));
        assert_eq!(timers.pop(at(30)), None);
    }
}
