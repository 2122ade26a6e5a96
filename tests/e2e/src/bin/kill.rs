//! Crash test: kills `atm serve --data` under load with SIGKILL, restarts it, verifies the ledger each time, and compares
//! the outcomes that the terminals received with the ledger at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use atm_e2e::{
    Client, NamedTerminal, Program, Rng, Server, Signal, atm,
    ledger::{audit_tables, ledger_stdout},
    println,
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

/// Kill `atm serve --data` under load, again and again, and compare the outcomes that its terminals received with its ledger
#[derive(Parser)]
#[command(name = "kill")]
struct Arguments {
    /// How often to kill the server
    #[arg(long, default_value_t = 300)]
    times: u32,
    /// Number of named terminals
    #[arg(long, alias = "kiosks", default_value_t = 8)]
    terminals: u64,
    /// Number of unnamed sessions
    #[arg(long, default_value_t = 2)]
    unnamed: u64,
    /// Seed of all random choices
    #[arg(long)]
    seed: Option<u64>,
}

/// The outcomes that a terminal received, by the ids of the operations.
type Received = HashMap<u64, WireOutcome>;

/// The field `outcome` of a reply, and the money moved, in cents: negative for a withdrawal.
type WireOutcome = (String, i128);

/// What the main thread and the clients' threads share.
#[derive(Default)]
struct Control {
    stop: AtomicBool,
    answers: AtomicU64,
    /// Outcomes received on a later connection than the one that the answer was sent on.
    recovered: AtomicU64,
    /// While the ledger is verified, clients send nothing: otherwise each verification would have more entries to read than
    /// the one before, and take longer, while more come.
    paused: Mutex<bool>,
    resumed: Condvar,
}

impl Control {
    fn pause(&self, paused: bool) {
        *self.paused.lock().unwrap() = paused;
        self.resumed.notify_all();
    }

    /// Waits while clients are paused.
    fn wait(&self) {
        drop(self.resumed.wait_while(self.paused.lock().unwrap(), |paused| *paused).unwrap());
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
    let control = Arc::new(Control::default());
    let terminals: Vec<_> = (0..arguments.terminals)
        .map(|number| {
            let (control, seed) = (control.clone(), rng.u64(..));
            thread::spawn(move || run_named_terminal(number, address, seed, &control))
        })
        .collect();
    let unnamed: Vec<_> = (0..arguments.unnamed)
        .map(|_| {
            let control = control.clone();
            thread::spawn(move || run_unnamed_session(address, &control))
        })
        .collect();
    let mut entries = 0;
    for time in 1..=arguments.times {
        // A client's thread ends before it is stopped only if it has failed.
        if terminals.iter().any(JoinHandle::is_finished) || unnamed.iter().any(JoinHandle::is_finished) {
            println!("a client failed after {} kills: --seed {seed}", time - 1);
            control.stop.store(true, Ordering::Release);
            break;
        }
        // The time until the kill is the random choice here, not a wait for a condition.
        thread::sleep(Duration::from_millis(rng.u64(1..200)));
        server.program.signal(Signal::KILL);
        drop(server);
        server = serve(data, &address.to_string());
        control.pause(true);
        entries = verify(data, time);
        control.pause(false);
        if time % 25 == 0 {
            println!("{time} kills, {entries} entries");
        }
    }
    control.stop.store(true, Ordering::Release);
    let received: Vec<(String, Received)> =
        terminals.into_iter().map(|terminal| terminal.join().unwrap()).collect();
    let unnamed: (i128, i128) = unnamed
        .into_iter()
        .map(|session| session.join().unwrap())
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    server.stop();
    verify(data, arguments.times + 1);
    let mut faults = compare(data, &received, unnamed);
    let audited = audit_tables(data).filter(|audited| audited.code != Some(0));
    faults.extend(audited.map(|audited| format!("{}{}", audited.stdout, audited.stderr)));
    for fault in &faults {
        println!("{fault}");
    }
    println!(
        "{} kills, {} answers, {} outcomes received on a later connection, {entries} entries, {} faults",
        arguments.times,
        control.answers.load(Ordering::Relaxed),
        control.recovered.load(Ordering::Relaxed),
        faults.len()
    );
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn serve(data: &Path, address: &str) -> Server {
    let arguments = ["serve", "--log", "warn", "--listen", address, "--data", data.to_str().unwrap()];
    Server::of(Program::start(atm(&arguments)))
}

/// Runs `atm ledger verify`, which must succeed; returns the number of entries.
fn verify(data: &Path, kills: u32) -> u64 {
    let output = Program::run(atm(&["ledger", "verify", "--data", data.to_str().unwrap()]), "");
    assert_eq!(output.code, Some(0), "after {kills} kills: {output:?}");
    let entries = output.stdout.lines().find_map(|line| line.strip_prefix("entries"));
    entries.and_then(|count| count.trim().parse().ok()).expect("it prints the number of entries")
}

/// A named terminal with random operations, power losses of its own included, until it is stopped and has the outcome of
/// each operation. Returns its name and the outcomes.
fn run_named_terminal(number: u64, address: SocketAddr, seed: u64, control: &Control) -> (String, Received) {
    let mut rng = Rng::with_seed(seed);
    let mut terminal = NamedTerminal::new(format!("kiosk-{number}"));
    let mut received = Received::new();
    // The last answer, to be sent again if the server did not receive it.
    let mut answer = String::new();
    loop {
        // In one of four cases the terminal has lost power too.
        let resume = rng.u32(0..4) > 0;
        if !resume {
            terminal.restart();
        }
        let Some((mut client, mut reply)) = terminal.try_hello(address, resume) else {
            thread::yield_now();
            continue;
        };
        let pending_before = terminal.pending;
        loop {
            let answered = reply["re"].as_u64();
            match terminal.pending {
                Some(id) if answered == Some(id) => {
                    control.recovered.fetch_add(u64::from(pending_before == Some(id)), Ordering::Relaxed);
                    record(&mut received, id, &reply);
                    terminal.show(&reply);
                }
                // The prompt is still open: the answer is retransmitted.
                Some(id) => {
                    assert_eq!(
                        reply["seq"].as_u64(),
                        Some(id),
                        "{}: no outcome of {id}: {reply}",
                        terminal.name
                    );
                }
                None if reply["seq"].as_u64().unwrap() > terminal.shown => drop(terminal.show(&reply)),
                None => {}
            }
            if terminal.pending.is_none() && control.stop.load(Ordering::Acquire) {
                return (terminal.name, received);
            }
            if terminal.pending.is_none() {
                answer = match rng.u32(0..10) {
                    0 => "balance".to_owned(),
                    1 => "withdraw all".to_owned(),
                    2..5 => format!("withdraw {}", rng.u32(1..60)),
                    _ => format!("deposit {}", rng.u32(1..60)),
                };
            }
            control.wait();
            if !terminal.answer(&mut client, &answer) {
                break;
            }
            match read(&mut client) {
                Some(next) => reply = next,
                None => break,
            }
            control.answers.fetch_add(1, Ordering::Relaxed);
            // After a refused withdrawal the host asks for another amount: back to the menu.
            if !is_menu(&reply) {
                record(&mut received, terminal.pending.unwrap(), &reply);
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

fn is_menu(reply: &Value) -> bool {
    reply["data"].as_str().is_some_and(|text| text.contains("1. Deposit"))
}

/// Reads a reply. The notices `working` and `stopping` are skipped.
fn read(client: &mut Client) -> Option<Value> {
    loop {
        let message = client.try_read()?;
        if message["seq"].is_u64() {
            return Some(message);
        }
        assert!(message["notice"] == "working" || message["notice"] == "stopping", "{message}");
    }
}

/// Records the outcome in a reply. A second one for the same id must be the same; `unknown` is a failure, as the ledger
/// was never set back.
fn record(received: &mut Received, id: u64, reply: &Value) {
    let Some(outcome) = reply["outcome"].as_str() else { return };
    assert_ne!(outcome, "unknown", "the ledger has the outcome: {reply}");
    if reply["operation"] == "balance" {
        return;
    }
    let before = received.insert(id, (outcome.to_owned(), moved(reply)));
    let now = &received[&id];
    assert!(before.as_ref().is_none_or(|before| before == now), "{id}: {before:?} and then {now:?}");
}

/// The money that a reply reports as moved, in cents: negative for a withdrawal.
fn moved(reply: &Value) -> i128 {
    let amount = i128::from(reply["amount"].as_u64().unwrap_or(0));
    match (reply["outcome"].as_str(), reply["operation"].as_str()) {
        (Some("done"), Some("deposit")) => amount,
        (Some("done"), Some("withdrawal")) => -amount,
        _ => 0,
    }
}

/// Unnamed sessions, one after another, that deposit until they are stopped. Returns the cents acknowledged and the cents
/// asked for: the ledger must have booked a sum between the two.
fn run_unnamed_session(address: SocketAddr, control: &Control) -> (i128, i128) {
    let (mut acknowledged, mut asked) = (0, 0);
    while !control.stop.load(Ordering::Acquire) {
        let Some(mut client) = Client::try_connect(address) else {
            thread::yield_now();
            continue;
        };
        if read(&mut client).is_none() {
            continue;
        }
        while !control.stop.load(Ordering::Acquire) {
            control.wait();
            asked += 100;
            if !client.try_send(&atm_e2e::frame(r#"{"data":"deposit 1"}"#)) {
                break;
            }
            let Some(reply) = read(&mut client) else { break };
            control.answers.fetch_add(1, Ordering::Relaxed);
            acknowledged += moved(&reply);
        }
    }
    (acknowledged, asked)
}

/// Compares the outcomes that the terminals received with the ledger's entries; returns the differences.
fn compare(data: &Path, received: &[(String, Received)], unnamed: (i128, i128)) -> Vec<String> {
    let csv = ledger_stdout(&["export"], data);
    let names: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let (mut booked, mut booked_unnamed, mut faults) = (HashMap::new(), 0, Vec::new());
    for line in csv.lines().skip(1) {
        let columns: HashMap<&str, &str> = names.iter().copied().zip(line.split(',')).collect();
        let amount: i128 = columns["amount"].parse().unwrap_or(0);
        let outcome = match (columns["kind"], columns["operation"]) {
            ("done", "deposit") => ("done", amount),
            ("done", _) => ("done", -amount),
            ("refused", _) => ("refused", 0),
            ("void", _) => ("not-done", 0),
            _ => continue,
        };
        let Ok(id) = columns["id"].parse::<u64>() else {
            booked_unnamed += outcome.1;
            continue;
        };
        let key = (columns["terminal"].to_owned(), id);
        if booked.insert(key, (outcome.0.to_owned(), outcome.1)).is_some() {
            faults.push(format!("booked twice: {line}"));
        }
    }
    let (acknowledged, asked) = unnamed;
    if booked_unnamed < acknowledged || booked_unnamed > asked {
        faults.push(format!(
            "unnamed sessions: {acknowledged} of {asked} acknowledged, {booked_unnamed} booked"
        ));
    }
    for (name, received) in received {
        for (id, outcome) in received {
            if booked.get(&(name.clone(), *id)) != Some(outcome) {
                let booked = booked.get(&(name.clone(), *id));
                faults.push(format!("{name} received {outcome:?} for {id}, and {booked:?} is booked"));
            }
        }
        for ((_, id), outcome) in booked.iter().filter(|((owner, _), _)| owner == name) {
            // A void that the terminal did not receive moved no money.
            if outcome.1 != 0 && !received.contains_key(id) {
                faults.push(format!("{name} has not received {outcome:?} for {id}"));
            }
        }
    }
    faults
}
