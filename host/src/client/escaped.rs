//! Escaping: text from a host cannot control the terminal that it is shown on.
use std::fmt;

/// Displays text from a host with control characters escaped, except for newline and tab, so that the text cannot control the
/// terminal (no escape sequences).
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
            let (text, control) = rest.split_at_checked(at).unwrap_or((rest, ""));
            let mut chars = control.chars();
            f.write_str(text)?;
            if let Some(c) = chars.next() {
                write!(f, "{}", c.escape_unicode())?;
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        for (text, shown) in [
            ("Your balance is $140.\n\tGoodbye 😀 é", "Your balance is $140.\n\tGoodbye 😀 é"),
            ("\u{1b}[2J\u{7}\r\u{7f}", "\\u{1b}[2J\\u{7}\\u{d}\\u{7f}"),
            ("a\0b\u{9b}31m\u{85}", "a\\u{0}b\\u{9b}31m\\u{85}"),
            ("", ""),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }
}
