//! With its ledger in memory, the server asks for no memory to answer once a session has begun.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use atm_core::wire::Wire;
use atm_counts::{ROUND, Round};
use atm_e2e::TIMEOUT;
use atm_host::server::{Server, ServerConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, io::Read, io::Write, net::TcpStream, thread};

/// Counts for all threads: the test has one client, which takes no memory while it is counted.
#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often memory is asked for to begin a session with its first answers, and for all the answers after them.
fn allocations(wire: Wire, texts: &[&str]) -> [usize; 2] {
    let round = Round::new(wire, texts);
    let (hello, frames) = round.sent();
    let (first, rest) = frames.split_at(ROUND / 10);
    let server = Server::bind("127.0.0.1:0", ServerConfig::new(wire)).unwrap();
    let (address, stop) = (server.local_addr(), server.stop_handle());
    let serving = thread::spawn(move || server.run());

    let mut region = Region::new(MEMORY);
    let mut taken = || {
        let change = region.change_and_reset();
        change.allocations + change.reallocations
    };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    if wire != Wire::Postcard {
        // Where terminals may have no name, nobody waits for a hello.
        read(&mut stream, wire);
    }
    if !hello.is_empty() {
        answer(&mut stream, wire, hello);
    }
    first.iter().for_each(|frame| answer(&mut stream, wire, frame));
    let begun = taken();
    rest.iter().for_each(|frame| answer(&mut stream, wire, frame));
    let answered = taken();

    drop(stream);
    stop.stop();
    serving.join().unwrap().unwrap();
    [begun, answered]
}

fn answer(stream: &mut TcpStream, wire: Wire, frame: &[u8]) {
    stream.write_all(frame).unwrap();
    read(stream, wire);
}

/// Reads one message.
fn read(stream: &mut TcpStream, wire: Wire) {
    let mut until = |end: u8| {
        let mut byte = [0];
        loop {
            stream.read_exact(&mut byte).unwrap();
            if byte == [end] {
                break;
            }
        }
    };
    match wire {
        Wire::Postcard => until(0),
        Wire::Raw => until(b'}'),
        Wire::Json => {
            let (mut header, mut body) = ([0; 4], [0; 1024]);
            stream.read_exact(&mut header).unwrap();
            let length = usize::try_from(u32::from_be_bytes(header)).unwrap();
            stream.read_exact(body.get_mut(..length).unwrap()).unwrap();
        }
    }
}

#[test]
fn an_answer_takes_no_memory() {
    for (name, wire) in Wire::ALL {
        let [begun, answered] = allocations(*wire, &["deposit 40", "2", "20", "3", "?"]);
        assert!(begun > 0, "what is counted is counted");
        assert_eq!(answered, 0, "{name}: {} answers", ROUND - ROUND / 10);
    }
}
