//! Named terminals move money exactly once over faulty links and across kills: `atm client --terminal NAME --state FILE`, and
//! examples/terminal.py, which was written from core/PROTOCOL.md alone.

use atm_e2e::{Output, Program, Rng, SerialPair, Server, Signal, TIMEOUT, atm, examples, python, seeded_rng};
use faulty_proxy::{Delivery, Direction, FaultyProxy};
use std::{
    collections::BTreeSet,
    env, fs,
    net::SocketAddr,
    path::PathBuf,
    process::id,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

mod faulty_proxy;

const MENU: &str = "Welcome to the ATM.";
const NOT_DONE: &str = "Your request was not done. No money was moved.";
const UNKNOWN: &str = "It is unknown what became of your request: check the balance.";
const EARLIER: &str = "About your earlier request:\n\n";

/// A directory with a terminal's state file, removed at the end of the test.
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    pub(crate) fn new(test: &str) -> Self {
        let folder = env::temp_dir().join(format!("atm-named-{}-{test}", id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> String {
        self.0.join("state").to_str().unwrap().to_owned()
    }

    /// A client with this state file, whose lines the test types.
    pub(crate) fn client(&self, address: SocketAddr, name: &str, more: &[&str]) -> Program {
        let (address, path) = (address.to_string(), self.path());
        let arguments = ["client", "--connect", &address, "--terminal", name, "--state", &path];
        Program::start(atm(&[&arguments, more].concat()))
    }

    /// The Python example with this state file.
    pub(crate) fn example(&self, address: SocketAddr, name: &str) -> Option<Program> {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let arguments = [&host, &port, name, &self.path()];
        python(&examples().join("terminal.py"), &arguments).map(Program::start)
    }

    /// Runs a whole session.
    fn session(&self, address: SocketAddr, name: &str, lines: &str) -> Output {
        let mut client = self.client(address, name, &[]);
        for line in lines.lines() {
            client.type_line(line);
        }
        client.end_input();
        client.finish()
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn kill(client: Program) -> Output {
    client.signal(Signal::KILL);
    client.finish()
}

/// A proxy that drops the messages that `matches` selects, and the count of them.
fn dropping(
    server: &Server,
    matches: impl Fn(Direction, &str) -> bool + Send + 'static,
) -> (FaultyProxy, Arc<AtomicU64>) {
    let dropped = Arc::new(AtomicU64::new(0));
    let count = dropped.clone();
    let proxy = FaultyProxy::start(server.address, move |direction, body| {
        if !matches(direction, body) {
            return Delivery::Pass;
        }
        count.fetch_add(1, Ordering::Relaxed);
        Delivery::Drop
    });
    (proxy, dropped)
}

fn wait_for(count: &AtomicU64, least: u64) {
    let start = Instant::now();
    while count.load(Ordering::Relaxed) < least {
        assert!(start.elapsed() < TIMEOUT, "{count:?} is less than {least}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_client_killed_in_mid_withdrawal_reports_the_outcome_at_its_next_start() {
    let server = Server::start(&[]);
    let state = StateDir::new("killed");
    for (direction, lines, code, outcome) in [
        (Direction::ToClient, "3\n", 0, "Amount withdrawn: $40. Your balance is $60."),
        // The answer itself was dropped: the next start voids its operation, since the person may have left.
        (Direction::ToServer, "3\n", 0, NOT_DONE),
        // Without a line the exit code is that of the request before.
        (Direction::ToServer, "", 5, NOT_DONE),
    ] {
        let (proxy, dropped) = dropping(&server, move |this, body| {
            this == direction && (body.contains("withdraw 40") || body.contains("Amount withdrawn"))
        });
        let mut client = state.client(proxy.address, "k", &[]);
        client.type_line("withdraw 40");
        // It was retransmitted.
        wait_for(&dropped, 2);
        let done = kill(client);
        assert!(!done.stdout.contains("withdrawn"), "{done:?}");
        let done = state.session(server.address, "k", lines);
        let begin = format!("{EARLIER}{outcome}\n\n{MENU}");
        assert!(done.stdout.starts_with(&begin), "{done:?}");
        assert_eq!(done.stdout.contains("\nYour balance is $60."), !lines.is_empty(), "{done:?}");
        assert_eq!((done.code, done.stderr.as_str()), (Some(code), ""));
        let done = state.session(server.address, "k", "exit\n");
        assert!(done.stdout.starts_with(MENU), "the outcome was reported twice: {done:?}");
    }
    server.stop();
}

#[test]
fn a_restarted_server_in_memory_reports_an_unknown_outcome() {
    let first = Server::start(&[]);
    let state = StateDir::new("restarted");
    let (proxy, dropped) = dropping(&first, |_, body| body.contains("Amount withdrawn"));
    let mut client = state.client(proxy.address, "k", &[]);
    client.type_line("withdraw 40");
    wait_for(&dropped, 1);
    kill(client);
    drop(first);
    let second = Server::start(&[]);
    let done = state.session(second.address, "k", "3\n");
    assert!(done.stdout.starts_with(&format!("{EARLIER}{UNKNOWN}\n\n{MENU}")), "{done:?}");
    assert!(done.stdout.contains("Your balance is $100."), "{done:?}");
    second.stop();
}

#[test]
fn a_client_reconnects_to_a_restarted_server_and_its_script_stops() {
    let server = Server::start(&[]);
    let address = server.address;
    let states = [StateDir::new("stays"), StateDir::new("leaves")];
    let stays = states[0].client(address, "stays", &[]);
    let leaves = states[1].client(address, "leaves", &["--no-reconnect"]);
    stays.wait_for(MENU);
    leaves.wait_for(MENU);
    server.program.signal(Signal::KILL);
    drop(server);
    let done = leaves.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), "the server closed the connection\n"));
    stays.wait_for_stderr("connection lost; reconnecting\n");
    let server = Server::start(&["--listen", &address.to_string()]);
    let done = stays.finish();
    let err = "connection lost; reconnecting\nreconnected\nstopped: a new session began, and the remaining \
               lines were meant for the previous one\n";
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), err));
    server.stop();
}

#[test]
fn a_newer_client_of_the_same_name_takes_over() {
    let server = Server::start(&[]);
    let states = [StateDir::new("older"), StateDir::new("newer")];
    let mut older = states[0].client(server.address, "k", &[]);
    older.type_line("deposit 1");
    older.wait_for("Your balance is $101.");
    let mut newer = states[1].client(server.address, "k", &[]);
    let done = older.finish();
    assert!(done.stdout.ends_with("This terminal was taken over by a newer connection.\n"), "{done:?}");
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), ""));
    newer.type_line("deposit 2");
    newer.end_input();
    let done = newer.finish();
    assert!(done.stdout.contains("Your balance is $103."), "{done:?}");
    assert_eq!(done.code, Some(0));
    server.stop();
}

#[test]
fn a_state_file_is_for_one_running_client_and_one_name() {
    let server = Server::start(&[]);
    let state = StateDir::new("one");
    let running = state.client(server.address, "k", &[]);
    running.wait_for(MENU);
    let refused = |name| {
        let done = state.client(server.address, name, &[]).finish();
        assert_eq!(
            (done.code, done.stdout.as_str(), done.stderr.lines().count()),
            (Some(1), "", 1),
            "{done:?}"
        );
        done.stderr
    };
    assert!(refused("k").contains("another program is using it"));
    kill(running);
    assert!(refused("other").ends_with("it is the state file of the terminal k\n"));
    assert_eq!(state.session(server.address, "k", "3\n").code, Some(0));
    fs::write(state.path(), "atm terminal state 1\n").unwrap();
    assert!(refused("k").contains("it is damaged"));
    server.stop();
}

/// The amounts that an output reports as moved. Each amount is requested once, so a second report of it (by a client that
/// was killed before it had stored that the reply was shown) is the same movement.
fn moved(output: &str) -> Vec<i64> {
    let amounts = |words: &'static str, sign: i64| {
        output.split(words).skip(1).map(move |rest| {
            let digits = rest.split('.').next().unwrap();
            sign * digits.parse::<i64>().unwrap()
        })
    };
    amounts("Amount deposited: $", 1).chain(amounts("Amount withdrawn: $", -1)).collect()
}

/// Starts one terminal with `start` and kills it, eight times, and then lets it end; returns all of its output.
fn run_and_kill(
    proxy: &FaultyProxy,
    start: impl Fn() -> Option<Program>,
    rng: &mut Rng,
    amounts: &AtomicU64,
) -> Option<String> {
    let mut output = String::new();
    for _ in 0..8 {
        let mut client = start()?;
        let end = Instant::now() + Duration::from_millis(rng.u64(0..2500));
        // A client stops by itself after an operation that was not done.
        while Instant::now() < end && client.is_running() {
            if rng.bool() || client.stdout().ends_with("quit also stops the server.\n") {
                let word = if rng.bool() { "deposit" } else { "withdraw" };
                client.type_line(&format!("{word} {}", amounts.fetch_add(1, Ordering::Relaxed)));
            }
            thread::sleep(Duration::from_millis(rng.u64(0..100)));
        }
        output.push_str(&kill(client).stdout);
    }
    // Without faults, the last start reports the outcome that is not reported yet.
    proxy.stop_faults();
    let mut client = start()?;
    client.type_line("exit");
    client.end_input();
    let done = client.finish();
    // 3 and 5 are the outcome of the request before.
    assert!(matches!(done.code, Some(0 | 3 | 5)), "{done:?}");
    Some(output + &done.stdout)
}

#[test]
fn random_faults_and_kills_neither_lose_nor_duplicate_money() {
    let mut rng = seeded_rng();
    let server = Server::start(&["--balance", "1000000"]);
    let amounts = Arc::new(AtomicU64::new(1));
    let terminals: Vec<_> = (0..4)
        .map(|number| {
            let (address, amounts, mut rng) = (server.address, amounts.clone(), rng.fork());
            thread::spawn(move || {
                let proxy = FaultyProxy::random(address, rng.fork());
                let name = format!("chaos-{number}");
                let state = StateDir::new(&name);
                let start = || match number {
                    0 | 1 => Some(state.client(proxy.address, &name, &[])),
                    _ => state.example(proxy.address, &name),
                };
                run_and_kill(&proxy, start, &mut rng, &amounts)
            })
        })
        .collect();
    let outputs = terminals.into_iter().filter_map(|terminal| terminal.join().unwrap());
    let outputs: Vec<String> = outputs.collect();
    let moved: BTreeSet<i64> = outputs.iter().flat_map(|output| moved(output)).collect();
    println!("{} of {} amounts were moved", moved.len(), amounts.load(Ordering::Relaxed) - 1);
    let sum = 1_000_000 + moved.iter().sum::<i64>();
    assert_eq!(server.balance(), u64::try_from(sum).unwrap() * 100, "{outputs:#?}");
    assert!(moved.len() > 5, "{moved:?}");
    server.stop();
}

#[test]
fn a_serial_line_is_served_until_the_server_is_stopped() {
    let SerialPair { near, far, .. } = &SerialPair::new();
    let server = Program::start(atm(&["serve", "--serial", near, "--log", "off"]));
    server.wait_for(&format!("listening on {near} (postcard, 115200 baud)\n"));
    let state = StateDir::new("serial");
    let path = state.path();
    let client = || atm(&["client", "--serial", far, "--terminal", "k", "--state", &path]);
    let done = Program::run(client(), "withdraw 40\nquit\nexit\n");
    assert!(done.stdout.contains("Your balance is $60."), "{done:?}");
    assert!(done.stdout.contains("You are not permitted to stop the server."), "{done:?}");
    assert_eq!(
        (done.code, done.stderr.as_str()),
        (Some(3), "stopped at line 2 (\"quit\"): it was refused\n")
    );
    let client = Program::start(client());
    client.wait_for(MENU);
    server.signal(Signal::TERM);
    let done = client.finish();
    assert!(done.stdout.ends_with("The server is stopping. Goodbye.\n"), "{done:?}");
    assert_eq!((done.code, server.finish().code), (Some(1), Some(0)));
}
