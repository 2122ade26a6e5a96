//! JSON string unescaping (RFC 8259, section 7) without a buffer: an iterator over the pieces of the text.
use core::{char, fmt, iter::FusedIterator};

/// The content of a JSON string between its quotes, still escaped; `Display` writes the text.
///
/// Unescaping cannot fail. For a string that the codec's scanner has checked the result is exact; in any
/// other, an unpaired surrogate becomes U+FFFD, and so does a backslash that begins no escape (the characters
/// after it are kept).
///
/// Two values are equal if their escaped forms are. To compare the text, compare with a `str`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JsonStr<'a>(&'a str);

/// A piece of the text, from [`JsonStr::pieces`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece<'a> {
    /// Text without an escape; never empty.
    Text(&'a str),
    /// The character of one escape, or of a surrogate pair.
    Char(char),
}

/// An iterator over the pieces of the text.
#[derive(Clone, Debug)]
pub struct Pieces<'a>(&'a str);

impl<'a> JsonStr<'a> {
    /// Takes the content of a JSON string, without its quotes.
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
        // A backslash, like the end, is always at a character boundary.
        let (text, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        Some(Piece::Text(text))
    }
}

impl FusedIterator for Pieces<'_> {}

/// The character of the escape whose backslash precedes `text`, and the rest; `None` if it is no escape.
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

/// The character of a `\uXXXX` escape or a surrogate pair, and the rest; `text` follows the `\u`.
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

/// The value of four hexadecimal digits, and the rest after them.
fn four_digits(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let value = digits.chars().try_fold(0, |value, digit| Some(value << 4 | digit.to_digit(16)?))?;
    Some((value, rest))
}

/// Writes the unescaped text.
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
    fn pieces_are_text_and_characters() {
        let pieces: Vec<_> = JsonStr::new(r"né\u00e9\ud83d\uDE00x").pieces().collect();
        assert_eq!(pieces, [Piece::Text("né"), Piece::Char('é'), Piece::Char('😀'), Piece::Text("x")]);
        assert_eq!(JsonStr::new("").pieces().next(), None);
    }

    #[test]
    fn every_escape_is_unescaped() {
        assert_eq!(read(r#"\"\\\/\b\f\n\r\t\u0000\uFfFf\uffff"#), "\"\\/\u{8}\u{c}\n\r\t\0\u{ffff}\u{ffff}");
        assert_eq!(read(r"\ud800\udc00\udbff\udfff"), "\u{10000}\u{10ffff}");
        assert_eq!(read(r"\\u0041\\\u0041"), r"\u0041\A");
    }

    #[test]
    fn a_malformed_escape_becomes_u_fffd() {
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
    fn a_str_is_compared_with_the_unescaped_text() {
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
        fn strings_of_serde_json_are_unescaped_to_the_same(text: String, other: String) {
            let written = serde_json::to_string(&text).unwrap();
            let escaped = JsonStr::new(&written[1..written.len() - 1]);
            prop_assert_eq!(&escaped.to_string(), &text);
            prop_assert_eq!(&escaped, text.as_str());
            prop_assert_eq!(escaped == *other, text == other);
        }

        #[test]
        #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
        fn a_string_with_every_character_escaped_is_unescaped_to_the_same(text: String) {
            let written: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(read(&written), text.as_str());
            prop_assert_eq!(&JsonStr::new(&written), text.as_str());
        }

        /// Any text: the iterator ends, has no empty piece, and agrees with `serde_json` on valid JSON.
        #[test]
        #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
        fn any_text_is_unescaped(
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
