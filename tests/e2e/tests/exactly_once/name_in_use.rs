//! A name on two connections: a hello of an equal epoch is refused and moves no conversation, a later one takes it over, and
//! a plain client, which counts nothing, is served on each.
use atm_core::{
    host::{IN, LinkKind, OUT},
    message::Notice,
    terminal::{Config, Event, Profile, Terminal},
    time::Instant,
    wire::Wire,
};
use atm_e2e::{Client, Server, TIMEOUT, Value, frame, json};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

const NOW: Instant = Instant::from_millis(0);

/// A terminal's endpoint at a socket.
struct Peer {
    stream: TcpStream,
    terminal: Terminal<OUT, IN>,
    unread: Vec<u8>,
}

/// A message that it received.
#[derive(Debug)]
struct Received {
    text: String,
    notice: Option<Notice>,
    is_welcome: bool,
}

impl Peer {
    /// Says the first hello of a start.
    fn connect(server: &Server, wire: Wire, start: u64) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let profile = Profile { name: Some("kiosk-7".parse().unwrap()), start, ..Profile::default() };
        let config = Config { profile: Some(profile), ..Config::new(wire, LinkKind::Connection) };
        Self { stream, terminal: Terminal::new(config, NOW), unread: Vec::new() }
    }

    /// The next message; `None` at the end of the stream.
    fn next(&mut self) -> Option<Received> {
        loop {
            let output = self.terminal.output();
            self.stream.write_all(output).unwrap();
            let sent = output.len();
            self.terminal.consume(sent);
            let taken = self.terminal.feed(&self.unread, NOW);
            self.unread.drain(..taken);
            match self.terminal.poll_event(NOW) {
                Some(Event::Message(message)) => {
                    return Some(Received {
                        text: message.text.to_string(),
                        notice: message.notice,
                        is_welcome: message.welcome.is_some(),
                    });
                }
                Some(other) => panic!("{other:?}"),
                None if taken > 0 => continue,
                None => {}
            }
            let mut bytes = [0; 512];
            match self.stream.read(&mut bytes).unwrap() {
                0 => return None,
                count => self.unread.extend_from_slice(&bytes[..count]),
            }
        }
    }

    /// The welcome, behind the greeting of an unnamed session.
    fn welcomed(mut self) -> Self {
        loop {
            let received = self.next().expect("a welcome");
            assert_eq!(received.notice, None, "{received:?}");
            if received.is_welcome {
                return self;
            }
        }
    }

    /// The hello is refused, and the connection closed.
    fn expect_refused(mut self, start: u64) {
        let mut last = None;
        while let Some(received) = self.next() {
            assert!(!received.is_welcome, "{received:?}");
            last = received.notice;
        }
        assert_eq!(last, Some(Notice::NameInUse { start, attempt: 1 }));
    }

    fn ask(&mut self, text: &str) -> String {
        self.terminal.answer(self.terminal.prompt().unwrap(), text, NOW).unwrap();
        self.next().unwrap().text
    }

    /// Closes, and waits until the server has closed too: the conversation is parked.
    fn close(mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self.stream.read_to_end(&mut Vec::new()).unwrap();
    }
}

#[test]
fn an_equal_hello_on_another_connection_is_refused_and_the_first_goes_on() {
    for (wire, name) in [(Wire::Json, "json"), (Wire::Postcard, "postcard")] {
        let server = Server::start(&["--wire", name]);
        let mut first = Peer::connect(&server, wire, 5).welcomed();
        assert!(first.ask("deposit 1").contains("$101"), "{name}");
        Peer::connect(&server, wire, 5).expect_refused(5);
        Peer::connect(&server, wire, 4).expect_refused(4);
        assert!(first.ask("deposit 2").contains("$103"), "{name}: it goes on");
        // The same where its conversation is parked.
        first.close();
        Peer::connect(&server, wire, 5).expect_refused(5);
        let mut later = Peer::connect(&server, wire, 6).welcomed();
        assert!(later.ask("deposit 3").contains("$106"), "{name}");
        // And where it is over: the ledger knows the epoch.
        later.ask("exit");
        later.close();
        Peer::connect(&server, wire, 6).expect_refused(6);
        server.program.wait_for_stderr("hello rejected by the ledger terminal=kiosk-7 reason=InUse");
        Peer::connect(&server, wire, 7).welcomed().close();
        server.stop();
    }
}

/// A hello that counts nothing.
fn plain_hello(server: &Server) -> (Client, Value) {
    let mut client = server.client();
    client.send(&frame(json!({ "hello": 1, "terminal": "kiosk-7" }).to_string()));
    let welcome = client.read();
    (client, welcome)
}

#[test]
fn a_plain_client_is_served_on_each_connection_and_the_later_takes_over() {
    let server = Server::start(&[]);
    let mut balance = 10_000;
    let mut before: Option<Client> = None;
    for _ in 0..3 {
        let (mut client, welcome) = plain_hello(&server);
        assert_eq!((&welcome["hello"], &welcome["input"]), (&json!(1), &json!(true)), "{welcome}");
        if let Some(mut before) = before.take() {
            assert_eq!(before.read()["notice"], "taken-over");
            before.expect_end();
        }
        balance += 100;
        client.send(&frame(json!({ "re": welcome["seq"], "data": "deposit 1" }).to_string()));
        let reply = client.read();
        assert_eq!((&reply["outcome"], &reply["balance"]), (&json!("done"), &json!(balance)), "{reply}");
        before = Some(client);
    }
    drop(before);
    server.stop();
}
