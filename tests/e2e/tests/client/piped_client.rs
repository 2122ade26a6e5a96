//! `atm client` with lines from a pipe: its output, when it ends, and its exit code.
use atm_e2e::{Client, Program, Server, Signal, TIMEOUT, atm, frame, json, prompts, with_ephemeral_ports};
use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

const MENU: &str = "Welcome to the ATM. What would you like to do?\n1. Deposit\n2. Withdraw\n3. Balance\n\
    Type a number or a word; exit ends the session, quit also stops the server.\n";

pub(crate) const WIRES: [&str; 3] = ["json", "raw", "postcard"];

/// The longest time for something that does not wait, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(4);

fn client(address: SocketAddr, wire: &str) -> Program {
    Program::start(atm(&["client", "--connect", &address.to_string(), "--wire", wire]))
}

/// Runs a client whose whole input is `lines`.
pub(crate) fn run(address: SocketAddr, wire: &str, lines: &str) -> atm_e2e::Output {
    Program::run(atm(&["client", "--connect", &address.to_string(), "--wire", wire]), lines)
}

#[test]
fn piped_lines_show_the_whole_session() {
    let expected = format!(
        "{MENU}How much would you like to deposit? (whole units, or back)\n\
        Amount deposited: $40. Your balance is $140.\n\n{MENU}Your balance is $140.\n\n{MENU}Goodbye.\n"
    );
    for wire in WIRES {
        for lines in [
            "1\n40\n3\nexit\n",
            "1\n40\n3\nexit",
            "\u{feff}1\r\n 40 \r\n3\r\nEXIT\r\nnever read\n",
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
    for lines in ["", "1\n", "2\n", "deposit\n"] {
        let done = run(server.address, "json", lines);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{lines:?}");
        assert!(done.stdout.ends_with("\nGoodbye.\n"), "{lines:?}: {}", done.stdout);
    }
    server.stop();
}

#[test]
fn without_a_server_one_line_says_how_to_start_one() {
    // A port that was just closed.
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
fn a_client_does_not_connect_to_itself() {
    let command = atm(&["client", "--connect", "127.0.0.1:40000"]);
    let Some(command) = with_ephemeral_ports(&command, 40_000) else { return };
    let done = Program::run(command, "3\n");
    let err = "no server at 127.0.0.1:40000: start one with: atm serve --listen 127.0.0.1:40000\n";
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(1), "", err));
}

#[test]
fn a_killed_server_ends_a_client_at_its_prompt() {
    for wire in WIRES {
        for lines in [&[][..], &["1"], &["2"]] {
            let server = Server::start(&["--wire", wire]);
            let mut client = client(server.address, wire);
            for (number, line) in lines.iter().enumerate() {
                client.wait_for_prompts(number + 1);
                client.type_line(line);
            }
            client.wait_for_prompts(lines.len() + 1);
            server.program.signal(Signal::KILL);
            // The client's input stays open.
            let start = Instant::now();
            let done = client.finish();
            assert_eq!(
                (done.code, done.stderr.as_str()),
                (Some(1), "the server closed the connection\n"),
                "{done:?}"
            );
            assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        }
    }
}

#[test]
fn the_message_of_a_stopping_server_is_shown() {
    for wire in WIRES {
        let server = Server::start(&["--wire", wire]);
        let client = client(server.address, wire);
        client.wait_for_prompts(1);
        server.program.signal(Signal::TERM);
        let done = client.finish();
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stdout.ends_with("\nThe server is stopping. Goodbye.\n"), "{done:?}");
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

/// A scripted server, which accepts one client and sends it a greeting.
pub(crate) fn scripted_server(greeting: Vec<u8>) -> (SocketAddr, thread::JoinHandle<Client>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accept = move || {
        let mut client = Client::new(listener.accept().unwrap().0);
        client.send(&greeting);
        client
    };
    (address, thread::spawn(accept))
}

pub(crate) fn prompt(seq: u64) -> Vec<u8> {
    frame(json!({ "seq": seq, "re": seq - 1, "input": true, "data": "Yes?" }).to_string())
}

#[test]
fn an_answer_without_a_reply_is_reported_as_unknown() {
    let bare = |text| json!({ "input": true, "data": text }).to_string().into_bytes();
    for (wire, greeting) in [("json", prompt(1)), ("raw", bare("Yes?"))] {
        // The server takes the answer and closes the connection, before the reply or in the middle of it.
        let partial: [&[u8]; 3] = [b"", b"\0", b"{\"input\":"];
        for partial in partial {
            let (address, server) = scripted_server(greeting.clone());
            let mut client = client(address, wire);
            let mut server = server.join().unwrap();
            client.wait_for("Yes?");
            client.type_line("deposit 40");
            let mut byte = [0];
            server.stream().read_exact(&mut byte).unwrap();
            if wire == "raw" || !partial.starts_with(b"{") {
                server.send(partial);
            }
            server.half_close();
            let done = client.finish();
            assert_eq!(done.code, Some(4), "{wire} {partial:?}: {done:?}");
            assert!(done.stderr.ends_with("unknown: check the balance\n"), "{wire} {partial:?}: {done:?}");
        }
    }
}

#[test]
fn without_an_answer_nothing_is_reported_as_unknown() {
    for greeting in [vec![], prompt(1), prompt(1)[..20].to_vec()] {
        let is_silent = greeting.is_empty();
        let (address, server) = scripted_server(greeting);
        let client = client(address, "json");
        drop(server.join().unwrap());
        let done = client.finish();
        // A server that sends nothing may serve other links only: the second line.
        let lines = if is_silent { 2 } else { 1 };
        assert_eq!((done.code, done.stderr.lines().count()), (Some(1), lines), "{done:?}");
        assert!(!done.stderr.contains("unknown"), "{done:?}");
    }
}

#[test]
fn a_wrong_wire_is_reported_at_once() {
    let since = Instant::now();
    for (here, there) in [
        ("json", "raw"),
        ("json", "postcard"),
        ("raw", "json"),
        ("raw", "postcard"),
        ("postcard", "json"),
        ("postcard", "raw"),
    ] {
        let server = Server::start(&["--wire", there]);
        let done = run(server.address, here, "deposit 1\n3\n");
        assert_eq!(done.code, Some(1), "{here} to {there}: {done:?}");
        let reason = format!("does not speak the {here} wire: both sides need the same --wire");
        assert!(done.stderr.contains(&reason), "{here} to {there}: {done:?}");
        let right = run(server.address, there, "3\n");
        assert!(right.stdout.contains("Your balance is $100."), "{right:?}");
        server.stop();
    }
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
}

#[test]
fn replies_are_shown_the_same_however_they_are_split() {
    // This test passes messages between a real server and the client, in lockstep, and splits the replies.
    let lines = ["1", "40", "sing", "withdraw 40", "exit"];
    for wire in ["json", "raw"] {
        let server = Server::start(&["--wire", wire]);
        let start = |address: SocketAddr| {
            let address = address.to_string();
            Program::start(atm(&["client", "--connect", &address, "--wire", wire, "--keep-going"]))
        };
        let mut direct = start(server.address);
        lines.iter().for_each(|line| direct.type_line(line));
        let expected = direct.finish().stdout;
        for (number, chunk) in [1, 3, 7, 64].into_iter().enumerate() {
            let mut to_server = Client::connect(server.address);
            let (address, accepted) = scripted_server(vec![]);
            let mut client = start(address);
            let mut to_client = accepted.join().unwrap();
            for index in 0..=lines.len() {
                let reply = match wire {
                    "json" => frame(to_server.read().to_string()),
                    _ => to_server.read_once(),
                };
                for piece in reply.chunks(chunk) {
                    to_client.send(piece);
                }
                if let Some(line) = lines.get(index) {
                    client.wait_for_prompts(index + 1);
                    client.type_line(line);
                    let answer = match wire {
                        "json" => frame(to_client.read().to_string()),
                        _ => to_client.read_once(),
                    };
                    to_server.send(&answer);
                }
            }
            to_client.half_close();
            let done = client.finish();
            assert_eq!(
                (done.code, done.stdout.as_str()),
                (Some(3), expected.as_str()),
                "{wire} {chunk} {number}"
            );
        }
        server.stop();
    }
}

#[test]
fn arbitrary_bytes_from_a_server_end_the_client_with_an_error() {
    let deep = json!({ "input": true, "data": "x" }).to_string().replace("\"x\"", &"[".repeat(100_000));
    let control = json!({ "seq": 1, "input": true, "data": "\u{1b}]0;title\u{7}\u{9b}2J" }).to_string();
    let streams: [(&str, Vec<u8>); 9] = [
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
    for (name, bytes) in streams {
        for wire in WIRES {
            let (address, server) = scripted_server(bytes.clone());
            let client = client(address, wire);
            let server = server.join().unwrap();
            let since = Instant::now();
            drop(server);
            let done = client.finish();
            assert_eq!(done.code, Some(1), "{name} to {wire}: {done:?}");
            assert!(since.elapsed() < AT_ONCE, "{name} to {wire}: {:?}", since.elapsed());
            let escaped = |text: &str| text.chars().all(|c| !c.is_control() || "\n\t".contains(c));
            assert!(escaped(&done.stdout) && escaped(&done.stderr), "{name} to {wire}: {done:?}");
            assert!(
                !done.stderr.is_empty() && !done.stderr.contains("panicked"),
                "{name} to {wire}: {done:?}"
            );
        }
    }
}

#[test]
fn a_killed_client_frees_its_session() {
    // The only session must be free again each time.
    let server = Server::start(&["--max-sessions", "1"]);
    for (lines, balance) in
        [(&[][..], 100), (&["1"], 100), (&["2"], 100), (&["deposit 5"], 105), (&["withdraw", "5"], 100)]
    {
        let mut client = connect_when_free(server.address);
        for (number, line) in lines.iter().enumerate() {
            client.wait_for_prompts(number + 1);
            client.type_line(line);
        }
        client.wait_for_prompts(lines.len() + 1);
        client.signal(Signal::KILL);
        assert_eq!(client.finish().code, None);
        let mut next = connect_when_free(server.address);
        next.type_line("3");
        next.wait_for(&format!("Your balance is ${balance}."));
    }
    server.stop();
}

/// A client at its first prompt, once the server has a session free for it.
fn connect_when_free(address: SocketAddr) -> Program {
    let until = Instant::now() + TIMEOUT;
    loop {
        let client = client(address, "json");
        if client.wait_until(|text| {
            let busy = text.contains("as many sessions as it takes");
            (busy || prompts(text) > 0).then_some(!busy)
        }) {
            return client;
        }
        assert_eq!(client.finish().code, Some(1), "a client that is turned away fails");
        assert!(Instant::now() < until, "no session is free");
    }
}

#[test]
fn an_idle_timeout_is_shown_and_ends_the_client() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let client = client(server.address, "json");
    let done = client.finish();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.ends_with("\nNo answer for too long. Goodbye.\n"), "{done:?}");
    server.stop();
}

#[test]
fn atm_without_arguments_is_a_server_and_a_client_in_one() {
    let done = Program::run(atm(&[]), "1\n40\n3\nexit\n");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.starts_with(MENU) && done.stdout.ends_with("\nGoodbye.\n"), "{done:?}");
    assert!(done.stdout.contains("Amount deposited: $40. Your balance is $140."), "{done:?}");
    let done = Program::run(atm(&[]), "quit\n");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
}
