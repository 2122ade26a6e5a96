//! What is not authentic on sealed links: gives endpoints the keys that hellos claim, and counts and logs what meets with silence.
use super::{Connection, Server};
use crate::log::SESSION;
use atm_core::host::KeyRequest;
use mio::Token;
use tracing::warn;

impl Server {
    /// Counts frames that met with silence, and logs them once a minute.
    pub(super) fn count_unauthentic(&mut self, token: Token, connection: &Connection, frames: u32) {
        self.metrics.update(|counters| counters.unauthentic += u64::from(frames));
        let peer = connection.peer;
        self.log_limits.unauthentic.log(frames.into(), |unlogged| {
            warn!(target: SESSION, %peer, session = token.0, frames, unlogged, "silence: frames that are not authentic, or in clear on a sealed link");
        });
    }

    /// Gives the endpoint the key that a sealed hello claims, if the terminal's row and the bounds admit it.
    #[cfg(feature = "ledger")]
    pub(super) fn handle_key(&mut self, token: Token, connection: &mut Connection, claim: &KeyRequest) {
        use super::terminal_keys::NoKey;
        use atm_core::host::Event;
        use std::task::Poll;
        let Poll::Ready(row) = self.committer.enrolment(&claim.terminal) else {
            return self.waiting_for_rows.push((token, Event::Key(claim.clone())));
        };
        let found = match (&mut self.keys, row) {
            (Some(keys), Ok(Some(row))) => keys.find(claim, &row, std::time::Instant::now()),
            // While the row cannot be read the terminal retransmits its hello.
            _ => Err(NoKey::NotValid),
        };
        if found == Err(NoKey::Bound) {
            self.metrics.update(|counters| counters.unserved_keys += 1);
            // The endpoint counts the frame when it gets no key.
            let (peer, terminal) = (connection.peer, &claim.terminal);
            self.log_limits.unauthentic.log(0, |unlogged| {
                warn!(target: SESSION, %peer, session = token.0, %terminal, unlogged, "silence: too many hellos of this name, at too many steps, in a minute");
            });
        }
        connection.host.provide_key(found.ok().as_ref(), self.now);
    }

    /// No terminal has a key where there is no ledger on disk.
    #[cfg(not(feature = "ledger"))]
    pub(super) fn handle_key(&mut self, _: Token, connection: &mut Connection, _: &KeyRequest) {
        connection.host.provide_key(None, self.now);
    }
}

#[cfg(test)]
mod tests;
