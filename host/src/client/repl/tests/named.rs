//! The REPL of a named terminal: scripts, a busy server, reconnecting.
use super::*;
use atm_core::terminal::Profile;

/// Runs a piped script as a named terminal, at a server that sends `reply` to its second answer. Returns the exit code, the
/// error output and the answers that the server received.
fn run_script(reply: &'static str) -> (Exit, String, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        receive(&mut stream, "}");
        let menu = r#"{"seq":7,"re":3,"hello":1,"ledger":"00000000000000aa","start":5,"attempt":1,"outcome":"not-done","input":true,"data":"Menu"}"#;
        send(&mut stream, &framed(menu));
        let first = receive(&mut stream, "}");
        send(&mut stream, &framed(r#"{"seq":8,"re":7,"input":true,"data":"How much?"}"#));
        let second = receive(&mut stream, "}");
        send(&mut stream, &framed(reply));
        [first, second, receive(&mut stream, "}")].map(|answer| answer.chars().skip(4).collect()).to_vec()
    });
    let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start: 5, ..Profile::default() };
    let options = Options { profile: Some(profile), ..Options::new(Target::Tcp(vec![address])) };
    let mut link = Link::open(&options).unwrap();
    let mut console = Console::reading(b"withdraw\n40\n3\n".as_slice(), link.wake()).unwrap();
    let mut err = Vec::new();
    let code = run_repl(&mut link, &mut console, PipeOptions::default(), &mut io::sink(), &mut err);
    drop(link);
    (code, String::from_utf8(err).unwrap(), serving.join().unwrap())
}

#[test]
fn a_script_leaves_at_the_first_line_that_failed() {
    let [first, second, third] =
        [r#"{"re":7,"data":"withdraw"}"#, r#"{"re":8,"data":"40"}"#, r#"{"re":9,"data":"exit"}"#];
    for (reply, exit, err) in [
        (
            r#"{"seq":9,"re":8,"input":true,"data":"No.","outcome":"refused","reason":"insufficient","balance":1}"#,
            Exit::Refused,
            "stopped at line 2 (\"40\"): it was refused\n",
        ),
        (
            r#"{"seq":9,"re":8,"input":true,"data":"Not done.","outcome":"not-done"}"#,
            Exit::NotDone,
            "stopped at line 2 (\"40\"): it was not done\n",
        ),
        (
            r#"{"seq":9,"re":8,"input":true,"data":"?","outcome":"unknown"}"#,
            Exit::Unknown,
            "stopped at line 2 (\"40\"): its outcome is unknown\n",
        ),
    ] {
        let (code, stderr, received) = run_script(reply);
        assert_eq!((code, stderr.as_str()), (exit, err));
        assert_eq!(received, [first, second, third]);
    }
}

#[test]
fn a_busy_server_is_reported_and_a_second_answer_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        receive(&mut stream, "}");
        let menu = r#"{"seq":7,"hello":1,"ledger":"00000000000000aa","start":5,"attempt":1,"input":true,"data":"Menu"}"#;
        send(&mut stream, &framed(menu));
        let mut count = 0;
        while receive(&mut stream, "}").contains("deposit 1") {
            count += 1;
            send(
                &mut stream,
                &framed(r#"{"re":7,"input":false,"data":"Working on it.","notice":"working"}"#),
            );
        }
        count
    });
    let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start: 5, ..Profile::default() };
    let options = Options { profile: Some(profile), ..Options::new(Target::Tcp(vec![address])) };
    let result = run_with(&options, "deposit 1\ndeposit 2\nexit\n");
    let err = "the server is still working on the last answer (exit leaves)\n\
               not sent: the previous answer has no reply yet (exit leaves)\n\
               unknown: check the balance\n";
    assert!(result.time >= time::Duration::from_secs(10), "{:?}", result.time);
    result.is(Exit::Unknown, "Menu\n>>> >>> >>> ", err);
    assert!(serving.join().unwrap() > 1);
}

#[test]
fn a_server_whose_ledger_does_not_answer_the_hello_is_not_ready_yet() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        while receive(&mut stream, "}").contains("hello") {
            send(&mut stream, &framed(r#"{"input":false,"data":"Working on it.","notice":"working"}"#));
        }
    });
    let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start: 5, ..Profile::default() };
    let options = Options { profile: Some(profile), ..Options::new(Target::Tcp(vec![address])) };
    let result = run_with(&options, "exit\n");
    assert!(result.err.contains("the server is not ready yet (exit leaves)\n"), "{}", result.err);
    serving.join().unwrap();
}

#[test]
fn an_answer_typed_while_disconnected_is_sent_only_if_its_prompt_is_still_open() {
    for (seq, sent) in [(7, true), (9, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (read, mut typing) = pipe().unwrap();
        let serving = thread::spawn(move || {
            let menu = |seq, attempt| {
                let fields = format!(r#""seq":{seq},"hello":1,"ledger":"00000000000000aa","start":5"#);
                framed(&format!(r#"{{{fields},"attempt":{attempt},"input":true,"data":"Menu"}}"#))
            };
            let mut stream = listener.accept().unwrap().0;
            receive(&mut stream, "}");
            send(&mut stream, &menu(7, 1));
            // The prompt may be open for longer than a reply is waited for.
            thread::sleep(time::Duration::from_millis(2_100));
            drop(stream);
            let mut stream = listener.accept().unwrap().0;
            stream.set_read_timeout(Some(time::Duration::from_secs(20))).unwrap();
            receive(&mut stream, "}");
            // The hello is unanswered, so the client does not know yet whether the prompt is still open.
            typing.write_all(b"3\n").unwrap();
            thread::sleep(time::Duration::from_millis(200));
            send(&mut stream, &menu(seq, 2));
            let received = if seq == 7 { receive(&mut stream, "}") } else { String::new() };
            send(&mut stream, &framed(r#"{"seq":10,"re":7,"input":false,"data":"Bye.","end":true}"#));
            (received, typing)
        });
        let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start: 5, ..Profile::default() };
        let options = Options { profile: Some(profile), ..Options::new(Target::Tcp(vec![address])) };
        let mut link = Link::open(&options).unwrap();
        let mut console = Console::reading(BufReader::new(read), link.wake()).unwrap();
        let mut err = Vec::new();
        let code = thread::scope(|scope| {
            let repl = scope.spawn(|| {
                let pipe = PipeOptions { reply_timeout: Duration::from_secs(2), ..PipeOptions::default() };
                run_repl(&mut link, &mut console, pipe, &mut io::sink(), &mut err)
            });
            let (received, typing) = serving.join().unwrap();
            assert_eq!(received.ends_with(r#"{"re":7,"data":"3"}"#), sent, "{received}");
            drop(typing);
            repl.join().unwrap()
        });
        let err = String::from_utf8(err).unwrap();
        assert!(err.starts_with("connection lost; reconnecting\nreconnected\n"), "{err}");
        assert_eq!((code, err.contains("stopped: a new session began")), (Exit::Error, !sent), "{err}");
    }
}
