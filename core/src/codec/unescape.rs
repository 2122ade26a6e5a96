//! Text as it stands in a JSON string, read without a buffer.
use core::{char, fmt, iter::FusedIterator};

/// Text as it stands in a JSON string, still escaped: what is between the quotes.
///
/// Reading it cannot fail. Of a string that [`check`](super::scan::check) passed it gives exactly the text; in any
/// other, an unpaired surrogate reads as U+FFFD, and so does a backslash that begins no escape, alone: what follows it
/// is read as if it were not there.
///
/// Two of them are equal if they are written alike; to compare the text itself, compare with a `str`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JsonStr<'a>(&'a str);

/// A part of the text, as [`JsonStr::pieces`] gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece<'a> {
    /// Characters that stand for themselves; never empty.
    Text(&'a str),
    /// What one escape stands for, or a pair of surrogates.
    Char(char),
}

/// The parts of the text, in order.
#[derive(Clone, Debug)]
pub struct Pieces<'a>(&'a str);

impl<'a> JsonStr<'a> {
    /// What is between the quotes of a JSON string.
    pub const fn new(between_quotes: &'a str) -> Self {
        Self(between_quotes)
    }

    /// The text, piece by piece.
    pub const fn pieces(self) -> Pieces<'a> {
        Pieces(self.0)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;
    fn next(&mut self) -> Option<Piece<'a>> {
        if let Some(rest) = self.0.strip_prefix('\\') {
            let (char, rest) = escape(rest).unwrap_or((char::REPLACEMENT_CHARACTER, rest));
            self.0 = rest;
            return Some(Piece::Char(char));
        }
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.bytes().position(|b| b == b'\\').unwrap_or(self.0.len());
        // A backslash, or the end, is always at the border of a character.
        let (text, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        Some(Piece::Text(text))
    }
}

impl FusedIterator for Pieces<'_> {}

/// What an escape stands for, given what follows its backslash, and what follows it; `None` if it is none.
fn escape(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let char = match chars.next()? {
        char @ ('"' | '\\' | '/') => char,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unicode(chars.as_str()),
        _ => return None,
    };
    Some((char, chars.as_str()))
}

/// The same, given what follows `\u`.
fn unicode(text: &str) -> Option<(char, &str)> {
    let (unit, rest) = four_digits(text)?;
    if let 0xd800..=0xdbff = unit
        && let Some((low @ 0xdc00..=0xdfff, rest)) = rest.strip_prefix("\\u").and_then(four_digits)
    {
        let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), rest));
    }
    Some((char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), rest))
}

/// The value of four hexadecimal digits, and what follows them.
fn four_digits(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let value = digits.chars().try_fold(0, |value, digit| Some(value << 4 | digit.to_digit(16)?))?;
    Some((value, rest))
}

/// The text, unescaped.
impl fmt::Display for JsonStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.pieces().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Char(char) => f.write_char(char),
        })
    }
}

/// Compares the unescaped text.
impl PartialEq<str> for JsonStr<'_> {
    fn eq(&self, other: &str) -> bool {
        let rest = self.pieces().try_fold(other, |rest, piece| match piece {
            Piece::Text(text) => rest.strip_prefix(text),
            Piece::Char(char) => rest.strip_prefix(char),
        });
        rest == Some("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{format, string::String, string::ToString, vec::Vec};

    fn read(escaped: &str) -> String {
        JsonStr::new(escaped).to_string()
    }

    #[test]
    fn pieces_are_slices_and_characters() {
        let pieces: Vec<_> = JsonStr::new(r"né\u00e9\ud83d\uDE00x").pieces().collect();
        assert_eq!(pieces, [Piece::Text("né"), Piece::Char('é'), Piece::Char('😀'), Piece::Text("x")]);
        assert_eq!(JsonStr::new("").pieces().next(), None);
    }

    #[test]
    fn every_escape_reads() {
        assert_eq!(read(r#"\"\\\/\b\f\n\r\t\u0000\uFfFf\uffff"#), "\"\\/\u{8}\u{c}\n\r\t\0\u{ffff}\u{ffff}");
        assert_eq!(read(r"\ud800\udc00\udbff\udfff"), "\u{10000}\u{10ffff}");
        assert_eq!(read(r"\\u0041\\\u0041"), r"\u0041\A");
    }

    #[test]
    fn what_is_malformed_is_replaced() {
        for (escaped, text) in [
            (r"\", "\u{fffd}"),
            (r"a\x", "a\u{fffd}x"),
            (r"\é", "\u{fffd}é"),
            (r"\u12", "\u{fffd}u12"),
            (r"\u+123", "\u{fffd}u+123"),
            (r"\u12é", "\u{fffd}u12é"),
            (r"\u123é", "\u{fffd}u123é"),
            (r"\ud800", "\u{fffd}"),
            (r"\ud800\n", "\u{fffd}\n"),
            (r"\ud800\u0041", "\u{fffd}A"),
            (r"\ud800\u004", "\u{fffd}\u{fffd}u004"),
            (r"\ud800\ud83d\ude00", "\u{fffd}😀"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(read(escaped), text, "{escaped}");
        }
    }

    #[test]
    fn comparing_reads() {
        let escaped = JsonStr::new(r"a\u0062c");
        assert_eq!(&escaped, "abc");
        for other in ["", "a", "ab", "abcd", "abd", "xbc", r"a\u0062c"] {
            assert_ne!(&escaped, other);
        }
        assert_eq!(&JsonStr::new(""), "");
        assert_ne!(&JsonStr::new(""), "a");
    }

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
        fn what_serde_json_writes_reads_back(text: String, other: String) {
            let written = serde_json::to_string(&text).unwrap();
            let escaped = JsonStr::new(&written[1..written.len() - 1]);
            prop_assert_eq!(&escaped.to_string(), &text);
            prop_assert_eq!(&escaped, text.as_str());
            prop_assert_eq!(escaped == *other, text == other);
        }

        #[test]
        #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
        fn what_is_all_escaped_reads_back(text: String) {
            let written: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(read(&written), text.as_str());
            prop_assert_eq!(&JsonStr::new(&written), text.as_str());
        }

        /// Anything at all: it ends, gives no empty piece, and reads what is JSON as `serde_json` does.
        #[test]
        #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
        fn anything_reads(
            parts in prop::collection::vec(r#"\\{0,3}(["/bfnrtux]|u[dD][89aAcCdD][0-9a-f]{0,2}|u[0-9A-F]{3,4}|\PC)?"#, 0..8),
        ) {
            let written = parts.concat();
            let text = read(&written);
            prop_assert_eq!(&JsonStr::new(&written), text.as_str());
            let pieces: Vec<_> = JsonStr::new(&written).pieces().collect();
            prop_assert!(pieces.len() <= written.len() && !pieces.contains(&Piece::Text("")));
            if let Ok(json) = serde_json::from_str::<String>(&format!("\"{written}\"")) {
                prop_assert_eq!(text, json);
            }
        }
    }
}
