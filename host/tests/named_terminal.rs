//! Named terminals: the built program over lines that lose, with power that goes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use proxy::{Fate, Proxy, Random, Way};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Output, Stdio, id},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

#[path = "named_terminal/proxy.rs"]
mod proxy;

const NOT_DONE: &str = "Your request was not done. No money was moved.";
const UNKNOWN: &str = "It is unknown what became of your request: check the balance.";
const EARLIER: &str = "About your earlier request:\n\n";

fn atm(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atm"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(listen: &str, balance: &str) -> Self {
        let arguments = ["serve", "--listen", listen, "--balance", balance, "--log", "off"];
        let mut child = atm(&arguments).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split_once(' ')).unwrap().0;
        Self { address: address.to_owned(), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A state file that is gone with the test.
struct State(PathBuf);

impl State {
    fn new(test: &str) -> Self {
        let directory = env::temp_dir().join(format!("atm-named-{}-{test}", id()));
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn path(&self) -> String {
        self.0.join("state").to_string_lossy().into_owned()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A client that is running.
struct Client {
    child: Child,
    stdin: ChildStdin,
}

impl Client {
    fn start(address: &str, name: &str, state: &str, more: &[&str]) -> Self {
        let arguments = ["client", "--connect", address, "--terminal", name, "--state", state];
        let mut child = atm(&[&arguments, more].concat()).spawn().unwrap();
        Self { stdin: child.stdin.take().unwrap(), child }
    }

    fn say(&mut self, line: &str) {
        // One that has stopped does not read it.
        let _ = writeln!(self.stdin, "{line}");
    }

    fn kill(mut self) -> Told {
        self.child.kill().unwrap();
        self.end()
    }

    /// Says no more, and waits for the client to end.
    fn end(self) -> Told {
        drop(self.stdin);
        Told::from(self.child.wait_with_output().unwrap())
    }

    /// Waits until the client ends by itself.
    fn exits(mut self) -> Told {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(30), "it goes on: {:?}", self.kill());
            thread::sleep(Duration::from_millis(10));
        }
        self.end()
    }
}

/// What a client has said, and how it ended.
#[derive(Debug)]
struct Told {
    out: String,
    err: String,
    code: Option<i32>,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
    }
}

fn whole_session(address: &str, name: &str, state: &str, lines: &str) -> Told {
    let mut client = Client::start(address, name, state, &[]);
    client.say(lines);
    client.end()
}

#[test]
fn a_client_that_is_killed_in_mid_withdrawal_tells_the_outcome_when_it_comes_back() {
    let server = Server::start("127.0.0.1:0", "1000");
    let state = State::new("killed");
    let mut balance = 1000;
    for (lost, outcome) in [(Way::ToClient, ""), (Way::ToServer, NOT_DONE)] {
        let proxy = Proxy::start(&server.address, move |way, body| {
            let answer = body.contains(r#""data":"withdraw 40"#) || body.contains("Amount withdrawn");
            if way == lost && answer { Fate::Lose } else { Fate::Pass }
        });
        let mut client = Client::start(&proxy.address, "k", &state.path(), &[]);
        client.say("withdraw 40");
        // Time for a repeat.
        thread::sleep(Duration::from_millis(1500));
        let told = client.kill();
        assert!(!told.out.contains("withdrawn"), "{told:?}");
        let mut outcome = outcome.to_owned();
        if lost == Way::ToClient {
            balance -= 40;
            outcome = format!("Amount withdrawn: $40. Your balance is ${balance}.");
        }
        let told = whole_session(&server.address, "k", &state.path(), "3");
        let begin = format!("{EARLIER}{outcome}\n\nWelcome to the ATM.");
        assert!(told.out.starts_with(&begin), "{told:?}");
        assert!(told.out.contains(&format!("\nYour balance is ${balance}.")), "{told:?}");
        assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "an earlier answer is none of this script");
        let told = whole_session(&server.address, "k", &state.path(), "exit");
        assert!(told.out.starts_with("Welcome"), "it is told once: {told:?}");
    }
}

#[test]
fn a_server_that_was_restarted_knows_nothing_and_says_so() {
    let first = Server::start("127.0.0.1:0", "1000");
    let state = State::new("restarted");
    let proxy =
        Proxy::start(
            &first.address,
            |_, body| {
                if body.contains("Amount withdrawn") { Fate::Lose } else { Fate::Pass }
            },
        );
    let mut client = Client::start(&proxy.address, "k", &state.path(), &[]);
    client.say("withdraw 40");
    thread::sleep(Duration::from_millis(300));
    client.kill();
    drop(first);
    let second = Server::start("127.0.0.1:0", "1000");
    let told = whole_session(&second.address, "k", &state.path(), "3");
    assert!(told.out.starts_with(&format!("{EARLIER}{UNKNOWN}\n\nWelcome")), "{told:?}");
    assert!(told.out.contains("Your balance is $1000."), "{told:?}");
}

#[test]
fn a_server_that_comes_back_is_found_again_and_a_script_does_not_go_on_in_another_session() {
    let server = Server::start("127.0.0.1:0", "1000");
    let address = server.address.clone();
    let state = State::new("back");
    let stays = Client::start(&address, "stays", &state.path(), &[]);
    let other = State::new("leaves");
    let leaves = Client::start(&address, "leaves", &other.path(), &["--no-reconnect"]);
    thread::sleep(Duration::from_millis(300));
    drop(server);
    let told = leaves.exits();
    assert_eq!((told.code, told.err.as_str()), (Some(1), "the server closed the connection\n"));
    let server = Server::start(&address, "1000");
    let told = stays.exits();
    let err = "connection lost; reconnecting\nconnected again\nstopped: the session began anew, and the next lines \
               were meant for the one before\n";
    assert_eq!((told.code, told.err.as_str()), (Some(1), err));
    drop(server);
}

#[test]
fn of_two_clients_of_one_name_the_later_one_goes_on() {
    let server = Server::start("127.0.0.1:0", "1000");
    let states = [State::new("older"), State::new("later")];
    let mut older = Client::start(&server.address, "k", &states[0].path(), &[]);
    older.say("deposit 1");
    thread::sleep(Duration::from_millis(300));
    let mut later = Client::start(&server.address, "k", &states[1].path(), &[]);
    let told = older.exits();
    assert!(told.out.ends_with("This terminal was taken over by a newer connection.\n"), "{told:?}");
    assert_eq!((told.code, told.err.as_str()), (Some(1), ""));
    later.say("deposit 2");
    let told = later.end();
    assert!(told.out.contains("Your balance is $1003."), "{told:?}");
    assert_eq!(told.code, Some(0));
}

#[test]
fn one_state_serves_one_client_and_one_name() {
    let server = Server::start("127.0.0.1:0", "1000");
    let state = State::new("one");
    let running = Client::start(&server.address, "k", &state.path(), &[]);
    thread::sleep(Duration::from_millis(300));
    let told = whole_session(&server.address, "k", &state.path(), "3");
    assert!(told.err.contains("another program is using it"), "{told:?}");
    assert_eq!((told.code, told.out.as_str()), (Some(1), ""));
    running.kill();
    let told = whole_session(&server.address, "other", &state.path(), "3");
    assert!(told.err.contains("it is the state of the terminal k\n"), "{told:?}");
    assert_eq!(told.code, Some(1));
    assert_eq!(whole_session(&server.address, "k", &state.path(), "3").code, Some(0));
}

/// What the outputs of all lives tell of money that was moved: every amount is asked for once, so that one that is told
/// again (by a client that was killed before it had stored that it was shown) is the same.
fn moved(out: &str) -> impl Iterator<Item = i64> {
    let amounts = |words: &'static str, sign: i64| {
        out.split(words).skip(1).map(move |rest| {
            let digits = rest.split('.').next().unwrap();
            sign * digits.parse::<i64>().unwrap()
        })
    };
    amounts("Amount deposited: $", 1)
        .chain(amounts("Amount withdrawn: $", -1))
        .collect::<Vec<_>>()
        .into_iter()
}

/// The lives of one terminal; gives out what it has told.
fn lives(proxy: &Proxy, name: &str, random: &mut Random, amounts: &AtomicU64) -> Vec<Told> {
    let state = State::new(name);
    let mut all = Vec::new();
    for _ in 0..8 {
        let mut client = Client::start(&proxy.address, name, &state.path(), &[]);
        let end = Instant::now() + Duration::from_millis(random.below(2500));
        while Instant::now() < end {
            let word = if random.below(2) == 0 { "deposit" } else { "withdraw" };
            client.say(&format!("{word} {}", amounts.fetch_add(1, Ordering::Relaxed)));
            thread::sleep(Duration::from_millis(random.below(200)));
        }
        all.push(client.kill());
    }
    // The line is good again: what was not told yet is told now.
    proxy.be_honest();
    all.push(whole_session(&proxy.address, name, &state.path(), ""));
    all
}

#[test]
fn whatever_the_line_does_and_whenever_the_power_goes_the_sums_are_right() {
    let seed = env::var("ATM_SEED").map_or_else(|_| u64::from(id()) ^ 0x5eed, |seed| seed.parse().unwrap());
    println!("ATM_SEED={seed}");
    let server = Server::start("127.0.0.1:0", "1000000");
    let amounts = Arc::new(AtomicU64::new(1));
    let terminals: Vec<_> = (0..3)
        .map(|number| {
            let (address, amounts) = (server.address.clone(), amounts.clone());
            thread::spawn(move || {
                let mut random = Random::new(seed.wrapping_add(number));
                let proxy = Proxy::that_lies(&address, seed.wrapping_mul(31).wrapping_add(number));
                lives(&proxy, &format!("chaos-{number}"), &mut random, &amounts)
            })
        })
        .collect();
    let told: Vec<Told> = terminals.into_iter().flat_map(|terminal| terminal.join().unwrap()).collect();
    let moved: BTreeSet<i64> = told.iter().flat_map(|told| moved(&told.out)).collect();
    let state = State::new("auditor");
    let balance = whole_session(&server.address, "auditor", &state.path(), "3").out;
    let sum = 1_000_000 + moved.iter().sum::<i64>();
    if env::var("ATM_SHOW").is_ok() {
        println!("{told:#?}");
    }
    println!("{} of {} amounts moved", moved.len(), amounts.load(Ordering::Relaxed) - 1);
    assert!(balance.contains(&format!("\nYour balance is ${sum}.\n")), "not {sum}: {balance}\n{told:#?}");
    assert!(moved.len() > 5, "{moved:?}");
}

/// Carries bytes between two pseudo-terminals.
fn bridge(mut ends: [atm_host::serial::Port; 2]) {
    use embedded_io::{Read, Write};
    let mut bytes = [0; 256];
    loop {
        for (from, to) in [(0, 1), (1, 0)] {
            if ends[from].wait(Duration::from_millis(1)).unwrap() {
                let count = ends[from].read(&mut bytes).unwrap();
                ends[to].write_all(&bytes[..count]).unwrap();
            }
        }
    }
}

#[test]
fn a_serial_line_is_served_until_the_server_is_told_to_stop() {
    let ((a, near), (b, far)) =
        (atm_host::serial::Port::loopback().unwrap(), atm_host::serial::Port::loopback().unwrap());
    // It ends with the process.
    thread::spawn(move || bridge([a, b]));
    let mut server =
        atm(&["serve", "--serial", &near.path, "--balance", "1000", "--log", "off"]).spawn().unwrap();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, format!("listening on {} (postcard, 115200 baud)\n", near.path));
    let state = State::new("serial");
    let arguments = ["client", "--serial", &far.path, "--terminal", "k", "--state", &state.path()];
    let client = |lines: &str| {
        let mut child = atm(&arguments).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        child
    };
    let told = Told::from(client("withdraw 40\nquit\nexit\n").wait_with_output().unwrap());
    assert!(told.out.contains("Your balance is $960."), "{told:?}");
    assert!(told.out.contains("You are not permitted to stop the server."), "{told:?}");
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""));
    let mut child = atm(&arguments).spawn().unwrap();
    let stdin = child.stdin.take();
    thread::sleep(Duration::from_millis(500));
    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let told = Told::from(child.wait_with_output().unwrap());
    assert!(told.out.ends_with("The server is stopping. Goodbye.\n"), "{told:?}");
    assert_eq!(told.code, Some(1));
    assert_eq!(server.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    drop(stdin);
}
