//! The `raw` wire, hosts without numbers, and peers of another wire.
use super::*;

fn plain(wire: Wire) -> TestTerminal {
    let config = config(wire, LinkKind::Connection, None, Memory::default());
    Terminal::new(Config { profile: None, ..config }, Instant::default())
}

fn read(terminal: &mut TestTerminal, bytes: &[u8]) -> Vec<Shown> {
    feed(terminal, bytes, Instant::default())
}

fn texts(shown: Vec<Shown>) -> Vec<String> {
    shown.iter().map(|shown| shown.text().to_string()).collect()
}

#[test]
fn raw_objects_open_and_close_prompts() {
    let mut terminal = plain(Wire::Raw);
    let now = Instant::default();
    assert_eq!(terminal.prompt(), None);
    assert!(terminal.output().is_empty(), "there is no hello on this wire");
    assert_eq!(texts(read(&mut terminal, br#"{"input": false, "data": "Hi\u0021 \"}\""}"#)), ["Hi! \"}\""]);
    assert_eq!(terminal.prompt(), None);
    assert_eq!(
        texts(read(&mut terminal, br#"{"input":true,"data":"a"}{"input":true,"data":"b"}"#)),
        ["a", "b"]
    );
    assert_eq!(terminal.prompt(), Some(None));
    terminal.answer(None, " 40 ", now).unwrap();
    assert_eq!(terminal.output(), b"40");
    assert!(terminal.is_awaiting_reply() && terminal.memory().pending.is_none());
    terminal.consume(2);
    assert_eq!(terminal.answer(None, "40", now), Err(AnswerError::NotOpen));
    read(&mut terminal, br#"{"input":true,"data":"c"}"#);
    // An empty message would be no bytes.
    terminal.answer(None, "", now).unwrap();
    assert_eq!(terminal.output(), b" ");
}

#[test]
fn raw_objects_may_be_cut_anywhere() {
    let stream = r#"{"input":true,"data":"é\ud83d\ude00 {\"x\""} {"input":false,"data":"}"}"#;
    for cut in (1..stream.len()).step_by(crate::STRIDE) {
        let mut terminal = plain(Wire::Raw);
        let mut shown = read(&mut terminal, &stream.as_bytes()[..cut]);
        shown.extend(read(&mut terminal, &stream.as_bytes()[cut..]));
        assert_eq!(texts(shown), ["é😀 {\"x\"", "}"], "cut at {cut}");
    }
}

#[test]
fn on_raw_anything_but_a_message_is_shown_as_text() {
    for text in ["Server full.\n", "{not json}", r#"{"data":"no input"}"#, r#"{"input":1,"data":"x"}"#, "[1]"]
    {
        let mut terminal = plain(Wire::Raw);
        let shown: String = texts(read(&mut terminal, text.as_bytes())).concat();
        assert_eq!(shown, text);
        assert_eq!(terminal.prompt(), None);
    }
    assert_eq!(texts(read(&mut plain(Wire::Raw), b"a\xffb")).concat(), "a\u{fffd}b");
}

#[test]
fn on_raw_an_unfinished_object_is_shown_after_the_frame_timeout_or_the_end() {
    for end in [false, true] {
        let mut terminal = plain(Wire::Raw);
        assert_eq!(read(&mut terminal, br#"{"input":tr"#), []);
        if end {
            terminal.end();
        } else {
            assert_eq!(terminal.deadline(), Some(Instant::from_millis(10_000)));
            terminal.tick(Instant::from_millis(10_000));
        }
        assert_eq!(texts(drain(&mut terminal, Instant::default())), [r#"{"input":tr"#]);
    }
}

#[test]
fn a_host_without_numbers_is_served_on_json() {
    let frame = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let mut terminal = plain(Wire::Json);
    assert_eq!(texts(read(&mut terminal, &frame(br#"{"input":true,"data":"a"}"#))), ["a"]);
    terminal.answer(None, "40", Instant::default()).unwrap();
    assert!(terminal.output().ends_with(br#"{"data":"40"}"#));
    assert_eq!(texts(read(&mut terminal, &frame(br#"{"input":false,"data":"b","end":true}"#))), ["b"]);
    assert!(terminal.is_over());
    assert_eq!(read(&mut terminal, &frame(br#"{"input":true,"data":"c"}"#)), []);
    assert!(terminal.is_over());
}

#[test]
fn another_wire_is_reported_as_wrong_wire() {
    let raw = br#"{"input":true,"data":"Welcome"}"#;
    assert_eq!(read(&mut plain(Wire::Json), raw), [Shown::Broken(Fault::WrongWire)]);
    assert_eq!(read(&mut plain(Wire::Json), &raw[..4]), [Shown::Broken(Fault::WrongWire)]);
    let json = [&(raw.len() as u32).to_be_bytes()[..], raw].concat();
    assert_eq!(read(&mut plain(Wire::Raw), &json), [Shown::Broken(Fault::WrongWire)]);
    assert_eq!(read(&mut plain(Wire::Raw), &json[..1]), [Shown::Broken(Fault::WrongWire)]);
    // A zero in the middle of text is text.
    assert_eq!(texts(read(&mut plain(Wire::Raw), b"a\0b")), ["a\0b"]);
}

#[test]
fn a_bad_message_of_a_host_is_a_fault_and_the_session_continues() {
    let frame = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let mut terminal = plain(Wire::Json);
    for (body, fault) in [
        (&b"x"[..], Fault::NotJson),
        (b"", Fault::Empty),
        (br#"{"input":true}"#, Fault::NotAMessage),
        (b"\xff", Fault::NotUtf8),
        (&[b'x'; host::OUT + 1], Fault::TooLong),
    ] {
        assert_eq!(read(&mut terminal, &frame(body)), [Shown::Fault(fault)]);
    }
    assert_eq!(texts(read(&mut terminal, &frame(br#"{"input":true,"data":"a"}"#))), ["a"]);
    assert_eq!(read(&mut terminal, &[0xff; 4]), [Shown::Broken(Fault::TooLong)]);
}
