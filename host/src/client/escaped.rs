//! Escaping: text from a host can neither control the terminal that it is shown on, nor hide characters or change their order.
use std::fmt;

/// Displays text from a host with these characters escaped:
///
/// * control characters, except for newline and tab: escape sequences would control the terminal;
/// * line separators, format characters, and others that show nothing, so that a text could hold what a person does not see;
/// * letters that are written from right to left: the digits of an amount beside them would be shown in another order (Unicode
///   Technical Report 36, section 2.5). An ATM's texts are English.
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
    let is_shown = matches!(c, '\n' | '\t') || !is_unseen(c);
    !is_shown || !c.is_ascii() && is_right_to_left(c)
}

/// Whether a character shows nothing by itself: it is a control character, separates lines, is of format (the controls of the
/// direction of a text among them), or is invisible.
pub fn is_unseen(c: char) -> bool {
    let is_separator = matches!(c, '\u{2028}' | '\u{2029}');
    c.is_control() || !c.is_ascii() && (is_separator || is_format(c) || is_invisible(c))
}

/// Does it show nothing: has it the property Default_Ignorable_Code_Point (DerivedCoreProperties.txt, Unicode 16), or is it the
/// blank of Braille?
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Is it in a block whose letters are written from right to left, by default or each by itself (DerivedBidiClass.txt, Unicode 16):
/// Hebrew, Arabic, Syriac, Thaana, N'Ko and others, presentation forms of them, and ancient and recent scripts?
fn is_right_to_left(c: char) -> bool {
    matches!(
        c,
        '\u{590}'..='\u{8ff}'
            | '\u{fb1d}'..='\u{fdff}'
            | '\u{fe70}'..='\u{feff}'
            | '\u{10800}'..='\u{10fff}'
            | '\u{1e800}'..='\u{1efff}'
    )
}

/// Is it of the general category Cf (DerivedGeneralCategory.txt, Unicode 16), and not among those?
fn is_format(c: char) -> bool {
    matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}')
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
            ("e\u{301} \u{a0}€ \u{3b1} \u{4e2d} \u{2014}", "e\u{301} \u{a0}€ \u{3b1} \u{4e2d} \u{2014}"),
            // A digit beside such a letter may be shown on the other side of it.
            ("$1 \u{5d0} 00", "$1 \\u{5d0} 00"),
            ("\u{627}\u{710}\u{780}\u{7ca}", "\\u{627}\\u{710}\\u{780}\\u{7ca}"),
            ("\u{fb1d}\u{fdf2}\u{fe70}\u{10840}\u{1e900}", "\\u{fb1d}\\u{fdf2}\\u{fe70}\\u{10840}\\u{1e900}"),
            ("\u{34f}\u{115f}\u{17b5}\u{180b}\u{3164}", "\\u{34f}\\u{115f}\\u{17b5}\\u{180b}\\u{3164}"),
            ("\u{fe0f}\u{ffa0}\u{1bca0}\u{1d17a}\u{2800}", "\\u{fe0f}\\u{ffa0}\\u{1bca0}\\u{1d17a}\\u{2800}"),
            (
                "\u{e0000}\u{e0fff}\u{e0100}\u{fff8}\u{fffa}",
                "\\u{e0000}\\u{e0fff}\\u{e0100}\\u{fff8}\\u{fffa}",
            ),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }
}
