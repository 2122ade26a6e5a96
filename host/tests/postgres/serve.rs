//! `atm serve --database`: two hosts of one ledger, the loss of one, and the loss of the database.
use super::cluster::Cluster;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

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
