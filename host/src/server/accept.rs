//! Listener and accept loop: takes connections, some in each turn, with small buffers in the system.
use super::{Connection, FIRST_CONNECTION, Server, WAKER};
use crate::log::{SERVER, SESSION};
#[cfg(unix)]
use atm_core::host::{IN, OUT};
use atm_core::time::Duration;
use mio::{
    Token,
    net::{TcpListener, TcpStream},
};
use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, ToSocketAddrs},
};
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

/// Listens on every address of a name, at one port; returns the first address too.
///
/// # Errors
/// There is no address, or one is in use or not permitted, or the system has none of them, or is out of file descriptors.
pub(super) fn listen(addresses: impl ToSocketAddrs) -> io::Result<(Vec<TcpListener>, SocketAddr)> {
    let (mut listeners, mut first) = (Vec::new(), None::<SocketAddr>);
    let mut absent = Vec::new();
    for mut address in addresses.to_socket_addrs()? {
        if let Some(first) = first {
            address.set_port(first.port());
        }
        // The system's list may have an address twice.
        if listeners.iter().any(|listener: &TcpListener| listener.local_addr().is_ok_and(|at| at == address))
        {
            continue;
        }
        match listen_on(address) {
            Ok(listener) => {
                first = Some(first.map_or_else(|| listener.local_addr(), Ok)?);
                listeners.push(listener);
            }
            // As for `::1`, which `localhost` may have in a system without IPv6.
            Err(error) if is_absent(&error) => absent.push((address, error)),
            Err(error) => return Err(error),
        }
    }
    let Some(first) = first else {
        let fault = absent.pop().map(|(_, error)| error);
        return Err(fault.unwrap_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address")));
    };
    for (address, error) in absent {
        warn!(target: SERVER, %address, %error, "not listening on one address of the name");
    }
    Ok((listeners, first))
}

fn is_absent(error: &io::Error) -> bool {
    #[cfg(unix)]
    let is_family_unknown = error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    #[cfg(not(unix))]
    let is_family_unknown = false;
    error.kind() == ErrorKind::AddrNotAvailable || is_family_unknown
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
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
    Ok(TcpListener::from_std(listener))
}

impl Server {
    /// Accepts waiting connections, at most one turn's worth: a client that connects again and again cannot
    /// starve the open connections.
    pub(super) fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.next_connection() {
                Ok((stream, peer)) => self.open_connection(stream, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.accepting = false;
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The peer closed the connection before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Most likely no file descriptor is left (EMFILE). The listener is edge-triggered and
                    // does not report this connection again, so a timer does.
                    warn!(target: SESSION, %error, "a connection could not be accepted; trying again");
                    self.accepting = false;
                    self.accept_retry = Some(self.now + ACCEPT_RETRY);
                    return;
                }
            }
        }
    }

    /// A connection of one listener, of each in its turn.
    fn next_connection(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let turn = self.next_token % self.listeners.len().max(1);
        let (later, first) = self.listeners.split_at_checked(turn).unwrap_or_default();
        let mut accepted = first.iter().chain(later).map(TcpListener::accept);
        let is_blocked = |result: &io::Result<_>| {
            result.as_ref().is_err_and(|error: &io::Error| error.kind() == ErrorKind::WouldBlock)
        };
        accepted.find(|result| !is_blocked(result)).unwrap_or(Err(ErrorKind::WouldBlock.into()))
    }

    fn open_connection(&mut self, stream: TcpStream, peer: SocketAddr) {
        let token = Token(self.next_token);
        let next = self.next_token.wrapping_add(1);
        self.next_token = if next < WAKER.0 { next } else { FIRST_CONNECTION };
        let now = self.now;
        let (registry, endpoint) = (self.poll.registry(), self.config.tcp_endpoint(peer, self.salt));
        let stream = self.config.tcp_stream(stream);
        let opened = stream.and_then(|stream| {
            Connection::open(stream, peer.ip(), registry, token, self.config.host, &endpoint, now)
        });
        let mut connection = match opened {
            Ok(connection) => Box::new(connection),
            Err(error) => {
                debug!(target: SESSION, %peer, %error, "a connection failed as it was opened");
                return;
            }
        };
        if let Some(cards) = &self.config.cards {
            connection.serve_cards(cards.keys.clone(), now + self.config.frame);
        }
        self.admit_connection(token, &mut connection);
        self.connections.insert(token, connection);
        self.advance(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ServerConfig;
    use atm_core::wire::Wire;
    use std::{io::Read, net::TcpStream as Client, thread};

    fn addresses(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    /// RFC 5737: 192.0.2.0/24 is for documentation, so no system has it.
    #[test]
    fn every_address_of_a_name_is_served_at_one_port() {
        let name = addresses(&["192.0.2.1:0", "127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"]);
        let server = Server::bind(name.as_slice(), ServerConfig::new(Wire::Json)).unwrap();
        let served: Vec<_> = server.local_addrs().collect();
        let port = server.local_addr().port();
        assert_eq!(served, addresses(&[&format!("127.0.0.1:{port}"), &format!("127.0.0.2:{port}")]));
        let stop = server.stop_handle();
        let running = thread::spawn(move || server.run());
        // More than one of each, so that each listener has its turn.
        for address in [&served[..], &served[..], &served[..]].concat() {
            let mut greeting = [0; 64];
            Client::connect(address).unwrap().read_exact(&mut greeting).unwrap();
            assert!(String::from_utf8_lossy(&greeting).contains("\"data\":\"Welcome"), "{address}");
        }
        stop.stop();
        running.join().unwrap().unwrap();
    }

    #[test]
    fn an_address_in_use_and_a_name_without_an_address_of_the_system_are_errors() {
        let (_taken, first) = listen("127.0.0.2:0").unwrap();
        let port = first.port();
        let name = addresses(&[&format!("127.0.0.1:{port}"), &format!("127.0.0.2:{port}")]);
        assert_eq!(listen(name.as_slice()).unwrap_err().kind(), ErrorKind::AddrInUse);
        for (name, kind) in [(&["192.0.2.1:0"][..], ErrorKind::AddrNotAvailable), (&[], ErrorKind::NotFound)]
        {
            assert_eq!(listen(addresses(name).as_slice()).unwrap_err().kind(), kind);
        }
    }
}
