//! Stream: a non-blocking TCP socket, in clear or under TLS, with the same reads and writes for the server and the client.
use crate::tls::Session;
use mio::net::TcpStream;
use std::io::{self, Read, Write};

/// A connected socket, and its TLS session if it has one.
pub(crate) struct Stream {
    socket: TcpStream,
    session: Option<Box<Session>>,
    /// Whether the last read has emptied the socket.
    is_drained: bool,
}

/// A socket whose reads note whether they emptied it.
struct Drained<'a>(&'a mut TcpStream, &'a mut bool);

impl Read for Drained<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        *self.1 = count < buffer.len();
        Ok(count)
    }
}

impl Stream {
    pub(crate) fn new(socket: TcpStream, session: Option<Box<Session>>) -> Self {
        Self { socket, session, is_drained: false }
    }

    /// The socket, for its registration and its options.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Reads bytes of the peer; 0 at the end of its stream. Under TLS a read takes at most one piece of the socket's input, and
    /// is `Interrupted` where that held no byte of the peer's stream.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has arrived; otherwise the connection is lost. Under TLS: `UnexpectedEof` where the stream
    /// ends without `close_notify`, `PermissionDenied` where the peer has ended TLS by an alert, `InvalidData` where its bytes
    /// are not those of a valid session.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = Drained(&mut self.socket, &mut self.is_drained);
        let read = match &mut self.session {
            None => return socket.read(buffer),
            Some(session) => session.read(&mut socket, buffer),
        };
        // What answers the peer's handshake, or an alert; a failure shows at the next read or write.
        let _ = self.flush();
        let count = read?;
        // The session may hold more of the stream.
        self.is_drained &= count < buffer.len();
        Ok(count)
    }

    /// Writes bytes and returns how many were sent. Under TLS, bytes that were not sent whole (`WouldBlock`) must be written
    /// again before any others: they are encrypted already.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.session {
            None => self.socket.write(bytes),
            Some(session) => session.write(&mut self.socket, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.session.as_mut().map_or(Ok(()), |session| session.flush(&mut self.socket))
    }
}

/// What a server needs beyond a client, whose handshake is made before and which lets its endpoint end the session.
#[cfg(feature = "server")]
impl Stream {
    /// The TLS session, if there is one.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Whether the last read found everything that had arrived, so that later input brings another event.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Whether TLS has bytes to send that are not the caller's.
    pub(crate) fn wants_write(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.wants_write())
    }

    /// Whether nothing of the caller can be sent before the TLS handshake has ended.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_handshaking())
    }

    /// Ends this side's direction: `close_notify` under TLS, if the socket takes it at once, and a FIN.
    pub(crate) fn close_writing(&mut self) -> io::Result<()> {
        // A handshake that has failed or has not ended in time is no stream that ends in order.
        if let Some(session) = self.session.as_mut().filter(|session| !session.is_handshaking()) {
            session.close();
        }
        // The end of a session is in the protocol's messages: the peer does not depend on `close_notify`.
        let _ = self.flush();
        self.socket.shutdown(std::net::Shutdown::Write)
    }

    /// Reads input without a look at it.
    pub(crate) fn discard(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buffer)
    }
}
