//! Shutdown: by a signal or by `quit`, the server sends each session the notice `stopping` and exits with code 0.
use atm_e2e::{Client, Server, Signal, frame, json, text_of};
use std::{
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

/// Reads the notice `stopping` and the end of the connection.
fn expect_stopping(client: &mut Client) {
    let message = client.read();
    assert_eq!(
        (&message["notice"], &message["end"], &message["input"]),
        (&json!("stopping"), &json!(true), &json!(false)),
        "{message}"
    );
    assert!(text_of(&message).contains("Goodbye"));
    client.expect_end();
}

/// Waits until the server exits, with `code` and without a panic; returns its log.
fn expect_exit(server: Server, code: i32) -> String {
    let address = server.address;
    let output = server.program.finish();
    assert_eq!(output.code, Some(code), "{output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
    assert!(TcpStream::connect(address).is_err(), "the port is still open");
    output.stderr
}

fn stops_on(signal: Signal) {
    let server = Server::start(&[]);
    let (mut menu, mut amount, mut partial) = (server.client(), server.client(), server.client());
    amount.ask("deposit");
    partial.ask("2");
    partial.send(&frame("{\"data\":\"all\"}")[..9]);
    let mut served = server.client();
    served.ask("deposit 5");
    let since = Instant::now();
    server.program.signal(signal);
    for client in [&mut menu, &mut amount, &mut partial, &mut served] {
        expect_stopping(client);
    }
    drop((menu, amount, partial, served));
    expect_exit(server, 0);
    assert!(since.elapsed() < Duration::from_secs(2), "it waited: {:?}", since.elapsed());
}

#[test]
fn sigterm_stops_the_server() {
    stops_on(Signal::TERM);
}

#[test]
fn sigint_stops_the_server() {
    stops_on(Signal::INT);
}

#[test]
fn sigterm_is_announced_on_the_raw_wire() {
    let server = Server::start(&["--wire", "raw"]);
    let mut client = Client::connect(server.address);
    client.read_once();
    server.program.signal(Signal::TERM);
    let text = String::from_utf8(client.read_to_end()).unwrap();
    assert!(text.contains("The server is stopping. Goodbye.") && text.contains("\"input\":false"), "{text}");
    drop(client);
    expect_exit(server, 0);
}

#[test]
fn sigterm_without_sessions_stops_the_server() {
    let server = Server::start(&[]);
    server.program.signal(Signal::TERM);
    expect_exit(server, 0);
}

#[test]
fn clients_that_stay_connected_do_not_prevent_the_exit() {
    let server = Server::start(&[]);
    let clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    server.program.signal(Signal::TERM);
    expect_exit(server, 0);
    drop(clients);
}

#[test]
fn a_second_signal_exits_at_once_with_code_130() {
    let server = Server::start(&[]);
    let client = server.client();
    server.program.signal(Signal::INT);
    server.program.wait_for_stderr("stopping");
    server.program.signal(Signal::INT);
    expect_exit(server, 130);
    drop(client);
}

#[test]
fn quit_from_the_same_machine_stops_the_server() {
    for setup in [None, Some("deposit"), Some("withdraw")] {
        let server = Server::start(&[]);
        let (mut other, mut person) = (server.client(), server.client());
        if let Some(setup) = setup {
            person.ask(setup);
        }
        let reply = person.ask("quit");
        assert_eq!((&reply["input"], &reply["end"]), (&json!(false), &json!(true)), "{reply}");
        assert!(text_of(&reply).contains("stopping"), "{reply}");
        person.expect_end();
        expect_stopping(&mut other);
        drop((other, person));
        expect_exit(server, 0);
    }
}

/// An address of this machine other than loopback, if it has one. connect(2) on a UDP socket sends no packet.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

#[test]
fn quit_from_another_machine_needs_allow_remote_quit() {
    let server = Server::start(&["--listen", "0.0.0.0:0", "--allow-clear"]);
    // The log warns of an address that other machines reach.
    server.program.wait_for_stderr("WARN");
    let Some(outer) = outer_address() else {
        eprintln!("skipped: this machine has only the loopback address");
        return;
    };
    let address = SocketAddr::new(outer, server.address.port());
    let mut client = Client::greeted(address);
    for setup in [None, Some("deposit"), Some("withdraw")] {
        if let Some(setup) = setup {
            client.ask(setup);
        }
        let reply = client.ask("quit");
        assert!(text_of(&reply).starts_with("You are not permitted") && reply["input"] == true, "{reply}");
        client.ask("back");
    }
    assert_eq!(text_of(&client.ask("exit")), "Goodbye.");
    drop(client);
    let mut local = Client::greeted(SocketAddr::new([127, 0, 0, 1].into(), address.port()));
    assert_eq!(local.ask("quit")["end"], true);
    drop(local);
    expect_exit(server, 0);

    let server = Server::start(&["--listen", "0.0.0.0:0", "--allow-clear", "--allow-remote-quit"]);
    let mut client = Client::greeted(SocketAddr::new(outer, server.address.port()));
    assert_eq!(client.ask("quit")["end"], true);
    drop(client);
    expect_exit(server, 0);
}

#[test]
fn the_loopback_address_causes_no_warning() {
    for address in ["127.0.0.1:0", "[::1]:0", "localhost:0"] {
        // Not every machine has IPv6.
        if std::net::TcpListener::bind(address).is_ok() {
            let server = Server::start(&["--listen", address]);
            server.program.signal(Signal::TERM);
            assert!(!expect_exit(server, 0).contains("WARN"), "{address}");
        }
    }
}
