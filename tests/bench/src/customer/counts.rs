//! Counts of the completed operations, by kind.

/// Completed operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// Balances that were queried.
    pub balances: u64,
    /// Deposits done.
    pub deposits: u64,
    /// Withdrawals done.
    pub withdrawals: u64,
    /// Deposits and withdrawals refused.
    pub refused: u64,
}

impl OperationCounts {
    /// All operations.
    pub fn total(&self) -> u64 {
        self.balances
            .saturating_add(self.deposits)
            .saturating_add(self.withdrawals)
            .saturating_add(self.refused)
    }

    /// Adds the operations of another customer.
    pub fn add(&mut self, other: &Self) {
        self.balances = self.balances.saturating_add(other.balances);
        self.deposits = self.deposits.saturating_add(other.deposits);
        self.withdrawals = self.withdrawals.saturating_add(other.withdrawals);
        self.refused = self.refused.saturating_add(other.refused);
    }
}
