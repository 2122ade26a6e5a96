//! The raw wire, and lines that speak another wire than this terminal.
use super::*;

fn plain(wire: Wire) -> Kiosk {
    let config = config(wire, LinkKind::Connection, None, Memory::default());
    Terminal::new(Config { profile: None, ..config }, Instant::default())
}

fn read(terminal: &mut Kiosk, bytes: &[u8]) -> Vec<Told> {
    feed(terminal, bytes, Instant::default())
}

fn texts(told: Vec<Told>) -> Vec<String> {
    told.iter().map(|told| told.text().to_string()).collect()
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
    // No bytes at all would never be read.
    terminal.answer(None, "", now).unwrap();
    assert_eq!(terminal.output(), b" ");
}

#[test]
fn raw_objects_may_be_cut_anywhere() {
    let stream = r#"{"input":true,"data":"é\ud83d\ude00 {\"x\""} {"input":false,"data":"}"}"#;
    for cut in (1..stream.len()).step_by(crate::STRIDE) {
        let mut terminal = plain(Wire::Raw);
        let mut told = read(&mut terminal, &stream.as_bytes()[..cut]);
        told.extend(read(&mut terminal, &stream.as_bytes()[cut..]));
        assert_eq!(texts(told), ["é😀 {\"x\"", "}"], "cut at {cut}");
    }
}

#[test]
fn on_raw_what_is_no_message_is_shown_as_text() {
    for text in ["Server full.\n", "{not json}", r#"{"data":"no input"}"#, r#"{"input":1,"data":"x"}"#, "[1]"]
    {
        let mut terminal = plain(Wire::Raw);
        let told: String = texts(read(&mut terminal, text.as_bytes())).concat();
        assert_eq!(told, text);
        assert_eq!(terminal.prompt(), None);
    }
    assert_eq!(texts(read(&mut plain(Wire::Raw), b"a\xffb")).concat(), "a\u{fffd}b");
}

#[test]
fn on_raw_what_never_ends_is_shown_when_its_time_is_over_or_the_stream_is() {
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
fn a_host_without_numbers_is_understood_on_json_too() {
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
fn another_wire_is_told_as_such() {
    let raw = br#"{"input":true,"data":"Welcome"}"#;
    assert_eq!(read(&mut plain(Wire::Json), raw), [Told::Broken(Fault::WrongWire)]);
    assert_eq!(read(&mut plain(Wire::Json), &raw[..4]), [Told::Broken(Fault::WrongWire)]);
    let json = [&(raw.len() as u32).to_be_bytes()[..], raw].concat();
    assert_eq!(read(&mut plain(Wire::Raw), &json), [Told::Broken(Fault::WrongWire)]);
    assert_eq!(read(&mut plain(Wire::Raw), &json[..1]), [Told::Broken(Fault::WrongWire)]);
    // In the middle of text a zero is text.
    assert_eq!(texts(read(&mut plain(Wire::Raw), b"a\0b")), ["a\0b"]);
}

#[test]
fn a_bad_message_of_a_host_is_a_fault_and_no_more() {
    let frame = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let mut terminal = plain(Wire::Json);
    for (body, fault) in [
        (&b"x"[..], Fault::NotJson),
        (b"", Fault::Empty),
        (br#"{"input":true}"#, Fault::NotAMessage),
        (b"\xff", Fault::NotUtf8),
        (&[b'x'; host::OUT + 1], Fault::TooLong),
    ] {
        assert_eq!(read(&mut terminal, &frame(body)), [Told::Fault(fault)]);
    }
    assert_eq!(texts(read(&mut terminal, &frame(br#"{"input":true,"data":"a"}"#))), ["a"]);
    assert_eq!(read(&mut terminal, &[0xff; 4]), [Told::Broken(Fault::TooLong)]);
}
