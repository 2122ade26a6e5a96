//! Card numbers and PINs, which are wiped when released, and the keyed values that a store keeps in their place.
//!
//! ```text
//! token[16]    = XOF(token key | 07 | number)
//! verifier[16] = XOF(PIN key | 08 | token | PIN)
//! ```
//!
//! Number and PIN are their ASCII digits. A slow hash protects no secret of four digits; a key that lies elsewhere than the store does.
use crate::xof::{Key, absorb};
use core::{fmt, str::FromStr};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

// What a key is absorbed with; 1 to 6 are those of sealed links.
const TOKEN: u8 = 7;
const VERIFIER: u8 = 8;

/// Length in bytes of a token and of a verifier.
pub const SECRET: usize = 16;

/// At most `MAX` ASCII digits.
#[derive(Clone, PartialEq, Eq)]
struct Digits<const MAX: usize> {
    digits: [u8; MAX],
    length: usize,
}

impl<const MAX: usize> Digits<MAX> {
    /// `None` for another character, or more digits.
    fn collect(text: impl Iterator<Item = u8>) -> Option<Self> {
        let mut all = Self { digits: [0; MAX], length: 0 };
        for digit in text {
            if !digit.is_ascii_digit() {
                return None;
            }
            *all.digits.get_mut(all.length)? = digit;
            all.length += 1;
        }
        Some(all)
    }

    fn bytes(&self) -> &[u8] {
        self.digits.get(..self.length).unwrap_or(&[])
    }
}

impl<const MAX: usize> Drop for Digits<MAX> {
    fn drop(&mut self) {
        self.digits.zeroize();
        self.length.zeroize();
    }
}

/// A card's number: 12 to 19 digits, the last a check digit by Luhn (ISO/IEC 7812-1). `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct CardNumber(Digits<19>);

impl CardNumber {
    /// The last four digits, which may be shown.
    pub fn last_four(&self) -> [u8; 4] {
        self.0.bytes().last_chunk().copied().unwrap_or_default()
    }
}

/// The text is not a card's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CardNumberError;

impl fmt::Display for CardNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a card's number is 12 to 19 digits, the last a check digit")
    }
}

impl core::error::Error for CardNumberError {}

/// Blanks between the digits are ignored.
impl FromStr for CardNumber {
    type Err = CardNumberError;
    fn from_str(text: &str) -> Result<Self, CardNumberError> {
        let digits = Digits::collect(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        let digits = digits.filter(|digits| digits.length >= 12).ok_or(CardNumberError)?;
        let sum: u32 = digits.bytes().iter().rev().enumerate().map(luhn).sum();
        if sum.is_multiple_of(10) { Ok(Self(digits)) } else { Err(CardNumberError) }
    }
}

/// What a digit adds to Luhn's sum, counted from the last: every second one is doubled, and its digits added.
fn luhn((place, digit): (usize, &u8)) -> u32 {
    let value = u32::from(digit.wrapping_sub(b'0'));
    match place % 2 {
        0 => value,
        _ if value > 4 => value * 2 - 9,
        _ => value * 2,
    }
}

/// A PIN: 4 to 12 digits (ISO 9564-1). `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Digits<12>);

impl Pin {
    /// A PIN that a person chooses, which is not one that is guessed first: no run up or down (`1234`, `9876`, `8901`),
    /// and no repeated group (`1111`, `1212`, `123123`).
    ///
    /// # Errors
    /// [`PinError`] if it is weak, or no PIN.
    pub fn chosen(text: &str) -> Result<Self, PinError> {
        let pin: Self = text.parse()?;
        if is_weak(pin.0.bytes()) { Err(PinError::Weak) } else { Ok(pin) }
    }
}

fn is_weak(digits: &[u8]) -> bool {
    let follows =
        |step: u8| digits.iter().zip(digits.iter().skip(1)).all(|(one, next)| (next + 10 - one) % 10 == step);
    let repeats =
        |group: usize| digits.iter().zip(digits.iter().skip(group)).all(|(one, other)| one == other);
    follows(1) || follows(9) || (1..=digits.len() / 2).any(repeats)
}

/// Why a text is not a PIN that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PinError {
    /// It is not 4 to 12 digits.
    Malformed,
    /// It is a run or a repeated group of digits.
    Weak,
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a PIN is 4 to 12 digits",
            Self::Weak => "a PIN must not be a run or a repetition of digits",
        })
    }
}

impl core::error::Error for PinError {}

impl FromStr for Pin {
    type Err = PinError;
    fn from_str(text: &str) -> Result<Self, PinError> {
        let digits = Digits::collect(text.bytes()).filter(|digits| digits.length >= 4);
        digits.map(Self).ok_or(PinError::Malformed)
    }
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        #[cfg(feature = "defmt")]
        impl defmt::Format for $name {
            fn format(&self, f: defmt::Formatter<'_>) {
                defmt::write!(f, "(..)");
            }
        }
    )*};
}

redacted!(CardNumber, Pin, Token, Verifier);

/// The id of a key in the secrets file: random, and of this key alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KeyId(pub u64);

/// What a store finds a card by, in place of its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The key that it was made with.
    pub key: KeyId,
    /// The keyed value.
    pub value: [u8; SECRET],
}

/// What a store judges a PIN by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verifier {
    /// The key of the token in it.
    pub token_key: KeyId,
    /// The key that it was made with.
    pub key: KeyId,
    /// The keyed value.
    pub value: [u8; SECRET],
}

impl Verifier {
    /// Whether both are of the same keys and value, which are compared in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        let is_same = self.value.ct_eq(&other.value);
        (self.token_key, self.key) == (other.token_key, other.key) && bool::from(is_same)
    }
}

/// A card's tokens under each live key, the newest first. Where one key is live, both are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Claim([Token; 2]);

impl Claim {
    /// Of a card that was verified: its one token.
    pub const fn of(token: Token) -> Self {
        Self([token; 2])
    }

    /// The tokens, the newest key's first.
    pub const fn tokens(&self) -> &[Token; 2] {
        &self.0
    }

    /// The token under the newest key.
    pub const fn newest(&self) -> Token {
        let [newest, _] = self.0;
        newest
    }
}

/// The verifiers of a card and a PIN under each pair of live keys, the newest first. Where fewer are live, some are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Proof([Verifier; 4]);

impl Proof {
    /// Of one verifier.
    pub const fn of(verifier: Verifier) -> Self {
        Self([verifier; 4])
    }

    /// The verifiers, that of the newest keys first.
    pub const fn verifiers(&self) -> &[Verifier; 4] {
        &self.0
    }

    /// The verifier under the newest keys.
    pub const fn newest(&self) -> Verifier {
        let [newest, ..] = self.0;
        newest
    }
}

/// A key and its id.
pub type LiveKey = (KeyId, Key);

/// The live keys of the cards, from the secrets file: of tokens and of PINs, each the newest and the one that it replaces. The
/// keys are independent of each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CardKeys {
    tokens: LiveKey,
    old_tokens: Option<LiveKey>,
    pins: LiveKey,
    old_pins: Option<LiveKey>,
}

impl CardKeys {
    /// The keys of tokens and of PINs: the newest, and the one that it replaces.
    pub fn new(
        tokens: LiveKey,
        old_tokens: Option<LiveKey>,
        pins: LiveKey,
        old_pins: Option<LiveKey>,
    ) -> Self {
        Self { tokens, old_tokens, pins, old_pins }
    }

    /// The ids of the keys of tokens, and of those of PINs: each the newest and the one that it replaces, or the newest twice.
    pub fn ids(&self) -> [[KeyId; 2]; 2] {
        let ids = |newest: &LiveKey, former: &Option<LiveKey>| {
            [newest.0, former.as_ref().map_or(newest.0, |former| former.0)]
        };
        [ids(&self.tokens, &self.old_tokens), ids(&self.pins, &self.old_pins)]
    }

    /// Whether a PIN can be judged that has this verifier, of a card with this token. With other keys a right one counts as wrong.
    pub fn can_judge(&self, token: &Token, verifier: &Verifier) -> bool {
        let [tokens, pins] = self.ids();
        [token.key, verifier.token_key].iter().all(|key| tokens.contains(key)) && pins.contains(&verifier.key)
    }

    /// The tokens of a card.
    pub fn claim(&self, number: &CardNumber) -> Claim {
        let token = |(key, secret): &LiveKey| {
            let mut value = [0; SECRET];
            absorb(secret.bytes(), TOKEN, &[number.0.bytes()]).squeeze(&mut value);
            Token { key: *key, value }
        };
        let newest = token(&self.tokens);
        Claim([newest, self.old_tokens.as_ref().map_or(newest, token)])
    }

    /// The verifiers of a card with this PIN.
    pub fn proof(&self, claim: &Claim, pin: &Pin) -> Proof {
        let verifier = |token: &Token, (key, secret): &LiveKey| {
            let mut value = [0; SECRET];
            absorb(secret.bytes(), VERIFIER, &[&token.value, pin.0.bytes()]).squeeze(&mut value);
            Verifier { token_key: token.key, key: *key, value }
        };
        let under = |token: &Token| {
            let newest = verifier(token, &self.pins);
            [newest, self.old_pins.as_ref().map_or(newest, |key| verifier(token, key))]
        };
        let [first, second] = under(&claim.0[0]);
        let [third, fourth] = under(&claim.0[1]);
        Proof([first, second, third, fourth])
    }
}

#[cfg(test)]
mod tests;
