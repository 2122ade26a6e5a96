//! Connecting: opens a TCP connection to a server, and makes the TLS handshake on it. It blocks, for a limited time.
use super::transport::OpenError;
use crate::{
    stream::Stream,
    tls::{ClientTls, Session},
};
use std::{
    io::{self, ErrorKind},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// How long an attempt to connect to one address may take, and a TLS handshake there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that was just opened, with its TLS session if it has one.
pub(super) struct Connected {
    socket: TcpStream,
    session: Option<Box<Session>>,
}

impl Connected {
    /// The connection, ready for reads and writes that do not block.
    pub(super) fn into_stream(self) -> io::Result<Stream> {
        // Nagle's algorithm (RFC 896) would hold back an answer, which is one small write, until the previous one is
        // acknowledged.
        self.socket.set_nodelay(true)?;
        self.socket.set_nonblocking(true)?;
        keep_alive(&self.socket)?;
        Ok(Stream::new(mio::net::TcpStream::from_std(self.socket), self.session))
    }
}

/// Connects to the first of a name's addresses that accepts, and makes the TLS handshake there. `serve` has the options of a server
/// for this client, for the text of an error.
pub(super) fn connect(address: &str, serve: &str, tls: Option<&ClientTls>) -> Result<Connected, OpenError> {
    let unknown = |error| OpenError::Address { address: address.into(), error };
    let mut failure = None;
    for candidate in address.to_socket_addrs().map_err(unknown)? {
        let connected = TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT);
        match connected.and_then(refuse_itself) {
            Ok(mut socket) => {
                let session = tls.map(|tls| tls.connect(address, &mut socket, CONNECT_TIMEOUT)).transpose();
                let session = session.map_err(|error| OpenError::Tls { address: address.into(), error })?;
                return Ok(Connected { socket, session: session.map(Box::new) });
            }
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) => Err(OpenError::NoServer { address: address.into(), serve: serve.into(), error }),
        None => Err(unknown(io::Error::other("the name has no address"))),
    }
}

/// Refuses a connection of a socket with itself (simultaneous open, RFC 9293, section 3.5): where no server listens on a port of
/// the ephemeral range, the system may choose that port for the client.
fn refuse_itself(stream: TcpStream) -> io::Result<TcpStream> {
    if stream.local_addr()? != stream.peer_addr()? {
        return Ok(stream);
    }
    // Without the state TIME-WAIT, in which a server could not listen on the port for a minute.
    #[cfg(unix)]
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    Err(ErrorKind::ConnectionRefused.into())
}

/// Enables TCP keep-alive (RFC 9293, section 3.8.4): without it, a connection to a machine that lost its power stays open
/// and the person at the prompt waits for ever. The loss is noticed after 30 + 3 × 10 seconds.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos"))]
    {
        use rustix::net::sockopt;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
        sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
        sockopt::set_tcp_keepcnt(stream, 3)?;
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos")))]
    let _ = stream;
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_connection_of_a_socket_with_itself_is_refused_and_frees_the_port() {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let unused = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = unused.local_addr().unwrap();
        drop(unused);
        let itself = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&itself, &address).unwrap();
        connect(&itself, &address).unwrap();
        let error = refuse_itself(itself.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let listener = TcpListener::bind(address).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        assert!(refuse_itself(stream).is_ok());
        drop(listener);
    }
}
