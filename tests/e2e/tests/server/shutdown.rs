//! A server that stops says goodbye to whoever is there and exits with 0.
use atm_e2e::{Client, Server, Signal, frame, json, text_of};
use std::{
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

/// The client is told that the server stops, and closed.
fn told_goodbye(client: &mut Client) {
    let told = client.read();
    assert_eq!(
        (&told["notice"], &told["end"], &told["input"]),
        (&json!("stopping"), &json!(true), &json!(false)),
        "{told}"
    );
    assert!(text_of(&told).contains("Goodbye"));
    client.expect_end();
}

fn exits_with(server: Server, code: i32) -> String {
    let address = server.address;
    let done = server.program.finish();
    assert_eq!(done.code, Some(code), "{done:?}");
    assert!(!done.stderr.contains("panicked"), "{done:?}");
    assert!(TcpStream::connect(address).is_err(), "somebody still listens");
    done.stderr
}

fn stops_at(signal: Signal) {
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
        told_goodbye(client);
    }
    drop((menu, amount, partial, served));
    exits_with(server, 0);
    assert!(since.elapsed() < Duration::from_secs(2), "it waited for nobody: {:?}", since.elapsed());
}

#[test]
fn at_sigterm() {
    stops_at(Signal::TERM);
}

#[test]
fn at_sigint() {
    stops_at(Signal::INT);
}

#[test]
fn on_the_raw_wire() {
    let server = Server::start(&["--wire", "raw"]);
    let mut client = Client::connect(server.address);
    client.read_once();
    server.program.signal(Signal::TERM);
    let told = String::from_utf8(client.read_to_end()).unwrap();
    assert!(told.contains("The server is stopping. Goodbye.") && told.contains("\"input\":false"), "{told}");
    drop(client);
    exits_with(server, 0);
}

#[test]
fn with_nobody_there() {
    let server = Server::start(&[]);
    server.program.signal(Signal::TERM);
    exits_with(server, 0);
}

#[test]
fn clients_that_stay_do_not_keep_it() {
    let server = Server::start(&[]);
    let clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    server.program.signal(Signal::TERM);
    exits_with(server, 0);
    drop(clients);
}

#[test]
fn a_second_signal_does_not_wait_for_them() {
    let server = Server::start(&[]);
    let client = server.client();
    server.program.signal(Signal::INT);
    server.program.wait_for_stderr("stopping");
    server.program.signal(Signal::INT);
    exits_with(server, 1);
    drop(client);
}

#[test]
fn when_a_person_on_this_machine_asks() {
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
        told_goodbye(&mut other);
        drop((other, person));
        exits_with(server, 0);
    }
}

/// An address of this machine that is not the loopback one, if it has any. No packet is sent.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

#[test]
fn not_when_a_person_elsewhere_asks() {
    let server = Server::start(&["--listen", "0.0.0.0:0"]);
    // An address that others reach is warned about.
    server.program.wait_for_stderr("WARN");
    let Some(outer) = outer_address() else {
        eprintln!("passed over: this machine has no address but the loopback one");
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
    exits_with(server, 0);

    let server = Server::start(&["--listen", "0.0.0.0:0", "--allow-remote-quit"]);
    let mut client = Client::greeted(SocketAddr::new(outer, server.address.port()));
    assert_eq!(client.ask("quit")["end"], true);
    drop(client);
    exits_with(server, 0);
}

#[test]
fn the_loopback_address_is_not_warned_about() {
    for address in ["127.0.0.1:0", "[::1]:0", "localhost:0"] {
        // Not every machine has IPv6.
        if std::net::TcpListener::bind(address).is_ok() {
            let server = Server::start(&["--listen", address]);
            server.program.signal(Signal::TERM);
            assert!(!exits_with(server, 0).contains("WARN"), "{address}");
        }
    }
}
