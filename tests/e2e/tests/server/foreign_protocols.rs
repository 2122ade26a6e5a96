//! Peers of another protocol: a web page that posts answers to a port of the browser's machine moves no money.
use atm_core::{
    host::{IN, LinkKind, OUT},
    terminal::{Config, Terminal},
    time::Instant,
    wire::Wire,
};
use atm_e2e::{Client, Server, frame};
use std::time::{self, Duration};

/// The frame of an answer on the `postcard` wire, to the greeting that the host has sent.
fn postcard_answer(greeting: &[u8], text: &str) -> Vec<u8> {
    let now = Instant::from_millis(0);
    let mut terminal = Terminal::<OUT, IN>::new(Config::new(Wire::Postcard, LinkKind::Connection), now);
    terminal.feed(greeting, now);
    terminal.poll_event(now);
    terminal.answer(terminal.prompt().expect("a greeting"), text, now).unwrap();
    terminal.output().to_vec()
}

/// What `fetch` and a form send to a port of this machine, with this body.
fn requests(body: &[u8]) -> Vec<Vec<u8>> {
    let head = |method: &str| {
        format!(
            "{method} / HTTP/1.1\r\nHost: 127.0.0.1:65432\r\nOrigin: https://example.com\r\n\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
    };
    let mut requests: Vec<_> = [
        "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "CONNECT", "TRACE", "patch", "PROPFIND",
        "QUERY",
    ]
    .map(|method| [head(method).as_bytes(), body].concat())
    .into();
    requests.push([&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], body].concat());
    // A TLS handshake with a session ticket that holds the body.
    requests.push([&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], body].concat());
    requests
}

#[test]
fn a_cross_site_post_moves_no_money_and_does_not_stop_the_server() {
    let texts = ["withdraw 40", "quit"];
    let logged = |log: &str| ["protocol=HTTP", "protocol=TLS"].map(|protocol| log.matches(protocol).count());
    for wire in ["json", "raw", "postcard"] {
        // A server logs at most ten of them in a second.
        for (part, expected) in [(0..7, [7, 0]), (7..14, [6, 1])] {
            let server = Server::start(&["--wire", wire]);
            let greeting = Client::connect(server.address).read_once();
            let answers = texts.map(|text| match wire {
                "json" => frame(format!("{{\"data\":\"{text}\"}}")),
                "raw" => format!("\n{text}\n").into_bytes(),
                _ => [&[0], &postcard_answer(&greeting, text)[..]].concat(),
            });
            let requests = requests(&answers.concat());
            assert_eq!(requests.len(), 14);
            for request in &requests[part] {
                let mut browser = Client::connect(server.address);
                browser.send(request);
                let received = browser.read_to_end();
                assert!(received.starts_with(&greeting), "{wire}: {received:?}");
            }
            // The answers do what they say where no request comes before them.
            for answer in &answers {
                let mut client = Client::connect(server.address);
                client.send(answer);
                client.half_close();
                assert!(!client.read_to_end().is_empty());
            }
            let done = server.program.finish();
            assert_eq!(done.code, Some(0), "quit: {done:?}");
            assert_eq!(logged(&done.stderr), expected, "{wire}: {done:?}");
        }
    }
}

#[test]
fn a_peer_of_another_wire_is_logged_within_two_seconds() {
    let greeting = |wire: &str| {
        let server = Server::start(&["--wire", wire]);
        Client::connect(server.address).read_once()
    };
    let messages = [
        ("json", frame("{\"data\":\"deposit 40\"}")),
        ("json", frame("{\"hello\":1,\"terminal\":\"kiosk-7\"}")),
        ("raw", b"1".to_vec()),
        ("raw", b"deposit 40\n".to_vec()),
        ("postcard", postcard_answer(&greeting("postcard"), "deposit 40")),
    ];
    for wire in ["json", "raw", "postcard"] {
        for (other, message) in messages.iter().filter(|(other, _)| *other != wire) {
            let server = Server::start(&["--wire", wire]);
            let mut client = Client::connect(server.address);
            let greeting = client.read_once();
            let since = time::Instant::now();
            client.send(message);
            let received = client.read_to_end();
            // Two seconds, on a busy machine.
            assert!(since.elapsed() < Duration::from_secs(6), "{other} at {wire}: {:?}", since.elapsed());
            assert!(!received.is_empty() && received != greeting, "a notice: {received:?}");
            server.program.wait_for_stderr("its first bytes are no message of this wire; check --wire");
            assert!(!server.program.stderr().contains("atm::operation"), "{other} at {wire}");
            server.stop();
        }
    }
}

#[test]
fn a_bad_first_frame_ends_a_postcard_connection_and_a_later_one_is_noise() {
    let server = Server::start(&["--wire", "postcard"]);
    let greeting = Client::connect(server.address).read_once();
    let deposit = postcard_answer(&greeting, "deposit 1");
    let noise = b"\x7e\xff noise\0";
    let mut foreign = Client::connect(server.address);
    foreign.send(&[noise, &deposit[..]].concat());
    let received = foreign.read_to_end();
    let mut client = Client::connect(server.address);
    client.send(&[&deposit[..], noise, &deposit].concat());
    client.half_close();
    let served = client.read_to_end();
    // The greeting and a notice; the greeting and two outcomes.
    let frames = |bytes: &[u8]| bytes.split(|byte| *byte == 0).filter(|frame| !frame.is_empty()).count();
    assert_eq!((frames(&received), frames(&served)), (2, 3), "{received:?} {served:?}");
    server.stop();
}
