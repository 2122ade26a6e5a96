//! The same loop as a task of an executor.
use super::{Kiosk, KioskError};
use crate::{ledger::Ledger, time::Instant};
use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};

impl<L: Ledger, const IN: usize, const OUT: usize> Kiosk<L, IN, OUT> {
    /// Serves a port until it is finished; `clock` tells the time, and `sleep` waits until a time, or for ever without one
    /// (with embassy: `Timer::at`, or `core::future::pending`).
    ///
    /// The port's reads and writes must be such that one that is dropped before its end has done nothing, as those of
    /// embassy's buffered serial ports are.
    ///
    /// # Errors
    /// What the port or the ledger says against it. After [`KioskError::Ledger`] it may be called again.
    pub async fn run<P: Read + Write>(
        &mut self,
        port: &mut P,
        clock: impl Fn() -> Instant,
        mut sleep: impl AsyncFnMut(Option<Instant>),
    ) -> Result<(), KioskError<P::Error>> {
        loop {
            let now = clock();
            self.tick(now);
            if self.handle_event(now).map_err(KioskError::Ledger)? {
                continue;
            }
            if self.is_finished() {
                return Ok(());
            }
            let deadline = self.deadline();
            if !self.host.output().is_empty() {
                if let Either::First(sent) = select(port.write(self.host.output()), sleep(deadline)).await {
                    self.host.consume(sent.map_err(KioskError::Port)?, clock());
                }
            } else if self.start < self.end {
                // What is not taken waits for the ledger.
                if !self.feed(now) {
                    sleep(deadline).await;
                }
            } else if self.input_ended {
                sleep(deadline).await;
            } else if let Either::First(count) = select(port.read(&mut self.chunk), sleep(deadline)).await {
                self.received(count.map_err(KioskError::Port)?, clock());
            }
        }
    }
}
