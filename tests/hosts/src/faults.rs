//! Faults: the kinds that the campaign draws, and how often.
use atm_e2e::Rng;

macro_rules! kinds {
    ($($kind:ident $name:literal),* $(,)?) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Kind {
            $(#[doc = $name] $kind),*
        }

        impl Kind {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),*];

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),*
                }
            }
        }
    };
}

kinds! {
    HostKilled "host-killed",
    BothHostsKilled "both-hosts-killed",
    HostStopped "host-stopped",
    SecondProcess "second-process",
    TerminalsCut "terminals-cut",
    TerminalsHang "terminals-hang",
    ClockStep "clock-step",
    PrimaryKilled "primary-killed",
    PrimaryImmediate "primary-immediate",
    CommitCut "commit-cut",
    Failover "failover",
    HostStoppedLong "host-stopped-long",
    HalfKilled "half-killed",
    HalfKilledFailover "half-killed-failover",
    OrphanBackend "orphan-backend",
    HangToDatabase "hang-to-database",
    HangFromDatabase "hang-from-database",
    LateCommit "late-commit",
    MissingStandby "missing-standby",
}

/// Faults that last longer than the host's deadline for an exchange with the database.
const LONG: &[Kind] = &[
    Kind::HostStoppedLong,
    Kind::HalfKilled,
    Kind::HalfKilledFailover,
    Kind::OrphanBackend,
    Kind::HangToDatabase,
    Kind::HangFromDatabase,
    Kind::LateCommit,
    Kind::MissingStandby,
];

/// The others of each twenty.
const SHORT: &[(Kind, usize)] = &[
    (Kind::HostKilled, 3),
    (Kind::BothHostsKilled, 1),
    (Kind::HostStopped, 1),
    (Kind::SecondProcess, 2),
    (Kind::TerminalsCut, 1),
    (Kind::TerminalsHang, 1),
    (Kind::ClockStep, 1),
    (Kind::PrimaryKilled, 2),
    (Kind::PrimaryImmediate, 2),
    (Kind::CommitCut, 3),
    (Kind::Failover, 1),
];

/// How many of each twenty are long.
const LONG_OF_TWENTY: usize = 2;

/// Faults in a random order.
pub(crate) struct Deck {
    rng: Rng,
    cards: Vec<Kind>,
    long: Vec<Kind>,
}

impl Deck {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, cards: Vec::new(), long: Vec::new() }
    }

    /// The next fault. Of twenty, each short kind comes as often as its weight says; the long kinds take turns.
    pub(crate) fn draw(&mut self) -> Kind {
        if self.cards.is_empty() {
            self.cards.extend(SHORT.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)));
            for _ in 0..LONG_OF_TWENTY {
                if self.long.is_empty() {
                    self.long = LONG.to_vec();
                    self.rng.shuffle(&mut self.long);
                }
                self.cards.extend(self.long.pop());
            }
            self.rng.shuffle(&mut self.cards);
        }
        self.cards.pop().unwrap_or(Kind::HostKilled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_drawn_and_the_long_ones_are_spread() {
        let mut deck = Deck::new(Rng::with_seed(1));
        let drawn: Vec<Kind> = (0..300).map(|_| deck.draw()).collect();
        assert!(Kind::ALL.iter().all(|kind| drawn.contains(kind)));
        for twenty in drawn.chunks(20) {
            assert_eq!(twenty.iter().filter(|kind| LONG.contains(kind)).count(), LONG_OF_TWENTY);
        }
    }
}
