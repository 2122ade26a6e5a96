//! Metrics for Prometheus: `atm serve --metrics` (text format 0.0.4).
use atm_e2e::{NamedTerminal, Server, TIMEOUT};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Sends an HTTP request; returns the head and the body of the response.
pub(super) fn request_page(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    write!(stream, "{request}\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    (head.to_owned(), body.to_owned())
}

/// The address of a server's metrics, from its log.
pub(super) fn metrics_address(server: &Server) -> SocketAddr {
    server.program.wait_for_stderr("counters at /metrics");
    let errors = server.program.stderr();
    let (_, address) = errors.split_once("counters at /metrics address=").unwrap();
    address.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_page_has_the_counters_with_help_and_type() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--data", data]);
    let address = metrics_address(&server);
    let mut terminal = NamedTerminal::new("kiosk-1");
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    for answer in ["deposit 5", "withdraw 500"] {
        terminal.answer(&mut client, answer);
        let reply = client.read();
        terminal.show(&reply);
    }
    let (head, body) = request_page(address, "GET /metrics HTTP/1.1");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
    let value = |name: &str| -> f64 {
        let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {body}")).parse().unwrap()
    };
    for (name, expected) in [
        ("atm_sessions_total", 1.0),
        ("atm_sessions", 1.0),
        ("atm_turned_away_total", 0.0),
        ("atm_operations_total{outcome=\"done\"}", 1.0),
        ("atm_operations_total{outcome=\"refused\"}", 1.0),
        ("atm_operations_total{outcome=\"not-done\"}", 0.0),
        ("atm_ledger_commits_total", 3.0),
        ("atm_ledger_entries_total", 2.0),
        ("atm_ledger_batched_total", 3.0),
        ("atm_ledger_doubts_total", 0.0),
        ("atm_ledger_set_backs_total", 0.0),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("atm_ledger_sync_seconds_count") >= 3.0);
    assert_eq!(value("atm_ledger_sync_seconds_bucket{le=\"+Inf\"}"), value("atm_ledger_sync_seconds_count"));
    assert!(value("atm_ledger_sync_seconds_sum") > 0.0);
    // Every series has its HELP and TYPE line.
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let name =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        for kind in ["HELP", "TYPE"] {
            assert!(body.contains(&format!("# {kind} {name} ")), "{line}");
        }
    }
    for (request, status) in [
        ("GET /metrics?x=1 HTTP/1.1", "200"),
        ("GET / HTTP/1.0", "404"),
        ("GET /metrics/x HTTP/1.1", "404"),
        ("POST /metrics HTTP/1.1", "405"),
        ("sing", "400"),
    ] {
        let head = request_page(address, request).0;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
    }
    drop(client);
    server.stop();
}

#[test]
fn silent_connections_delay_no_page_and_are_closed() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let address = metrics_address(&server);
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let start = Instant::now();
    for _ in 0..20 {
        assert!(request_page(address, "GET /metrics HTTP/1.1").0.starts_with("HTTP/1.1 200 "));
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // The silent connections are closed after a timeout.
    for mut stream in silent {
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        match stream.read(&mut [0]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }
    server.stop();
}
