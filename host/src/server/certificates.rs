//! Certificates of terminals: the verified certificate of a TLS connection names the one terminal that may be served on it.
use super::{Connection, Server};
use crate::{log::SESSION, tls::NameError};
use atm_core::{
    host::{Conversation, Event},
    ledger::{Name, Origin},
    message::{Fault, Notice},
    time::Instant,
};
use mio::Token;
use std::io;
use tracing::{info, warn};

impl Server {
    /// Takes the terminal that the certificate of a connection names, after its TLS handshake, in which the certificate's authority
    /// and its dates were verified. A terminal that is not enrolled is refused here already, so that it holds no session.
    pub(super) fn admit_certificate(
        &mut self,
        token: Token,
        connection: &mut Connection,
        name: Result<Name, NameError>,
    ) {
        let peer = connection.peer;
        match name {
            Ok(name) => {
                info!(target: SESSION, %peer, session = token.0, certificate = %name, "certificate verified");
                connection.certified = Some(name.clone());
                self.refuses_terminal(token, connection, &name);
            }
            Err(reason) => {
                self.log_limits.refused.log(1, |unlogged| {
                    warn!(target: SESSION, %peer, session = token.0, %reason, unlogged, "refused: the certificate names no terminal");
                });
                self.metrics.update(|counters| counters.refused_terminals += 1);
                connection.refuse(Notice::Fault(Fault::OtherName), self.now);
            }
        }
    }

    /// Logs why the TLS session of a connection has failed.
    pub(super) fn log_tls_failure(&mut self, token: Token, connection: &Connection, error: &io::Error) {
        self.metrics.update(|counters| counters.tls_failures += 1);
        let (peer, certificate) = (connection.peer, connection.certified.as_ref().map(Name::as_str));
        self.log_limits.tls.log(1, |unlogged| {
            warn!(target: SESSION, %peer, session = token.0, certificate, %error, unlogged, "connection ended: TLS failed");
        });
    }
}

impl Connection {
    /// Whether the peer's certificate names another terminal than the one that said hello, or than the session of a request or
    /// of `quit`, which has no name: then it is logged, and the peer refused.
    pub(super) fn refuses_uncertified(&mut self, token: Token, event: &Event, now: Instant) -> bool {
        let Some(certificate) = &self.certified else { return false };
        let origin = match event {
            Event::Hello(_) | Event::Key(_) => None,
            Event::Request(request) => Some(&request.origin),
            Event::Quit => self.host.conversation().map(Conversation::origin),
        };
        let terminal = match (event, origin) {
            (Event::Hello(name), _) | (_, Some(Origin::Terminal(name))) => Some(name),
            _ => None,
        };
        if terminal == Some(certificate) {
            return false;
        }
        let terminal = terminal.map(Name::as_str);
        warn!(target: SESSION, session = token.0, %certificate, terminal, "refused: not the name in the terminal's certificate");
        self.refuse(Notice::Fault(Fault::OtherName), now);
        true
    }

    /// Ends the connection with a notice, and without the greeting if that is still there.
    pub(super) fn refuse(&mut self, notice: Notice, now: Instant) {
        self.host.consume(self.host.output().len(), now);
        self.host.reject(notice, now);
    }
}
