//! The desktop program around the loop.
use anyhow::{Context, Result};
use atm_core::{
    host::{self, IN, Link, OUT},
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

/// Terminals that the ledger can remember by name, as in a microcontroller.
const TERMINALS: usize = 16;

/// The longest sleep, when there is no deadline.
const MAX_SLEEP: time::Duration = time::Duration::from_secs(60);

/// How long a client has to read the goodbye.
const LINGER: Duration = Duration::from_secs(1);

/// The ATM as it sits in a kiosk's microcontroller, behind a serial port.
///
/// A signal ends it at once, as pulling the plug does. Without --device it opens a loopback serial port (a pseudo-terminal) and prints its path: talk to it with
/// `atm client --serial PATH`.
#[derive(Debug, Parser)]
#[command(name = "firmware-sim", version, after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage.")]
struct Arguments {
    /// A real serial port instead of the loopback one
    #[arg(long, value_name = "PATH", conflicts_with = "demo")]
    device: Option<String>,
    /// The real port's speed in bits a second
    #[arg(long, value_name = "N", default_value_t = 115_200, requires = "device", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    baud: u32,
    /// How messages cross the line: postcard or json
    #[arg(long, default_value = "postcard", value_parser = serial_wire)]
    wire: Wire,
    /// Keep the balance and what each terminal was told last in a file, as a kiosk does in its EEPROM
    ///
    /// A new file begins with --balance. A file that is damaged is not guessed at: the ATM is out of service then.
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    store: Option<PathBuf>,
    /// The balance at the start, in whole units or with two digits of cents
    #[arg(long, value_name = "AMOUNT", default_value = "100")]
    balance: Amount,
    /// Seconds that a prompt stays open without an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    idle_timeout: u32,
    /// Let whoever is on a real port stop the program with quit, too
    #[arg(long)]
    allow_remote_quit: bool,
    /// Show a whole session with both ends in one process, check every balance and leave
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    faults: FaultArguments,
}

/// How the line lies. What comes in one piece is one chunk.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Fault injection (a chance from 0 to 1, for each chunk and each direction of the link)"
)]
struct FaultArguments {
    /// The chunk is lost
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    drop_chance: f32,
    /// It comes twice
    #[arg(long, alias = "repeat-chance", value_name = "P", default_value = "0", value_parser = chance)]
    duplicate_chance: f32,
    /// Some of its bits or bytes are changed
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    corrupt_chance: f32,
    /// Its end is lost
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    truncate_chance: f32,
    /// It is held back and joined with the next one
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    merge_chance: f32,
    /// It comes up to 3 seconds late, and so does what follows
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    delay_chance: f32,
    /// It comes up to 3 seconds late, and what follows overtakes it
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    reorder_chance: f32,
    /// Noise comes before it
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    burst_chance: f32,
    /// This direction is dead for up to 3 seconds
    #[arg(long, value_name = "P", default_value = "0", value_parser = chance)]
    cut_chance: f32,
    /// What the faults are drawn from; it is printed where none is given
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
        }
    }
}

fn chance(text: &str) -> Result<f32, String> {
    let chance: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&chance) { Ok(chance) } else { Err("a chance is between 0 and 1".to_owned()) }
}

/// There is no hello on the `raw` wire, and a host on a serial line waits for one.
fn serial_wire(text: &str) -> Result<Wire, String> {
    match text.parse().map_err(|error| format!("{error}"))? {
        Wire::Raw => Err("raw is for TCP; a serial line takes postcard or json".to_owned()),
        wire => Ok(wire),
    }
}

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.demo { demonstrate(&arguments) } else { serve(&arguments) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Nobody is left to be told where this fails.
fn print_error(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "firmware-sim: {error:#}");
}

fn config(arguments: &Arguments) -> host::Config {
    let mut config = host::Config::new(arguments.wire, Link::Serial);
    config.idle = Duration::from_secs(arguments.idle_timeout);
    config.policy.may_quit = arguments.device.is_none() || arguments.allow_remote_quit;
    config
}

fn serve(arguments: &Arguments) -> Result<()> {
    let mut out = io::stdout();
    // Whoever started it may not read it.
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

/// What the loop is driven with.
struct KioskSetup {
    config: host::Config,
    store: Option<(PathBuf, FileStore)>,
    balance: Amount,
    chances: Chances,
    seed: Option<u64>,
}

impl KioskSetup {
    /// Opens the store, too: what is wrong with it is told before anybody is asked to talk.
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

/// Makes the kiosk and drives it until it is finished.
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

/// Drives the loop until it is finished.
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

/// Leaves the line open for a moment: a pseudo-terminal that closes takes with it what was not read yet, the goodbye.
fn linger(port: &mut Port, clock: &Clock) -> Result<()> {
    let until = clock.now() + LINGER;
    while clock.now() < until && port.wait(clock.until(until))? {
        // Nobody is served any more.
        if port.read(&mut [0; 64])? == 0 {
            break;
        }
    }
    Ok(())
}

/// Both ends over a loopback serial port.
fn demonstrate(arguments: &Arguments) -> Result<()> {
    let (port, loopback) = Port::loopback().context("no loopback serial port could be opened")?;
    let setup = KioskSetup::new(arguments)?;
    // It ends with the process; where it fails before, the flow has no reply.
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
    demo::flow(&mut link, arguments.balance, &mut io::stdout())
}
