//! Peers of another protocol: by their first bytes, and at a server on each wire.
use super::*;
use crate::server::{Server, ServerConfig};
use atm_core::{
    host::{IN, LinkKind, OUT},
    terminal::{Config, Event, Terminal},
    time::Instant,
    wire::Wire,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

/// What is recognised in these reads, and by which of them.
fn pushed(reads: &[&[u8]]) -> Option<(usize, Protocol)> {
    let mut opening = Opening::default();
    reads.iter().enumerate().find_map(|(number, read)| Some((number, opening.push(read)?)))
}

#[test]
fn a_beginning_is_recognised_however_it_is_cut() {
    for (beginning, protocol) in BEGINNINGS {
        for before in ["", "\r\n", "\n\n", " \t", "\0", "\u{feff} "] {
            let beginning = if before == " \t" { beginning.to_ascii_lowercase() } else { beginning.to_vec() };
            let bytes = [before.as_bytes(), &beginning, b"/ HTTP/1.1\r\n"].concat();
            let known_at = before.len() + beginning.len();
            for cut in 0..bytes.len() {
                let (first, second) = bytes.split_at(cut);
                let number = usize::from(cut < known_at);
                assert_eq!(pushed(&[first, second]), Some((number, protocol)), "{bytes:?} cut at {cut}");
            }
            let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(pushed(&bytewise), Some((known_at - 1, protocol)));
        }
    }
}

#[test]
fn a_method_of_any_name_is_recognised_by_the_version_in_its_line() {
    for line in
        ["PROPFIND / HTTP/1.1", "QUERY /a?b=c  HTTP/1.1", "\n m-search * HTTP/1.1", "x  HTTP HTTP/ http/1"]
    {
        let known_at = line.to_ascii_lowercase().find("http/").unwrap() + 5;
        for cut in 0..line.len() {
            let (first, second) = line.as_bytes().split_at(cut);
            let found = pushed(&[first, second]);
            assert_eq!(found, Some((usize::from(cut < known_at), Protocol::Http)), "{line:?} cut at {cut}");
        }
    }
    for ours in [
        "deposit 40\n / HTTP/1.1",
        "deposit 40\0 HTTP/1.1",
        "{\"data\": \"x HTTP/1.1\"}",
        "X/HTTP/1.1",
        "X HTTP 1.1",
    ] {
        assert_eq!(pushed(&[ours.as_bytes()]), None, "{ours:?}");
    }
}

#[test]
fn what_a_person_or_a_terminal_sends_first_is_not_another_protocol() {
    let answers =
        "1 2 3 deposit DEPOSIT withdraw balance exit quit back all 40 0.50 get GET POST post HEAD DELETE PUT";
    for answer in answers.split(' ') {
        for text in [answer.to_owned(), format!("{answer}\n"), format!("{answer}\r\n40\n")] {
            assert_eq!(pushed(&[text.as_bytes()]), None, "{text:?}");
        }
    }
    for bytes in
        [&b"deposit 40"[..], b"DEPOSIT 40", b"gets 40", b"\0\0\0\x15{\"data\"", b"\x16\x02", &[0; 99]]
    {
        assert_eq!(pushed(&[bytes]), None, "{bytes:?}");
    }
    assert_eq!(pushed(&[b"balance\n", b"GET / HTTP/1.1\r\n"]), None, "it is not the first line");
}

/// An unnamed session with the core's terminal.
struct Peer {
    stream: TcpStream,
    terminal: Terminal<OUT, IN>,
}

const NOW: Instant = Instant::from_millis(0);

impl Peer {
    fn connect(address: SocketAddr, wire: Wire) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut peer = Self { stream, terminal: Terminal::new(Config::new(wire, LinkKind::Connection), NOW) };
        assert!(peer.next().contains("Welcome"));
        peer
    }

    /// The text of the next message.
    fn next(&mut self) -> String {
        loop {
            match self.terminal.poll_event(NOW) {
                Some(Event::Message(message)) => return message.text.to_string(),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
            let mut bytes = [0; 512];
            let count = self.stream.read(&mut bytes).unwrap();
            assert!(count > 0);
            assert_eq!(self.terminal.feed(&bytes[..count], NOW), count);
        }
    }

    /// The bytes of an answer.
    fn encode(&mut self, text: &str) -> Vec<u8> {
        self.terminal.answer(self.terminal.prompt().unwrap(), text, NOW).unwrap();
        let bytes = self.terminal.output().to_vec();
        self.terminal.consume(bytes.len());
        bytes
    }

    fn ask(&mut self, text: &str) -> String {
        let bytes = self.encode(text);
        self.stream.write_all(&bytes).unwrap();
        self.next()
    }
}

#[test]
fn a_request_of_a_browser_whose_body_is_answers_moves_no_money_on_any_wire() {
    for wire in [Wire::Json, Wire::Raw, Wire::Postcard] {
        let server = Server::bind("127.0.0.1:0", ServerConfig::new(wire)).unwrap();
        let (address, stop) = (server.local_addr(), server.stop_handle());
        let running = thread::spawn(|| server.run());
        let mut honest = Peer::connect(address, wire);
        let body: Vec<u8> = ["withdraw 40", "quit"]
            .iter()
            .flat_map(|text| [&[0, b'\n'][..], &Peer::connect(address, wire).encode(text), b"\n"].concat())
            .collect();
        for (beginning, _) in BEGINNINGS {
            for headers in [&b"/ HTTP/1.1\r\nContent-Length: 99\r\n\r\n"[..], b"\n", b""] {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                stream.write_all(&[beginning, headers, &body].concat()).unwrap();
                let mut received = Vec::new();
                stream.read_to_end(&mut received).unwrap();
                let text = String::from_utf8_lossy(&received);
                assert!(wire == Wire::Postcard || text.contains("--wire"), "{wire}: {text}");
            }
        }
        assert!(honest.ask("balance").contains("Your balance is $100."), "{wire}");
        stop.stop();
        drop(honest);
        running.join().unwrap().unwrap();
    }
}
