//! Violations of the safety properties: each is found by an audit, and named by a property.

/// A violation of a safety property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Violation {
    /// An operation moved money a second time.
    MovedTwice,
    /// Money moved without an answer, or otherwise than it says.
    NotRequested,
    /// Money moved for an answer whose person had left, and a later person was shown something since.
    PersonGone,
    /// An operation moved money after an outcome of it was shown.
    AfterOutcome,
    /// The outcome shown is not what the ledger committed.
    FalseOutcome,
    /// Two different outcomes of one operation were shown.
    OutcomeChanged,
    /// The outcome "unknown" was shown of an id that the ledger has reserved.
    UnknownOutcome,
    /// A ledger that was set back was reported, but it has lost nothing.
    SetBack,
    /// A reply was shown whose number is not above the last one's.
    ReplyOrder,
    /// A request of an earlier turn, or of a host without the turn, was carried out.
    NotFenced,
    /// A hello that has seen more than was reserved was not told that the ledger was set back, or another one was.
    NotProved,
    /// An operation moved money under a number that was not reserved.
    NotReserved,
    /// Money moved, or an amount was shown, without the right PIN in this session, or after the card was blocked.
    NotVerified,
    /// A PIN was judged otherwise than it was typed.
    Misjudged,
    /// The row of a card has not the tries that were judged, or is not blocked after three.
    TriesLost,
    /// A balance is not what the movements make it.
    Unbalanced,
    /// A ledger in memory returned an error.
    LedgerFailed,
}
