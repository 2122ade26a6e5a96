//! Cards: numbers and PINs, the tokens and verifiers that stand for them, and the rules about tries, access, limits and
//! transfers.
mod account;
mod perform;
mod ram;
mod request;
mod row;
mod secret;
pub use account::{
    AccountState, CardAccount, Date, Initials, Kind, MOVEMENTS, Owner, OwnerError, Statement, StatementLine,
};
pub(super) use perform::CardCopies;
pub use ram::{CardLedger, NotAdded};
pub use request::{CardRequest, Touched};
pub use row::{
    ACCOUNTS, Access, Accounts, Card, CardRows, Delay, FIRST_DELAY, LONGEST_DELAY, Limits, OverLimit, TRIES,
};
pub use secret::{
    CardKeys, CardNumber, CardNumberError, Claim, KeyId, LiveKey, Pin, PinError, Proof, SECRET, Token,
    Verifier,
};
