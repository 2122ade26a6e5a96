//! `atm serve --database`: two hosts of one ledger, the loss of one, and the loss of the database.
use atm_cluster::Cluster;
use relay::{Loses, Relay};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

mod relay;

const ATM: &str = env!("CARGO_BIN_EXE_atm");

/// How long a server may take until it serves again.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running server; killed when this is dropped.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// A host of a shared ledger.
    pub(crate) fn start(url: &str, name: &str, folder: &Path) -> Self {
        Self::run(&["--database", url, "--host-name", name], &folder.join(name))
    }

    /// A server with the ledger in this folder.
    pub(crate) fn start_local(data: &Path) -> Self {
        Self::run(&[], data)
    }

    fn run(options: &[&str], data: &Path) -> Self {
        let mut process = Command::new(ATM)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(options)
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split(' ').nth(2).unwrap_or_default().to_owned();
        assert!(line.starts_with("listening on 127.0.0.1:"), "{line:?}");
        Self { process, address }
    }

    /// An operation of the terminal of this name, whose memory is in the folder.
    pub(crate) fn operate(&self, name: &str, folder: &Path, operation: &[&str]) -> Output {
        let state = folder.join(format!("{name}.state"));
        Command::new(ATM)
            .args(["client", &self.address])
            .args(operation)
            .args(["--json", "--terminal", name, "--state"])
            .arg(state)
            .output()
            .unwrap()
    }

    /// The balance in minor units, once the server says it.
    pub(crate) fn balance(&self, folder: &Path) -> u64 {
        let until = Instant::now() + TIMEOUT;
        loop {
            let output = self.operate("reader", folder, &["balance"]);
            let text = String::from_utf8_lossy(&output.stdout);
            if let Some(number) = text.split(r#""balance":"#).nth(1).filter(|_| output.status.success()) {
                return number.split([',', '}']).next().unwrap().parse().unwrap();
            }
            assert!(Instant::now() < until, "no balance: {text} {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn migrated(cluster: &Cluster) -> String {
    cluster.create("ledger");
    let url = cluster.url("ledger");
    let made = Command::new(ATM).args(["ledger", "migrate", "--database", &url]).status().unwrap();
    assert!(made.success());
    url
}

fn verified(url: &str) {
    let output = Command::new(ATM).args(["ledger", "verify", "--database", url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_terminal_goes_on_at_another_host_after_its_own_was_killed() {
    let cluster = Cluster::start();
    let url = migrated(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [mut first, second] = ["host", "second"].map(|name| Server::start(&url, name, folder));
    assert!(first.operate("kiosk-7", folder, &["deposit", "40"]).status.success());
    assert_eq!(second.balance(folder), 14_000);
    first.process.kill().unwrap();
    first.process.wait().unwrap();
    assert!(second.operate("kiosk-7", folder, &["withdraw", "15"]).status.success());
    // The host is back, under its name and with its mark.
    let first = Server::start(&url, "host", folder);
    assert!(first.operate("kiosk-7", folder, &["deposit", "1"]).status.success());
    assert_eq!([first.balance(folder), second.balance(folder)], [12_600; 2]);
    verified(&url);
}

/// A client of several hosts, whose lines the test types.
struct Session {
    client: Child,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start(addresses: &str, state: &Path) -> Self {
        let mut client = Command::new(ATM)
            .args(["client", addresses, "--terminal", "kiosk-7", "--state"])
            .arg(state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(client.stdout.take().unwrap());
        Self { client, output }
    }

    fn type_line(&mut self, line: &str) {
        self.client.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Reads until a line has this text.
    fn expect(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the client ended before {text:?}");
        }
    }

    /// The exit code, and what was written to standard error.
    fn finish(mut self) -> (Option<i32>, String) {
        drop(self.client.stdin.take());
        let output = self.client.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn wait_until(is_so: impl Fn() -> bool) {
    let until = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < until, "it does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_session_left_on_one_host_goes_on_at_another_and_returns_and_each_operation_is_done_once() {
    let cluster = Cluster::start();
    let url = migrated(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut hosts = ["host", "second"].map(|name| (name, Server::start(&url, name, folder), Relay::start()));
    for (_, server, relay) in &hosts {
        relay.lead_to(&server.address);
    }
    let addresses = hosts.each_ref().map(|(.., relay)| relay.address.as_str()).join(",");
    let state = folder.join("kiosk-7.state");
    let mut session = Session::start(&addresses, &state);
    session.type_line("deposit 40");
    session.expect("Amount deposited: $40. Your balance is $140.");
    // Which one is its first host, its name decides.
    if !hosts[0].2.is_used() {
        hosts.reverse();
    }
    let mut balance = 14_000;
    // Left with an answer out, whose reply is lost, then at the other host, and last with one that no host has read.
    for (loses, amount) in [(Loses::Replies, 2), (Loses::Replies, 4), (Loses::Answers, 8)] {
        let [(name, server, relay), (_, other, _)] = &mut hosts;
        assert!(relay.is_used());
        relay.lose(loses);
        session.type_line(&format!("deposit {amount}"));
        wait_until(|| relay.has_lost());
        if loses == Loses::Replies {
            balance += 100 * amount;
            wait_until(|| other.balance(folder) == balance);
        }
        server.process.kill().unwrap();
        server.process.wait().unwrap();
        if loses == Loses::Answers {
            break;
        }
        session.expect(&format!("Amount deposited: ${amount}. Your balance is ${}.", balance / 100));
        balance += 100;
        session.type_line("deposit 1");
        session.expect(&format!("Amount deposited: $1. Your balance is ${}.", balance / 100));
        // The host is back, under its name and with its mark.
        *server = Server::start(&url, name, folder);
        relay.lead_to(&server.address);
        hosts.reverse();
    }
    session.expect("Your request was not done. No money was moved.");
    let (code, report) = session.finish();
    assert_eq!(code, Some(5), "{report}");
    let (code, text) = Session::start(&addresses, &state).finish();
    assert_eq!(code, Some(0), "the outcome was shown before: {text}");
    assert_eq!(hosts[1].1.balance(folder), balance);
    let moves: Vec<_> = report.lines().filter(|line| line.starts_with("reconnected to ")).collect();
    let [first, second] = hosts.each_ref().map(|(.., relay)| format!("reconnected to {}", relay.address));
    assert_eq!(moves, [&second, &first, &second], "{report}");
    assert_eq!(report.matches("connection lost; reconnecting").count(), 3, "{report}");
    verified(&url);
}

#[test]
fn the_example_starts_two_hosts_in_one_command() {
    let mut example =
        Command::new("../examples/two_hosts.sh").arg(ATM).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(example.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (mut addresses, mut url) = (Vec::new(), None);
    for line in lines {
        addresses.extend(
            line.strip_prefix("listening on ").map(|rest| rest.split(' ').next().unwrap().to_owned()),
        );
        url = line.strip_prefix("the database: ").map(str::to_owned).or(url);
        if addresses.len() == 2 && url.is_some() {
            break;
        }
    }
    for address in &addresses {
        let moved = Command::new(ATM).args(["client", address, "deposit", "10"]).output().unwrap();
        assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    }
    verified(&url.unwrap());
    let ended = Command::new("kill").args(["-INT", &example.id().to_string()]).status().unwrap();
    assert!(ended.success() && addresses.len() == 2);
    assert_eq!(example.wait().unwrap().code(), Some(130));
}

#[test]
fn a_second_process_under_a_hosts_name_ends_the_first() {
    let cluster = Cluster::start();
    let url = migrated(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut first = Server::start(&url, "host", folder);
    // The lock of the folder is not there: as on another machine with a copy of the mark.
    std::fs::create_dir(folder.join("copy")).unwrap();
    std::fs::create_dir(folder.join("copy/host")).unwrap();
    std::fs::copy(folder.join("host/ledger.mark"), folder.join("copy/host/ledger.mark")).unwrap();
    let second = Server::start(&url, "host", &folder.join("copy"));
    assert!(!first.operate("kiosk-7", folder, &["deposit", "40", "--no-reconnect"]).status.success());
    let until = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = first.process.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < until, "the fenced host goes on");
        thread::yield_now();
    };
    assert_eq!(status.code(), Some(1));
    assert!(second.operate("kiosk-8", folder, &["deposit", "1"]).status.success());
    assert_eq!(second.balance(folder), 10_100);
}

#[test]
fn a_database_that_stops_at_any_moment_loses_nothing_that_was_acknowledged() {
    let mut cluster = Cluster::start();
    let url = migrated(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let servers = ["host", "second"].map(|name| Server::start(&url, name, folder));
    let (mut acknowledged, mut unknown) = (0, 0);
    for round in 0..6 {
        let outcomes = thread::scope(|scope| {
            let customers: Vec<_> = (0..4)
                .map(|number| {
                    let server = &servers[number % 2];
                    scope.spawn(move || {
                        let name = format!("kiosk-{number}");
                        (0..5)
                            .map(|_| server.operate(&name, folder, &["deposit", "1"]).status.code())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            if round % 2 == 1 {
                cluster.restart();
            }
            customers.into_iter().flat_map(|customer| customer.join().unwrap()).collect::<Vec<_>>()
        });
        acknowledged += outcomes.iter().filter(|code| **code == Some(0)).count() as u64;
        unknown += outcomes.iter().filter(|code| **code == Some(4)).count() as u64;
    }
    let balance = servers[0].balance(folder);
    assert!(acknowledged > 0);
    let (least, most) = (10_000 + 100 * acknowledged, 10_000 + 100 * (acknowledged + unknown));
    assert!((least..=most).contains(&balance), "{balance} of {least} to {most}");
    assert_eq!(servers[1].balance(folder), balance);
    verified(&url);
}
