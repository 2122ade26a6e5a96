//! A server of sealed links, with terminals that have a key and peers that have none.
#![cfg(feature = "ledger")]
use super::super::{ServerConfig, Stop, committer::Committer, memory_ledger::MemoryLedger};
use super::*;
use crate::{
    access::Enrolment,
    client::{Link, LinkEvent, Options, Target},
};
use atm_core::{
    ledger::{Epoch, InDoubt, Name, Request, Response},
    seal::{Key, TerminalKey},
    terminal::Profile,
    time::Duration,
    wire::Wire,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    task::Poll,
    thread::{self, JoinHandle},
};

fn master() -> Key {
    Key::from([7; 32])
}

/// `kiosk-7` has series 1 and 2, the same with `kiosk-8`, which is closed.
struct Enrolled(MemoryLedger);

impl Committer for Enrolled {
    fn submit(&mut self, request: Request) -> Result<Option<(Request, Response)>, InDoubt> {
        self.0.submit(request)
    }

    fn enrolment(&mut self, name: &Name) -> Poll<Result<Option<Enrolment>, InDoubt>> {
        let epoch = Some(Epoch { series: 1, ..Epoch::clear(0, 0) });
        let row = |closed| Enrolment { series: 2, epoch, tls: false, closed };
        Poll::Ready(Ok(match name.as_str() {
            "kiosk-7" => Some(row(false)),
            "kiosk-8" => Some(row(true)),
            _ => None,
        }))
    }
}

fn start(sealed_only: bool) -> (SocketAddr, Stop, JoinHandle<()>) {
    let config = ServerConfig {
        terminal_keys: Some(master()),
        sealed_only,
        frame: Duration::from_secs(1),
        ..ServerConfig::new(Wire::Postcard)
    };
    let mut server = Server::bind("127.0.0.1:0", config).unwrap();
    server.committer = Box::new(Enrolled(MemoryLedger::new(&server.config).unwrap()));
    let (address, stop) = (server.local_addr(), server.stop_handle());
    (address, stop, thread::spawn(move || server.run().unwrap()))
}

/// The first message for a terminal with the key of this step; `None` if there is silence until the connection ends.
fn greet(address: SocketAddr, name: &str, series: u32, step: u32, start: u32) -> Option<String> {
    let name: Name = name.parse().unwrap();
    let key = TerminalKey::derive(&master(), series.try_into().unwrap(), &name).forward(step, step);
    let profile = Profile { name: Some(name), key, start: start.into(), ..Profile::default() };
    let target = Target::Tcp(vec![address.to_string()]);
    let options =
        Options { wire: Wire::Postcard, profile: Some(profile), reconnect: false, ..Options::new(target) };
    let mut link = Link::open(&options).unwrap();
    loop {
        match link.next(None) {
            LinkEvent::Message(message) => return Some(message.text.to_string()),
            LinkEvent::Closed(_) => return None,
            _ => {}
        }
    }
}

#[test]
fn a_terminal_with_a_valid_key_is_served_and_a_later_series_replaces_the_former() {
    for sealed_only in [true, false] {
        let (address, stop, serving) = start(sealed_only);
        let greeted = |series, step, start| greet(address, "kiosk-7", series, step, start);
        for (series, step, start) in [(1, 0, 1), (1, 5, 1), (1, 4100 - 5, 2), (2, 0, 1)] {
            let text = greeted(series, step, start).unwrap_or_default();
            assert!(text.starts_with("Welcome"), "{series} {step}: {text}");
        }
        // The ledger has seen series 2.
        assert!(greeted(1, 6, 9).is_some_and(|text| text.contains("in use")));
        stop.stop();
        serving.join().unwrap();
    }
}

#[test]
fn another_name_series_or_step_meets_with_silence_and_a_closed_terminal_with_out_of_service() {
    let (address, stop, serving) = start(true);
    assert_eq!(greet(address, "kiosk-9", 1, 0, 1), None);
    assert_eq!(greet(address, "kiosk-7", 3, 0, 1), None);
    assert_eq!(greet(address, "kiosk-7", 1, 4097, 1), None);
    let text = greet(address, "kiosk-8", 1, 0, 1).unwrap();
    assert!(text.contains("out of service"), "{text}");
    stop.stop();
    serving.join().unwrap();
}

#[test]
fn a_connection_in_clear_gets_nothing_and_ends() {
    let (address, stop, serving) = start(true);
    // A hello in clear, of PROTOCOL.md, section 7; none; and many.
    let hello = b"\x00\x01\x02\x01\x03\x01\x01\x01\x01\x01\x05\x25\xee\x9f\xdc\x00";
    for bytes in [hello.to_vec(), Vec::new(), hello.repeat(100)] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"");
    }
    stop.stop();
    serving.join().unwrap();
}
