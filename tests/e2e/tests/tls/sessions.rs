//! Sessions over TLS: the wires, records of any size, reconnecting, the end of a session.
use crate::{
    authority::Authority,
    client::{TlsClient, first_hello},
    forwarder::Forwarder,
};
use atm_e2e::{Program, Server, atm, examples, frame, json, python};
use std::{io::Write, time::Instant};

/// The balance by `atm client`, in whole units.
fn balance(authority: &Authority, server: &Server, wire: &str) -> String {
    let mut command = atm(&["client", &server.address.to_string(), "balance", "--wire", wire]);
    command.args(authority.client_options("kiosk-7"));
    let done = Program::run(command, "");
    assert_eq!(done.code, Some(0), "{done:?}");
    done.stdout.trim_start_matches("Your balance is $").trim_end_matches(".\n").to_owned()
}

fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("kiosk-7", &["kiosk-7"]);
    authority
}

#[test]
fn each_numbered_wire_is_served_over_tls() {
    let authority = authority();
    for wire in ["json", "postcard"] {
        let server = authority.serve(&["--wire", wire]);
        assert!(server.program.stdout().contains(&format!("({wire}, TLS)")));
        let mut command = atm(&["client", "--connect", &server.address.to_string(), "--wire", wire]);
        command.args(authority.client_options("kiosk-7"));
        let done = Program::run(command, "deposit 40\nwithdraw 15\nexit\n");
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{wire}: {done:?}");
        assert!(done.stdout.contains("Your balance is $125.") && done.stdout.ends_with("Goodbye.\n"));
        assert_eq!(balance(&authority, &server, wire), "125");
        server.stop();
    }
}

#[test]
fn each_server_of_a_list_is_verified_for_the_name_in_its_own_address() {
    let authority = authority();
    let server = authority.serve(&[]);
    let port = server.address.port();
    // No server listens at the other addresses of this machine, and no certificate is for them. The name has one of them first in most runs.
    let addresses = (2..10).map(|last| format!("127.0.0.{last}:{port},")).collect::<String>()
        + &format!("localhost:{port}");
    let mut command = atm(&["client", &addresses, "deposit", "40"]);
    command.args(authority.client_options("kiosk-7"));
    let done = Program::run(command, "");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(balance(&authority, &server, "json"), "140");
    server.stop();
}

#[test]
fn the_python_terminal_speaks_tls() {
    let authority = authority();
    let server = authority.serve(&[]);
    let run = |name: &str, input: &str| {
        let state = authority.path(&format!("{name}.json"));
        let port = server.address.port().to_string();
        let [_, ca, _, certificate, _, key] = authority.client_options("kiosk-7");
        let arguments = ["localhost", &port, name, state.to_str().unwrap(), &ca, &certificate, &key];
        python(&examples().join("terminal.py"), &arguments).map(|command| Program::run(command, input))
    };
    let Some(done) = run("kiosk-7", "deposit 40\nexit\n") else { return };
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.contains("Your balance is $140."), "{done:?}");
    let done = run("kiosk-8", "deposit 40\nexit\n").unwrap();
    assert!(
        done.code == Some(1) && done.stderr.contains("the name in this terminal's certificate"),
        "{done:?}"
    );
    assert_eq!(balance(&authority, &server, "json"), "140");
    server.stop();
}

#[test]
fn a_record_of_any_size_cut_at_any_byte_is_read() {
    let authority = authority();
    let server = authority.serve(&["--limit", "1000000"]);
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    let mut reply = client.hello(&first_hello("kiosk-7"));
    // One byte a write.
    let answer = frame(json!({ "re": reply["seq"], "data": "deposit 1" }).to_string());
    for byte in client.encrypt(&answer) {
        client.socket.write_all(&[byte]).unwrap();
    }
    reply = client.read();
    assert_eq!(reply["balance"], 10_100);
    // One byte a record.
    for byte in frame(json!({ "re": reply["seq"], "data": "deposit 1" }).to_string()) {
        client.send(&[byte]);
    }
    reply = client.read();
    assert_eq!(reply["balance"], 10_200);
    // Records of 16 KiB with an answer and many duplicates of it. Those that come while its reply is being sent get none.
    let answer = frame(json!({ "re": reply["seq"], "data": "deposit 1" }).to_string());
    client.send(&answer.repeat(40_000 / answer.len()));
    reply = client.read();
    assert_eq!(reply["balance"], 10_300);
    client.answer(&reply["seq"], "balance");
    while reply["operation"] != "balance" {
        reply = client.read();
        assert!(reply["notice"] == "working" || reply["balance"] == 10_300, "{reply}");
    }
    server.stop();
}

#[test]
fn empty_records_and_many_of_them_are_no_end() {
    let authority = authority();
    let server = authority.serve(&[]);
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    let welcome = client.hello(&first_hello("kiosk-7"));
    let mut records = Vec::new();
    for _ in 0..2_000 {
        records.extend(client.encrypt(b""));
    }
    client.socket.write_all(&records).unwrap();
    assert_eq!(client.ask(&welcome, "balance")["balance"], 10_000);
    server.stop();
}

#[test]
fn a_client_that_ends_its_direction_gets_all_its_replies() {
    let authority = authority();
    let server = authority.serve(&[]);
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    let welcome = client.hello(&first_hello("kiosk-7"));
    client.answer(&welcome["seq"], "deposit 40");
    client.close_writing();
    assert_eq!(client.read()["balance"], 14_000);
    assert_eq!(client.try_read().unwrap(), None, "close_notify before the end");
    server.stop();
}

#[test]
fn a_stopping_server_says_goodbye_over_tls() {
    let authority = authority();
    let server = authority.serve(&[]);
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    client.hello(&first_hello("kiosk-7"));
    server.program.signal(atm_e2e::Signal::TERM);
    assert_eq!(client.read()["notice"], "stopping");
    assert_eq!(client.try_read().unwrap(), None);
    let since = Instant::now();
    drop(client);
    assert_eq!(server.program.finish().code, Some(0));
    assert!(since.elapsed().as_millis() < 1_900, "it waited for no one: {:?}", since.elapsed());
}

#[test]
fn the_client_resumes_its_session_on_another_tls_connection() {
    let authority = authority();
    let server = authority.serve(&[]);
    let forwarder = Forwarder::to(server.address);
    let mut command = atm(&["client", "--connect", &forwarder.address.to_string()]);
    command.args(authority.client_options("kiosk-7"));
    let mut client = Program::start(command);
    client.type_line("deposit 40");
    client.wait_for("Your balance is $140.");
    for times in 1..=3 {
        forwarder.cut();
        client.type_line("deposit 1");
        client.wait_for(&format!("Your balance is ${}.", 140 + times));
    }
    client.type_line("exit");
    client.wait_for("Goodbye.");
    let done = client.finish();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(balance(&authority, &server, "json"), "143");
    assert!(server.finish().matches("certificate verified").count() >= 5, "each time anew");
}
