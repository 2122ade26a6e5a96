//! Counts of what a ledger did because of faults: that they are not zero shows that a run has them.

/// How often the ledger did something that only faults cause.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerCounts {
    /// Set-backs.
    pub set_backs: u64,
    /// Hellos that proved one.
    pub proofs: u64,
    /// Hellos that proved another one too soon.
    pub too_soon: u64,
    /// Outcomes that a set-back made unknown.
    pub unknown: u64,
    /// Requests of an earlier turn.
    pub fenced: u64,
    /// Hellos of the epoch that was admitted before.
    pub equal_hellos: u64,
}

impl LedgerCounts {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        self.set_backs += other.set_backs;
        self.proofs += other.proofs;
        self.too_soon += other.too_soon;
        self.unknown += other.unknown;
        self.fenced += other.fenced;
        self.equal_hellos += other.equal_hellos;
    }
}
