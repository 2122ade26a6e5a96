//! A client session with an ATM, on any wire.
use super::{
    customer::Customer,
    protocol::{ClientProtocol, Received, SessionError},
};

/// The protocol of a wire, with the simulated customer who uses it.
pub trait AtmSession<'a>: ClientProtocol {
    /// The customer.
    fn customer(&mut self) -> &mut Customer<'a>;
}

/// A session over any link.
pub type AnySession<'a> = Box<dyn AtmSession<'a> + Send + 'a>;

/// Makes the session of a customer, from the session's number and a seed.
pub type MakeSession<'f> = dyn for<'a> Fn(Customer<'a>, (usize, u64)) -> AnySession<'a> + Sync + 'f;

impl<'a> AtmSession<'a> for AnySession<'a> {
    fn customer(&mut self) -> &mut Customer<'a> {
        (**self).customer()
    }
}

/// Parses a reply from the kept bytes of a session and the `bytes` that follow them. `parse` returns how many
/// bytes it has taken; the others are kept.
pub(super) fn receive_buffered<S>(
    session: &mut S,
    kept: impl Fn(&mut S) -> &mut Vec<u8>,
    parse: impl Fn(&mut S, &[u8]) -> Result<(usize, Received), SessionError>,
    bytes: &[u8],
) -> Result<Received, SessionError> {
    if kept(session).is_empty() {
        // A reply nearly always arrives whole and is parsed without a copy.
        let (taken, received) = parse(session, bytes)?;
        kept(session).extend_from_slice(bytes.get(taken..).unwrap_or_default());
        return Ok(received);
    }
    let mut all = std::mem::take(kept(session));
    all.extend_from_slice(bytes);
    let (taken, received) = parse(session, &all)?;
    all.drain(..taken);
    *kept(session) = all;
    Ok(received)
}
