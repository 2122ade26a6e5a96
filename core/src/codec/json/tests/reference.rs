//! Differential tests against `serde_json`, on arbitrary text and on mutated messages.
use super::*;
use crate::{ledger::Numbers, number};
use proptest::{prelude::*, sample::Index};
use serde_json::Value;
use std::vec;

/// A JSON string with every character escaped; Python's `json.dumps` escapes all that is not ASCII.
fn all_escaped(text: &str) -> String {
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{units}\"")
}

/// A host's message, parsed by `serde_json`.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn screen() -> impl Strategy<Value = Screen> {
    let amount = || (0..=Amount::MAX.minor()).prop_map(amount);
    let outcome = (0..outcomes().len()).prop_map(|index| Screen::Outcome(outcomes()[index]));
    prop_oneof![
        Just(Screen::Menu),
        Just(Screen::DepositPrompt),
        amount().prop_map(|balance| Screen::WithdrawPrompt { balance }),
        outcome,
        amount().prop_map(|balance| Screen::Outcome(Outcome::Done(Receipt::Balance { balance }))),
        Just(Screen::EarlierRequest),
        Just(Screen::InvalidChoice),
        Just(Screen::NotAnAmount),
        Just(Screen::NotPositive),
        amount().prop_map(|limit| Screen::OverLimit { limit }),
        Just(Screen::AnswerTooLong),
        Just(Screen::NoFunds),
        Just(Screen::QuitNotPermitted),
        Just(Screen::Goodbye),
        Just(Screen::Stopping),
    ]
}

/// The fields of [`TerminalIn`], for `serde_json`.
#[derive(Deserialize)]
#[expect(dead_code, reason = "of most fields only the type is compared")]
struct Reference {
    input: Option<bool>,
    #[serde(default, with = "number::bounded_option")]
    hello: Option<u64>,
    terminal: Option<String>,
    #[serde(default, with = "number::bounded_option")]
    start: Option<u64>,
    attempt: Option<u32>,
    ledger: Option<String>,
    #[serde(default, with = "number::bounded_option")]
    shown: Option<u64>,
    #[serde(default, with = "number::bounded_option")]
    pending: Option<u64>,
    resume: Option<bool>,
    #[serde(default, with = "number::bounded_option")]
    re: Option<u64>,
    data: Option<String>,
}

/// Checks that our decoder agrees with the reference.
///
/// Four differences are allowed, and where the two differ, one of them is proved to be the cause: here a
/// field name with an escape is unknown, nesting beyond 8 levels is refused, and so is a lone surrogate in a
/// skipped field; `serde_json` refuses numbers in skipped fields that are out of the range of an `f64`.
fn agree(body: &str) -> Result<(), TestCaseError> {
    let ours = read_terminal(body.as_bytes());
    if ours == Err(Fault::TooDeep) {
        return Ok(());
    }
    match serde_json::from_str::<Value>(body) {
        Ok(Value::Object(_)) => {}
        Err(error) if error.to_string().contains("number out of range") => return Ok(()),
        _ => {
            prop_assert!(ours.is_err(), "{body}");
            return Ok(());
        }
    }
    match serde_json::from_str::<Reference>(body) {
        _ if has_escaped_key(body) => {}
        Err(error) => prop_assert!(ours.is_err(), "{body}: {error}"),
        Ok(fields) if fields.input.is_some() => prop_assert_eq!(ours, Ok(None)),
        Ok(Reference { hello: Some(_), .. }) => {
            let own = [Fault::Version, Fault::BadName, Fault::NotAMessage];
            prop_assert!(
                matches!(&ours, Ok(Some(TerminalMessage::Hello(_)))) || ours.is_err_and(|f| own.contains(&f))
            );
        }
        Ok(Reference { data: Some(data), re, .. }) => {
            prop_assert_eq!(
                ours,
                Ok(Some(TerminalMessage::Answer { re, answer: Answer::new(&data) })),
                "{}",
                body
            );
        }
        Ok(_) => prop_assert_eq!(ours, Err(Fault::NotAMessage), "{}", body),
    }
    Ok(())
}

/// Whether any string before a colon has an escape.
fn has_escaped_key(body: &str) -> bool {
    let (mut string, mut escaped, mut in_string) = (false, false, false);
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => {
                escaped = true;
                chars.next();
            }
            '"' if in_string => (in_string, string) = (false, true),
            '"' => (in_string, escaped) = (true, false),
            ':' if !in_string && string && escaped => return true,
            _ if !in_string && !c.is_whitespace() => string = false,
            _ => {}
        }
    }
    false
}

/// Terminal messages, valid and nearly valid.
fn message() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        4 => "input|hello|terminal|start|attempt|ledger|shown|pending|resume|re|data",
        1 => "[a-z]{0,3}|d\\\\u0061ta|\\\\\"|\\PC{0,2}".prop_map(|key| key.replace('"', "\\\"").replace("\\\\\"", "\\\"")),
    ];
    let value = prop_oneof![
        4 => any::<String>().prop_map(|text| Value::from(text).to_string()),
        4 => any::<String>().prop_map(|text| all_escaped(&text)),
        4 => "true|false|null|1|0|40|-1|1\\.5|1e3|-0|00|9007199254740990|9007199254740991|18446744073709551615|18446744073709551616|4294967296",
        1 => "\"[a-z ]{0,3}\"|\"000000000000beef\"|\\[\\]|\\{\\}|\\[1,\\{\"data\":\"x\"\\}\\]",
    ];
    let fields = prop::collection::vec((key, "[ \t\n]{0,1}", value), 0..5);
    fields.prop_map(|fields| {
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(key, space, value)| format!("{space}\"{key}\":{space}{value}{space}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    })
}

#[test]
fn an_answer_decodes_with_and_without_escapes() {
    assert_eq!(answer_of(r#"{"data":"40"}"#), (None, Answer::new("40")));
    assert_eq!(answer_of(r#"{"re": 7, "data": " \u0034\u0030\n"}"#), (Some(7), Answer::new("40")));
}

#[test]
fn an_answer_of_65_bytes_decodes_as_too_long() {
    for (text, long) in
        [("x".repeat(64), false), ("x".repeat(65), true), ("é".repeat(32), false), ("é".repeat(33), true)]
    {
        for written in [Value::from(&*text).to_string(), all_escaped(&text)] {
            let (_, answer) = answer_of(&format!("{{\"data\":{written}}}"));
            assert_eq!(answer.text().is_none(), long, "{written}");
        }
    }
}

proptest! {
    #[test]
    #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
    fn any_answer_decodes_with_and_without_escapes(
        text: String, re in prop::option::of(0..Numbers::MAX), blanks in "[ \t\r\n]{0,9}",
    ) {
        let text = format!("{blanks}{text}{blanks}");
        for data in [Value::from(&*text).to_string(), all_escaped(&text)] {
            let body = match re {
                Some(re) => format!("{{\"re\":{re},\"data\":{data}}}"),
                None => format!("{{\"data\":{data}}}"),
            };
            prop_assert_eq!(answer_of(&body), (re, Answer::new(&text)));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
    fn serde_json_parses_every_encoded_answer(text in any::<String>(), re in prop::option::of(0..Numbers::MAX)) {
        let body = written(|out| write_answer(re, &text, out));
        let read = value(&body);
        prop_assert_eq!(&read["data"], &Value::from(text.as_str()));
        prop_assert_eq!(&read["re"], &Value::from(re));
        prop_assert_eq!(answer_of(&body), (re, Answer::new(&text)));
    }

    #[test]
    fn serde_json_parses_every_encoded_reply(
        screens in prop::collection::vec(screen(), 1..=4), seq in 0..Numbers::MAX, re in prop::option::of(0..Numbers::MAX),
        welcome in prop::option::of((prop::option::of(any::<u64>()), 0..Numbers::MAX, any::<u32>())),
    ) {
        let screens: Screens = screens.into_iter().collect();
        let welcome = welcome.map(|(ledger, start, attempt)| Welcome { ledger: ledger.map(LedgerId), start, attempt });
        let reply = Reply { seq, re, screens, welcome };
        let body = written(|out| write_reply(&reply, out));
        let text = ScreenText(&reply.screens).to_string();
        let read = value(&body);
        prop_assert_eq!(&read["data"], &Value::from(text.as_str()));
        prop_assert_eq!(&read["input"], &Value::from(reply.is_prompt()));
        prop_assert_eq!(&read["seq"], &Value::from(seq));

        let message = read_host(body.as_bytes()).unwrap().unwrap();
        prop_assert_eq!((message.seq, message.re, message.welcome, message.notice), (Some(seq), re, welcome, None));
        prop_assert_eq!((message.prompt, message.ends), (reply.is_prompt(), !reply.is_prompt()));
        prop_assert_eq!(message.outcome, reply.outcome());
        prop_assert_eq!(message.text.to_string(), text);
    }

    #[test]
    fn any_hello_decodes_to_the_same(
        version: u8, terminal in prop::option::of("[A-Za-z0-9._-]{1,32}"), start in 0..Numbers::MAX, attempt: u32,
        ledger: Option<u64>, shown in 0..Numbers::MAX, pending in prop::option::of(0..Numbers::MAX), resume: bool,
    ) {
        let terminal = terminal.map(|text| name(&text));
        let hello = Hello {
            version, terminal, start, attempt, ledger: ledger.map(LedgerId), shown, pending, resume, ..Hello::EMPTY
        };
        let body = written(|out| write_hello(&hello, out));
        prop_assert!(body.len() <= crate::host::IN, "{} bytes", body.len());
        prop_assert_eq!(read_terminal(body.as_bytes()), Ok(Some(TerminalMessage::Hello(hello))));
    }

    #[test]
    #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
    fn messages_agree_with_serde_json(body in message()) {
        agree(&body)?;
    }

    #[test]
    #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
    fn mutated_messages_agree_with_serde_json(
        body in message(), edits in prop::collection::vec((any::<Index>(), 0..2usize, r#"[{}\[\],:"\\eu0-9d ]?"#), 1..4),
    ) {
        let mut body: Vec<char> = body.chars().collect();
        for (at, remove, insert) in edits {
            let at = at.index(body.len() + 1);
            body.splice(at..(at + remove).min(body.len()), insert.chars());
        }
        agree(&body.into_iter().collect::<String>())?;
    }

    #[test]
    fn any_bytes_agree_with_serde_json(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let text = std::str::from_utf8(&bytes);
        if let Ok(text) = text {
            agree(text)?;
        } else {
            prop_assert_eq!(read_terminal(&bytes), Err(Fault::NotUtf8));
        }
        let _ = read_host(&bytes).map(|message| message.map(|message| message.text.to_string()));
    }
}
