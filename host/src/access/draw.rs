//! Draws: numbers of cards and PINs from the system's random numbers, in buffers that are wiped.
use atm_core::ledger::card::{CardNumber, Pin};
use std::{error, fmt, io, str::FromStr};
use zeroize::Zeroizing;

/// Digits of a number that is drawn, the check digit included.
const NUMBER: usize = 16;

/// The digits that an issuer's numbers begin with: 1 to 8 (ISO/IEC 7812-1). At least seven random ones follow.
///
/// The default is `9999`. A number that begins with 9 is a national body's, with the country's code (ISO 3166-1) after it, and the
/// codes from 900 to 999 are no country's, for private use: so no other issuer has these numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Default for Prefix {
    fn default() -> Self {
        Self("9999".to_owned())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not 1 to 8 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixError;

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an issuer's prefix is 1 to 8 digits")
    }
}

impl error::Error for PrefixError {}

impl FromStr for Prefix {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let is_prefix = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_prefix { Ok(Self(text.to_owned())) } else { Err(PrefixError) }
    }
}

/// A card's number of 16 digits, and its text. It is not compared with those of other cards.
///
/// # Errors
/// The system has no random numbers.
pub fn card_number(prefix: &Prefix) -> io::Result<(CardNumber, Zeroizing<String>)> {
    let mut text = Zeroizing::new(String::with_capacity(NUMBER));
    text.push_str(&prefix.0);
    push_digits(&mut text, NUMBER - 1)?;
    for check in '0'..='9' {
        text.push(check);
        if let Ok(number) = text.parse() {
            return Ok((number, text));
        }
        text.pop();
    }
    Err(io::Error::other("no check digit fits"))
}

/// A PIN of so many digits that is not easily guessed, and its text.
///
/// # Errors
/// The system has no random numbers, or a PIN cannot have so many digits.
pub fn pin(digits: usize) -> io::Result<(Pin, Zeroizing<String>)> {
    if !(4..=12).contains(&digits) {
        return Err(io::Error::other("a PIN is 4 to 12 digits"));
    }
    loop {
        let mut text = Zeroizing::new(String::with_capacity(digits));
        push_digits(&mut text, digits)?;
        // A PIN that is easily guessed is drawn again: fewer than one of a hundred is.
        if let Ok(pin) = Pin::chosen(&text) {
            return Ok((pin, text));
        }
    }
}

/// Appends random digits up to this length, for which there is room.
fn push_digits(text: &mut String, length: usize) -> io::Result<()> {
    let mut bytes = Zeroizing::new([0; 32]);
    while text.len() < length {
        getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
        // 250 is the last multiple of ten: each digit is as likely as any other.
        let digits = bytes.iter().filter(|byte| **byte < 250).map(|byte| char::from(b'0' + byte % 10));
        text.extend(digits.take(length - text.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_number_has_the_prefix_sixteen_digits_and_a_check_digit() {
        for prefix in ["9999", "4", "12345678"] {
            let prefix: Prefix = prefix.parse().unwrap();
            let drawn: HashSet<String> = (0..20)
                .map(|_| {
                    let (number, text) = card_number(&prefix).unwrap();
                    assert_eq!((text.len(), text.parse::<CardNumber>()), (16, Ok(number.clone())));
                    assert!(text.starts_with(&prefix.0) && text.as_bytes().ends_with(&number.last_four()));
                    text.to_string()
                })
                .collect();
            assert_eq!(drawn.len(), 20, "each is another");
        }
        assert_eq!(Prefix::default().to_string().parse(), Ok(Prefix::default()));
        for text in ["", "123456789", "99 9", "-1", "९"] {
            assert_eq!(text.parse::<Prefix>(), Err(PrefixError), "{text}");
        }
    }

    #[test]
    fn a_pin_has_its_length_and_is_never_weak() {
        for digits in 4..=12 {
            for _ in 0..200 {
                let (pin, text) = pin(digits).unwrap();
                assert_eq!((text.len(), Pin::chosen(&text)), (digits, Ok(pin)));
            }
        }
        for digits in [0, 3, 13] {
            assert!(pin(digits).unwrap_err().to_string().contains("4 to 12"));
        }
    }

    /// The bound is passed by chance less than once in a million runs: nine degrees of freedom, a sum of squares above 49.
    #[test]
    fn each_digit_is_as_likely_as_any_other() {
        const COUNT: usize = 100_000;
        let mut text = String::new();
        push_digits(&mut text, COUNT).unwrap();
        let mut counts = [0_u32; 10];
        for byte in text.bytes() {
            counts[usize::from(byte - b'0')] += 1;
        }
        let expected = COUNT as f64 / 10.0;
        let squares: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
        assert!(squares < 49.0, "{counts:?}");
    }
}
