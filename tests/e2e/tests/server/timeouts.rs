//! Timeouts: an unfinished frame, an idle prompt and a client that does not read end their session, and no other.
use atm_e2e::{Client, Server, Signal, TIMEOUT, frame, json, raise_file_limit};
use std::{
    io::{ErrorKind, Write},
    ops::Range,
    thread,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// When a timeout of one second may end a session, on a busy machine.
const ONE_SECOND: Range<Duration> = Duration::from_millis(900)..Duration::from_secs(6);

/// Expects the reason, then the end of the connection, about a second after `since`.
fn expect_timeout(client: &mut Client, field: &str, code: &str, since: Instant) {
    let message = client.read();
    assert_eq!((&message[field], &message["input"]), (&json!(code), &json!(false)), "{message}");
    assert!(ONE_SECOND.contains(&since.elapsed()), "{:?}", since.elapsed());
    client.expect_end();
}

#[test]
fn sessions_end_at_the_frame_and_idle_timeouts() {
    // The cases mostly wait: they run at the same time.
    let cases: [fn(); 5] = [
        an_unfinished_frame_is_reported_as_incomplete,
        a_frame_sent_byte_by_byte_has_the_same_timeout,
        an_unfinished_line_on_the_raw_wire_is_reported,
        an_idle_prompt_ends_the_session,
        an_answer_in_time_keeps_the_session,
    ];
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(case);
        }
    });
}

fn an_unfinished_frame_is_reported_as_incomplete() {
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
        expect_timeout(client, "error", "incomplete", since);
    }
    drop(clients);
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

fn a_frame_sent_byte_by_byte_has_the_same_timeout() {
    let server = Server::start(&["--frame-timeout", "1"]);
    let mut client = server.client();
    let since = Instant::now();
    client.send(&500u32.to_be_bytes());
    while since.elapsed() < SECOND {
        client.try_send(b" ");
        // The slow client of this test.
        thread::sleep(SECOND / 20);
    }
    expect_timeout(&mut client, "error", "incomplete", since);
    drop(client);
    server.stop();
}

fn an_unfinished_line_on_the_raw_wire_is_reported() {
    let server = Server::start(&["--frame-timeout", "1", "--wire", "raw"]);
    let mut client = Client::connect(server.address);
    client.read_once();
    client.send(b"3\n");
    client.read_once();
    let since = Instant::now();
    client.send(b"depo");
    let text = String::from_utf8(client.read_to_end()).unwrap();
    assert!(text.contains("did not end in time") && text.contains("\"input\":false"), "{text}");
    assert!(ONE_SECOND.contains(&since.elapsed()));
    drop(client);
    server.stop();
}

fn an_idle_prompt_ends_the_session() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let since = Instant::now();
    let (mut silent, mut asked) = (server.client(), server.client());
    asked.ask("withdraw");
    // Malformed frames are no answers: they do not extend the idle time.
    let mut noisy = server.client();
    while since.elapsed() < SECOND {
        noisy.try_send(&[0; 4]);
        thread::sleep(SECOND / 20);
    }
    expect_timeout(&mut silent, "notice", "idle", since);
    expect_timeout(&mut asked, "notice", "idle", since);
    let last = std::iter::from_fn(|| noisy.read_or_end()).last().unwrap();
    assert_eq!((&last["notice"], &last["end"]), (&json!("idle"), &json!(true)), "{last}");
    drop((silent, asked, noisy));
    server.stop();
}

fn an_answer_in_time_keeps_the_session() {
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

/// A server that did nothing for longer than the idle timeout, as its process was suspended (or its disk did not respond)
/// reads what has arrived before it ends idle sessions.
#[test]
fn answers_sent_while_the_server_was_suspended_are_served() {
    // More than the server reads in one turn of its event loop.
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
    // Longer than the idle timeout.
    thread::sleep(SECOND * 6);
    server.program.signal(Signal::CONT);
    for (number, client) in clients.iter_mut().enumerate() {
        let reply = client.read();
        assert_eq!(reply["outcome"], "done", "client {number}: {reply}");
    }
    drop(clients);
    assert_eq!(server.balance(), 10_000 + 100 * CLIENTS as u64);
    server.stop();
}

#[test]
fn a_client_that_never_reads_is_closed_at_the_stall_timeout() {
    let server = Server::start(&["--stall-timeout", "1", "--max-sessions", "2"]);
    let unread = Client::connect(server.address);
    let answers = frame("{\"data\":\"x\"}").repeat(1000);
    unread.stream().set_nonblocking(true).unwrap();
    // Until every buffer in between is full, and the server waits for this client to read.
    let mut blocked: Option<Instant> = None;
    while blocked.is_none_or(|since| since.elapsed() < SECOND / 4) {
        match unread.stream().write(&answers) {
            Ok(_) => blocked = None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                blocked.get_or_insert_with(Instant::now);
                thread::sleep(SECOND / 100);
            }
            Err(error) => panic!("{error}"),
        }
    }
    // No other session waits for it,
    let mut other = server.client();
    assert_eq!(other.balance(), 10_000);
    // and after a second its session is free.
    let until = Instant::now() + TIMEOUT;
    loop {
        let mut third = Client::connect(server.address);
        if third.read()["input"] == true {
            break;
        }
        assert!(Instant::now() < until, "the client that does not read still has its session");
        thread::sleep(SECOND / 10);
    }
    assert_eq!(other.balance(), 10_000);
    unread.stream().set_nonblocking(false).unwrap();
    drop((unread, other));
    server.stop();
}
