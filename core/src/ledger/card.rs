//! Cards: numbers and PINs, the tokens and verifiers that stand for them, and the rules about a card's money.
mod secret;
pub use secret::{
    CardKeys, CardNumber, CardNumberError, Claim, KeyId, Pin, PinError, Proof, SECRET, Token, Verifier,
};
