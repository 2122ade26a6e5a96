//! Resynchronisation: noise on a serial line costs little or nothing; on a connection, another wire or silence delays a
//! client by at most one frame timeout, ten seconds by default.
use atm_e2e::{FirmwareSim, Program, Server, atm};
use std::{
    io::Write,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

/// The frame timeout, and a margin for a busy machine.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10 + 8);

/// Noise that is read as a frame's length blocks the decoder for 0.2 s at 115,200 baud.
#[test]
fn noise_before_a_json_frame_costs_less_than_the_frame_timeout_of_a_connection() {
    let start = Instant::now();
    let sim = FirmwareSim::start(&["--wire", "json"]);
    sim.open().write_all(b"login: ").unwrap();
    let done = Program::run(atm(&["client", "--serial", &sim.path, "--wire", "json"]), "3\nexit\n");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("Your balance is $100."), "{done:?}");
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
}

#[test]
fn a_byte_of_noise_before_every_postcard_frame_and_between_them_keeps_no_session_out() {
    let sim = FirmwareSim::start(&["--noise-chance", "1", "--noise-interval", "200"]);
    let done = Program::run(atm(&["client", "--serial", &sim.path]), "deposit 40\n3\nexit\n");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("Your balance is $140."), "{done:?}");
}

/// A `postcard` client waits for the zero byte at the end of a frame, until it times out and reports the wrong wire.
fn a_server_of_another_wire(wire: &str) {
    let server = Server::start(&["--wire", wire]);
    let address = server.address.to_string();
    let done = Program::run(atm(&["client", "--connect", &address, "--wire", "postcard"]), "deposit 1\n");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("does not speak the postcard wire: both sides need the same --wire"),
        "{done:?}"
    );
    server.stop();
}

/// A server that sends nothing is reported as down.
fn a_silent_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = Program::start(atm(&["client", "--connect", &address]));
    client.wait_for_stderr("link down: waiting for ");
}

#[test]
fn each_case_ends_within_the_frame_timeout() {
    thread::scope(|scope| {
        let cases: [fn(); 3] =
            [|| a_server_of_another_wire("json"), || a_server_of_another_wire("raw"), a_silent_server];
        for case in cases {
            scope.spawn(move || {
                let start = Instant::now();
                case();
                assert!(start.elapsed() < FRAME_TIMEOUT, "{:?}", start.elapsed());
            });
        }
    });
}
