//! Every fault of a JSON body, and bodies that look faulty but are not.
use super::*;

#[track_caller]
fn fault(body: impl AsRef<[u8]>, fault: Fault) {
    let body = body.as_ref();
    assert_eq!(read_terminal(body), Err(fault), "{}", String::from_utf8_lossy(body));
}

#[test]
fn a_body_that_is_not_one_object_is_not_json() {
    for body in [
        "",
        " ",
        "40",
        "\"40\"",
        "[]",
        "null",
        "{",
        "}",
        "{}x",
        "{}{}",
        "{'data':'40'}",
        "{\"data\":\"40\"",
        "{data:1}",
    ] {
        fault(body, Fault::NotJson);
    }
    fault("{\"data\":\"40\"}\0", Fault::NotJson);
    fault("\u{feff}{\"data\":\"40\"}", Fault::NotJson);
    for string in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\x", r"\u+123", "\n", "\0", "\u{1f}"] {
        fault(format!("{{\"data\":\"{string}\"}}"), Fault::NotJson);
    }
}

#[test]
fn every_prefix_of_an_answer_is_not_json() {
    let body = r#" {"re":7,"data":"\ud83d\ude00","x":[{"a":null}]}"#;
    for end in (0..body.len()).step_by(crate::STRIDE) {
        fault(&body[..end], Fault::NotJson);
    }
    assert_eq!(answer_of(body), (Some(7), Answer::new("😀")));
}

#[test]
fn invalid_utf8_is_not_utf8_in_every_field() {
    for bytes in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        fault([b"{\"data\":\"", bytes, b"\"}"].concat(), Fault::NotUtf8);
        fault([b"{\"data\":\"1\",\"", bytes, b"\":0}"].concat(), Fault::NotUtf8);
    }
}

#[test]
fn more_than_8_levels_are_too_deep() {
    let nested = |levels: usize| {
        format!(r#"{{"data":"40","x":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1))
    };
    assert_eq!(answer_of(&nested(8)).1, Answer::new("40"));
    fault(nested(9), Fault::TooDeep);
    fault("[".repeat(100_000), Fault::NotJson);
    fault(format!("{{\"data\":{}", "[".repeat(100_000)), Fault::TooDeep);
    fault(format!("{{\"data\":{}", "{\"a\":".repeat(100_000)), Fault::TooDeep);
}

#[test]
fn an_object_without_valid_answer_fields_is_not_a_message() {
    for body in [
        "{}",
        r#"{"re":7}"#,
        r#"{"Data":"40"}"#,
        r#"{"data":null}"#,
        r#"{"data":40}"#,
        r#"{"data":["40"]}"#,
        r#"{"data":{"data":"40"}}"#,
        r#"{"data":true}"#,
        r#"{"data":"1","data":"2"}"#,
        r#"{"re":1,"re":1,"data":"2"}"#,
        r#"{"re":"7","data":"40"}"#,
        r#"{"re":-7,"data":"40"}"#,
        r#"{"re":7.5,"data":"40"}"#,
        r#"{"re":1e2,"data":"40"}"#,
        r#"{"re":1.0,"data":"40"}"#,
        r#"{"re":18446744073709551616,"data":"40"}"#,
    ] {
        fault(body, Fault::NotAMessage);
    }
    assert_eq!(answer_of(r#"{"re":null,"data":"40"}"#), (None, Answer::new("40")));
}

#[test]
fn a_hello_with_a_bad_field_names_the_fault() {
    for version in ["0", "3", "255", "256", "9007199254740990"] {
        let read = read_terminal(format!(r#"{{"hello":{version},"terminal":"a"}}"#).as_bytes());
        let refused = match &read {
            Err(Fault::Version) => true,
            Ok(Some(TerminalMessage::Hello(hello))) => hello.version != VERSION,
            _ => false,
        };
        assert!(refused, "{version}: {read:?}");
    }
    for terminal in ["", "a b", "é", "a/b", &"x".repeat(33), r"a\u0062"] {
        fault(format!(r#"{{"hello":1,"terminal":"{terminal}"}}"#), Fault::BadName);
    }
    assert!(read_terminal(format!(r#"{{"hello":1,"terminal":"{}"}}"#, "x".repeat(32)).as_bytes()).is_ok());
    for ledger in ["", "beef", "000000000000beeg", "+00000000000beef", "00000000000000beef"] {
        fault(format!(r#"{{"hello":1,"ledger":"{ledger}"}}"#), Fault::NotAMessage);
    }
    for field in
        [r#""start":-1"#, r#""attempt":4294967296"#, r#""resume":1"#, r#""pending":"1""#, r#""hello":1"#]
    {
        fault(format!(r#"{{"hello":1,{field}}}"#), Fault::NotAMessage);
    }
    fault(r#"{"hello":"1"}"#, Fault::NotAMessage);
}

#[test]
fn unknown_fields_are_skipped_with_any_value() {
    for value in [
        r#""x""#,
        r#""\"}\\""#,
        r#"[1,-2.5e+10,"],}",{"a":[]}]"#,
        r#"{"data":"no","b":{"re":1}}"#,
        "null",
        "true",
        "false",
        "-0.0E-5",
        "[]",
        "{}",
        "1e400",
    ] {
        for body in
            [format!(r#"{{"x":{value},"data":"40"}}"#), format!("{{ \"data\" : \"40\" , \"x\" : {value} }}")]
        {
            assert_eq!(answer_of(&body), (None, Answer::new("40")), "{body}");
        }
    }
}

#[test]
fn a_message_of_the_other_direction_is_an_echo() {
    for notice in notices() {
        assert_eq!(read_terminal(written(|out| write_notice(notice, out)).as_bytes()), Ok(None));
    }
    assert_eq!(read_terminal(written(|out| write_reply(&reply(&[Screen::Menu]), out)).as_bytes()), Ok(None));
    assert_eq!(read_host(written(|out| write_answer(Some(7), "40", out)).as_bytes()), Ok(None));
    assert_eq!(read_host(br#"{"hello":1,"start":0,"attempt":0,"shown":0,"resume":false}"#), Ok(None));
}

#[test]
fn a_bad_host_message_names_the_fault() {
    for (body, fault) in [
        (r#"{"input":true}"#, Fault::NotAMessage),
        (r#"{"input":1,"data":"x"}"#, Fault::NotAMessage),
        (r#"{"input":true,"data":7}"#, Fault::NotAMessage),
        (r#"{"input":true,"data":"x","hello":1}"#, Fault::NotAMessage),
        (r#"{"input":true,"data":"x","hello":2,"start":0,"attempt":0}"#, Fault::Version),
        (r#"{"input":true,"data":"x","hello":1,"start":0,"attempt":0,"ledger":"7"}"#, Fault::NotAMessage),
        (r#"{"input":true,"data":"x","amount":9007199254740992}"#, Fault::NotAMessage),
        (r#"{"input":true,"data":"\ud800"}"#, Fault::NotJson),
    ] {
        assert_eq!(read_host(body.as_bytes()), Err(fault), "{body}");
    }
}

#[test]
fn unknown_codes_and_fields_of_a_later_host_are_ignored() {
    let body = br#"{"input":false,"data":"x","notice":"news","outcome":"odd","end":true,"more":[1]}"#;
    let message = read_host(body).unwrap().unwrap();
    assert_eq!((message.notice, message.outcome, message.ends), (None, None, true));
    assert_eq!(message.text.to_string(), "x");
    let message = read_host(br#"{"input":false,"data":"x","error":"odd"}"#).unwrap().unwrap();
    assert_eq!(message.notice, None);
}
