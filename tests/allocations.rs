//! With its ledger in memory, the server asks for no memory to answer once a session has begun.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use atm_core::wire::Wire;
use atm_host::server::{Config, Server};
use atm_tests::{PATIENCE, hot::Round};
use std::{io::Read, io::Write, net::TcpStream, thread};

/// What the event loop allocates from its start to its end, when it is answered so often in between.
fn allocations(wire: Wire, texts: &[&str], answers: usize) -> u64 {
    let server = Server::bind("127.0.0.1:0", Config::new(wire)).unwrap();
    let (address, stop) = (server.local_addr(), server.stop_handle());
    let serving = thread::spawn(move || {
        let mut served = None;
        let counted = allocation_counter::measure(|| served = Some(server.run()));
        served.unwrap().unwrap();
        counted.count_total
    });
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    read(&mut stream, wire);
    let round = Round::new(wire, texts);
    let (hello, frames) = round.sent();
    let hello = (!hello.is_empty()).then_some(hello);
    for frame in hello.into_iter().chain(frames.iter().take(answers).map(Vec::as_slice)) {
        stream.write_all(frame).unwrap();
        read(&mut stream, wire);
    }
    drop(stream);
    stop.stop();
    serving.join().unwrap()
}

/// Reads one message.
fn read(stream: &mut TcpStream, wire: Wire) {
    let mut byte = [0];
    let mut until = |end: u8| {
        while byte != [end] {
            stream.read_exact(&mut byte).unwrap();
        }
    };
    match wire {
        Wire::Postcard => until(0),
        Wire::Raw => until(b'}'),
        Wire::Json => {
            let mut header = [0; 4];
            stream.read_exact(&mut header).unwrap();
            let mut body = vec![0; u32::from_be_bytes(header).try_into().unwrap()];
            stream.read_exact(&mut body).unwrap();
        }
    }
}

#[test]
fn an_answer_takes_no_memory() {
    for (name, wire) in Wire::ALL {
        let texts = ["deposit 40", "2", "20", "3", "?"];
        let [few, many] = [20, 200].map(|answers| allocations(*wire, &texts, answers));
        assert!(few > 0, "what is counted is counted");
        assert_eq!(many, few, "{name}: 180 answers more");
    }
}
