//! Certificates: who is served, and as which terminal.
use crate::{
    authority::{Authority, params_for},
    client::{TlsClient, first_hello},
};
use atm_e2e::{Output, Program, Server, atm, json};
use rcgen::{ExtendedKeyUsagePurpose, SanType, date_time_ymd};
use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt};

/// Runs `atm client balance` with the certificate `file`, and more options.
fn client(authority: &Authority, file: &str, server: &Server, more: &[&str]) -> Output {
    let mut command = atm(&["client", &server.address.to_string(), "balance"]);
    command.args(authority.client_options(file)).args(more);
    Program::run(command, "")
}

#[test]
fn the_certificate_names_the_terminal() {
    let authority = Authority::new();
    authority.issue("kiosk", &["Kiosk_7.a-b"]);
    let server = authority.serve(&[]);
    let done = client(&authority, "kiosk", &server, &[]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "Your balance is $100.\n"), "{done:?}");
    server.program.wait_for_stderr("certificate verified");
    server.program.wait_for_stderr("terminal=Kiosk_7.a-b");
    // The server's own name may differ from its address.
    let done = client(&authority, "kiosk", &server, &["--tls-name", "localhost"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    server.stop();
}

#[test]
fn a_certificate_that_is_not_accepted_is_refused_with_the_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    other.issue("foreign", &["kiosk-7"]);
    let mut params = params_for(&["kiosk-7"]);
    params.not_after = date_time_ymd(2024, 1, 1);
    authority.issue_params("expired", params);
    let mut params = params_for(&["kiosk-7"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    authority.issue_params("server-only", params);
    for file in ["foreign.pem", "foreign.key"] {
        fs::copy(other.path(file), authority.path(file)).unwrap();
    }
    let server = authority.serve(&["--frame-timeout", "5"]);
    for (file, at_the_client, at_the_server) in [
        ("foreign", "of an authority that it does not know", "UnknownIssuer"),
        ("expired", "has expired", "certificate expired"),
        ("server-only", "does not accept this side's certificate", "certificate"),
    ] {
        let done = client(&authority, file, &server, &[]);
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{file}: {done:?}");
        assert!(done.stderr.contains(at_the_client), "{file}: {done:?}");
        server.program.wait_for_stderr(at_the_server);
    }
    // Without a certificate.
    let mut none = TlsClient::connect(server.address, &authority, None);
    let error = none.try_read().unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    server.program.wait_for_stderr("the peer has shown no certificate");
    server.stop();
}

#[test]
fn a_certificate_without_one_terminals_name_is_refused() {
    let authority = Authority::new();
    let no_dns_name = |name: &str| {
        let mut params = params_for(&[]);
        params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        params
    };
    authority.issue("common-name-only", &[]);
    authority.issue_params("uri-only", no_dns_name("kiosk-7"));
    authority.issue("several", &["kiosk-7", "kiosk-8"]);
    // One of them is no host's name, which a reader of hosts' names would skip.
    authority.issue("several-odd", &["kiosk-7", "-"]);
    authority.issue("twice", &["kiosk-7", "kiosk-7"]);
    authority.issue("wildcard", &["*.example"]);
    let server = authority.serve(&[]);
    for (file, reason) in [
        ("common-name-only", "no dNSName"),
        ("uri-only", "no dNSName"),
        ("several", "more than one dNSName"),
        ("several-odd", "more than one dNSName"),
        ("twice", "more than one dNSName"),
        ("wildcard", "is no terminal's"),
    ] {
        let mut client = TlsClient::connect(server.address, &authority, Some(file));
        let refusal = client.read();
        assert_eq!((&refusal["error"], &refusal["input"]), (&json!("other-name"), &json!(false)), "{file}");
        assert_eq!(client.try_read().unwrap(), None, "{file}");
        server.program.wait_for_stderr(reason);
        // The client finds it before it connects.
        let done = self::client(&authority, file, &server, &[]);
        assert!(done.code == Some(1) && done.stderr.contains(reason), "{file}: {done:?}");
    }
    server.stop();
}

#[test]
fn a_hello_with_another_name_and_a_session_without_one_are_refused() {
    let authority = Authority::new();
    authority.issue("kiosk-7", &["kiosk-7"]);
    let server = authority.serve(&[]);
    for name in ["kiosk-8", "KIOSK-7", "kiosk-7."] {
        let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
        let refusal = client.hello(&first_hello(name));
        assert_eq!(refusal["error"], "other-name", "{name}: {refusal}");
        assert_eq!(client.try_read().unwrap(), None, "{name}");
    }
    for text in ["balance", "deposit 40", "withdraw 40", "quit"] {
        for unnamed_hello in [false, true] {
            let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
            let mut reply = client.read();
            if unnamed_hello {
                reply = client.hello(&json!({ "hello": 1, "start": 1, "attempt": 1 }));
            }
            assert_eq!(reply["input"], true, "{reply}");
            let refusal = client.ask(&reply, text);
            assert_eq!(refusal["error"], "other-name", "{text}: {refusal}");
            assert_eq!(client.try_read().unwrap(), None);
        }
    }
    server.program.wait_for_stderr("refused: not the name in the terminal's certificate");
    // The own name is served after that, and no money has moved.
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    let welcome = client.hello(&first_hello("kiosk-7"));
    assert_eq!(client.ask(&welcome, "balance")["balance"], 10_000);
    drop(client);
    // The client of another name is refused before it connects.
    let done = self::client(&authority, "kiosk-7", &server, &["--terminal", "kiosk-8"]);
    assert!(done.code == Some(1) && done.stderr.contains("and not of kiosk-8"), "{done:?}");
    server.stop();
}

#[test]
fn a_server_that_is_not_the_expected_one_gets_no_hello() {
    let (authority, other) = (Authority::new(), Authority::new());
    for authority in [&authority, &other] {
        authority.issue("kiosk-7", &["kiosk-7"]);
    }
    let options = other.server_options(&authority);
    let server = Server::start(&options.each_ref().map(String::as_str));
    let done = client(&authority, "kiosk-7", &server, &[]);
    assert!(done.code == Some(1) && done.stderr.contains("UnknownIssuer"), "{done:?}");
    server.stop();
    let server = authority.serve(&[]);
    let done = client(&authority, "kiosk-7", &server, &["--tls-name", "bank.example"]);
    assert!(done.code == Some(1) && done.stderr.contains("not valid for name \"bank.example\""), "{done:?}");
    server.program.wait_for_stderr("TLS failed");
    server.stop();
}

#[test]
fn files_that_cannot_be_used_are_reported_before_the_server_listens() {
    let (authority, other) = (Authority::new(), Authority::new());
    let run = |options: &[String], more: &[&str]| {
        let mut command = atm(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(options).args(more);
        Program::run(command, "")
    };
    let options = authority.server_options(&authority);
    let checked = run(&options, &["--check-config"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), "ok\n"), "{checked:?}");
    // The key of another certificate.
    let mut mixed = options.clone();
    mixed[3] = other.server_options(&other)[3].clone();
    let done = run(&mixed, &[]);
    assert!(done.code == Some(1) && done.stderr.contains("server.key: "), "{done:?}");
    assert_eq!(run(&mixed, &["--check-config"]).code, Some(2));
    let key = authority.path("server.key");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let done = run(&options, &[]);
    assert!(done.code == Some(1) && done.stderr.contains("(mode 644): chmod 600"), "{done:?}");
    fs::remove_file(&key).unwrap();
    let done = run(&options, &[]);
    assert!(done.code == Some(1) && done.stderr.contains("No such file"), "{done:?}");
}

#[test]
fn an_alert_is_no_reason_to_reconnect() {
    let authority = Authority::new();
    let mut params = params_for(&["kiosk-7"]);
    params.not_after = date_time_ymd(2024, 1, 1);
    authority.issue_params("expired", params);
    let server = authority.serve(&[]);
    let done = client(&authority, "expired", &server, &[]);
    assert!(!done.stderr.contains("reconnect"), "{done:?}");
    assert_eq!(server.program.stderr().matches("session opened").count(), 1);
    let mut client = TlsClient::connect(server.address, &authority, Some("expired"));
    assert_eq!(client.try_read().unwrap_err().kind(), ErrorKind::InvalidData);
    server.stop();
}
