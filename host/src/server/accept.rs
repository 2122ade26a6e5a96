//! Listener and accept loop: takes connections, some in each turn, with small buffers in the system.
use super::{Connection, FIRST_CONNECTION, Server};
#[cfg(unix)]
use atm_core::host::{IN, OUT};
use atm_core::time::Duration;
use mio::Token;
use std::{io, net::SocketAddr};
use tracing::{debug, warn};

/// Length of the listener's queue (listen(2)); the system may cap it, as by `net.core.somaxconn`.
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// Bytes that a connection holds in the system while its peer does not read, or its endpoint does not: some of the longest
/// answers, and some of the longest replies. Left to themselves the buffers of one such peer grow to megabytes (tcp(7)).
/// Linux doubles both sizes, for its own needs (socket(7)).
#[cfg(unix)]
const RECEIVE_BUFFER: usize = 8 * IN;
#[cfg(unix)]
const SEND_BUFFER: usize = 8 * OUT;

/// Most connections to accept in one turn.
const ACCEPTS_PER_TURN: usize = 64;

/// The wait before accepting again after the system had no room for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Listens on `address`.
///
/// # Errors
/// The address is malformed, in use or not permitted, or the system is out of file descriptors.
pub(super) fn listen(address: &str) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    // std listens with a backlog of 128. Linux drops the SYNs beyond that, and a client retransmits one
    // only after 1 s, 3 s, 7 s (RFC 6298).
    #[cfg(unix)]
    {
        rustix::net::listen(&listener, BACKLOG)?;
        // A connection inherits both sizes.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER)?;
        rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

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
        let opened = Connection::open(stream, peer.ip(), registry, token, self.config.host, &endpoint, now);
        let mut connection = match opened {
            Ok(connection) => Box::new(connection),
            Err(error) => {
                debug!(%peer, %error, "a connection failed as it was opened");
                return;
            }
        };
        self.admit_connection(token, &mut connection);
        self.connections.insert(token, connection);
        self.advance(token);
    }
}
