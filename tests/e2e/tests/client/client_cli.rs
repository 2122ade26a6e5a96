//! `atm client` for a pipe: what it shows, when it ends, and with which code.
use atm_e2e::{Client, Program, Server, Signal, TIMEOUT, atm, frame, json};
use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

const MENU: &str = "Welcome to the ATM. What would you like to do?\n1. Deposit\n2. Withdraw\n3. Balance\n\
    Type a number or a word; exit ends the session, quit also stops the server.\n";

const WIRES: [&str; 3] = ["json", "raw", "postcard"];

/// Something that is to happen at once, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(4);

fn client(address: SocketAddr, wire: &str) -> Program {
    Program::start(atm(&["client", "--connect", &address.to_string(), "--wire", wire]))
}

/// Runs a client whose whole input is `lines`.
fn run(address: SocketAddr, wire: &str, lines: &str) -> atm_e2e::Output {
    Program::run(atm(&["client", "--connect", &address.to_string(), "--wire", wire]), lines)
}

#[test]
fn a_pipe_is_shown_the_conversation() {
    let expected = format!(
        "{MENU}>>> \nHow much would you like to deposit? (whole units, or back)\n>>> \n\
        Amount deposited: $40. Your balance is $140.\n\n{MENU}>>> \nYour balance is $140.\n\n{MENU}>>> \nGoodbye.\n"
    );
    for wire in WIRES {
        for lines in [
            "1\n40\n3\nexit\n",
            "1\n40\n3\nexit",
            "1\r\n 40 \r\n3\r\nEXIT\r\nnever read\n",
            "1\n40\n3\n",
            "1\n40\n3",
        ] {
            let server = Server::start(&["--wire", wire]);
            let done = run(server.address, wire, lines);
            assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{wire} {lines:?} {done:?}");
            assert_eq!(done.stdout, expected, "{wire} {lines:?}");
            server.stop();
        }
    }
}

#[test]
fn the_end_of_the_input_is_exit_at_every_prompt() {
    let server = Server::start(&[]);
    for lines in ["", "1\n", "2\n", "deposit\nforty\n"] {
        let done = run(server.address, "json", lines);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{lines:?}");
        assert!(done.stdout.ends_with(">>> \nGoodbye.\n"), "{lines:?}: {}", done.stdout);
    }
    server.stop();
}

#[test]
fn without_a_server_one_line_says_how_to_start_one() {
    // A port that nobody listens on any more.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = run(address, "json", "3\n");
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert_eq!(
        done.stderr,
        format!("no server at {address}: start one with: atm serve --listen {address}\n")
    );
    for address in ["127.0.0.1:0", "256.0.0.1:1"] {
        let done = Program::run(atm(&["client", "--connect", address]), "");
        assert_eq!((done.code, done.stderr.lines().count()), (Some(1), 1), "{address}: {done:?}");
    }
    for address in ["nowhere", "127.0.0.1", "127.0.0.1:65536", ":1", ""] {
        let done = Program::run(atm(&["client", "--connect", address]), "");
        assert_eq!(done.code, Some(2), "{address}: {done:?}");
    }
}

#[test]
fn a_server_that_is_killed_ends_a_client_that_waits_at_a_prompt() {
    for wire in WIRES {
        for lines in [&[][..], &["1"], &["2"]] {
            let server = Server::start(&["--wire", wire]);
            let mut client = client(server.address, wire);
            for (number, line) in lines.iter().enumerate() {
                client.wait_for_times(">>> ", number + 1);
                client.type_line(line);
            }
            client.wait_for_times(">>> ", lines.len() + 1);
            server.program.signal(Signal::KILL);
            // Its input stays open.
            let since = Instant::now();
            let done = client.finish();
            assert_eq!(
                (done.code, done.stderr.as_str()),
                (Some(1), "the server closed the connection\n"),
                "{done:?}"
            );
            assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
        }
    }
}

#[test]
fn a_server_that_stops_is_shown_to_say_so() {
    for wire in WIRES {
        let server = Server::start(&["--wire", wire]);
        let client = client(server.address, wire);
        client.wait_for(">>> ");
        server.program.signal(Signal::TERM);
        let done = client.finish();
        assert_eq!(done.code, Some(1), "{done:?}");
        // On the old wire nothing says that it was the last word: the prompt is shown again.
        let rest = if wire == "raw" { ">>> \n" } else { "" };
        let last = format!(">>> \nThe server is stopping. Goodbye.\n{rest}");
        assert!(done.stdout.ends_with(&last), "{done:?}");
        assert!(!done.stderr.contains("unknown"), "{done:?}");
        assert_eq!(server.program.finish().code, Some(0));
    }
}

#[test]
fn quit_stops_the_server_and_succeeds() {
    for wire in WIRES {
        for lines in ["quit\n", "1\nquit\n", "2\nQuit"] {
            let server = Server::start(&["--wire", wire]);
            let done = run(server.address, wire, lines);
            assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{wire} {lines:?}: {done:?}");
            assert!(
                done.stdout.ends_with("The server is stopping. Goodbye.\n"),
                "{wire} {lines:?}: {done:?}"
            );
            assert_eq!(server.program.finish().code, Some(0), "{wire} {lines:?}");
        }
    }
}

/// A server that this test plays: it accepts one client and greets it with the messages.
fn play(greeting: Vec<u8>) -> (SocketAddr, thread::JoinHandle<Client>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accept = move || {
        let mut client = Client::new(listener.accept().unwrap().0);
        client.send(&greeting);
        client
    };
    (address, thread::spawn(accept))
}

fn prompt(seq: u64) -> Vec<u8> {
    frame(json!({ "seq": seq, "re": seq - 1, "input": true, "data": "Yes?" }).to_string())
}

#[test]
fn where_an_answer_was_out_nobody_knows_what_became_of_it() {
    let bare = |text| json!({ "input": true, "data": text }).to_string().into_bytes();
    for (wire, greeting) in [("json", prompt(1)), ("raw", bare("Yes?"))] {
        // It takes the answer and goes, before the reply or in the middle of it.
        let partial: [&[u8]; 3] = [b"", b"\0", b"{\"input\":"];
        for partial in partial {
            let (address, server) = play(greeting.clone());
            let mut client = client(address, wire);
            let mut server = server.join().unwrap();
            client.wait_for(">>> ");
            client.type_line("deposit 40");
            let mut byte = [0];
            server.stream().read_exact(&mut byte).unwrap();
            if wire == "raw" || !partial.starts_with(b"{") {
                server.send(partial);
            }
            server.half_close();
            let done = client.finish();
            assert_eq!(done.code, Some(1), "{wire} {partial:?}: {done:?}");
            assert!(done.stderr.ends_with("unknown: check the balance\n"), "{wire} {partial:?}: {done:?}");
        }
    }
}

#[test]
fn where_no_answer_was_out_nothing_is_unknown() {
    for greeting in [vec![], prompt(1), prompt(1)[..20].to_vec()] {
        let (address, server) = play(greeting);
        let client = client(address, "json");
        drop(server.join().unwrap());
        let done = client.finish();
        assert_eq!((done.code, done.stderr.lines().count()), (Some(1), 1), "{done:?}");
        assert!(!done.stderr.contains("unknown"), "{done:?}");
    }
}

#[test]
fn a_wrong_wire_is_told_at_once() {
    let since = Instant::now();
    for (here, there) in [("json", "raw"), ("json", "postcard"), ("raw", "json"), ("raw", "postcard")] {
        let server = Server::start(&["--wire", there]);
        let done = run(server.address, here, "deposit 1\n3\n");
        assert_eq!(done.code, Some(1), "{here} to {there}: {done:?}");
        let told = format!("does not speak the {here} wire: check that both sides use the same --wire");
        assert!(done.stderr.contains(&told), "{here} to {there}: {done:?}");
        let own = run(server.address, there, "3\n");
        assert!(own.stdout.contains("Your balance is $100."), "{own:?}");
        server.stop();
    }
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
}

#[test]
fn however_the_replies_are_cut_they_are_shown_the_same() {
    // What the server says, in lockstep with a client that this test plays.
    let lines = ["1", "40", "sing", "withdraw 40", "exit"];
    for wire in ["json", "raw"] {
        let server = Server::start(&["--wire", wire]);
        let expected = run(server.address, wire, &lines.join("\n")).stdout;
        for (number, chunk) in [1, 3, 7, 64].into_iter().enumerate() {
            let mut real = Client::connect(server.address);
            let (address, played) = play(vec![]);
            let mut client = client(address, wire);
            let mut played = played.join().unwrap();
            for turn in 0..=lines.len() {
                let reply = match wire {
                    "json" => frame(real.read().to_string()),
                    _ => real.read_once(),
                };
                for piece in reply.chunks(chunk) {
                    played.send(piece);
                }
                if let Some(line) = lines.get(turn) {
                    client.wait_for_times(">>> ", turn + 1);
                    client.type_line(line);
                    let answer = match wire {
                        "json" => frame(played.read().to_string()),
                        _ => played.read_once(),
                    };
                    real.send(&answer);
                }
            }
            played.half_close();
            let done = client.finish();
            assert_eq!(
                (done.code, done.stdout.as_str()),
                (Some(0), expected.as_str()),
                "{wire} {chunk} {number}"
            );
        }
        server.stop();
    }
}

#[test]
fn whatever_a_server_sends_the_client_ends_with_it() {
    let deep = json!({ "input": true, "data": "x" }).to_string().replace("\"x\"", &"[".repeat(100_000));
    let control = json!({ "seq": 1, "input": true, "data": "\u{1b}]0;title\u{7}\u{9b}2J" }).to_string();
    let talks: [(&str, Vec<u8>); 9] = [
        ("zeros", vec![0; 10_000]),
        ("a huge length", vec![0xff; 10_000]),
        ("a web server", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("nested", frame(&deep[..60_000])),
        ("no JSON", frame("hello")),
        ("no message", frame("{\"input\":1}")),
        ("control characters", frame(control)),
        ("a lone surrogate", frame("{\"input\":false,\"data\":\"\\ud800\"}")),
        ("half a message", prompt(1)[..12].to_vec()),
    ];
    for (name, talk) in talks {
        for wire in WIRES {
            let (address, server) = play(talk.clone());
            let client = client(address, wire);
            let server = server.join().unwrap();
            let since = Instant::now();
            drop(server);
            let done = client.finish();
            assert_eq!(done.code, Some(1), "{name} to {wire}: {done:?}");
            assert!(since.elapsed() < AT_ONCE, "{name} to {wire}: {:?}", since.elapsed());
            let harmless = |text: &str| text.chars().all(|c| !c.is_control() || "\n\t".contains(c));
            assert!(harmless(&done.stdout) && harmless(&done.stderr), "{name} to {wire}: {done:?}");
            assert!(
                !done.stderr.is_empty() && !done.stderr.contains("panicked"),
                "{name} to {wire}: {done:?}"
            );
        }
    }
}

#[test]
fn a_client_that_is_killed_costs_the_server_nothing() {
    // One place, besides this test's own: it must be free again each time.
    let server = Server::start(&["--max-sessions", "1"]);
    for (lines, balance) in
        [(&[][..], 100), (&["1"], 100), (&["2"], 100), (&["deposit 5"], 105), (&["withdraw", "5"], 100)]
    {
        let mut client = connect_when_free(server.address);
        for (number, line) in lines.iter().enumerate() {
            client.wait_for_times(">>> ", number + 1);
            client.type_line(line);
        }
        client.wait_for_times(">>> ", lines.len() + 1);
        client.signal(Signal::KILL);
        assert_eq!(client.finish().code, None);
        let mut next = connect_when_free(server.address);
        next.type_line("3");
        next.wait_for(&format!("Your balance is ${balance}."));
    }
    server.stop();
}

/// A client at its first prompt, once the server has seen that there is a place for it.
fn connect_when_free(address: SocketAddr) -> Program {
    let until = Instant::now() + TIMEOUT;
    loop {
        let client = client(address, "json");
        if client.wait_until(|text| {
            let busy = text.contains("as many sessions as it takes");
            (busy || text.contains(">>> ")).then_some(!busy)
        }) {
            return client;
        }
        assert_eq!(client.finish().code, Some(1), "a client that is turned away fails");
        assert!(Instant::now() < until, "no place is free");
    }
}

#[test]
fn what_is_no_answer_is_not_sent() {
    let server = Server::start(&[]);
    let long = "9".repeat(100_000);
    let done = run(server.address, "json", &format!("deposit\n{long}\n{}\n40\n", "9".repeat(65)));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.stderr.matches("at most 64 bytes").count(), 2, "{done:?}");
    assert!(done.stdout.contains("Amount deposited: $40. Your balance is $140."), "{done:?}");
    server.stop();
}

#[test]
fn a_client_at_an_idle_prompt_is_told_and_ends() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let client = client(server.address, "json");
    let done = client.finish();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.ends_with(">>> \nNobody answered for too long. Goodbye.\n"), "{done:?}");
    server.stop();
}

#[test]
fn alone_it_is_a_server_and_a_client_in_one() {
    let done = Program::run(atm(&[]), "1\n40\n3\nexit\n");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.starts_with(MENU) && done.stdout.ends_with("\nGoodbye.\n"), "{done:?}");
    assert!(done.stdout.contains("Amount deposited: $40. Your balance is $140."), "{done:?}");
    let done = Program::run(atm(&[]), "quit\n");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
}
