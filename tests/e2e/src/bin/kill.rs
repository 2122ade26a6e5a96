//! Kills a server on disk under load, again and again, and audits what is left each time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use atm_e2e::{Client, NamedTerminal, Program, Rng, Server, Signal, atm};
use atm_host::{
    ledger::{
        disk::Folder,
        entry::{Entry, Fact},
        error::Fault,
        store::Store,
    },
    metrics::Metrics,
};
use clap::Parser;
use serde_json::Value;
use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Kill `atm serve --data` under load, start it again, and hold what its terminals were told against its books.
#[derive(Parser)]
#[command(name = "kill")]
struct Arguments {
    /// How many times
    #[arg(long, default_value_t = 300)]
    times: u32,
    /// Terminals with a name
    #[arg(long, alias = "kiosks", default_value_t = 8)]
    terminals: u64,
    /// Sessions without a name
    #[arg(long, default_value_t = 2)]
    unnamed: u64,
    /// What is drawn by chance is drawn from this
    #[arg(long)]
    seed: Option<u64>,
}

/// What became of a terminal's operations, as it was told, by their ids.
type Told = HashMap<u64, Outcome>;

/// An outcome in the wire's words, and how much moved, in cents.
type Outcome = (String, i128);

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answers: AtomicU64,
    /// Outcomes that a terminal learned on a later line than it asked on.
    learned: AtomicU64,
    /// The books are being audited: nobody asks for more. What is asked meanwhile would have to be audited too, longer each
    /// time, and the next time there would be even more.
    auditing: Mutex<bool>,
    audited: Condvar,
}

impl Shared {
    fn audit(&self, auditing: bool) {
        *self.auditing.lock().unwrap() = auditing;
        self.audited.notify_all();
    }

    /// Waits until nobody audits.
    fn wait(&self) {
        drop(self.audited.wait_while(self.auditing.lock().unwrap(), |auditing| *auditing).unwrap());
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut rng = Rng::with_seed(seed);
    println!("killing a server {} times, --seed {seed}", arguments.times);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut server = serve(data, "127.0.0.1:0");
    let address = server.address;
    let shared = Arc::new(Shared::default());
    let terminals: Vec<_> = (0..arguments.terminals)
        .map(|number| {
            let (shared, seed) = (shared.clone(), rng.u64(..));
            thread::spawn(move || run_named_terminal(number, address, seed, &shared))
        })
        .collect();
    let others: Vec<_> = (0..arguments.unnamed)
        .map(|_| {
            let shared = shared.clone();
            thread::spawn(move || run_unnamed_session(address, &shared))
        })
        .collect();
    let mut entries = 0;
    for time in 1..=arguments.times {
        // They end when they are told to, or have found something wrong.
        if terminals.iter().any(JoinHandle::is_finished) || others.iter().any(JoinHandle::is_finished) {
            println!("somebody has given up, after {} times: --seed {seed}", time - 1);
            shared.stop.store(true, Ordering::Release);
            break;
        }
        // How long it serves is what is drawn here, and not a wait for something.
        thread::sleep(Duration::from_millis(rng.u64(1..200)));
        server.program.signal(Signal::KILL);
        drop(server);
        server = serve(data, &address.to_string());
        shared.audit(true);
        entries = audit(data, time);
        shared.audit(false);
        if time % 25 == 0 {
            println!("{time} times, {entries} entries");
        }
    }
    shared.stop.store(true, Ordering::Release);
    let told: Vec<(String, Told)> = terminals.into_iter().map(|terminal| terminal.join().unwrap()).collect();
    let unnamed: (i128, i128) = others
        .into_iter()
        .map(|other| other.join().unwrap())
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    server.stop();
    audit(data, arguments.times + 1);
    let wrong = compare(data, &told, unnamed);
    for wrong in &wrong {
        println!("{wrong}");
    }
    println!(
        "{} times killed, {} answers, {} outcomes learned on a later line, {entries} entries, {} faults",
        arguments.times,
        shared.answers.load(Ordering::Relaxed),
        shared.learned.load(Ordering::Relaxed),
        wrong.len()
    );
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn serve(data: &Path, address: &str) -> Server {
    let arguments = ["serve", "--log", "warn", "--listen", address, "--data", data.to_str().unwrap()];
    Server::of(Program::start(atm(&arguments)))
}

/// The books fit, after each time; says how many entries there are.
fn audit(data: &Path, time: u32) -> u64 {
    let done = Program::run(atm(&["ledger", "verify", "--data", data.to_str().unwrap()]), "");
    assert_eq!(done.code, Some(0), "after {time} times: {done:?}");
    let mut words = done.stdout.split(' ');
    words.nth(1).and_then(|count| count.parse().ok()).expect("it tells how many entries there are")
}

/// A terminal, until it is told to stop and knows what became of everything.
fn run_named_terminal(number: u64, address: SocketAddr, seed: u64, shared: &Shared) -> (String, Told) {
    let mut rng = Rng::with_seed(seed);
    let mut terminal = NamedTerminal::new(format!("kiosk-{number}"));
    let mut told = Told::new();
    // What was typed at which prompt, to be typed again where it was not heard.
    let mut typed = String::new();
    loop {
        // Its own power may have gone too.
        let resume = rng.u32(0..4) > 0;
        if !resume {
            terminal.restart();
        }
        let Some((mut client, mut reply)) = terminal.try_hello(address, resume) else {
            thread::yield_now();
            continue;
        };
        let out = terminal.pending;
        loop {
            let heard = reply["re"].as_u64();
            match terminal.pending {
                Some(id) if heard == Some(id) => {
                    shared.learned.fetch_add(u64::from(out == Some(id)), Ordering::Relaxed);
                    learn(&mut told, id, &reply);
                    terminal.show(&reply);
                }
                // The prompt is still open: the same answer again.
                Some(id) => {
                    assert_eq!(
                        reply["seq"].as_u64(),
                        Some(id),
                        "{}: nothing is told of {id}: {reply}",
                        terminal.name
                    );
                }
                None if reply["seq"].as_u64().unwrap() > terminal.shown => drop(terminal.show(&reply)),
                None => {}
            }
            if terminal.pending.is_none() && shared.stop.load(Ordering::Acquire) {
                return (terminal.name, told);
            }
            if terminal.pending.is_none() {
                typed = match rng.u32(0..10) {
                    0 => "balance".to_owned(),
                    1 => "withdraw all".to_owned(),
                    2..5 => format!("withdraw {}", rng.u32(1..60)),
                    _ => format!("deposit {}", rng.u32(1..60)),
                };
            }
            shared.wait();
            if !terminal.answer(&mut client, &typed) {
                break;
            }
            match read(&mut client) {
                Some(next) => reply = next,
                None => break,
            }
            shared.answers.fetch_add(1, Ordering::Relaxed);
            // A refused withdrawal is asked again; every conversation here goes on at the menu.
            if !at_the_menu(&reply) {
                learn(&mut told, terminal.pending.unwrap(), &reply);
                terminal.show(&reply);
                if !terminal.answer(&mut client, "back") {
                    break;
                }
                match read(&mut client) {
                    Some(next) => reply = next,
                    None => break,
                }
            }
        }
    }
}

fn at_the_menu(reply: &Value) -> bool {
    reply["data"].as_str().is_some_and(|text| text.contains("1. Deposit"))
}

/// Reads a reply; what is only a word that it takes time is passed over.
fn read(client: &mut Client) -> Option<Value> {
    loop {
        let message = client.try_read()?;
        if message["seq"].is_u64() {
            return Some(message);
        }
        assert!(message["notice"] == "working" || message["notice"] == "stopping", "{message}");
    }
}

fn learn(told: &mut Told, id: u64, reply: &Value) {
    let Some(outcome) = reply["outcome"].as_str() else { return };
    assert_ne!(outcome, "unknown", "the ledger knows: {reply}");
    if reply["operation"] == "balance" {
        return;
    }
    let before = told.insert(id, (outcome.to_owned(), moved(reply)));
    let now = &told[&id];
    assert!(before.as_ref().is_none_or(|before| before == now), "{id}: {before:?} and then {now:?}");
}

fn moved(reply: &Value) -> i128 {
    let amount = i128::from(reply["amount"].as_u64().unwrap_or(0));
    match (reply["outcome"].as_str(), reply["operation"].as_str()) {
        (Some("done"), Some("deposit")) => amount,
        (Some("done"), Some("withdrawal")) => -amount,
        _ => 0,
    }
}

/// A session without a name: what it was told, and what it asked for, in cents.
fn run_unnamed_session(address: SocketAddr, shared: &Shared) -> (i128, i128) {
    let (mut told, mut asked) = (0, 0);
    while !shared.stop.load(Ordering::Acquire) {
        let Some(mut client) = Client::try_connect(address) else {
            thread::yield_now();
            continue;
        };
        if read(&mut client).is_none() {
            continue;
        }
        while !shared.stop.load(Ordering::Acquire) {
            shared.wait();
            asked += 100;
            if !client.try_send(&atm_e2e::frame(r#"{"data":"deposit 1"}"#)) {
                break;
            }
            let Some(reply) = read(&mut client) else { break };
            shared.answers.fetch_add(1, Ordering::Relaxed);
            told += moved(&reply);
        }
    }
    (told, asked)
}

/// Holds what the terminals were told against the books.
fn compare(data: &Path, told: &[(String, Told)], unnamed: (i128, i128)) -> Vec<String> {
    let mut disk = Folder::take(data, Arc::new(Metrics::default())).unwrap();
    let (store, _) = Store::open(&mut disk).unwrap();
    let (mut booked, mut nobodys, mut wrong) = (HashMap::new(), 0, Vec::new());
    let read = store.view().unwrap().entries(1, |_, line| {
        if let Some(Fact::Settled { key, outcome, .. }) = Entry::parse(line).map(|entry| entry.fact) {
            use atm_core::ledger::{Outcome, Receipt};
            let said = match outcome {
                Outcome::Done(Receipt::Deposited { amount, .. }) => ("done", i128::from(amount.minor())),
                Outcome::Done(Receipt::Withdrawn { amount, .. }) => ("done", -i128::from(amount.minor())),
                Outcome::Refused(_) => ("refused", 0),
                _ => ("not-done", 0),
            };
            match key {
                None => nobodys += said.1,
                Some((name, id)) => {
                    if booked.insert((name.to_string(), id), (said.0.to_owned(), said.1)).is_some() {
                        wrong.push(format!("twice in the books: {line}"));
                    }
                }
            }
        }
        Ok::<(), Fault>(())
    });
    read.unwrap();
    if nobodys < unnamed.0 || nobodys > unnamed.1 {
        wrong.push(format!("sessions without a name were told {} of {}: {nobodys}", unnamed.0, unnamed.1));
    }
    for (name, told) in told {
        for (id, outcome) in told {
            if booked.get(&(name.clone(), *id)) != Some(outcome) {
                let booked = booked.get(&(name.clone(), *id));
                wrong.push(format!("{name} was told {outcome:?} of {id}, and {booked:?} is in the books"));
            }
        }
        for ((_, id), outcome) in booked.iter().filter(|((whose, _), _)| whose == name) {
            // What was voided unheard moved nothing.
            if outcome.1 != 0 && !told.contains_key(id) {
                wrong.push(format!("{name} was never told {outcome:?} of {id}"));
            }
        }
    }
    wrong
}
