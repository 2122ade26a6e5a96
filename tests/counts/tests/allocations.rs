//! A server with its ledger in memory allocates nothing for an answer, after the first answers of a session.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use atm_core::wire::Wire;
use atm_counts::{Link, Workload};
use atm_e2e::TIMEOUT;
use atm_host::server::{Server, ServerConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, io::Read, io::Write, net::TcpStream, thread};

/// Counts the allocations of all threads. The test's one client allocates nothing while they are counted.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The number of allocations for the start of a session with its first answers, and for all later answers.
fn allocations(wire: Wire, texts: &[&str]) -> [usize; 2] {
    let workload = Workload::new(Link::Clear(wire), texts);
    let (hello, frames) = workload.sent();
    let (first, rest) = frames.split_at(Workload::ANSWERS / 10);
    let server = Server::bind("127.0.0.1:0", ServerConfig::new(wire)).unwrap();
    let (address, stop) = (server.local_addr(), server.stop_handle());
    let serving = thread::spawn(move || server.run());

    let mut region = Region::new(ALLOCATOR);
    let mut allocated = || {
        let change = region.change_and_reset();
        change.allocations + change.reallocations
    };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    if wire != Wire::Postcard {
        // On the text wires the server greets without a hello.
        read(&mut stream, wire);
    }
    if !hello.is_empty() {
        answer(&mut stream, wire, hello);
    }
    first.iter().for_each(|frame| answer(&mut stream, wire, frame));
    let start = allocated();
    rest.iter().for_each(|frame| answer(&mut stream, wire, frame));
    let answers = allocated();

    drop(stream);
    stop.stop();
    serving.join().unwrap().unwrap();
    [start, answers]
}

fn answer(stream: &mut TcpStream, wire: Wire, frame: &[u8]) {
    stream.write_all(frame).unwrap();
    read(stream, wire);
}

/// Reads one message.
fn read(stream: &mut TcpStream, wire: Wire) {
    let mut until = |end: u8| {
        let (mut byte, mut begun) = ([0], false);
        loop {
            stream.read_exact(&mut byte).unwrap();
            if byte == [end] && begun {
                break;
            }
            // A zero may precede a frame.
            begun |= byte != [end];
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
fn an_answer_allocates_nothing() {
    for (name, wire) in Wire::ALL {
        let [start, answers] = allocations(*wire, &["deposit 40", "2", "20", "3", "?"]);
        assert!(start > 0, "{name}: the allocator counts");
        assert_eq!(answers, 0, "{name}");
    }
}
