//! Money: [`Amount`], a non-negative integer of minor units (cents) with checked arithmetic.
use crate::number;
use core::{fmt, str::FromStr};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// An amount of money: a non-negative integer of minor units (cents), 100 to a whole unit.
///
/// It is at most [`Amount::MAX`], so that every JSON parser reads it exactly (RFC 8259, section 6) and the
/// sum of two cannot overflow a `u64`.
///
/// ```
/// use atm_core::money::{Amount, AmountError};
///
/// let balance: Amount = "140.50".parse()?;
/// let withdrawn = Amount::parse_units("40")?;
/// let rest = balance.checked_sub(withdrawn).ok_or(AmountError::TooLarge)?;
/// assert_eq!(rest.to_string(), "$100.50");
/// assert_eq!(rest.minor(), 10_050);
/// # Ok::<_, AmountError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Amount(#[serde(serialize_with = "number::serialize")] u64);

/// Minor units in a whole unit.
const MINOR: u64 = 100;

impl Amount {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// The largest amount: 2^53 − 1 minor units, some 90 trillion whole units.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// An amount of minor units; `None` above [`Amount::MAX`].
    pub const fn from_minor(minor: u64) -> Option<Self> {
        if minor <= Self::MAX.0 { Some(Self(minor)) } else { None }
    }

    /// An amount of whole units; `None` above [`Amount::MAX`].
    pub const fn from_units(units: u64) -> Option<Self> {
        match units.checked_mul(MINOR) {
            Some(minor) => Self::from_minor(minor),
            None => None,
        }
    }

    /// The amount in minor units.
    pub const fn minor(self) -> u64 {
        self.0
    }

    /// The whole units, rounded down.
    pub const fn units(self) -> u64 {
        self.0 / MINOR
    }

    /// The minor units beyond the [whole units](Self::units): 0 to 99.
    pub const fn cents(self) -> u64 {
        self.0 % MINOR
    }

    /// Whether the amount is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum; `None` above [`Amount::MAX`].
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        // Both are at most 2^53 − 1: the integer cannot overflow.
        Self::from_minor(self.0.saturating_add(other.0))
    }

    /// The difference; `None` below zero.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(minor) => Some(Self(minor)),
            None => None,
        }
    }

    /// Parses whole units as a person types them: only ASCII digits. Leading zeros are ignored: `040` is 40.
    ///
    /// # Errors
    /// [`AmountError::Malformed`] for anything but digits, [`AmountError::TooLarge`] above [`Amount::MAX`].
    pub fn parse_units(text: &str) -> Result<Self, AmountError> {
        Self::from_units(digits(text)?).ok_or(AmountError::TooLarge)
    }
}

/// The value of a run of ASCII digits.
fn digits(text: &str) -> Result<u64, AmountError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(AmountError::Malformed);
    }
    text.bytes().try_fold(0u64, |value, digit| {
        let shifted = value.checked_mul(10).ok_or(AmountError::TooLarge)?;
        shifted.checked_add(u64::from(digit.wrapping_sub(b'0'))).ok_or(AmountError::TooLarge)
    })
}

/// Why a text or a number is not an [`Amount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AmountError {
    /// Empty, or not a number in the accepted form.
    Malformed,
    /// A number above [`Amount::MAX`].
    TooLarge,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "not an amount: whole units, or units and two digits of cents, as in 140 or 140.50"
            }
            Self::TooLarge => "an amount above 2^53 - 1 minor units",
        })
    }
}

impl core::error::Error for AmountError {}

/// Parses the form of a configuration: whole units, or units and two digits of cents, as in `140` or
/// `140.50`.
impl FromStr for Amount {
    type Err = AmountError;
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let Some((units, cents)) = text.split_once('.') else { return Self::parse_units(text) };
        if cents.len() != 2 {
            return Err(AmountError::Malformed);
        }
        let cents = Self(digits(cents)?);
        Self::parse_units(units)?.checked_add(cents).ok_or(AmountError::TooLarge)
    }
}

impl TryFrom<u64> for Amount {
    type Error = AmountError;
    fn try_from(minor: u64) -> Result<Self, AmountError> {
        Self::from_minor(minor).ok_or(AmountError::TooLarge)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_minor(number::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom(AmountError::TooLarge))
    }
}

impl From<Amount> for u64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

/// Writes `$140`, or with cents `$140.50`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(f, self.units(), self.cents())
    }
}

/// A sum of movements in minor units (cents), which may be negative; displayed as an [`Amount`] is, with its sign.
///
/// ```
/// use atm_core::money::SignedAmount;
///
/// assert_eq!(SignedAmount(-4_050).to_string(), "-$40.50");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignedAmount(pub i128);

impl fmt::Display for SignedAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minor = self.0.unsigned_abs();
        f.write_str(if self.0 < 0 { "-" } else { "" })?;
        display(f, minor / u128::from(MINOR), minor % u128::from(MINOR))
    }
}

/// Money as a person reads it: cents only if they are not zero.
fn display<T: fmt::Display + PartialEq + Default>(
    f: &mut fmt::Formatter<'_>,
    units: T,
    cents: T,
) -> fmt::Result {
    write!(f, "${units}")?;
    if cents == T::default() { Ok(()) } else { write!(f, ".{cents:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn a_sum_is_displayed_with_its_sign() {
        for (minor, text) in [
            (0, "$0"),
            (-5, "-$0.05"),
            (-14_000, "-$140"),
            (i128::MAX, "$1701411834604692317316873037158841057.27"),
            (i128::MIN, "-$1701411834604692317316873037158841057.28"),
        ] {
            assert_eq!(SignedAmount(minor).to_string(), text);
        }
    }

    #[test]
    fn display_has_cents_only_if_they_are_not_zero() {
        for (minor, text) in
            [(0, "$0"), (14_000, "$140"), (14_050, "$140.50"), (5, "$0.05"), (100, "$1"), (101, "$1.01")]
        {
            let amount = Amount::from_minor(minor).unwrap();
            assert_eq!(amount.to_string(), text);
            assert_eq!((amount.units(), amount.cents()), (minor / 100, minor % 100));
            assert_eq!(u64::from(amount), minor);
            assert_eq!(SignedAmount(minor.into()).to_string(), text);
        }
    }

    #[test]
    fn parse_units_accepts_only_ascii_digits() {
        for text in
            ["", "-1", "+1", "1_000", "1,000", "1.5", " 1", "1 ", "٣", "１", "0x10", "1e3", "NaN", "1\0"]
        {
            assert_eq!(Amount::parse_units(text), Err(AmountError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn errors_name_the_accepted_form() {
        assert!(AmountError::Malformed.to_string().contains("as in 140 or 140.50"));
        assert!(AmountError::TooLarge.to_string().contains("above 2^53 - 1"));
    }

    #[test]
    fn leading_zeros_are_ignored() {
        assert_eq!(Amount::parse_units("0000000000000000000000000000000000040"), Ok(Amount(4_000)));
        assert_eq!(Amount::parse_units("00"), Ok(Amount::ZERO));
    }

    #[test]
    fn the_largest_amount_is_exact_in_a_double() {
        assert_eq!(Amount::parse_units("90071992547409"), Ok(Amount(9_007_199_254_740_900)));
        for text in ["90071992547410", "18446744073709551616", "99999999999999999999999999999999999999"] {
            assert_eq!(Amount::parse_units(text), Err(AmountError::TooLarge), "{text}");
        }
        assert_eq!("90071992547409.91".parse(), Ok(Amount::MAX));
        assert_eq!("90071992547409.92".parse::<Amount>(), Err(AmountError::TooLarge));
    }

    #[test]
    fn from_str_accepts_two_digits_of_cents() {
        assert_eq!("140.50".parse(), Ok(Amount(14_050)));
        for text in ["140.5", "140.", ".50", "140.500", "140.5x", "1.2.3"] {
            assert_eq!(text.parse::<Amount>(), Err(AmountError::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn display_parses_back(minor in 0..=Amount::MAX.0) {
            let amount = Amount(minor);
            prop_assert_eq!(amount.to_string().strip_prefix('$').unwrap().parse(), Ok(amount));
        }

        #[test]
        #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
        fn any_text_is_an_amount_or_an_error(text in "\\PC*") {
            if let Ok(amount) = Amount::parse_units(&text) {
                prop_assert!(text.bytes().all(|b| b.is_ascii_digit()));
                prop_assert_eq!(amount.minor() as u128, text.parse::<u128>().unwrap() * 100);
            }
        }

        #[test]
        fn checked_sub_reverses_checked_add(a in 0..=Amount::MAX.0, b in 0..=Amount::MAX.0) {
            let (a, b) = (Amount(a), Amount(b));
            match a.checked_add(b) {
                Some(sum) => prop_assert_eq!(sum.checked_sub(b), Some(a)),
                None => prop_assert!(a.0 + b.0 > Amount::MAX.0),
            }
        }
    }
}
