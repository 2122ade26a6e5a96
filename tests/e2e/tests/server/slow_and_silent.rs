//! A client that is slow, idle, deaf, or one of very many costs the server nothing but its session.
use atm_e2e::{Client, Program, Server, Signal, TIMEOUT, atm, frame, json, raise_file_limit, text_of};
use std::{
    io::{ErrorKind, Write},
    ops::Range,
    process::Command,
    thread,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// How long something with a limit of one second may take on a busy machine.
const ABOUT_A_SECOND: Range<Duration> = Duration::from_millis(900)..Duration::from_secs(6);

/// The client is told why, and closed, about a second after `since`.
fn ended(client: &mut Client, field: &str, code: &str, since: Instant) {
    let told = client.read();
    assert_eq!((&told[field], &told["input"]), (&json!(code), &json!(false)), "{told}");
    assert!(ABOUT_A_SECOND.contains(&since.elapsed()), "{:?}", since.elapsed());
    client.expect_end();
}

#[test]
fn what_takes_longer_than_its_limit() {
    // They mostly wait, so they wait beside each other.
    let cases: [fn(); 5] = [
        a_frame_that_does_not_end,
        a_frame_that_comes_byte_by_byte_has_no_more_time,
        an_unfinished_line_on_the_raw_wire,
        nobody_at_the_prompt,
        whoever_answers_in_time_stays,
    ];
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(case);
        }
    });
}

fn a_frame_that_does_not_end() {
    let server = Server::start(&["--frame-timeout", "1"]);
    let since = Instant::now();
    let mut clients: Vec<Client> = [1, 4, 5, 20]
        .map(|length| {
            let mut client = server.client();
            client.send(&frame("{\"data\":\"deposit 1\"}")[..length]);
            client
        })
        .into();
    for client in &mut clients {
        ended(client, "error", "incomplete", since);
    }
    drop(clients);
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

fn a_frame_that_comes_byte_by_byte_has_no_more_time() {
    let server = Server::start(&["--frame-timeout", "1"]);
    let mut client = server.client();
    let since = Instant::now();
    client.send(&500u32.to_be_bytes());
    while since.elapsed() < SECOND {
        client.try_send(b" ");
        // This client is slow: that is what it is for.
        thread::sleep(SECOND / 20);
    }
    ended(&mut client, "error", "incomplete", since);
    drop(client);
    server.stop();
}

fn an_unfinished_line_on_the_raw_wire() {
    let server = Server::start(&["--frame-timeout", "1", "--wire", "raw"]);
    let mut client = Client::connect(server.address);
    client.read_once();
    client.send(b"3\n");
    client.read_once();
    let since = Instant::now();
    client.send(b"depo");
    let told = String::from_utf8(client.read_to_end()).unwrap();
    assert!(told.contains("did not end in time") && told.contains("\"input\":false"), "{told}");
    assert!(ABOUT_A_SECOND.contains(&since.elapsed()));
    drop(client);
    server.stop();
}

fn nobody_at_the_prompt() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let since = Instant::now();
    let (mut silent, mut asked) = (server.client(), server.client());
    asked.ask("withdraw");
    // Nonsense is no answer: the prompt stays open for its time and no longer.
    let mut noisy = server.client();
    while since.elapsed() < SECOND {
        noisy.try_send(&[0; 4]);
        thread::sleep(SECOND / 20);
    }
    ended(&mut silent, "notice", "idle", since);
    ended(&mut asked, "notice", "idle", since);
    let last = std::iter::from_fn(|| noisy.read_or_end()).last().unwrap();
    assert_eq!((&last["notice"], &last["end"]), (&json!("idle"), &json!(true)), "{last}");
    drop((silent, asked, noisy));
    server.stop();
}

fn whoever_answers_in_time_stays() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let mut client = server.client();
    let since = Instant::now();
    while since.elapsed() < SECOND * 2 {
        thread::sleep(SECOND / 4);
        assert_eq!(client.balance(), 10_000);
    }
    drop(client);
    server.stop();
}

/// A server that did nothing for longer than anybody may take, because its process was stopped or its disk did not answer.
#[cfg(unix)]
#[test]
fn whoever_answered_while_the_server_stood_still_is_heard() {
    // More than it hears in one turn.
    const CLIENTS: usize = 2_500;
    raise_file_limit();
    let server = Server::start(&["--idle-timeout", "5", "--log", "warn"]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(server.address)).collect();
    for client in &mut clients {
        assert_eq!(client.read()["input"], true);
    }
    server.program.signal(Signal::STOP);
    for client in &mut clients {
        client.answer("deposit 1");
    }
    // As long as that takes.
    thread::sleep(SECOND * 6);
    server.program.signal(Signal::CONT);
    for (number, client) in clients.iter_mut().enumerate() {
        let told = client.read();
        assert_eq!(told["outcome"], "done", "client {number}: {told}");
    }
    drop(clients);
    assert_eq!(server.balance(), 10_000 + 100 * CLIENTS as u64);
    server.stop();
}

#[test]
fn a_client_that_never_reads() {
    let server = Server::start(&["--stall-timeout", "1", "--max-sessions", "2"]);
    let deaf = Client::connect(server.address);
    let answers = frame("{\"data\":\"x\"}").repeat(1000);
    deaf.stream().set_nonblocking(true).unwrap();
    // Until every buffer in between is full, and the server waits for this client to read.
    let mut stuck: Option<Instant> = None;
    while stuck.is_none_or(|since| since.elapsed() < SECOND / 4) {
        match deaf.stream().write(&answers) {
            Ok(_) => stuck = None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stuck.get_or_insert_with(Instant::now);
                thread::sleep(SECOND / 100);
            }
            Err(error) => panic!("{error}"),
        }
    }
    // Nobody else waits for it,
    let mut other = server.client();
    assert_eq!(other.balance(), 10_000);
    // and in a second its place is free.
    let until = Instant::now() + TIMEOUT;
    loop {
        let mut third = Client::connect(server.address);
        if third.read()["input"] == true {
            break;
        }
        assert!(Instant::now() < until, "the deaf client still has its session");
        thread::sleep(SECOND / 10);
    }
    assert_eq!(other.balance(), 10_000);
    deaf.stream().set_nonblocking(false).unwrap();
    drop((deaf, other));
    server.stop();
}

#[test]
fn a_half_closed_client_gets_all_its_replies() {
    const TIMES: usize = 300;
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send(&frame("{\"data\":\"deposit 1\"}").repeat(TIMES));
    client.half_close();
    for number in 1..=TIMES {
        assert_eq!(client.read()["balance"], 10_000 + number * 100);
    }
    client.expect_end();
    server.stop();
}

#[test]
fn more_clients_than_sessions() {
    let server = Server::start(&["--max-sessions", "5", "--log", "off"]);
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(server.address)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let first = client.read();
        if number < 5 {
            assert_eq!(first["input"], true, "client {number}: {first}");
        } else {
            assert_eq!(
                (&first["notice"], &first["end"]),
                (&json!("busy"), &json!(true)),
                "client {number}: {first}"
            );
            client.expect_end();
        }
    }
    for client in &mut clients[..5] {
        assert_eq!(client.balance(), 10_000);
    }
    drop(clients);
    // The places are free again, as soon as the server has seen that they are.
    let until = Instant::now() + TIMEOUT;
    let mut again: Vec<Client> = Vec::new();
    while again.len() < 5 {
        assert!(Instant::now() < until, "only {} places are free", again.len());
        let mut client = Client::connect(server.address);
        if text_of(&client.read()).starts_with("Welcome") {
            again.push(client);
        }
    }
    drop(again);
    server.stop();
}

#[test]
fn more_clients_than_files() {
    // A server that may have 80 files open, 48 of which are not for sessions, and twice as many clients as are left.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 80 && exec \"$@\"", "sh"]);
    let serve = atm(&["serve", "--listen", "127.0.0.1:0", "--log", "error"]);
    command.arg(serve.get_program()).args(serve.get_args());
    let server = Server::of(Program::start(command));
    let mut clients: Vec<Client> = (0..64).map(|_| Client::connect(server.address)).collect();
    let told: Vec<bool> = clients.iter_mut().map(|client| client.read()["input"] == true).collect();
    assert_eq!(
        told.iter().filter(|served| **served).count(),
        32,
        "the others are told that there is no place"
    );
    for (client, _) in clients.iter_mut().zip(&told).filter(|(_, served)| **served) {
        assert_eq!(client.balance(), 10_000);
    }
    drop(clients);
    let until = Instant::now() + TIMEOUT;
    while Client::connect(server.address).read()["input"] != true {
        assert!(Instant::now() < until, "the places are not free again");
    }
    server.stop();
}

#[test]
fn thousands_of_clients_at_once() {
    // A file here for each of them, and one in the server; and some for the tests beside this one.
    let most = usize::try_from(raise_file_limit().saturating_sub(200)).unwrap_or(usize::MAX);
    let count = most.min(2000);
    let server = Server::start(&["--max-sessions", "3000", "--log", "off"]);
    let since = Instant::now();
    let mut clients: Vec<Client> = thread::scope(|scope| {
        let parts: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| (0..count / 4).map(|_| Client::connect(server.address)).collect::<Vec<_>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    for client in &mut clients {
        assert_eq!(client.read()["input"], true);
    }
    let greeted = since.elapsed();
    for client in &mut clients {
        client.answer("deposit 1");
    }
    for client in &mut clients {
        assert_eq!(client.read()["operation"], "deposit");
    }
    println!("{} clients: greeted in {greeted:?}, served in {:?}", clients.len(), since.elapsed());
    assert!(greeted < SECOND * 10, "{greeted:?}");
    let expected = 10_000 + 100 * clients.len() as u64;
    drop(clients);
    assert_eq!(server.balance(), expected);
    server.stop();
}
