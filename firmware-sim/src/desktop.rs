//! Desktop program `firmware-sim`: runs the firmware's kiosk loop behind a loopback or a real serial port.
//!
//! It parses the command line, opens the port and the ledger, and puts a fault injector between the port and
//! the core's [`Kiosk`]. The loop itself is the core's, the same as on the board.
use anyhow::{Context, Result};
use atm_core::{
    host::{self, IN, OUT},
    ledger::{Ledger, LedgerId, RamLedger, StoredLedger},
    money::Amount,
    store::StoreError,
    time::Duration,
    wire::Wire,
};
use atm_host::{
    client::{self, Options, Target},
    clock::Clock,
    demo,
    serial::Port,
};
use clap::{Args, Parser};
use embedded_io::Read;
use firmware_sim::{
    Kiosk,
    fault_injector::{Chances, FaultInjector},
    store::FileStore,
};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    thread, time,
};

/// Named terminals that the ledger in memory has room for, as few as in a microcontroller.
const TERMINALS: usize = 16;

/// The longest sleep between two turns, where the kiosk has no deadline.
const MAX_SLEEP: time::Duration = time::Duration::from_secs(60);

/// How long the port stays open after the goodbye, for the client to read it.
const LINGER: Duration = Duration::from_secs(1);

/// The ATM of a kiosk's microcontroller as a desktop program, behind a serial port.
///
/// Without --device it opens a loopback serial port (a pseudo-terminal) and prints its path: connect a client
/// with `atm client --serial PATH`. A signal ends the program at once, as a loss of power does.
#[derive(Debug, Parser)]
#[command(name = "firmware-sim", version, after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage.")]
struct Arguments {
    /// Use a real serial port instead of a loopback one
    #[arg(long, value_name = "PATH", conflicts_with = "demo")]
    device: Option<String>,
    /// Speed of the real port in bits a second
    #[arg(long, value_name = "N", default_value_t = 115_200, requires = "device", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: u32,
    /// Encoding of the messages: postcard or json
    #[arg(long, default_value = "postcard", value_parser = serial_wire)]
    wire: Wire,
    /// Keep the ledger in a file, as a kiosk does in its EEPROM
    ///
    /// The file has the balance and each terminal's last operation. A new file begins with --balance. With a
    /// file whose records cannot be read the ATM is out of service.
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    store: Option<PathBuf>,
    /// Balance at the start, in whole units or with two digits of cents
    #[arg(long, value_name = "AMOUNT", default_value = "100")]
    balance: Amount,
    /// Seconds that a prompt stays open without an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    idle_timeout: u32,
    /// Let a client on a real port stop the program with quit, too
    #[arg(long)]
    allow_remote_quit: bool,
    /// Show a whole session with both ends in one process, check every balance and exit
    #[arg(long)]
    demo: bool,
    /// Show the bytes of each message of the demo
    #[arg(long, requires = "demo")]
    hex: bool,
    #[command(flatten)]
    faults: FaultArguments,
}

/// The fault injector's options. A chunk is what arrives in one piece.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Fault injection (chances from 0 to 1, for each chunk and each direction of the link)"
)]
struct FaultArguments {
    /// Chance that a chunk is lost
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    drop_chance: f32,
    /// Chance that a chunk arrives twice
    #[arg(long, alias = "repeat-chance", value_name = "P", default_value = "0", value_parser = chance)]
    duplicate_chance: f32,
    /// Chance that some bits or bytes of a chunk are changed
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    corrupt_chance: f32,
    /// Chance that the end of a chunk is lost
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    truncate_chance: f32,
    /// Chance that a chunk is held back and merged with the next one
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    merge_chance: f32,
    /// Chance that a chunk arrives up to 3 seconds late, and delays what follows
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    delay_chance: f32,
    /// Chance that a chunk arrives up to 3 seconds late, and later ones overtake it
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    reorder_chance: f32,
    /// Chance that random bytes arrive before a chunk
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    burst_chance: f32,
    /// Chance that a chunk is lost, and all that follows for up to 3 seconds
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    cut_chance: f32,
    /// Chance that one random byte arrives before a chunk, as from an RS-485 transceiver that turns around
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    noise_chance: f32,
    /// Milliseconds from one random byte between chunks to the next; 0 for none
    #[arg(long, value_name = "MS", default_value_t = 0)]
    noise_interval: u32,
    /// Seed that the faults are drawn from; without it a random one, which is printed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl FaultArguments {
    fn chances(&self) -> Chances {
        Chances {
            drop: self.drop_chance,
            duplicate: self.duplicate_chance,
            corrupt: self.corrupt_chance,
            truncate: self.truncate_chance,
            merge: self.merge_chance,
            delay: self.delay_chance,
            reorder: self.reorder_chance,
            burst: self.burst_chance,
            cut: self.cut_chance,
            noise: self.noise_chance,
            noise_interval: self.noise_interval,
        }
    }
}

fn chance(text: &str) -> Result<f32, String> {
    let chance: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&chance) { Ok(chance) } else { Err("a chance is between 0 and 1".to_owned()) }
}

/// Parses `--wire`. `raw` has no hello, which a host on a serial line waits for.
fn serial_wire(text: &str) -> Result<Wire, String> {
    match text.parse().map_err(|error| format!("{error}"))? {
        Wire::Raw => Err("raw is for TCP; a serial line takes postcard or json".to_owned()),
        wire => Ok(wire),
    }
}

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    make_file_limit_an_error();
    let done = if arguments.demo { demonstrate(&arguments) } else { serve(&arguments) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The reader of the demo may be gone, as that of `| head`.
            let error_kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if error_kind != Some(io::ErrorKind::BrokenPipe) {
                print_error(&error);
            }
            ExitCode::FAILURE
        }
    }
}

/// Makes a write beyond the limit of a file's size an error of the store (setrlimit(2), `RLIMIT_FSIZE`): without a handler
/// SIGXFSZ ends the process.
fn make_file_limit_an_error() {
    // Where it cannot be caught, the limit ends the process, as it did before.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}

/// Prints an error and its causes in one line. A failed write to standard error is ignored.
fn print_error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "firmware-sim: {error:#}");
}

fn config(arguments: &Arguments) -> host::Config {
    let mut config = host::Config::for_serial(arguments.wire, arguments.baud);
    config.idle_timeout = Duration::from_secs(arguments.idle_timeout);
    config.policy.may_quit = arguments.device.is_none() || arguments.allow_remote_quit;
    config
}

fn serve(arguments: &Arguments) -> Result<()> {
    let mut out = io::stdout();
    // The reader of standard output may have closed it: the kiosk runs on.
    let mut print = |line: String| {
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    let wire = arguments.wire;
    let setup = KioskSetup::new(arguments)?;
    let (port, _loopback);
    match &arguments.device {
        Some(path) => {
            port = Port::open(path, arguments.baud)?;
            print(format!("serial port {path} ({wire}, {} baud)", arguments.baud));
        }
        None => {
            (port, _loopback) = Port::loopback().context("no loopback serial port could be opened")?;
            let path = &_loopback.path;
            print(format!(
                "serial port {path} ({wire})\ntalk to it: atm client --serial {path} --wire {wire}"
            ));
        }
    }
    run(port, setup, &mut print)
}

/// What the command line says about the kiosk and its fault injector.
struct KioskSetup {
    config: host::Config,
    store: Option<(PathBuf, FileStore)>,
    balance: Amount,
    chances: Chances,
    seed: Option<u64>,
}

impl KioskSetup {
    /// Opens the store, too, so that a bad file is reported before the port's path is printed.
    fn new(arguments: &Arguments) -> Result<Self> {
        let open = |path: &PathBuf| -> Result<(PathBuf, FileStore)> {
            let file = FileStore::open(path).with_context(|| format!("the store {}", path.display()))?;
            Ok((path.clone(), file))
        };
        Ok(Self {
            config: config(arguments),
            store: arguments.store.as_ref().map(open).transpose()?,
            balance: arguments.balance,
            chances: arguments.faults.chances(),
            seed: arguments.faults.seed,
        })
    }
}

/// Opens the ledger, then runs the kiosk on `port` until it is finished.
fn run(port: Port, mut setup: KioskSetup, print: &mut dyn FnMut(String)) -> Result<()> {
    let clock = Clock::start();
    let identity = LedgerId(getrandom::u64()?);
    let Some((path, file)) = setup.store.take() else {
        let ledger = RamLedger::<TERMINALS>::new(identity, setup.balance);
        return drive(port, Kiosk::new(setup.config, Some(ledger), clock.now()), &setup, &clock, print);
    };
    let ledger = match StoredLedger::open(file, || (identity, setup.balance)) {
        Ok(ledger) => Some(ledger),
        Err(StoreError::Storage(error)) => {
            return Err(error).with_context(|| format!("the store {}", path.display()));
        }
        Err(broken) => {
            print(format!("out of service: the store {}: {broken}", path.display()));
            None
        }
    };
    drive(port, Kiosk::new(setup.config, ledger, clock.now()), &setup, &clock, print)
}

/// The run loop: turns the kiosk, and sleeps where it has nothing to do, until it is finished.
fn drive<L: Ledger>(
    port: Port,
    mut kiosk: Kiosk<L, IN, OUT>,
    setup: &KioskSetup,
    clock: &Clock,
    print: &mut dyn FnMut(String),
) -> Result<()> {
    let seed = setup.seed.map_or_else(getrandom::u64, Ok)?;
    if setup.chances != Chances::default() {
        print(format!("injecting faults with --seed {seed}"));
    }
    let mut port = FaultInjector::new(port, || clock.now(), setup.chances, seed);
    while !kiosk.is_finished() {
        if !kiosk.turn(&mut port, clock.now())? {
            let due = kiosk.deadline().into_iter().chain(port.due()).min();
            let sleep = due.map_or(MAX_SLEEP, |due| clock.until(due));
            port.port().wait(sleep)?;
        }
    }
    linger(port.port(), clock)
}

/// Keeps the port open for [`LINGER`]: closing a pseudo-terminal discards what was not read yet, the goodbye.
fn linger(port: &mut Port, clock: &Clock) -> Result<()> {
    let until = clock.now() + LINGER;
    while clock.now() < until && port.wait(clock.until(until))? {
        // Input is discarded: the kiosk has finished.
        if port.read(&mut [0; 64])? == 0 {
            break;
        }
    }
    Ok(())
}

/// Runs the demonstration: a kiosk and a client in one process, over a loopback serial port.
fn demonstrate(arguments: &Arguments) -> Result<()> {
    let (port, loopback) = Port::loopback().context("no loopback serial port could be opened")?;
    let setup = KioskSetup::new(arguments)?;
    // The thread ends with the process. If it fails before, the flow reports a missing reply.
    thread::Builder::new().name("kiosk".into()).spawn(move || {
        let mut print = |line: String| {
            let _ = writeln!(io::stdout(), "{line}");
        };
        if let Err(error) = run(port, setup, &mut print) {
            print_error(&error.context("the kiosk's side"));
        }
    })?;
    let target = Target::Serial { path: loopback.path, baud: arguments.baud };
    let mut link = client::Link::open(&Options { wire: arguments.wire, ..Options::new(target) })?;
    demo::run_session(&mut link, arguments.balance, arguments.hex, &mut io::stdout())
}
