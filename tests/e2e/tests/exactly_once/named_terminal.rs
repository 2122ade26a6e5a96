//! Named terminals: `atm client --terminal NAME --state FILE`, and the example in Python that was written from the protocol's
//! page alone, over lines that lose, with power that goes.

use atm_e2e::{Output, Program, Rng, SerialPair, Server, Signal, TIMEOUT, atm, examples, python, seeded_rng};
use proxy::{Fate, Proxy, Way};
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

mod proxy;

const MENU: &str = "Welcome to the ATM.";
const NOT_DONE: &str = "Your request was not done. No money was moved.";
const UNKNOWN: &str = "It is unknown what became of your request: check the balance.";
const EARLIER: &str = "About your earlier request:\n\n";

/// A state file that is gone with the test.
struct State(PathBuf);

impl State {
    fn new(test: &str) -> Self {
        let folder = env::temp_dir().join(format!("atm-named-{}-{test}", id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.join("state").to_str().unwrap().to_owned()
    }

    /// A client with this state whose lines the test types.
    fn client(&self, address: SocketAddr, name: &str, more: &[&str]) -> Program {
        let (address, path) = (address.to_string(), self.path());
        let arguments = ["client", "--connect", &address, "--terminal", name, "--state", &path];
        Program::start(atm(&[&arguments, more].concat()))
    }

    /// The example in Python with this state.
    fn example(&self, address: SocketAddr, name: &str) -> Option<Program> {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let arguments = [&host, &port, name, &self.path()];
        python(&examples().join("terminal.py"), &arguments).map(Program::start)
    }

    /// A whole session.
    fn session(&self, address: SocketAddr, name: &str, lines: &str) -> Output {
        let mut client = self.client(address, name, &[]);
        for line in lines.lines() {
            client.type_line(line);
        }
        client.end_input();
        client.finish()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn kill(client: Program) -> Output {
    client.signal(Signal::KILL);
    client.finish()
}

/// A proxy that loses what `losing` finds, and counts it.
fn losing(server: &Server, losing: impl Fn(Way, &str) -> bool + Send + 'static) -> (Proxy, Arc<AtomicU64>) {
    let lost = Arc::new(AtomicU64::new(0));
    let count = lost.clone();
    let proxy = Proxy::start(server.address, move |way, body| {
        if !losing(way, body) {
            return Fate::Pass;
        }
        count.fetch_add(1, Ordering::Relaxed);
        Fate::Lose
    });
    (proxy, lost)
}

fn wait_for(count: &AtomicU64, least: u64) {
    let start = Instant::now();
    while count.load(Ordering::Relaxed) < least {
        assert!(start.elapsed() < TIMEOUT, "{count:?} is less than {least}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_client_that_is_killed_in_mid_withdrawal_tells_the_outcome_when_it_comes_back() {
    let server = Server::start(&[]);
    let state = State::new("killed");
    for (way, balance, outcome) in [
        (Way::ToClient, 60, "Amount withdrawn: $40. Your balance is $60."),
        // The answer itself is lost: what comes later may not be done with nobody there.
        (Way::ToServer, 60, NOT_DONE),
    ] {
        let (proxy, lost) = losing(&server, move |at, body| {
            at == way && (body.contains("withdraw 40") || body.contains("Amount withdrawn"))
        });
        let mut client = state.client(proxy.address, "k", &[]);
        client.type_line("withdraw 40");
        // It is repeated.
        wait_for(&lost, 2);
        let done = kill(client);
        assert!(!done.stdout.contains("withdrawn"), "{done:?}");
        let done = state.session(server.address, "k", "3\n");
        let begin = format!("{EARLIER}{outcome}\n\n{MENU}");
        assert!(done.stdout.starts_with(&begin), "{done:?}");
        assert!(done.stdout.contains(&format!("\nYour balance is ${balance}.")), "{done:?}");
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "it is no answer of this script");
        let done = state.session(server.address, "k", "exit\n");
        assert!(done.stdout.starts_with(MENU), "it is told once: {done:?}");
    }
    server.stop();
}

#[test]
fn a_server_that_was_restarted_knows_nothing_and_says_so() {
    let first = Server::start(&[]);
    let state = State::new("restarted");
    let (proxy, lost) = losing(&first, |_, body| body.contains("Amount withdrawn"));
    let mut client = state.client(proxy.address, "k", &[]);
    client.type_line("withdraw 40");
    wait_for(&lost, 1);
    kill(client);
    drop(first);
    let second = Server::start(&[]);
    let done = state.session(second.address, "k", "3\n");
    assert!(done.stdout.starts_with(&format!("{EARLIER}{UNKNOWN}\n\n{MENU}")), "{done:?}");
    assert!(done.stdout.contains("Your balance is $100."), "{done:?}");
    second.stop();
}

#[test]
fn a_server_that_comes_back_is_found_and_a_script_does_not_go_on_in_another_session() {
    let server = Server::start(&[]);
    let address = server.address;
    let states = [State::new("stays"), State::new("leaves")];
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
fn of_two_clients_of_one_name_the_later_one_goes_on() {
    let server = Server::start(&[]);
    let states = [State::new("older"), State::new("later")];
    let mut older = states[0].client(server.address, "k", &[]);
    older.type_line("deposit 1");
    older.wait_for("Your balance is $101.");
    let mut later = states[1].client(server.address, "k", &[]);
    let done = older.finish();
    assert!(done.stdout.ends_with("This terminal was taken over by a newer connection.\n"), "{done:?}");
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), ""));
    later.type_line("deposit 2");
    later.end_input();
    let done = later.finish();
    assert!(done.stdout.contains("Your balance is $103."), "{done:?}");
    assert_eq!(done.code, Some(0));
    server.stop();
}

#[test]
fn one_state_serves_one_client_and_one_name() {
    let server = Server::start(&[]);
    let state = State::new("one");
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

/// The amounts that an output tells to have been moved. Every amount is asked for once, so that one that is told twice
/// (by a client that was killed before it had stored that it was shown) is one.
fn moved(output: &str) -> Vec<i64> {
    let amounts = |words: &'static str, sign: i64| {
        output.split(words).skip(1).map(move |rest| {
            let digits = rest.split('.').next().unwrap();
            sign * digits.parse::<i64>().unwrap()
        })
    };
    amounts("Amount deposited: $", 1).chain(amounts("Amount withdrawn: $", -1)).collect()
}

/// The lives of one terminal, each begun by `start`; gives out what it has told.
fn lives(
    proxy: &Proxy,
    start: impl Fn() -> Option<Program>,
    rng: &mut Rng,
    amounts: &AtomicU64,
) -> Option<String> {
    let mut told = String::new();
    for _ in 0..8 {
        let mut client = start()?;
        let end = Instant::now() + Duration::from_millis(rng.u64(0..2500));
        // One that was told that something was not done has stopped.
        while Instant::now() < end && client.is_running() {
            if rng.bool() || client.stdout().ends_with(">>> ") {
                let word = if rng.bool() { "deposit" } else { "withdraw" };
                client.type_line(&format!("{word} {}", amounts.fetch_add(1, Ordering::Relaxed)));
            }
            thread::sleep(Duration::from_millis(rng.u64(0..100)));
        }
        told.push_str(&kill(client).stdout);
    }
    // The line is good again: what was not told yet is told now.
    proxy.be_honest();
    let mut client = start()?;
    client.type_line("exit");
    client.end_input();
    let done = client.finish();
    assert_eq!(done.code, Some(0), "{done:?}");
    Some(told + &done.stdout)
}

#[test]
fn whatever_the_line_does_and_whenever_the_power_goes_the_sums_are_right() {
    let mut rng = seeded_rng();
    let server = Server::start(&["--balance", "1000000"]);
    let amounts = Arc::new(AtomicU64::new(1));
    let terminals: Vec<_> = (0..4)
        .map(|number| {
            let (address, amounts, mut rng) = (server.address, amounts.clone(), rng.fork());
            thread::spawn(move || {
                let proxy = Proxy::that_lies(address, rng.fork());
                let name = format!("chaos-{number}");
                let state = State::new(&name);
                let start = || match number {
                    0 | 1 => Some(state.client(proxy.address, &name, &[])),
                    _ => state.example(proxy.address, &name),
                };
                lives(&proxy, start, &mut rng, &amounts)
            })
        })
        .collect();
    let told = terminals.into_iter().filter_map(|terminal| terminal.join().unwrap());
    let told: Vec<String> = told.collect();
    let moved: BTreeSet<i64> = told.iter().flat_map(|told| moved(told)).collect();
    println!("{} of {} amounts were moved", moved.len(), amounts.load(Ordering::Relaxed) - 1);
    let sum = 1_000_000 + moved.iter().sum::<i64>();
    assert_eq!(server.balance(), u64::try_from(sum).unwrap() * 100, "{told:#?}");
    assert!(moved.len() > 5, "{moved:?}");
    server.stop();
}

#[test]
fn a_serial_line_is_served_until_the_server_is_told_to_stop() {
    let SerialPair { near, far, .. } = &SerialPair::new();
    let server = Program::start(atm(&["serve", "--serial", near, "--log", "off"]));
    server.wait_for(&format!("listening on {near} (postcard, 115200 baud)\n"));
    let state = State::new("serial");
    let path = state.path();
    let client = || atm(&["client", "--serial", far, "--terminal", "k", "--state", &path]);
    let done = Program::run(client(), "withdraw 40\nquit\nexit\n");
    assert!(done.stdout.contains("Your balance is $60."), "{done:?}");
    assert!(done.stdout.contains("You are not permitted to stop the server."), "{done:?}");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let client = Program::start(client());
    client.wait_for(MENU);
    server.signal(Signal::TERM);
    let done = client.finish();
    assert!(done.stdout.ends_with("The server is stopping. Goodbye.\n"), "{done:?}");
    assert_eq!((done.code, server.finish().code), (Some(1), Some(0)));
}
