//! A session with an ATM, whatever the wire.
use super::{
    customer::Customer,
    protocol::{ClientProtocol, Received, SessionError},
};

/// A dialogue with a person at it.
pub trait AtmSession<'a>: ClientProtocol {
    /// The person.
    fn person(&mut self) -> &mut Customer<'a>;
}

/// Lets a session take what came, behind what it has held; what it leaves is held.
pub(super) fn hear<S>(
    session: &mut S,
    held: impl Fn(&mut S) -> &mut Vec<u8>,
    take: impl Fn(&mut S, &[u8]) -> Result<(usize, Received), SessionError>,
    bytes: &[u8],
) -> Result<Received, SessionError> {
    if held(session).is_empty() {
        // A reply nearly always comes whole, and is read where it stands.
        let (taken, heard) = take(session, bytes)?;
        held(session).extend_from_slice(bytes.get(taken..).unwrap_or_default());
        return Ok(heard);
    }
    let mut all = std::mem::take(held(session));
    all.extend_from_slice(bytes);
    let (taken, heard) = take(session, &all)?;
    all.drain(..taken);
    *held(session) = all;
    Ok(heard)
}
