//! The REPL at a host that floods it or never replies: what is printed stays bounded, and a pipe ends.
use super::*;
use atm_core::{terminal::Profile, time::Duration};

/// Runs a REPL whose lines come from a pipe that stays open, with two seconds for a reply.
fn run_pipe(options: &Options, lines: &str) -> RunResult {
    let mut link = Link::open(options).unwrap();
    let (reader, _writer) = pipe().unwrap();
    let source = BufReader::new(Cursor::new(lines.to_owned()).chain(reader));
    let mut console = Console::reading(source, link.wake()).unwrap();
    let (mut out, mut err, start) = (Vec::new(), Vec::new(), Moment::now());
    let pipe = PipeOptions { reply_timeout: Duration::from_secs(2), ..PipeOptions::default() };
    let code = run_repl(&mut link, &mut console, pipe, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    RunResult { code, out: text(out), err: text(err), time: start.elapsed() }
}

#[test]
fn invalid_messages_without_end_are_counted_and_not_printed_one_by_one() {
    let (result, _) = run(Wire::Json, "", |mut stream| {
        send(&mut stream, &framed("no JSON").repeat(12_345));
        send(&mut stream, &framed(r#"{"seq":1,"input":true,"data":"Menu"}"#));
    });
    let fault = "The message is not a JSON object.";
    let mut err = format!("the server sent an invalid message: {fault}\n");
    for count in ["10", "100", "1000", "10000"] {
        err += &format!("the server has sent {count} invalid messages; the last one: {fault}\n");
    }
    err += "the server closed the connection\nthe server has sent 12345 invalid messages\n";
    result.is(Exit::Error, "Menu\n>>> \n", &err);
}

#[test]
fn text_without_end_is_shown_up_to_a_mebibyte() {
    let line = "9".repeat(99);
    let json = |input| framed(&format!(r#"{{"input":{input},"data":"{line}"}}"#));
    for (wire, text) in
        [(Wire::Json, json(false)), (Wire::Json, json(true)), (Wire::Raw, format!("{line}\n").into_bytes())]
    {
        let (result, _) = run(wire, "", move |mut stream| send(&mut stream, &text.repeat(12_000)));
        // On the raw wire texts come in pieces.
        let count = result.out.matches(&line).count();
        assert!((MAX_TEXT / 110..=MAX_TEXT / 100).contains(&count), "{wire}: {count}");
        assert!(result.out.len() < MAX_TEXT * 2, "{wire}: {} bytes", result.out.len());
        let err = "the server sends too much text: no more is shown until the next answer\n\
                   the server closed the connection\n";
        assert_eq!((result.code, result.err.as_str()), (Exit::Error, err), "{wire}");
    }
}

#[test]
fn a_pipe_gives_up_waiting_for_a_reply_whatever_the_host_sends() {
    let menu = framed(r#"{"seq":1,"input":true,"data":"Menu"}"#);
    let working = framed(r#"{"re":1,"input":false,"data":"Working on it.","notice":"working"}"#);
    let text = framed(r#"{"input":false,"data":"Soon."}"#);
    // What it sends before the answer, and then again and again.
    for (first, then, exit) in [
        (menu.clone(), working, Exit::Unknown),
        (menu.clone(), framed("no JSON"), Exit::Unknown),
        (menu, text.clone(), Exit::Unknown),
        (text.clone(), text, Exit::Error),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            send(&mut stream, &first);
            while stream.write_all(&then).is_ok() {
                thread::sleep(time::Duration::from_millis(50));
            }
        });
        let result = run_pipe(&Options::new(Target::Tcp(vec![address])), "deposit 1\n");
        assert_eq!(result.code, exit, "{}", result.err);
        assert!(result.err.contains("no reply within 2 s\n"), "{}", result.err);
        assert_eq!(result.err.contains("unknown: check the balance\n"), exit == Exit::Unknown);
        serving.join().unwrap();
    }
}

#[test]
fn a_pipe_with_a_name_gives_up_waiting_for_a_host_that_works_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        receive(&mut stream, "}");
        let menu = r#"{"seq":7,"hello":1,"ledger":"00000000000000aa","start":5,"attempt":1,"input":true,"data":"Menu"}"#;
        send(&mut stream, &framed(menu));
        while receive(&mut stream, "}").contains("deposit 1") {
            send(&mut stream, &framed(r#"{"re":7,"input":false,"data":"Working.","notice":"working"}"#));
        }
    });
    let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start: 5, ..Profile::default() };
    let options = Options { profile: Some(profile), ..Options::new(Target::Tcp(vec![address])) };
    let result = run_pipe(&options, "deposit 1\n");
    let err = "no reply within 2 s\nstopped at line 1 (\"deposit 1\"): there is no reply\n\
               unknown: check the balance\n";
    result.is(Exit::Unknown, "Menu\n", err);
    serving.join().unwrap();
}

/// A message in a frame of 64 bytes.
fn padded(body: &str) -> Vec<u8> {
    framed(&format!("{body:60}"))
}

/// What a host may send without a pause: frames of whose lengths the client's read is a multiple, so that a whole one is always
/// there, and text.
fn floods() -> Vec<(Wire, Vec<u8>)> {
    let notice = r#"{"input":false,"data":"Soon."}"#;
    vec![
        (Wire::Json, framed("")),
        (Wire::Json, framed("junk")),
        (Wire::Json, padded(notice)),
        (Wire::Raw, b"}}}}\n".to_vec()),
    ]
}

/// The menu of an unnamed session.
fn menu(wire: Wire) -> Vec<u8> {
    if wire == Wire::Raw { MENU.to_vec() } else { padded(r#"{"seq":1,"input":true,"data":"Menu"}"#) }
}

/// Sends `piece` again and again for as long as the client reads it, 20 seconds at most.
fn flood(mut stream: TcpStream, piece: &[u8]) {
    let (pieces, start) = (piece.repeat(65_536 / piece.len()), Moment::now());
    while start.elapsed() < time::Duration::from_secs(20) && stream.write_all(&pieces).is_ok() {}
}

#[test]
fn a_pipe_gives_up_waiting_for_a_host_that_floods_it() {
    for (wire, piece) in floods() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let sent = piece.clone();
        let serving = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            send(&mut stream, &menu(wire));
            receive(&mut stream, "deposit 1");
            flood(stream, &sent);
        });
        let result = run_pipe(&Options { wire, ..Options::new(Target::Tcp(vec![address])) }, "deposit 1\n");
        serving.join().unwrap();
        assert_eq!(result.code, Exit::Unknown, "{wire} {piece:?}: {}", result.err);
        assert!(result.err.contains("no reply within 2 s\n"), "{wire} {piece:?}: {}", result.err);
        assert!(result.time < time::Duration::from_secs(10), "{wire}: {:?}", result.time);
    }
}

#[test]
fn a_person_leaves_a_host_that_floods_an_open_prompt() {
    for (wire, piece) in floods() {
        let (result, ()) = run(wire, "exit\n", move |mut stream| {
            send(&mut stream, &menu(wire));
            flood(stream, &piece);
        });
        assert_eq!(result.code, Exit::Done, "{wire}: {}", result.err);
        assert!(result.time < time::Duration::from_secs(10), "{wire}: {:?}", result.time);
    }
}

#[test]
fn a_person_leaves_an_unnamed_session_that_gets_messages_but_no_prompt() {
    for (greeting, lines, exit) in [(true, "deposit 1\nexit\n", Exit::Unknown), (false, "exit\n", Exit::Done)]
    {
        let (result, ()) = run(Wire::Json, lines, move |mut stream| {
            if greeting {
                send(&mut stream, &menu(Wire::Json));
            }
            flood(stream, &framed(""));
        });
        assert_eq!(result.code, exit, "{}", result.err);
        assert!(
            result.err.contains("the server sends messages but no prompt (exit leaves)\n"),
            "{}",
            result.err
        );
        assert_eq!(result.err.contains("unknown: check the balance\n"), greeting, "{}", result.err);
    }
}
