//! What an operator sees of a host: its health, its metrics, its log and its exit.
use atm_cluster::Cluster;
use atm_e2e::{Output, Program, request_page};
use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

mod blocked;
mod connection;
mod fence;
mod health;
mod keys;
mod metrics;
mod serial;
mod unnamed;

/// The built program, with the feature of these tests.
fn atm(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atm"));
    command.args(arguments);
    command
}

/// A running host with metrics.
struct Host {
    program: Program,
    address: String,
    metrics: SocketAddr,
}

impl Host {
    fn start(url: &str, name: &str, data: &Path) -> Self {
        let mut command = atm(&["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
        command.args(["--database", url, "--host-name", name, "--data"]).arg(data);
        let program = Program::start(command);
        program.wait_for("listening on ");
        let address = program.stdout().split(' ').nth(2).unwrap().to_owned();
        program.wait_for_stderr("metrics at /metrics");
        let log = program.stderr();
        let line = log.lines().find(|line| line.contains("metrics at /metrics")).unwrap();
        let metrics = line.split("address=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        Self { program, address, metrics }
    }

    /// Runs a client with an operation.
    fn operate(&self, operation: &[&str]) -> Output {
        self.start_operation(operation).finish()
    }

    /// Starts a client with an operation.
    fn start_operation(&self, operation: &[&str]) -> Program {
        let mut client = Program::start(atm(&[&["client", &self.address], operation].concat()));
        client.end_input();
        client
    }

    /// Whether it is healthy, and what it says.
    fn health(&self) -> (bool, String) {
        let (head, body) = request_page(self.metrics, "GET /healthz HTTP/1.1");
        (head.starts_with("HTTP/1.1 200 "), body)
    }

    /// The value of a metric without labels.
    fn metric(&self, name: &str) -> u64 {
        let (_, page) = request_page(self.metrics, "GET /metrics HTTP/1.1");
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// Waits until a metric has at least a value.
    fn wait_for_metric(&self, name: &str, least: u64) {
        let began = Instant::now();
        while self.metric(name) < least {
            assert!(began.elapsed() < Duration::from_secs(60), "{name} {}", self.program.stderr());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it is healthy, or is not, and returns how long that took and what it says.
    fn wait_for_health(&self, wanted: bool) -> (Duration, String) {
        let began = Instant::now();
        loop {
            let (is_healthy, text) = self.health();
            if is_healthy == wanted {
                return (began.elapsed(), text);
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{text} {}", self.program.stderr());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A server with the tables of a new ledger, and the address of its database.
fn migrated() -> (Cluster, String) {
    let cluster = Cluster::start();
    let url = cluster.create("ledger");
    assert!(atm(&["ledger", "migrate", "--database", &url]).output().unwrap().status.success());
    (cluster, url)
}
