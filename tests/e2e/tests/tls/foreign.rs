//! Peers that make no handshake: in clear, of another protocol, slow, endless; and many that do.
use crate::{
    authority::{Authority, params_for},
    client::{TlsClient, first_hello},
};
use atm_e2e::{Client, Program, Server, Signal, TIMEOUT, atm, frame, json};
use rcgen::CustomExtension;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("kiosk-7", &["kiosk-7"]);
    authority
}

#[test]
fn a_peer_in_clear_gets_nothing_of_the_protocol_at_a_tls_port() {
    let authority = authority();
    let server = authority.serve(&[]);
    for bytes in [
        frame(json!({ "data": "deposit 40" }).to_string()),
        frame(first_hello("kiosk-7").to_string()),
        b"\x00\x05\x01\x02\x03\x04\x00".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"deposit 40\n".to_vec(),
    ] {
        let mut client = Client::connect(server.address);
        client.send(&bytes);
        let received = client.read_to_end();
        // A TLS alert (RFC 8446, section 6) and nothing else.
        assert!(received.starts_with(&[21, 3]) && received.len() == 7, "{received:?}");
    }
    let done =
        Program::run(atm(&["client", "--connect", &server.address.to_string(), "--terminal", "a"]), "");
    assert!(done.code == Some(1) && done.stderr.contains("both or neither TLS"), "{done:?}");
    server.program.signal(Signal::TERM);
    let done = server.program.finish();
    let refused = done.stderr.matches("the peer does not speak TLS").count();
    assert_eq!((done.code, refused), (Some(0), 6), "{done:?}");
}

#[test]
fn a_tls_client_at_a_port_in_clear_is_recognised_at_both_ends() {
    let authority = authority();
    let server = Server::start(&[]);
    let mut command = atm(&["client", &server.address.to_string(), "balance"]);
    command.args(authority.client_options("kiosk-7"));
    let done = Program::run(command, "");
    assert!(done.code == Some(1) && done.stderr.contains("the peer does not speak TLS"), "{done:?}");
    server.program.wait_for_stderr("protocol=TLS");
    server.stop();
}

#[test]
fn a_handshake_has_the_time_of_a_frame() {
    let authority = authority();
    let server = authority.serve(&["--frame-timeout", "1", "--stall-timeout", "30"]);
    let since = Instant::now();
    // One sends nothing, one a part of its hello, one its hello byte by byte.
    let mut silent = Client::connect(server.address);
    let mut partial = Client::connect(server.address);
    let mut slow = Client::connect(server.address);
    let hello = TlsClient::open(server.address, &authority, Some("kiosk-7")).encrypt(b"");
    partial.send(&hello[..hello.len() / 2]);
    for byte in hello.iter().take(20) {
        slow.try_send(&[*byte]);
        // The slow client of this test.
        thread::sleep(Duration::from_millis(40));
    }
    for client in [&mut silent, &mut partial, &mut slow] {
        assert!(client.read_to_end().is_empty());
    }
    let elapsed = since.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(6)).contains(&elapsed), "{elapsed:?}");
    server.program.wait_for_stderr("the handshake has not ended in time");
    drop((silent, partial, slow));
    // A session after its handshake has another time.
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    let welcome = client.hello(&first_hello("kiosk-7"));
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!(client.ask(&welcome, "balance")["balance"], 10_000);
    drop(client);
    server.stop();
}

#[test]
fn handshakes_that_fill_the_sessions_make_room_for_a_terminal() {
    let authority = authority();
    let server = authority.serve(&["--max-sessions", "2", "--frame-timeout", "60"]);
    let mut silent: Vec<_> = (0..4).map(|_| Client::connect(server.address)).collect();
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    let welcome = client.hello(&first_hello("kiosk-7"));
    assert_eq!(client.ask(&welcome, "balance")["balance"], 10_000);
    // The one that was there for longest has ended.
    silent[0].read_to_end();
    drop((client, silent));
    server.stop();
}

#[test]
fn a_handshake_byte_by_byte_is_a_handshake() {
    let authority = authority();
    let server = authority.serve(&[]);
    let mut client = TlsClient::open(server.address, &authority, Some("kiosk-7"));
    loop {
        for byte in client.encrypt(b"") {
            client.socket.write_all(&[byte]).unwrap();
        }
        if !client.receive_handshake() {
            break;
        }
    }
    let welcome = client.hello(&first_hello("kiosk-7"));
    assert_eq!(client.ask(&welcome, "balance")["balance"], 10_000);
    drop(client);
    server.stop();
}

#[test]
fn a_handshake_that_is_too_long_is_ended() {
    let authority = authority();
    let mut params = params_for(&["kiosk-7"]);
    let padding = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![4; 40_000]);
    params.custom_extensions.push(padding);
    authority.issue_params("huge", params);
    let server = authority.serve(&[]);
    let mut client = TlsClient::connect(server.address, &authority, Some("huge"));
    client.try_read().unwrap_err();
    server.program.wait_for_stderr("its handshake is too long");
    server.stop();
}

#[test]
fn a_peer_that_never_reads_is_closed_at_the_stall_timeout() {
    let authority = authority();
    let server = authority.serve(&["--stall-timeout", "1"]);
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    client.hello(&first_hello("kiosk-7"));
    let records = client.encrypt(&frame(json!({ "data": "x" }).to_string()).repeat(500));
    client.socket.set_nonblocking(true).unwrap();
    let (mut sent, until) = (0, Instant::now() + TIMEOUT);
    // What is sent is valid up to the end of the records; then the peer neither reads nor writes.
    while sent < records.len() && Instant::now() < until {
        match client.socket.write(&records[sent..]) {
            Ok(count) => sent += count,
            // Every buffer in between is full.
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    server.program.wait_for_stderr("session closed");
    assert!(!server.program.stderr().contains("TLS failed"), "{}", server.program.stderr());
    drop(client);
    server.stop();
}

#[test]
fn a_thousand_handshakes_are_made_and_their_sessions_served() {
    let authority = authority();
    let server = authority.serve(&["--log", "warn", "--max-sessions", "64"]);
    let next = std::sync::atomic::AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 1_000 {
                    let until = Instant::now() + TIMEOUT;
                    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
                    // The greeting of an unnamed session.
                    let greeting = client.read();
                    assert!(greeting["input"] == true, "{greeting}");
                    assert!(Instant::now() < until);
                }
            });
        }
    });
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    let welcome = client.hello(&first_hello("kiosk-7"));
    assert_eq!(client.ask(&welcome, "balance")["balance"], 10_000);
    drop(client);
    assert_eq!(server.program.stderr(), "", "nothing to warn of");
    server.stop();
}

#[test]
fn handshakes_that_fail_are_logged_ten_times_a_second_with_a_count() {
    let server = authority().serve(&[]);
    let fail = || {
        let mut peer = TcpStream::connect(server.address).unwrap();
        peer.set_read_timeout(Some(TIMEOUT)).unwrap();
        // A record of a handshake whose content is none.
        peer.write_all(b"\x16\x03\x01\x00\x05hello").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let _ = peer.read_to_end(&mut Vec::new());
    };
    let (until, mut failures) = (Instant::now() + TIMEOUT, 0);
    while !server.program.stderr().contains("unlogged=") {
        assert!(Instant::now() < until, "{}", server.program.stderr());
        fail();
        failures += 1;
    }
    let log = server.program.stderr();
    assert!(log.matches("TLS failed").count() < failures, "{log}");
    server.stop();
}
