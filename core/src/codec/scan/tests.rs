//! Tests of the scanner: fixed cases, and agreement with `serde_json` on generated text.
use super::{ScanError::*, *};
use proptest::{prelude::*, sample::Index};
use serde_json::Value;
use std::{format, string::String, string::ToString, vec::Vec};

#[test]
fn well_formed_values_are_accepted() {
    let values = [
        "0 -0 10 1.0 -0.50 1e5 0E+0 1e-05 1.5e0 99999999999999999999999 1e999 true false null",
        r#""" "a" "é😀" "\"\\\/\b\f\n\r\t" "\u00e9\uFFFF\ud7ff\ue000" "\ud83d\uDE00" "\udbff\udfff!" "\\ud800""#,
        r#"{} [] {"":{}} [[],{}] {"a":1,"a":[2,{"b":null}]} [0,-1,2e3,"",true]"#,
    ]
    .join(" ");
    for value in values.split(' ') {
        let spaced = format!("\r\n\t {{ \"\\u006B\" : [ {value} , {value} ] }} \n");
        for body in [format!("{{\"k\":{value}}}"), spaced] {
            assert_eq!(check(body.as_bytes()), Ok(()), "{body}");
        }
    }
}

#[test]
fn malformed_values_are_refused() {
    let values = [
        "00 01 -01 - -a +1 .5 1. 1.e5 1e 1e+ 1e+-1 1ee1 1.2.3 0x1 1a 1_0 NaN Infinity -Infinity",
        "True tru trux truee t n0ll fa\u{a0}se nul nulll falsee fals \u{e9} 'a' // /**/ \u{a0} \u{feff} \0 \u{b} \u{c} 1\u{c}",
        r#"" "a "\" "\x" "\U0041" "\'" "\u" "\u12" "\u12g4" "\u+123" "\ud800" "\ud800x" "\ud800\n" "\ud800\u" "a""b""#,
        r#""\ud800\ud800" "\ud800\u0041" "\udc00" "\udc00\ud800" "\ud800\udc0" "\ud83d\ude00\ude00" "\ud800\\udc00""#,
        r#""\ud83dxude00" "\ud83d\nde00" "\ud83d\Ude00""#,
        r#"[ ] { } [} {] [,] {,} [1,] [,1] [1,,2] {"a":1,} {,"a":1} {"a"} {"a":} {"a",1} {"a":1:2} {"a"1} {1:2} {a:1}"#,
        r#"{null:1} {"a":1"b":2} [1:2] ["a":1] {"a":1] [1} , : ,1 1,2 [[] "#,
    ]
    .join(" ");
    for value in values.split(' ') {
        let body = format!("{{\"k\":{value}}}");
        assert_eq!(check(body.as_bytes()), Err(Malformed), "{body}");
    }
}

#[test]
fn every_character_in_every_position_agrees_with_serde_json() -> Result<(), TestCaseError> {
    for frame in r#"@|{}@|{@}|{@"a":0}|{"a"@0}|{"a":@}|{"a":0@}|{"@":0}|{"\@":0}"#.split('|') {
        for character in ('\0'..='\u{100}').step_by(crate::STRIDE) {
            agree(&frame.replace('@', &character.to_string()))?;
        }
    }
    Ok(())
}

#[test]
fn exactly_one_object_is_accepted() {
    for body in "| |{|}|[]|1|\"a\"|null|{}{}|{} x|{},|{}\0|x{}|\u{feff}{}".split('|') {
        assert_eq!(check(body.as_bytes()), Err(Malformed), "{body:?}");
    }
    assert_eq!(check(b"{\"\xff\x80\":\"\xc0\"}"), Ok(()), "the caller checks UTF-8");
    assert_eq!(check(b"{\"a\":\xff}"), Err(Malformed));
    assert_eq!(
        [Malformed, TooDeep].map(|error| error.to_string()),
        ["not a well-formed JSON object", "nested too deep"]
    );
}

#[test]
fn nesting_is_limited_to_8_levels() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |n| format!("{{\"k\":{}0{}}}", open.repeat(n), close.repeat(n));
        assert_eq!(check(nested(7).as_bytes()), Ok(()));
        assert_eq!(check(nested(8).as_bytes()), Err(TooDeep));
        assert_eq!(check(nested(100_000).as_bytes()), Err(TooDeep));
    }
    let closed = format!("{{\"a\":[{}0]}}", "[[[[[[]]]]]],".repeat(1000));
    assert_eq!(check(closed.as_bytes()), Ok(()), "closed levels do not count");
}

#[test]
fn a_scanner_takes_8_bytes_and_accepts_nothing_after_the_end() {
    assert_eq!(size_of::<Scanner>(), 8);
    for (body, last) in [("{}", Ok(Scan::Done)), (" x", Err(Malformed)), ("{]", Err(Malformed))] {
        let mut scanner = Scanner::new();
        let pushed: Vec<_> = body.bytes().chain(*b" {").map(|byte| scanner.push(byte)).collect();
        assert_eq!(pushed, [Ok(Scan::More), last, Err(Malformed), Err(Malformed)], "{body}");
    }
}

/// Checks that `check` agrees with `serde_json`, except for the depth.
fn agree(body: &str) -> Result<(), TestCaseError> {
    let check = check(body.as_bytes());
    match serde_json::from_str(body) {
        Ok(Value::Object(_)) => {
            // Counted in the text outside the strings: the parsed value has only one of two equal keys.
            let text = body.replace(r"\\", "").replace(r#"\""#, "");
            let depths = text.split('"').step_by(2).flat_map(str::bytes).scan(0, |depth, byte| {
                *depth += i32::from(b"{[".contains(&byte)) - i32::from(b"}]".contains(&byte));
                Some(*depth)
            });
            let deep = depths.max() > Some(MAX_DEPTH.into());
            prop_assert_eq!(check, if deep { Err(TooDeep) } else { Ok(()) }, "{}", body);
        }
        // `serde_json` refuses a number above every `f64`, such as 1e999; the grammar accepts it.
        Err(error) if error.to_string().contains("number out of range") => {}
        _ => prop_assert!(check.is_err(), "{body}"),
    }
    Ok(())
}

/// JSON objects, up to 11 levels deep.
fn object() -> impl Strategy<Value = String> {
    let quoted = || any::<String>().prop_map(|text| Value::from(text).to_string());
    let number = any::<f64>().prop_map(|number| Value::from(number).to_string());
    let simple =
        r#"true|false|null|-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?|"\\u[0-9a-cA-C]{4}""#;
    let value = prop_oneof![quoted(), number, simple].prop_recursive(10, 32, 3, move |inner| {
        let members = prop::collection::vec(("[ \t\r\n]{0,2}", quoted(), inner), 0..4);
        (members, any::<bool>()).prop_map(|(members, object)| {
            let member = |(space, key, value)| match object {
                true => format!("{space}{key}:{space}{value}"),
                false => format!("{value}{space}"),
            };
            let members = members.into_iter().map(member).collect::<Vec<_>>().join(",");
            if object { format!("{{{members}}}") } else { format!("[{members}]") }
        })
    });
    value.prop_map(|value| if value.starts_with('{') { value } else { format!("{{\"\":{value}}}") })
}

/// A token of JSON, or any character.
const SCRAP: &str = r#"[\[\]{},:"\\0-9eE+\-. \n]|[\x00-\x7f]|\\["\\/bnu]|\\u[dD][89abcCdD][0-9a-f]{2}|true|false|null|"a":|\PC"#;

proptest! {
    #[test]
    #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
    fn an_object_is_done_at_its_last_brace(body in object()) {
        agree(&body)?;
        let mut scanner = Scanner::new();
        let scans: Result<Vec<_>, _> = body.bytes().map(|byte| scanner.push(byte)).collect();
        let done = scans.map(|scans| scans.iter().position(|scan| *scan == Scan::Done));
        prop_assert!(done == Ok(Some(body.len() - 1)) || done == Err(TooDeep));
    }

    #[test]
    #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
    fn mutated_objects_agree_with_serde_json(
        body in object(),
        edits in prop::collection::vec((any::<Index>(), 0..3usize, prop_oneof![Just(String::new()), SCRAP]), 1..4),
        end in prop::option::of(any::<Index>()),
    ) {
        let mut body: Vec<char> = body.chars().collect();
        for (at, remove, insert) in edits {
            let at = at.index(body.len() + 1);
            body.splice(at..(at + remove).min(body.len()), insert.chars());
        }
        body.truncate(end.map_or(body.len(), |end| end.index(body.len() + 1)));
        agree(&body.iter().collect::<String>())?;
    }

    #[test]
    #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
    fn scraps_of_json_agree_with_serde_json(scraps in prop::collection::vec(SCRAP, 0..8)) {
        let scraps = scraps.concat();
        agree(&scraps)?;
        agree(&format!("{{{scraps}}}"))?;
        agree(&format!("{{\"a\":{scraps}}}"))?;
        agree(&format!("{{\"a\":\"{scraps}\"}}"))?;
    }

    #[test]
    fn numbers_agree_with_serde_json(number in "-?[01]{0,2}[.]?[01]{0,2}[eE]?[+-]?[01]{0,2}") {
        agree(&format!("{{\"a\":{number}}}"))?;
    }
}
