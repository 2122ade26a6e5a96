//! Accept loop: opens a session for each connection, or turns it away where the limits are reached.
use super::{Connection, FIRST_CONNECTION, Server};
use crate::metrics::add;
use atm_core::time::Duration;
use mio::Token;
use std::{io, net::SocketAddr};
use tracing::{debug, info, warn};

/// Most connections to accept in one turn.
const ACCEPTS_PER_TURN: usize = 64;

/// The wait before accepting again after the system had no room for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

impl Server {
    /// Accepts waiting connections, at most one turn's worth: a client that connects again and again cannot
    /// starve the open connections.
    pub(super) fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((stream, peer)) => self.open_connection(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accepting = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The peer closed the connection before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Most likely no file descriptor is left (EMFILE). The listener is edge-triggered and
                    // does not report this connection again, so a timer does.
                    warn!(%error, "a connection could not be accepted; trying again");
                    self.accepting = false;
                    self.accept_retry = Some(self.now + ACCEPT_RETRY);
                    return;
                }
            }
        }
    }

    fn open_connection(&mut self, stream: mio::net::TcpStream, peer: SocketAddr) {
        let token = Token(self.next_token);
        self.next_token = self.next_token.wrapping_add(1).max(FIRST_CONNECTION);
        let now = self.now;
        let (registry, endpoint) = (self.poll.registry(), self.config.tcp_endpoint(peer));
        let opened = Connection::open(stream, registry, token, self.config.host, &endpoint, now);
        let mut connection = match opened {
            Ok(connection) => Box::new(connection),
            Err(error) => {
                debug!(%peer, %error, "a connection failed as it was opened");
                return;
            }
        };
        if self.stop_deadline.is_some() {
            connection.host.shut_down(now);
        } else if self.sessions >= self.config.max_sessions || self.committer.is_full() {
            add(&self.metrics.turned_away, 1);
            warn!(%peer, sessions = self.sessions, "turned away: no room for another session or its requests");
            connection.host.reject_busy(now);
        } else {
            connection.is_session = true;
            self.sessions = self.sessions.saturating_add(1);
            add(&self.metrics.sessions, 1);
            add(&self.metrics.open_sessions, 1);
            info!(%peer, session = token.0, "session opened");
        }
        self.connections.insert(token, connection);
        self.advance(token);
    }
}
