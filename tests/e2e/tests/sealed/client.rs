//! Sessions of `atm client --key`: over TCP and a serial line, by lines of a pipe and by an operation, through lost links and
//! kills.
use crate::{
    host::{SealedHost, Station},
    middle::Middle,
};
use atm_e2e::{Program, SerialPair, Signal};
use std::{
    fs::OpenOptions,
    sync::atomic::{AtomicU32, Ordering},
};

#[test]
fn a_session_over_tcp_moves_money_and_steps_the_key_at_its_next_start() {
    let (host, station) = (SealedHost::new(), Station::new());
    let address = host.listen().to_string();
    for (step, balance) in [(0, 140), (1, 180), (2, 220)] {
        let done = Program::run(station.client(&[&address]), "deposit 40\nbalance\n");
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stdout.contains(&format!("Your balance is ${balance}.")), "{done:?}");
        assert_eq!((station.step(), host.balance()), ((1, step), balance));
    }
    assert_eq!(host.claims(), [(1, 0), (1, 1), (1, 2)]);
    let mut names: Vec<_> = station.other_files().into_iter().map(|(path, _)| path).collect();
    names.sort();
    let expected = ["kiosk-7.key.lock", "kiosk-7.key.state", "kiosk-7.key.state.lock"];
    assert_eq!(names, expected.map(|name| station.folder().join(name)));
}

#[test]
fn a_terminal_with_a_key_uses_the_server_of_a_list_that_is_there() {
    let (host, station) = (SealedHost::new(), Station::new());
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = Program::run(station.client(&[&format!("{gone},{}", host.listen()), "deposit", "40"]), "");
    assert_eq!((done.code, host.balance()), (Some(0), 140), "{done:?}");
}

#[test]
fn a_session_over_a_serial_line_moves_money() {
    let (host, station, line) = (SealedHost::new(), Station::new(), SerialPair::new());
    // The program `firmware-sim` and `atm serve --serial` set a port to raw bytes; here the client does it for its own end.
    let port = atm_host::serial::Port::open(&line.far, 115_200).unwrap();
    host.serve_port(BlockingPort(port));
    let done = Program::run(station.client(&["--serial", &line.near]), "withdraw 30\nbalance\n");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("Your balance is $70."), "{done:?}");
    assert_eq!(host.claims()[0], (1, 0));
    // A port of this name is still there: the next start says hello on the same line.
    assert!(OpenOptions::new().read(true).open(&line.near).is_ok());
    let done = Program::run(station.client(&["--serial", &line.near, "balance"]), "");
    assert_eq!((done.code, station.step()), (Some(0), (1, 1)), "{done:?}");
    assert!(done.stdout.contains("Your balance is $70."), "{done:?}");
}

/// A port whose reads time out, as those of a socket here.
struct BlockingPort(atm_host::serial::Port);

impl std::io::Read for BlockingPort {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use embedded_io::{Read, ReadReady};
        self.0.wait(std::time::Duration::from_millis(10))?;
        if self.0.read_ready()? { self.0.read(buffer) } else { Err(std::io::ErrorKind::WouldBlock.into()) }
    }
}

impl std::io::Write for BlockingPort {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        embedded_io::Write::write(&mut self.0, bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_operation_of_the_command_line_is_sealed_too() {
    let (host, station) = (SealedHost::new(), Station::new());
    let address = host.listen().to_string();
    let done = Program::run(station.client(&[&address, "withdraw", "all", "--json"]), "");
    assert_eq!((done.code, host.balance()), (Some(0), 0), "{done:?}");
    assert!(
        done.stdout.starts_with(r#"{"operation":"withdrawal","outcome":"done","amount":10000,"#),
        "{done:?}"
    );
    let done = Program::run(station.client(&[&address, "withdraw", "5"]), "");
    assert_eq!((done.code, station.step()), (Some(3), (1, 1)), "{done:?}");
}

/// The reply to the operation is lost with the connection; the answer is sent again on the next one.
#[test]
fn a_connection_lost_in_mid_operation_is_opened_again_and_money_moves_once() {
    let (host, station) = (SealedHost::new(), Station::new());
    let messages = AtomicU32::new(0);
    // The first message of the host is its welcome.
    let middle =
        Middle::changing(host.listen(), move |bytes| match messages.fetch_add(1, Ordering::Relaxed) {
            1 => Vec::new(),
            _ => bytes.to_vec(),
        });
    let mut client = station.at_menu(&[&middle.address.to_string()]);
    client.type_line("deposit 40");
    while host.balance() != 140 {
        std::thread::yield_now();
    }
    middle.cut();
    client.wait_for("Amount deposited: $40. Your balance is $140.");
    client.type_line("balance");
    client.wait_for("Your balance is $140.");
    client.end_input();
    let done = client.finish();
    assert_eq!((done.code, host.balance()), (Some(0), 140), "{done:?}");
    assert!(done.stderr.contains("reconnected"), "{done:?}");
    // A reconnect is no start: the key stays.
    assert!(host.claims().iter().all(|claim| *claim == (1, 0)), "{:?}", host.claims());
}

#[test]
fn the_start_after_a_kill_steps_the_key_and_reports_the_outcome() {
    let (host, station) = (SealedHost::new(), Station::new());
    let messages = AtomicU32::new(0);
    let middle =
        Middle::changing(host.listen(), move |bytes| match messages.fetch_add(1, Ordering::Relaxed) {
            0 => bytes.to_vec(),
            _ => Vec::new(),
        });
    let mut client = station.at_menu(&[&middle.address.to_string()]);
    client.type_line("deposit 40");
    while host.balance() != 140 {
        std::thread::yield_now();
    }
    client.signal(Signal::KILL);
    client.finish();
    middle.cut();
    assert_eq!(station.step(), (1, 0));
    let done = Program::run(station.client(&[&host.listen().to_string()]), "");
    assert_eq!((done.code, station.step()), (Some(0), (1, 1)), "{done:?}");
    assert!(done.stdout.contains("Amount deposited: $40. Your balance is $140."), "{done:?}");
    assert_eq!((host.claims().last(), host.balance()), (Some(&(1, 1)), 140));
}

#[test]
fn a_new_series_keeps_what_is_pending() {
    let (host, station) = (SealedHost::new(), Station::new());
    let address = host.listen().to_string();
    Program::run(station.client(&[&address]), "deposit 40\n");
    station.issue("kiosk-7", 2);
    let done = Program::run(station.client(&[&address]), "balance\n");
    assert_eq!((done.code, station.step()), (Some(0), (2, 0)), "{done:?}");
    assert!(done.stdout.contains("Your balance is $140.") && done.stderr.is_empty(), "{done:?}");
}
