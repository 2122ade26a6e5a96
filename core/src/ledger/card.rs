//! Cards: numbers and PINs, the tokens and verifiers that stand for them, and the rules about tries, access and limits.
mod row;
mod secret;
pub use row::{ACCOUNTS, Access, Card, Delay, FIRST_DELAY, LONGEST_DELAY, Limits, OverLimit, TRIES};
pub use secret::{
    CardKeys, CardNumber, CardNumberError, Claim, KeyId, Pin, PinError, Proof, SECRET, Token, Verifier,
};
