//! Where what comes can be no frame, or nothing comes, nobody waits longer than a frame may take: ten seconds by default.
use atm_e2e::{FirmwareSim, Program, Server, atm};
use std::{
    io::Write,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

/// The time for a frame, and something for a busy machine.
const A_FRAME: Duration = Duration::from_secs(10 + 8);

/// Text that is taken for a length holds a serial line up, and then it is in step again.
fn noise_in_front_of_json() {
    let sim = FirmwareSim::start(&["--wire", "json"]);
    sim.open().write_all(b"login: ").unwrap();
    let done = Program::run(atm(&["client", "--serial", &sim.path, "--wire", "json"]), "3\nexit\n");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("Your balance is $100."), "{done:?}");
}

/// A client of `postcard` waits for the zero at the end of a frame, as it would on a serial line; then it tells why.
fn a_server_of_another_wire(wire: &str) {
    let server = Server::start(&["--wire", wire]);
    let address = server.address.to_string();
    let done = Program::run(atm(&["client", "--connect", &address, "--wire", "postcard"]), "deposit 1\n");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("does not speak the postcard wire: check that both sides use the same --wire"),
        "{done:?}"
    );
    server.stop();
}

/// A server that says nothing at all is told to be down, and leaving needs no word of it.
fn a_silent_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = Program::start(atm(&["client", "--connect", &address]));
    client.wait_for_stderr("link down: waiting for the server");
}

#[test]
fn it_takes_no_longer_than_a_frame() {
    thread::scope(|scope| {
        let cases: [fn(); 4] = [
            noise_in_front_of_json,
            || a_server_of_another_wire("json"),
            || a_server_of_another_wire("raw"),
            a_silent_server,
        ];
        for case in cases {
            scope.spawn(move || {
                let since = Instant::now();
                case();
                assert!(since.elapsed() < A_FRAME, "{:?}", since.elapsed());
            });
        }
    });
}
