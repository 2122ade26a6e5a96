//! Who comes in.
use super::{Connection, FIRST_CONNECTION, Server};
use crate::metrics::add;
use atm_core::time::Duration;
use mio::Token;
use std::{io, net::SocketAddr};
use tracing::{debug, info, warn};

/// Connections to accept before the open ones have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// How long to wait before accepting again when the system had no room for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

impl Server {
    /// Accepts whoever waits, but no more than a turn's worth: one client that connects again and again would keep all
    /// the others waiting.
    pub(super) fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((stream, peer)) => self.open_connection(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accepting = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The peer was gone before it was let in.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Most likely no file descriptor is left; the socket says no second time that somebody waits.
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
        let opened =
            Connection::open(stream, self.poll.registry(), token, &self.config.tcp_endpoint(peer), now);
        let mut connection = match opened {
            Ok(connection) => Box::new(connection),
            Err(error) => {
                debug!(%peer, %error, "a connection was lost as it opened");
                return;
            }
        };
        if self.stop_deadline.is_some() {
            connection.host.shut_down(now);
        } else if self.sessions >= self.config.max_sessions || self.committer.is_full() {
            add(&self.metrics.turned_away, 1);
            warn!(%peer, sessions = self.sessions, "turned away: there is no room for another session, or its requests");
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
