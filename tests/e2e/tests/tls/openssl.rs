//! `openssl s_client`, which shares no code with the server: without a certificate, with a foreign one, with an older version
//! of TLS, and with a terminal's.
use crate::{authority::Authority, client::first_hello};
use atm_e2e::{Output, Program, Server, frame};
use std::process::Command;

/// `openssl s_client` with the certificate `file` of an authority, and more options; it sends a hello of `kiosk-7`. `None`,
/// with a message, on a machine without it.
fn s_client(server: &Server, authority: &Authority, file: Option<&str>, more: &[&str]) -> Option<Output> {
    if !Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no openssl on this machine");
        return None;
    }
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-verify_return_error", "-CAfile"]).arg(authority.path("ca.pem"));
    command.args(["-connect", &server.address.to_string()]).args(more);
    if let Some(file) = file {
        command.arg("-cert").arg(authority.path(&format!("{file}.pem")));
        command.arg("-key").arg(authority.path(&format!("{file}.key")));
    }
    let hello = frame(first_hello("kiosk-7").to_string());
    let mut program = Program::start(command);
    // It may have got the alert before.
    program.try_type_bytes(&hello);
    // With -quiet the end of its input is not the end of the connection.
    if file == Some("kiosk-7") && more.is_empty() {
        program.wait_for("\"hello\":1");
        program.signal(atm_e2e::Signal::TERM);
    }
    Some(program.finish())
}

#[test]
fn openssl_gets_a_session_with_a_terminals_certificate_alone() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("kiosk-7", &["kiosk-7"]);
    other.issue("foreign", &["kiosk-7"]);
    for file in ["foreign.pem", "foreign.key"] {
        std::fs::copy(other.path(file), authority.path(file)).unwrap();
    }
    let server = authority.serve(&[]);
    for (file, more, alert) in [
        (None, &[][..], "certificate required"),
        (Some("foreign"), &[], "unknown ca"),
        (Some("kiosk-7"), &["-tls1_2"], "protocol version"),
        (None, &["-tls1_2"], "protocol version"),
    ] {
        let Some(done) = s_client(&server, &authority, file, more) else { return };
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{file:?}: {done:?}");
        assert!(done.stderr.contains(alert), "{file:?}: {done:?}");
    }
    let done = s_client(&server, &authority, Some("kiosk-7"), &[]).unwrap();
    assert!(done.stdout.contains("Welcome to the ATM"), "{done:?}");
    server.stop();
}
