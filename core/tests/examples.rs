//! Runs the examples: a session over TCP, and one over a link that loses frames.
#![cfg(all(feature = "json", feature = "postcard"))]
#![allow(clippy::unwrap_used)]

use std::{
    net::{TcpListener, TcpStream},
    thread,
};

#[allow(dead_code, reason = "the test does not call its main")]
#[path = "../examples/in_memory.rs"]
mod in_memory;
#[allow(dead_code, reason = "the test does not call its main")]
#[path = "../examples/tcp_client.rs"]
mod tcp_client;
#[allow(dead_code, reason = "the test does not call its main")]
#[path = "../examples/tcp_server.rs"]
mod tcp_server;

#[test]
fn two_sessions_over_tcp_share_a_balance() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || tcp_server::serve(&listener).unwrap());
    let session = |answers: &[&str]| {
        let mut screen = Vec::new();
        let lines = answers.iter().map(|line| Ok((*line).to_owned()));
        tcp_client::run_session(TcpStream::connect(address).unwrap(), lines, &mut screen).unwrap();
        String::from_utf8(screen).unwrap()
    };
    let first = session(&["1", "40", "exit"]);
    assert!(first.contains("Amount deposited: $40. Your balance is $40."), "{first}");
    assert!(first.ends_with("Goodbye.\n"), "{first}");
    let second = session(&["withdraw 15", "3", "exit"]);
    assert!(second.contains("Amount withdrawn: $15. Your balance is $25."), "{second}");
}

#[test]
fn a_link_that_loses_frames_changes_no_balance() {
    let answers = ["1", "40", "2", "15", "deposit 7", "withdraw 2", "3"];
    assert_eq!(in_memory::run(answers.into_iter()).unwrap().to_string(), "$30");
}
