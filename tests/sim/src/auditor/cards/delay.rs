//! The delay of a terminal after refused PINs: how long it must last, by the clock of the commits.
use atm_core::time::UnixTime;

/// The first and the longest delay, in milliseconds.
const FIRST: u64 = 1_000;
const LONGEST: u64 = 60_000;

/// When a terminal's delay ends, and its length; all in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TerminalDelay {
    until: u64,
    length: u64,
}

impl TerminalDelay {
    /// A PIN is judged.
    pub(super) fn judged(&self, wall: UnixTime) -> Result<(), String> {
        let left = self.until.saturating_sub(wall.millis());
        if left == 0 { Ok(()) } else { Err(format!("a PIN was judged, {left} ms before the delay ends")) }
    }

    /// A PIN was refused.
    pub(super) fn refused(&mut self, wall: UnixTime) {
        let is_fresh = self.length == 0 || wall.millis() - self.until >= LONGEST;
        self.length = if is_fresh { FIRST } else { (self.length * 2).min(LONGEST) };
        self.until = wall.millis() + self.length;
    }

    /// The terminal said that so many seconds are left. Where the clock was set back, the delay begins again.
    pub(super) fn said(&mut self, seconds: u32, wall: UnixTime) -> Result<(), String> {
        let left = self.until.saturating_sub(wall.millis()).min(self.length);
        self.until = wall.millis() + left;
        if left > 0 && u64::from(seconds) == left.div_ceil(1000) {
            Ok(())
        } else {
            Err(format!("{seconds} s were said, and {left} ms are left"))
        }
    }
}
