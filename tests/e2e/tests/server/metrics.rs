//! Metrics for Prometheus: `atm serve --metrics` (text format 0.0.4).
use atm_e2e::{NamedTerminal, Program, Server, Signal, TIMEOUT, atm, limit_files, request_page};
use std::{
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;

#[test]
fn a_page_has_the_counters_with_help_and_type() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--data", data]);
    let address = server.metrics_address();
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
        ("atm_discarded_frames_total", 0.0),
        ("atm_build_info{version=\"0.1.0\"}", 1.0),
        ("atm_operation_seconds_count{operation=\"deposit\"}", 1.0),
        ("atm_operation_seconds_count{operation=\"withdrawal\"}", 1.0),
        ("atm_operation_seconds_count{operation=\"balance\"}", 0.0),
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
        ("\r\nGET /metrics HTTP/1.1", "200"),
        ("GET http://localhost:1/metrics HTTP/1.1", "200"),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example", "421"),
        ("HEAD /healthz HTTP/1.1", "200"),
        ("HEAD / HTTP/1.1", "404"),
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
fn the_start_of_the_process_and_discarded_frames_are_shown() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let address = server.metrics_address();
    let mut client = server.client();
    client.send(&[0, 0, 0, 0]);
    assert_eq!(client.read()["error"], "empty");
    // It is counted after the turn that has sent the fault.
    let until = Instant::now() + TIMEOUT;
    let page = loop {
        let page = request_page(address, "GET /metrics HTTP/1.1").1;
        if page.contains("\natm_discarded_frames_total 1\n") {
            break page;
        }
        assert!(Instant::now() < until, "{page}");
    };
    assert!(!page.contains("atm_ledger_open"), "a ledger in memory is never closed: {page}");
    let started = page.lines().find_map(|line| line.strip_prefix("process_start_time_seconds ")).unwrap();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = since - started.parse::<f64>().unwrap();
    assert!((0.0..60.0).contains(&age), "{age}");
    drop(client);
    server.stop();
}

#[test]
fn the_health_is_503_while_the_ledger_is_closed_or_the_server_stops() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--data", data]);
    let address = server.metrics_address();
    let health = || request_page(address, "GET /healthz HTTP/1.1");
    assert_eq!(health().1, "ok\n");
    let mut client = server.client();
    limit_files(&server.program, Some(8192));
    client.answer("deposit 1");
    server.program.wait_for_stderr("the ledger's commit failed");
    let (head, body) = health();
    assert!(
        head.starts_with("HTTP/1.1 503 ") && body == "the ledger is closed by a fault\n",
        "{head} {body}"
    );
    limit_files(&server.program, None);
    client.read();
    assert_eq!(health().1, "ok\n");
    // A client that stays connected delays the exit.
    server.program.signal(Signal::TERM);
    assert_eq!(client.read()["notice"], "stopping");
    assert_eq!(health().1, "the server is stopping\n");
    drop(client);
    assert_eq!(server.program.finish().code, Some(0));
}

#[test]
fn an_address_that_other_machines_reach_needs_allow_remote_metrics() {
    let remote = ["--metrics", "0.0.0.0:0"];
    let refused = Program::run(atm(&[&["serve"], &remote[..]].concat()), "");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--allow-remote-metrics"), "{refused:?}");
    let server = Server::start(&[&remote[..], &["--allow-remote-metrics"]].concat());
    let address = SocketAddr::new([127, 0, 0, 1].into(), server.metrics_address().port());
    let page = request_page(address, "GET /metrics HTTP/1.1\r\nHost: kiosk-host.example:9654").0;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    server.stop();
}

#[test]
fn silent_connections_delay_no_page_and_are_closed() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let address = server.metrics_address();
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
