//! Reply numbers: blocks of them, each number given once for all time, and the gap that a ledger's set-back leaves.
use crate::number;
use serde::{Deserialize, Serialize};

/// A block of reply numbers, which no other block of the same terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Numbers {
    next: u64,
    end: u64,
}

impl Numbers {
    /// Numbers are below this, 2^53 − 1; a message with another one is malformed. Above it a JSON reader may round an
    /// integer (RFC 8259, section 6).
    pub const MAX: u64 = number::MAX;
    /// No number.
    pub const NONE: Self = Self { next: 0, end: 0 };

    /// The numbers from `first` on, `count` of them, all below [`Numbers::MAX`].
    pub fn block(first: u64, count: u32) -> Self {
        Self { next: first, end: first.saturating_add(u64::from(count)).min(Self::MAX) }
    }

    /// The first number above the block.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// As many numbers, all above `number`; fewer where they would reach [`Numbers::MAX`].
    pub fn above(self, number: u64) -> Self {
        let next = self.next.max(number.saturating_add(1));
        Self { next, end: next.saturating_add(self.end.saturating_sub(self.next)).min(Self::MAX) }
    }

    /// Takes the next number.
    pub fn take(&mut self) -> Option<u64> {
        let number = self.next;
        (number < self.end).then(|| {
            self.next = number.saturating_add(1);
            number
        })
    }
}

/// A range of numbers of one terminal whose outcomes this ledger does not know: it was set back, and another
/// history of it used them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Gap {
    /// The first number inside.
    #[serde(with = "number")]
    pub start: u64,
    /// The first number above; not above `start` if nothing is inside.
    #[serde(with = "number")]
    pub end: u64,
}

impl Gap {
    /// No number.
    pub const NONE: Self = Self { start: 0, end: 0 };

    /// Whether `number` is inside.
    pub fn contains(&self, number: u64) -> bool {
        (self.start..self.end).contains(&number)
    }

    /// The smallest range that has both inside. A terminal keeps one gap: an id between two of them is as old,
    /// and "unknown" is never wrong.
    pub fn extended(self, start: u64, end: u64) -> Self {
        let start = if self.start < self.end { self.start.min(start) } else { start };
        Self { start, end: self.end.max(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_moved_up_has_as_many_numbers() {
        let numbers = |mut block: Numbers| {
            let first = block.take();
            (first, 1 + core::iter::from_fn(|| block.take()).count())
        };
        for (above, first) in [(0, 10), (9, 10), (10, 11), (100, 101)] {
            assert_eq!(numbers(Numbers::block(10, 5).above(above)), (Some(first), 5), "{above}");
        }
        // The greatest integer that a double tells from the next.
        assert_eq!(Numbers::MAX, 9_007_199_254_740_991);
        assert_eq!(numbers(Numbers::block(10, 5).above(Numbers::MAX - 3)), (Some(Numbers::MAX - 2), 2));
        assert_eq!(Numbers::block(10, 5).above(u64::MAX).take(), None);
        assert_eq!(Numbers::block(u64::MAX, 5).take(), None);
    }

    #[test]
    fn a_gap_grows_and_never_shrinks() {
        assert!(!Gap::NONE.contains(0));
        let gap = Gap::NONE.extended(10, 20);
        assert_eq!([9, 10, 19, 20].map(|number| gap.contains(number)), [false, true, true, false]);
        assert_eq!(gap.extended(50, 60), Gap { start: 10, end: 60 });
        assert_eq!(gap.extended(12, 15), gap);
    }
}
