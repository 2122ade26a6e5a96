//! What one session says and hears, without a socket.

/// One session with a server that answers every request with one reply, whatever the protocol: the event loop
/// ([`EventLoop`](super::event_loop::EventLoop)) moves its bytes and takes the times, and knows nothing of what they mean.
///
/// A request is out at the most at any time: the loop asks again when the reply is whole.
pub trait ClientProtocol {
    /// Does the server speak first? Then a reply comes before the first request.
    fn is_greeted(&self) -> bool;

    /// Appends the next request to `out`, whole.
    fn ask(&mut self, out: &mut Vec<u8>);

    /// Takes bytes that came in: all of them, and what is not of use yet is kept.
    ///
    /// # Errors
    /// What makes it pointless to go on with this session.
    fn hear(&mut self, bytes: &[u8]) -> Result<Received, SessionError>;
}

/// What came of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The reply is not whole yet.
    More,
    /// The reply is whole.
    Reply {
        /// Is an operation settled with it (done or refused), and not only the next question asked?
        settles: bool,
    },
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError(pub String);
