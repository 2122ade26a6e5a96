//! Terminals with a name.
use super::*;
use atm_core::terminal::{Memory, Profile};

/// A named terminal, piped, at a server that says `reply` to its second answer.
fn script_told(reply: &'static str) -> (ExitCode, String, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        hear(&mut stream, "}");
        let menu = r#"{"seq":7,"re":3,"hello":1,"ledger":"00000000000000aa","start":5,"attempt":1,"outcome":"not-done","input":true,"data":"Menu"}"#;
        say(&mut stream, &framed(menu));
        let first = hear(&mut stream, "}");
        say(&mut stream, &framed(r#"{"seq":8,"re":7,"input":true,"data":"How much?"}"#));
        let second = hear(&mut stream, "}");
        say(&mut stream, &framed(reply));
        [first, second, hear(&mut stream, "}")].map(|answer| answer.chars().skip(4).collect()).to_vec()
    });
    let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start: 5, memory: Memory::default() };
    let options = Options { profile: Some(profile), ..Options::new(Target::Tcp(address)) };
    let mut link = Link::open(&options).unwrap();
    let mut console = Console::reading(b"withdraw\n40\nexit\n".as_slice(), link.wake()).unwrap();
    let mut err = Vec::new();
    let code = run_repl(&mut link, &mut console, &mut io::sink(), &mut err);
    drop(link);
    (code, String::from_utf8(err).unwrap(), serving.join().unwrap())
}

#[test]
fn a_script_stops_at_the_first_answer_that_was_not_done() {
    let (first, second) = (r#"{"re":7,"data":"withdraw"}"#, r#"{"re":8,"data":"40"}"#);
    for (reply, err, third) in [
        (
            r#"{"seq":9,"re":8,"input":true,"data":"No.","outcome":"refused","reason":"insufficient","balance":1}"#,
            "",
            r#"{"re":9,"data":"exit"}"#,
        ),
        (
            r#"{"seq":9,"re":8,"input":true,"data":"Not done.","outcome":"not-done"}"#,
            "stopped at the answer \"40\": it was not done\n",
            "",
        ),
        (
            r#"{"seq":9,"re":8,"input":true,"data":"?","outcome":"unknown"}"#,
            "stopped at the answer \"40\": it is not known what became of it\n",
            "",
        ),
    ] {
        let (code, told, heard) = script_told(reply);
        let expected = if err.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        assert_eq!((code, told.as_str()), (expected, err));
        assert_eq!(heard, [first, second, third]);
    }
}

#[test]
fn a_person_is_told_that_the_server_is_busy_and_that_nothing_more_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        hear(&mut stream, "}");
        let menu = r#"{"seq":7,"hello":1,"ledger":"00000000000000aa","start":5,"attempt":1,"input":true,"data":"Menu"}"#;
        say(&mut stream, &framed(menu));
        let mut count = 0;
        while hear(&mut stream, "}").contains("deposit 1") {
            count += 1;
            say(&mut stream, &framed(r#"{"re":7,"input":false,"data":"Working on it.","notice":"working"}"#));
        }
        count
    });
    let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start: 5, memory: Memory::default() };
    let options = Options { profile: Some(profile), ..Options::new(Target::Tcp(address)) };
    let told = told_by(&options, "deposit 1\ndeposit 2\nexit\n");
    let err = "the server is there, and busy with the last answer (exit leaves)\n\
               this was not sent: the answer before it is out, and has no reply yet (exit leaves)\n\
               unknown: check the balance\n";
    assert!(told.time >= time::Duration::from_secs(10), "{:?}", told.time);
    told.is(ExitCode::SUCCESS, "Menu\n>>> \n>>> \n>>> \n", err);
    assert!(serving.join().unwrap() > 1);
}

#[test]
fn what_was_typed_while_the_connection_was_lost_is_sent_where_its_prompt_is_open_again() {
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
            hear(&mut stream, "}");
            say(&mut stream, &menu(7, 1));
            thread::sleep(time::Duration::from_millis(100));
            drop(stream);
            let mut stream = listener.accept().unwrap().0;
            hear(&mut stream, "}");
            // The hello has come, and the host has not said yet whether the prompt is still open.
            typing.write_all(b"3\n").unwrap();
            thread::sleep(time::Duration::from_millis(200));
            say(&mut stream, &menu(seq, 2));
            let heard = if seq == 7 { hear(&mut stream, "}") } else { String::new() };
            say(&mut stream, &framed(r#"{"seq":10,"re":7,"input":false,"data":"Bye.","end":true}"#));
            (heard, typing)
        });
        let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start: 5, ..Profile::default() };
        let options = Options { profile: Some(profile), ..Options::new(Target::Tcp(address)) };
        let mut link = Link::open(&options).unwrap();
        let mut console = Console::reading(BufReader::new(read), link.wake()).unwrap();
        let mut err = Vec::new();
        let code = thread::scope(|scope| {
            let talking = scope.spawn(|| run_repl(&mut link, &mut console, &mut io::sink(), &mut err));
            let (heard, typing) = serving.join().unwrap();
            assert_eq!(heard.ends_with(r#"{"re":7,"data":"3"}"#), sent, "{heard}");
            drop(typing);
            talking.join().unwrap()
        });
        let err = String::from_utf8(err).unwrap();
        assert!(err.starts_with("connection lost; reconnecting\nconnected again\n"), "{err}");
        assert_eq!(
            (code, err.contains("stopped: the session began anew")),
            (ExitCode::FAILURE, !sent),
            "{err}"
        );
    }
}
