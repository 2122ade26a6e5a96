//! The kiosk's run loop as a future, for an executor such as embassy's.
use super::{Kiosk, KioskError};
use crate::{ledger::Ledger, time::Instant};
use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};

impl<L: Ledger, const IN: usize, const OUT: usize> Kiosk<L, IN, OUT> {
    /// Serves a port until [`is_finished`](Self::is_finished), or until there is a key to store (`Kiosk::key_to_store`): then
    /// store it and call it again. `clock` returns the time; `sleep` waits until
    /// an instant, or for ever without one (with embassy: `Timer::at`, or `core::future::pending`).
    ///
    /// The port's reads and writes must be cancel-safe: a future that is dropped before it is ready has
    /// transferred nothing. Those of embassy's buffered serial ports are.
    ///
    /// # Errors
    /// [`KioskError`] if the port failed or the ledger is in doubt. After [`KioskError::Ledger`] it may be
    /// called again.
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
            #[cfg(feature = "seal")]
            if self.key_stepped {
                return Ok(());
            }
            let deadline = self.deadline();
            if !self.host.output().is_empty() {
                if let Either::First(sent) = select(port.write(self.host.output()), sleep(deadline)).await {
                    self.host.consume(sent.map_err(KioskError::Port)?, clock());
                }
            } else if self.start < self.end {
                // Bytes that are not taken wait for the ledger.
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
