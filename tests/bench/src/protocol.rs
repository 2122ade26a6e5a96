//! The client's side of a request-reply protocol, without a socket.

/// One client session of a protocol in which a server answers each request with one reply. The event loop
/// ([`EventLoop`](super::event_loop::EventLoop)) transfers its bytes and measures the latency; it does not
/// interpret them.
///
/// At most one request is outstanding: the next one is written after the whole reply was received.
pub trait ClientProtocol {
    /// Does the server send a greeting before the first request?
    fn is_greeted(&self) -> bool;

    /// Is there a request to be sent before the session is open? These requests are not measured.
    fn is_opening(&self) -> bool {
        false
    }

    /// Appends the next request to `out`.
    fn write_request(&mut self, out: &mut Vec<u8>);

    /// Takes all of the received bytes, and keeps those of an incomplete reply.
    ///
    /// # Errors
    /// The server sent something else than a reply to the last request; the session cannot continue.
    fn receive(&mut self, bytes: &[u8]) -> Result<Received, SessionError>;
}

impl<P: ClientProtocol + ?Sized> ClientProtocol for Box<P> {
    fn is_greeted(&self) -> bool {
        (**self).is_greeted()
    }

    fn is_opening(&self) -> bool {
        (**self).is_opening()
    }

    fn write_request(&mut self, out: &mut Vec<u8>) {
        (**self).write_request(out);
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Received, SessionError> {
        (**self).receive(bytes)
    }
}

/// The result of received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The reply is incomplete.
    Incomplete,
    /// The reply is complete.
    Reply {
        /// Does the reply end an operation (done or refused)? Otherwise it only asks the next question.
        completes_operation: bool,
    },
}

/// Why a session was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError(pub String);
