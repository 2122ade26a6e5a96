//! Scale: fills a ledger with many terminals and entries, and measures that a start, `show` and the server's memory do not
//! grow with them, and that the other commands grow no faster than they do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod child;
mod fill;

use atm_e2e::{
    NamedTerminal, Rng,
    ledger::{ledger_command, start_server},
    println,
};
use child::{Taken, memory, read_from_disk};
use clap::Parser;
use fill::{Filler, MAX_ROUNDS, name};
use rustix::fs::{Advice, fadvise};
use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// Aims: the longest start and the longest `atm ledger show`, with nothing of the ledger in the page cache, and the most
/// memory that the server holds.
const START: Duration = Duration::from_secs(1);
const SHOW: Duration = Duration::from_millis(300);
const RESIDENT: u64 = 100_000_000;
/// How much slower `verify` may be at ten times the entries, by the entry: twice is what the depth of trees and a cache
/// that has become too small explain.
const SLOWER: f64 = 2.0;

/// Fill a ledger with many terminals and entries, and measure the server and the commands on it
#[derive(Parser)]
#[command(name = "scale")]
struct Arguments {
    /// Entries of the ledger
    #[arg(long, default_value_t = 10_000_000)]
    entries: u64,
    /// Named terminals, each with a row
    #[arg(long, default_value_t = 1_000_000)]
    terminals: u32,
    /// Terminals, chosen at random, that deposit through a server
    #[arg(long, default_value_t = 20_000)]
    operations: u32,
    /// Sessions that do so at once
    #[arg(long, default_value_t = 20)]
    sessions: u32,
    /// An existing folder on the disk to be measured; the ledger in it is removed at the end
    #[arg(long, default_value = ".")]
    disk: PathBuf,
    /// Seed of all random choices
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { entries, terminals, operations, sessions, disk, seed } = Arguments::parse();
    let rounds = entries / u64::from(terminals).max(1);
    assert!((1..MAX_ROUNDS).contains(&rounds), "a terminal has 1 to {MAX_ROUNDS} entries");
    assert!((1..=terminals).contains(&operations), "a terminal deposits once through the server");
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("{entries} entries of {terminals} terminals, --seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let folder = tempfile::tempdir_in(disk).unwrap();
    let data = &folder.path().join("ledger");
    let mut missed = Vec::new();
    let mut aim = |what: &str, value: f64, most: f64| {
        if value > most {
            missed.push(format!("{what}: {value:.3}, at most {most} is the aim"));
        }
    };

    // A tenth of it first: what grows faster than the ledger is seen by the rates.
    let tenth = (entries / 10).max(1);
    let began = Instant::now();
    let mut filler = Filler::new(data, terminals, rng.fork());
    println!("hellos: {}", rate(terminals.into(), began.elapsed()));
    let mut verified = Vec::new();
    for (before, entries) in [(0, tenth), (tenth, entries)] {
        let began = Instant::now();
        filler.fill(entries);
        let filled = rate(entries - before, began.elapsed());
        println!("{entries} entries: {filled}, {:.1} MB", megabytes(size(data)));
        forget(data);
        verified.push(command("verify", &["verify"], data, entries).processor.as_secs_f64());
    }
    // The processor's time is known to a hundredth of a second.
    if verified[0] > 1.0 {
        aim("`verify` at the end, by ten times that at a tenth", verified[1] / verified[0] / 10.0, SLOWER);
    }

    forget(data);
    let began = Instant::now();
    let server = start_server(data);
    let time = began.elapsed();
    let pid = server.program.pid();
    println!(
        "start: {:.3} s, {:.1} MB read from the disk, {:.1} MB resident",
        time.as_secs_f64(),
        megabytes(read_from_disk(pid).unwrap()),
        megabytes(memory(pid, "VmRSS").unwrap())
    );
    aim("the start in seconds", time.as_secs_f64(), START.as_secs_f64());
    let chosen = rng.choose_multiple(0..terminals, operations as usize);
    let began = Instant::now();
    serve(server.address, &chosen, sessions as usize);
    let peak = memory(pid, "VmHWM").unwrap();
    let deposits = rate(operations.into(), began.elapsed());
    println!("{operations} terminals: {deposits}, {:.1} MB resident at most", megabytes(peak));
    aim("the server's memory in MB", megabytes(peak), megabytes(RESIDENT));

    // Beside the server: so its write-ahead log is read too.
    let terminal = name(chosen[0]);
    for words in [
        &["show"][..],
        &["show", "--terminal", &terminal],
        &["show", "--account", "1"],
        &["show", "--last", "20"],
    ] {
        forget(data);
        let shown = command(&words.join(" "), words, data, 0);
        aim("`show` in seconds", shown.time.as_secs_f64(), SHOW.as_secs_f64());
    }
    forget(data);
    let backup = folder.path().join("backup.db");
    command("backup", &["backup", backup.to_str().unwrap()], data, entries);
    fs::remove_file(backup).unwrap();
    command("export", &["export", "-"], data, entries);
    server.stop();
    command("verify", &["verify"], data, entries);
    missed.iter().for_each(|missed| println!("{missed}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each terminal connects, says hello, deposits $1 and disconnects; `sessions` of them at a time.
fn serve(address: SocketAddr, terminals: &[u32], sessions: usize) {
    thread::scope(|scope| {
        for part in terminals.chunks(terminals.len().div_ceil(sessions)) {
            scope.spawn(move || {
                for number in part {
                    let mut terminal = NamedTerminal::new(name(*number));
                    terminal.restart();
                    let (mut client, welcome) = terminal.hello(address, false);
                    terminal.show(&welcome);
                    terminal.answer(&mut client, "deposit 1");
                    let reply = client.read();
                    assert_eq!(reply["outcome"], "done", "{reply}");
                }
            });
        }
    });
}

/// Runs `atm ledger` and prints what it takes; with a rate, if it reads entries.
fn command(title: &str, words: &[&str], data: &Path, entries: u64) -> Taken {
    let taken = child::run(ledger_command(words, data));
    let rate = if entries == 0 { String::new() } else { format!(", {}", rate(entries, taken.time)) };
    println!(
        "{title}: {:.3} s{rate}, {:.2} s of the processor, {:.1} MB resident at most, {:.1} MB read from the disk",
        taken.time.as_secs_f64(),
        taken.processor.as_secs_f64(),
        megabytes(taken.peak),
        megabytes(taken.read)
    );
    taken
}

/// Drops the page cache of a ledger's files (posix_fadvise(2)). What is not on the disk yet stays, so it is synced before.
fn forget(data: &Path) {
    for entry in fs::read_dir(data).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    }
}

/// The size of a folder's files in bytes.
fn size(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn rate(count: u64, time: Duration) -> String {
    format!("{:.0}/s", count as f64 / time.as_secs_f64())
}
