//! Escaping: text from a host can neither control the terminal that it is shown on nor look like other text.
use std::fmt;

/// Displays text from a host with these characters escaped:
///
/// * control characters, except for newline and tab: escape sequences would control the terminal;
/// * line separators and format characters, which are invisible or change the direction of the text around them, so that an
///   amount would look like another one (Unicode Technical Report 36, section 2.5).
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_escaped) {
            let (text, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
            let mut chars = from.chars();
            f.write_str(text)?;
            if let Some(c) = chars.next() {
                write!(f, "{}", c.escape_unicode())?;
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

fn is_escaped(c: char) -> bool {
    let is_control = c.is_control() && !matches!(c, '\n' | '\t');
    is_control || matches!(c, '\u{2028}' | '\u{2029}') || is_format(c)
}

/// Is it of the general category Cf (DerivedGeneralCategory.txt, Unicode 16)?
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_control_a_terminal_or_hide_are_escaped() {
        for (text, shown) in [
            ("Your balance is $140.\n\tGoodbye 😀 é", "Your balance is $140.\n\tGoodbye 😀 é"),
            ("\u{1b}[2J\u{7}\r\u{7f}", "\\u{1b}[2J\\u{7}\\u{d}\\u{7f}"),
            ("a\0b\u{9b}31m\u{85}", "a\\u{0}b\\u{9b}31m\\u{85}"),
            ("", ""),
            ("$\u{202e}001\u{202c}.", "$\\u{202e}001\\u{202c}."),
            ("$1\u{2066}0\u{2069}0\u{200b}0", "$1\\u{2066}0\\u{2069}0\\u{200b}0"),
            ("\u{feff}a\u{200f}\u{ad}\u{61c}\u{2028}", "\\u{feff}a\\u{200f}\\u{ad}\\u{61c}\\u{2028}"),
            ("\u{e0041}\u{2060}\u{200d}", "\\u{e0041}\\u{2060}\\u{200d}"),
            ("e\u{301} \u{a0}€ \u{5d0} \u{4e2d}", "e\u{301} \u{a0}€ \u{5d0} \u{4e2d}"),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }
}
