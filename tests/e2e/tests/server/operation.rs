//! What whoever operates a server needs: its file of options, readiness, counters.
use atm_e2e::{NamedTerminal, Program, Server, TIMEOUT, atm, examples};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixDatagram,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Writes a file of options.
fn options(folder: &Path, text: &str) -> String {
    let path = folder.join("atm.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn options_come_from_a_file_and_the_command_line_goes_before() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let text = format!("listen = \"127.0.0.1:0\"\nbalance = 7\nlog = \"off\"\ndata = {data:?}\n");
    let file = options(folder.path(), &text);
    let server = Server::of(Program::start(atm(&["serve", "--config", &file])));
    assert_eq!(server.balance(), 700);
    assert_eq!(server.program.stderr(), "", "its log is off");
    server.stop();
    assert!(data.join("ledger.redb").exists());
    let other = folder.path().join("other");
    let arguments = ["serve", "--config", &file, "--balance", "8", "--data", other.to_str().unwrap()];
    let server = Server::of(Program::start(atm(&arguments)));
    assert_eq!(server.balance(), 800);
    server.stop();
}

#[test]
fn a_file_of_options_that_is_wrong_is_wrong_usage() {
    let folder = TempDir::new().unwrap();
    for (text, told) in [
        ("listen = \"127.0.0.1:0\"\ncolour = 1\n", "unknown field `colour`"),
        ("idle-timeout = 0\n", "--idle-timeout"),
        ("listen\n", "TOML parse error"),
    ] {
        let file = options(folder.path(), text);
        let done = Program::run(atm(&["serve", "--config", &file]), "");
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
        assert!(done.stderr.starts_with("error: ") && done.stderr.contains(&file), "{done:?}");
        assert!(done.stderr.contains(told), "{done:?}");
    }
    let done = Program::run(atm(&["serve", "--config", "/proc/none.toml"]), "");
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("/proc/none.toml: No such file"), "{done:?}");
}

#[test]
fn systemd_is_told_when_it_serves_and_when_it_stops() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let told_at = |socket: &UnixDatagram| {
        let mut bytes = [0; 256];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    let told = || told_at(&socket);
    let mut command = atm(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path).arg("--data").arg(folder.path().join("data"));
    let server = Server::of(Program::start(command));
    assert_eq!(told(), "READY=1\n");
    assert_eq!(server.balance(), 10_000);
    server.stop();
    assert_eq!(told(), "STOPPING=1\n");
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 256]).is_err(), "it said so twice");
    socket.set_nonblocking(false).unwrap();
    // The same where it is stopped by a person.
    let mut command = atm(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path);
    let server = Server::of(Program::start(command));
    assert_eq!(told(), "READY=1\n");
    server.client().ask("quit");
    assert_eq!(server.program.finish().code, Some(0));
    assert_eq!(told(), "STOPPING=1\n");
    // And where the socket is none in the file system.
    #[cfg(target_os = "linux")]
    {
        use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
        let name = format!("atm-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut command = atm(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", format!("@{name}"));
        let server = Server::of(Program::start(command));
        assert_eq!(told_at(&socket).trim_end(), "READY=1");
        server.stop();
        assert_eq!(told_at(&socket).trim_end(), "STOPPING=1");
    }
    // A server that cannot use its ledger was never ready.
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 256]).is_ok() {}
    fs::write(folder.path().join("data/ledger.redb"), "no").unwrap();
    let mut command = atm(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &path).arg("--data").arg(folder.path().join("data"));
    assert_eq!(Program::run(command, "").code, Some(1));
    assert!(socket.recv(&mut [0; 256]).is_err(), "it said that it is ready");
}

#[test]
fn the_sample_unit_starts_what_there_is() {
    let unit = fs::read_to_string(examples().join("atm.service")).unwrap();
    let section = |name: &str| -> Vec<&str> {
        let (_, rest) = unit.split_once(&format!("\n[{name}]\n")).unwrap();
        rest.lines().take_while(|line| !line.starts_with('[')).collect()
    };
    // In any other section systemd passes over it.
    assert!(section("Unit").contains(&"StartLimitIntervalSec=0"));
    assert!(section("Service").contains(&"Type=notify"));
    let start = section("Service").into_iter().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let (program, arguments) = start.split_once(' ').unwrap();
    assert!(program.ends_with("/atm"));
    let folder = TempDir::new().unwrap();
    let sample = examples().join("atm.toml");
    let arguments = arguments
        .replace("/etc/atm.toml", sample.to_str().unwrap())
        .replace("/var/lib/atm", folder.path().to_str().unwrap());
    let mut command = atm(&arguments.split(' ').collect::<Vec<_>>());
    command.args(["--listen", "127.0.0.1:0"]);
    let server = Server::of(Program::start(command));
    assert_eq!(server.balance(), 10_000);
    server.stop();
    assert!(folder.path().join("ledger.redb").exists());
}

/// Asks for a page.
fn page(address: SocketAddr, question: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    write!(stream, "{question}\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    (head.to_owned(), body.to_owned())
}

/// Where a server shows its counters, by its log.
fn counters(server: &Server) -> SocketAddr {
    server.program.wait_for_stderr("counters at /metrics");
    let errors = server.program.stderr();
    let (_, address) = errors.split_once("counters at /metrics address=").unwrap();
    address.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn counters_are_told_to_prometheus() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let server = Server::start(&["--metrics", "127.0.0.1:0", "--data", data]);
    let address = counters(&server);
    let mut terminal = NamedTerminal::new("kiosk-1");
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    for answer in ["deposit 5", "withdraw 500"] {
        terminal.answer(&mut client, answer);
        let reply = client.read();
        terminal.show(&reply);
    }
    let (head, body) = page(address, "GET /metrics HTTP/1.1");
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
        ("atm_ledger_entries_total", 3.0),
        ("atm_ledger_batched_total", 3.0),
        ("atm_ledger_doubts_total", 0.0),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("atm_ledger_sync_seconds_count") >= 3.0);
    assert_eq!(value("atm_ledger_sync_seconds_bucket{le=\"+Inf\"}"), value("atm_ledger_sync_seconds_count"));
    assert!(value("atm_ledger_sync_seconds_sum") > 0.0);
    // Every series has its help and its type.
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let name =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        for kind in ["HELP", "TYPE"] {
            assert!(body.contains(&format!("# {kind} {name} ")), "{line}");
        }
    }
    for (question, status) in [
        ("GET /metrics?x=1 HTTP/1.1", "200"),
        ("GET / HTTP/1.0", "404"),
        ("GET /metrics/x HTTP/1.1", "404"),
        ("POST /metrics HTTP/1.1", "405"),
        ("sing", "400"),
    ] {
        let head = page(address, question).0;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{question}: {head}");
    }
    drop(client);
    server.stop();
}

#[test]
fn whoever_asks_for_counters_and_says_nothing_keeps_nobody_waiting() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let address = counters(&server);
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let began = Instant::now();
    for _ in 0..20 {
        assert!(page(address, "GET /metrics HTTP/1.1").0.starts_with("HTTP/1.1 200 "));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // And it is not waited for for ever.
    for mut stream in silent {
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        match stream.read(&mut [0]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }
    server.stop();
}

/// The time that a process has had on a processor, as the system counts it (proc_pid_stat(5)), in hundredths of a second.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_server_that_may_open_no_more_files_waits_and_does_not_spin() {
    let serve = atm(&["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let mut command = Command::new("sh");
    // Nothing raises a hard limit.
    command
        .args(["-c", "ulimit -n 60 && exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args());
    let server = Server::of(Program::start(command));
    let address = counters(&server);
    // More than there may be: those who are turned away are waited for.
    let crowd: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    server.program.wait_for_stderr("could not be accepted");
    let asking: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(address).unwrap()).collect();
    let (began, before) = (Instant::now(), ticks(server.program.pid()));
    std::thread::sleep(Duration::from_secs(1));
    let (spent, took) = (ticks(server.program.pid()) - before, began.elapsed().as_millis() / 10);
    assert!(u128::from(spent) < took / 5, "{spent} of {took} hundredths of a second");
    drop((crowd, asking));
    // It is served again as soon as there is room.
    assert!(page(address, "GET /metrics HTTP/1.1").0.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.balance(), 10_000);
    server.stop();
}
