//! Sessions by card: the idle time, the offer to hide secrets, and what a transcript has of them.
use super::*;
use crate::client::Direction;
use atm_core::screen::{CardScreen, Screen};

const PIN: &str = "864297";

/// Serves a card prompt, to a terminal that hides secrets alone, and after its answer a secret prompt; returns what was received, and
/// the stream.
fn serve_pin_prompt(listener: &TcpListener) -> (Vec<String>, TcpStream) {
    let mut stream = listener.accept().unwrap().0;
    let mut received = vec![receive(&mut stream).unwrap()];
    stream.write_all(&framed(r#"{"input":false,"data":"By card.","error":"by-card"}"#)).unwrap();
    received.push(receive(&mut stream).unwrap());
    let menu = String::from_utf8(welcome(&received[1], 7)[4..].to_vec()).unwrap();
    let card = menu.replace("Menu", &Screen::Card(CardScreen::CardPrompt).to_string());
    stream.write_all(&framed(&card)).unwrap();
    received.push(receive(&mut stream).unwrap());
    let pin = r#"{"seq":8,"re":7,"input":true,"data":"Please type your PIN.","secret":true}"#;
    stream.write_all(&framed(pin)).unwrap();
    (received, stream)
}

fn options(listener: &TcpListener) -> Options {
    let offers = Capabilities::SECRET_PROMPTS;
    Options { offers, ..named(listener.local_addr().unwrap().to_string()) }
}

/// The message of the secret prompt.
fn at_pin(link: &mut Link) -> ReceivedMessage {
    let LinkEvent::Message(card) = link.next(None) else { panic!("no message") };
    assert_eq!((card.secret, card.card), (false, Some(CardPrompt::Number)), "{card:?}");
    link.answer(Some(7), "4111111111111111").unwrap();
    let LinkEvent::Message(pin) = link.next(None) else { panic!("no message") };
    assert!(pin.secret, "{pin:?}");
    pin
}

#[test]
fn a_session_by_card_ends_at_the_idle_time_and_the_next_one_is_not_resumed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let idle = Duration::from_millis(500);
    let mut link = Link::open(&Options { idle_timeout: Some(idle), ..options(&listener) }).unwrap();
    let serving = thread::spawn(move || {
        let (received, mut stream) = serve_pin_prompt(&listener);
        let next = receive(&mut stream).unwrap();
        stream.write_all(&welcome(&next, 600)).unwrap();
        (received, next, stream)
    });
    at_pin(&mut link);
    let since = link.now();
    assert!(matches!(link.next(None), LinkEvent::NextPerson));
    assert!(since.until(link.now()) >= Duration::from_millis(400));
    assert_eq!(link.answer(Some(8), PIN), Err(AnswerError::NotOpen), "it was begun before");
    assert!(matches!(link.next(None), LinkEvent::Message(message) if message.seq == Some(600)));
    let (received, next, _stream) = serving.join().unwrap();
    assert!(received[0].starts_with(r#"{"hello":1,"#), "{received:?}");
    assert!(received[1].starts_with(r#"{"hello":2,"#) && received[1].contains(r#""capabilities":1"#));
    assert!(next.contains(r#""resume":false"#) && next.contains(r#""capabilities":1"#), "{next}");
}

#[test]
fn an_idle_notice_of_the_host_leads_to_the_next_session_on_another_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::open(&options(&listener)).unwrap();
    let serving = thread::spawn(move || {
        let (_, mut stream) = serve_pin_prompt(&listener);
        let idle = r#"{"input":false,"data":"Too slow.","end":true,"notice":"idle"}"#;
        stream.write_all(&framed(idle)).unwrap();
        let mut stream = listener.accept().unwrap().0;
        let next = receive(&mut stream).unwrap();
        stream.write_all(&welcome(&next, 600)).unwrap();
        (next, stream)
    });
    at_pin(&mut link);
    assert!(matches!(link.next(None), LinkEvent::NextPerson));
    assert!(matches!(link.next(None), LinkEvent::Message(message) if message.seq == Some(600)));
    let (next, stream) = serving.join().unwrap();
    assert!(next.contains(r#""resume":false"#), "{next}");
    // A later loss is reported as any.
    drop(stream);
    assert!(matches!(link.next(None), LinkEvent::ConnectionLost));
}

#[test]
fn a_transcript_has_no_number_of_a_card_and_no_pin() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut link = Link::open(&options(&listener)).unwrap();
    link.start_transcript();
    let serving = thread::spawn(move || {
        let (received, mut stream) = serve_pin_prompt(&listener);
        let pin = receive(&mut stream).unwrap();
        // The PIN is retransmitted.
        assert_eq!(receive(&mut stream).unwrap(), pin);
        stream.write_all(&framed(r#"{"seq":9,"re":8,"input":true,"data":"Choose."}"#)).unwrap();
        (received, pin, receive(&mut stream).unwrap())
    });
    let pin = at_pin(&mut link);
    link.answer(pin.prompt.unwrap(), PIN).unwrap();
    assert!(matches!(link.next(None), LinkEvent::Message(_)));
    link.answer(Some(9), "balance").unwrap();
    let (received, secret, last) = serving.join().unwrap();
    assert!(received[2].contains("4111111111111111") && secret.contains(PIN));
    let out = link.take_transcript().into_iter().filter(|(direction, _)| *direction == Direction::Out);
    let sent: Vec<_> = out.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).collect();
    let answers = &sent[sent.len() - 4..];
    assert_eq!(answers[..3], ["(hidden)"; 3], "{sent:?}");
    assert!(sent[0].ends_with(&received[0]) && answers[3].ends_with(&last), "{sent:?}");
}
