//! Fast path for answers in their usual form, without the validating scanner and the parser, which take longer
//! than the rest of the work on an answer.

/// The prompt's number and the text of `{"re":7,"data":"40"}`, also with the blanks that Python's `json`
/// writes after a colon and a comma. `None` for any other body: the parser has to decide.
pub(super) fn answer(body: &[u8]) -> Option<(u64, &str)> {
    let rest = after(body, b"{\"re\":")?;
    let (number, rest) = rest.split_at_checked(rest.iter().position(|byte| !byte.is_ascii_digit())?)?;
    // 16 digits or more may be above 2^53; no digits, or a leading zero, are not a JSON number.
    if number.len() > 15 || matches!(number, [] | [b'0', _, ..]) {
        return None;
    }
    let digit = |digit: &u8| u64::from(digit.wrapping_sub(b'0'));
    let re = number.iter().fold(0u64, |re, next| re.wrapping_mul(10).wrapping_add(digit(next)));
    let rest = after(after(rest, b",")?, b"\"data\":")?;
    let text = rest.strip_prefix(b"\"")?.strip_suffix(b"\"}")?;
    let plain = text.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
    core::str::from_utf8(text).ok().filter(|_| plain).map(|text| (re, text))
}

/// The rest after `prefix` and at most one blank.
fn after<'a>(body: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = body.strip_prefix(prefix)?;
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::super::{parsed, write_answer};
    use super::*;
    use crate::message::{Answer, TerminalMessage};
    use proptest::{prelude::*, sample::Index};
    use std::{format, string::String};

    #[test]
    fn answers_as_this_codec_and_python_write_them_take_the_fast_path() {
        let mut out = [0; 64];
        let length = write_answer(Some(7), "40", &mut out).unwrap();
        assert_eq!(answer(&out[..length]), Some((7, "40")));
        assert_eq!(answer(br#"{"re": 123456789012345, "data": ""}"#), Some((123_456_789_012_345, "")));
        assert_eq!(answer(br#"{"re":0,"data":" ~"}"#), Some((0, " ~")));
    }

    #[test]
    fn any_other_body_is_left_to_the_parser() {
        for body in [
            r#"{"re":,"data":"4"}"#,
            r#"{"re":07,"data":"4"}"#,
            r#"{"re":1234567890123456,"data":"4"}"#,
            r#"{"re":7,"data":"4"} "#,
            r#"{"re":7,"data":"a\n"}"#,
            r#"{"re":7,"data":"a","data":"b"}"#,
            r#"{"re":7.0,"data":"4"}"#,
            r#"{"re":7  ,"data":"4"}"#,
            r#"{"data":"4","re":7}"#,
            r#"{"data":"4"}"#,
            "{\"re\":7,\"data\":\"\u{e9}\"}",
            "{\"re\":7,\"data\":\"\u{7f}\"}",
            "{\"re\":7,\"data\":\"\t\"}",
            r#"{"re":7,"data":""#,
            r#"{"re":7"#,
            r#"{"re":"#,
            "",
        ] {
            assert_eq!(answer(body.as_bytes()), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_path_agrees_with_the_parser(
            re in any::<u64>(),
            digits in 0..20u32,
            text in "[ -~]{0,70}",
            blanks in any::<(bool, bool, bool)>(),
            edit in prop::option::of((any::<Index>(), any::<u8>())),
        ) {
            let re = re % 10u64.pow(digits);
            let blank = |blank| if blank { " " } else { "" };
            let (a, b, c) = (blank(blanks.0), blank(blanks.1), blank(blanks.2));
            let mut body = format!("{{\"re\":{a}{re},{b}\"data\":{c}\"{text}\"}}").into_bytes();
            if let Some((at, byte)) = edit {
                let at = at.index(body.len());
                body[at] = byte;
            }
            if let Some((re, text)) = answer(&body) {
                let read = TerminalMessage::Answer { re: Some(re), answer: Answer::new(text) };
                prop_assert_eq!(parsed(&body), Ok(Some(read)), "{}", String::from_utf8_lossy(&body));
            } else if edit.is_none() {
                prop_assert!(re >= 1_000_000_000_000_000 || text.contains(['"', '\\']), "{text}");
            }
        }
    }
}
