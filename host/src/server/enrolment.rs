//! Enrolled terminals: the rows of the ledger on disk decide which terminals are served over TLS, and which are out of service.
use super::{Connection, Server};
use atm_core::ledger::Name;
#[cfg(feature = "ledger")]
use {
    crate::log::SESSION,
    atm_core::{
        host::Event,
        message::{Fault, Notice},
    },
    std::task::Poll,
    tracing::warn,
};

impl Server {
    /// Handles the events again that wait for rows of the ledger.
    #[cfg(feature = "ledger")]
    pub(super) fn resume_with_rows(&mut self) {
        self.committer.take_rows();
        for (token, event) in std::mem::take(&mut self.waiting_for_rows) {
            if let Some(mut connection) = self.connections.remove(&token) {
                self.handle_event(token, &mut connection, event);
                self.connections.insert(token, connection);
                self.advance(token);
            }
        }
    }

    /// Ends the connection with a notice if the ledger does not admit its terminal, whose certificate or whose hello's seal is
    /// verified: one with a certificate that is not enrolled for it, or one that is out of service until it is confirmed. Returns true also where the
    /// row is being read: then the hello is handled again.
    ///
    /// A revocation may be committed between this and the commit of the hello. The latter compares the hello with the row's epoch,
    /// which a revocation raises above every hello under a certificate.
    #[cfg(feature = "ledger")]
    pub(super) fn refuses_terminal(
        &mut self,
        token: mio::Token,
        connection: &mut Connection,
        name: &Name,
    ) -> bool {
        let is_certified = connection.certified.is_some();
        let is_sealed = connection.host.incoming_hello().is_some_and(|hello| hello.key.is_some());
        if !is_certified && !is_sealed {
            return false;
        }
        let Poll::Ready(row) = self.committer.enrolment(name) else {
            // After a handshake the hello asks again.
            if connection.host.incoming_hello().is_some() {
                self.waiting_for_rows.push((token, Event::Hello(name.clone())));
            }
            return true;
        };
        let (notice, reason) = match row {
            Ok(Some(row)) if row.closed => {
                (Notice::OutOfService, "out of service until `atm access confirm`")
            }
            Ok(row) if is_certified && !row.is_some_and(|row| row.tls) => (
                Notice::Fault(Fault::NotEnrolled),
                "not enrolled for TLS, or revoked: `atm terminal add NAME --tls`",
            ),
            // A sealed hello waits for the ledger: its key was found.
            Err(_) if is_certified => (Notice::Busy, "the ledger cannot be read now"),
            _ => return false,
        };
        let peer = connection.peer;
        self.log_limits.refused.log(1, |unlogged| {
            warn!(target: SESSION, %peer, session = token.0, terminal = %name, reason, unlogged, "refused: the ledger does not admit the terminal");
        });
        self.metrics.update(|counters| counters.refused_terminals += 1);
        connection.refuse(notice, self.now);
        true
    }

    /// There are no rows.
    #[cfg(not(feature = "ledger"))]
    pub(super) fn refuses_terminal(&mut self, _: mio::Token, _: &mut Connection, _: &Name) -> bool {
        false
    }
}
