//! A session with an ATM, whatever the wire.
use super::{dialogue::Dialogue, person::Person};

/// A dialogue with a person at it.
pub trait Speaks<'a>: Dialogue {
    /// The person.
    fn person(&mut self) -> &mut Person<'a>;
}
