//! Golden tests: each message byte for byte, and decoded again.
use super::*;

#[test]
fn an_answer_byte_for_byte() {
    assert_eq!(written(|out| write_answer(Some(7), "40", out)), r#"{"re":7,"data":"40"}"#);
    assert_eq!(written(|out| write_answer(None, "40", out)), r#"{"data":"40"}"#);
    let text = written(|out| write_answer(None, "a\"\\\n\u{1}é😀", out));
    assert_eq!(text, "{\"data\":\"a\\\"\\\\\\n\\u0001é😀\"}");
}

#[test]
fn a_hello_byte_for_byte() {
    let hello = Hello {
        version: 1,
        terminal: Some(name("kiosk-7")),
        start: 3,
        attempt: 2,
        ledger: Some(LedgerId(0xbeef)),
        shown: 8,
        pending: Some(8),
        resume: true,
        ..Hello::EMPTY
    };
    let text = written(|out| write_hello(&hello, out));
    assert_eq!(
        text,
        r#"{"hello":1,"terminal":"kiosk-7","start":3,"attempt":2,"ledger":"000000000000beef","shown":8,"pending":8,"resume":true}"#
    );
    assert_eq!(read_terminal(text.as_bytes()), Ok(Some(TerminalMessage::Hello(hello))));
}

#[test]
fn a_hello_of_version_2_byte_for_byte() {
    let dispenser = Some(Dispenser { serial: 0xbeef, count: 300 });
    let capabilities = Capabilities::DISPENSER.with(Capabilities::SECRET_PROMPTS);
    assert!(capabilities.has(Capabilities::DISPENSER) && !Capabilities::DISPENSER.has(capabilities));
    let hello = Hello { version: 2, start: 1, capabilities, dispenser, ..Hello::EMPTY };
    let text = written(|out| write_hello(&hello, out));
    assert_eq!(
        text,
        r#"{"hello":2,"start":1,"attempt":0,"shown":0,"resume":false,"capabilities":3,"dispenser":"000000000000beef","dispensed":300}"#
    );
    assert_eq!(read_terminal(text.as_bytes()), Ok(Some(TerminalMessage::Hello(hello))));
    // In version 1 they are unknown fields.
    let old = text.replacen('2', "1", 1);
    let read = Hello { start: 1, ..Hello::EMPTY };
    assert_eq!(read_terminal(old.as_bytes()), Ok(Some(TerminalMessage::Hello(read.clone()))));
    let shortest = Hello { version: 2, start: 0, ..read };
    assert_eq!(read_terminal(br#"{"hello":2}"#), Ok(Some(TerminalMessage::Hello(shortest))));
    for fields in
        [r#""dispensed":1"#, r#""dispenser":"000000000000beef""#, r#""dispenser":"1","dispensed":1"#]
    {
        let body = format!(r#"{{"hello":2,{fields}}}"#);
        assert_eq!(read_terminal(body.as_bytes()), Err(Fault::NotAMessage), "{fields}");
    }
}

#[test]
fn the_shortest_hello_has_defaults() {
    let first = Hello {
        version: 1,
        terminal: None,
        start: 0,
        attempt: 0,
        ledger: None,
        shown: 0,
        pending: None,
        resume: false,
        ..Hello::EMPTY
    };
    assert_eq!(read_terminal(br#"{"hello":1}"#), Ok(Some(TerminalMessage::Hello(first.clone()))));
    let text = written(|out| write_hello(&first, out));
    assert_eq!(text, r#"{"hello":1,"start":0,"attempt":0,"shown":0,"resume":false}"#);
}

#[test]
fn a_reply_with_a_prompt_byte_for_byte() {
    let done = Outcome::Done(Receipt::Deposited { amount: amount(4_000), balance: amount(14_050) });
    let text = written(|out| write_reply(&reply(&[Screen::Outcome(done), Screen::DepositPrompt]), out));
    assert_eq!(
        text,
        concat!(
            r#"{"seq":8,"re":7,"input":true,"data":"Amount deposited: $40. Your balance is $140.50.\n\n"#,
            r#"How much would you like to deposit? (whole units, or back)","#,
            r#""outcome":"done","operation":"deposit","amount":4000,"balance":14050}"#
        )
    );
}

#[test]
fn a_reply_that_ends_the_session_byte_for_byte() {
    let text = written(|out| write_reply(&reply(&[Screen::Goodbye]), out));
    assert_eq!(text, r#"{"seq":8,"re":7,"input":false,"data":"Goodbye.","end":true}"#);
}

#[test]
fn a_welcome_byte_for_byte() {
    let ledger = Some(LedgerId(u64::MAX));
    let welcome = Some(Welcome { ledger, start: 3, attempt: 2 });
    let text = written(|out| {
        write_reply(&Reply { seq: 1, re: None, welcome, ..reply(&[Screen::DepositPrompt]) }, out)
    });
    assert_eq!(
        text,
        concat!(
            r#"{"hello":1,"ledger":"ffffffffffffffff","start":3,"attempt":2,"seq":1,"input":true,"#,
            r#""data":"How much would you like to deposit? (whole units, or back)"}"#
        )
    );
    let message = read_host(text.as_bytes()).unwrap().unwrap();
    assert_eq!((message.welcome, message.seq, message.re), (welcome, Some(1), None));
}

#[test]
fn every_outcome_has_its_fields() {
    let fields: Vec<String> = outcomes()
        .into_iter()
        .take(9)
        .map(|outcome| {
            let text = written(|out| write_reply(&reply(&[Screen::Outcome(outcome), Screen::Menu]), out));
            text.split_once(r#"","outcome":"#).unwrap().1.to_string()
        })
        .collect();
    assert_eq!(
        fields,
        [
            r#""not-done"}"#,
            r#""unknown"}"#,
            r#""done","operation":"balance","balance":0}"#,
            r#""done","operation":"deposit","amount":1,"balance":0}"#,
            r#""done","operation":"withdrawal","amount":1,"balance":0}"#,
            r#""refused","reason":"insufficient","balance":0}"#,
            r#""refused","reason":"balance-limit","balance":0}"#,
            r#""refused","reason":"conflict"}"#,
            r#""refused","reason":"full"}"#,
        ]
    );
}

#[test]
fn every_notice_byte_for_byte() {
    let texts = notices().map(|notice| written(|out| write_notice(notice, out)));
    assert_eq!(
        texts,
        [
            r#"{"re":7,"input":false,"data":"Working on it.","notice":"working"}"#,
            r#"{"input":false,"data":"Working on it.","notice":"working"}"#,
            r#"{"input":false,"data":"There is no session: say hello.","notice":"who"}"#,
            r#"{"start":3,"attempt":2,"input":false,"data":"This terminal was taken over by a newer connection.","end":true,"notice":"taken-over"}"#,
            r#"{"start":3,"attempt":2,"input":false,"data":"A terminal of this name is in use.","end":true,"notice":"name-in-use"}"#,
            r#"{"input":false,"data":"The server has as many sessions as it takes. Try again later.","end":true,"notice":"busy"}"#,
            r#"{"input":false,"data":"This ATM is out of service. Ask its operator.","end":true,"notice":"out-of-service"}"#,
            r#"{"input":false,"data":"No answer for too long. Goodbye.","end":true,"notice":"idle"}"#,
            r#"{"input":false,"data":"The server is stopping. Goodbye.","end":true,"notice":"stopping"}"#,
            r#"{"input":false,"data":"The message is not a JSON object.","error":"not-json"}"#,
            r#"{"input":false,"data":"That prompt was answered before, with something else.","error":"conflict"}"#,
        ]
    );
    for (notice, text) in notices().into_iter().zip(texts) {
        let message = read_host(text.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (message.notice, message.ends, message.prompt),
            (Some(notice), notice.ends_session(), false),
            "{text}"
        );
    }
}

#[test]
fn an_object_of_the_raw_wire_has_only_input_and_data() {
    let working = Some(Notice::Working { re: None });
    let message = [
        written(|out| write_bare(None, &[Screen::EarlierRequest, Screen::DepositPrompt], out)),
        written(|out| write_bare(working, &[Screen::DepositPrompt], out)),
        written(|out| write_bare(working, &[], out)),
        written(|out| write_bare(None, &[Screen::Goodbye], out)),
    ];
    let prompt = "How much would you like to deposit? (whole units, or back)";
    assert_eq!(
        message,
        [
            format!(r#"{{"input":true,"data":"About your earlier request:\n\n{prompt}"}}"#),
            format!(r#"{{"input":true,"data":"Working on it.\n\n{prompt}"}}"#),
            r#"{"input":false,"data":"Working on it."}"#.to_string(),
            r#"{"input":false,"data":"Goodbye."}"#.to_string(),
        ]
    );
}

#[test]
fn a_reply_with_every_outcome_decodes_to_the_same() {
    for outcome in outcomes().into_iter().step_by(crate::STRIDE.min(5)) {
        let reply = reply(&[Screen::EarlierRequest, Screen::Outcome(outcome), Screen::Menu]);
        let text = written(|out| write_reply(&reply, out));
        let message = read_host(text.as_bytes()).unwrap().unwrap();
        assert_eq!(message.outcome, Some(outcome), "{text}");
        assert_eq!((message.seq, message.re, message.prompt, message.ends), (Some(8), Some(7), true, false));
        assert_eq!((message.welcome, message.notice), (None, None));
        assert_eq!(message.text.to_string(), ScreenText(&reply.screens).to_string());
    }
}

#[test]
fn a_buffer_that_is_too_small_is_an_error() {
    let reply = reply(&[Screen::Menu]);
    let whole = written(|out| write_reply(&reply, out)).len();
    for capacity in (0..whole).step_by(crate::STRIDE) {
        assert_eq!(write_reply(&reply, &mut [0; 512][..capacity]), Err(BufferTooSmall));
    }
    assert_eq!(write_reply(&reply, &mut [0; 512][..whole]), Ok(whole));
}
