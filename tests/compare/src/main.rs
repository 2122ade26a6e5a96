//! Our server beside programs that somebody would take instead.
use atm_bench::customer::InputStyle;
use atm_compare::{
    DataFolder, Timing,
    chart::{Chart, Scale},
    cores::{self, Side},
    echo, idle,
    machine::machine,
    rounds::Results,
    signals,
    system::{Competitor, System},
    table,
    targets::{self, PerformanceTarget},
};
use atm_core::wire::Wire;
use atm_e2e::raise_file_limit;
use clap::{Parser, ValueEnum};
use std::{
    fs,
    io::{self, IsTerminal, Write},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Measure our server beside programs that somebody would take instead, in turn and in one run, and tell the ratios.
///
/// In memory: bare echo servers (the limit), Redis, the original's way in Python. On the disk: Redis with appendfsync always,
/// PostgreSQL, SQLite. Then many idle sessions. All of it is started and stopped here, on free ports; docs/benchmarks.md says how
/// each is set up and what is counted.
#[derive(Parser)]
#[command(
    name = "compare",
    after_help = "Exit codes: 0 measured (an aim may be missed), 1 something could not be measured, or \
    a check has failed, 2 wrong usage, 130 stopped by \
    SIGINT or SIGTERM (a second one ends it at once, and leaves its folders)."
)]
struct Arguments {
    /// A fraction of a second each, one round, fewer sessions: to see that everything works, not how fast
    #[arg(long)]
    short: bool,
    /// Rounds; every figure is the middle of as many
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Seconds to measure each time
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    duration: f64,
    /// Seconds of load before anything is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds)]
    warm_up: f64,
    /// Numbers of sessions in memory
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 8, 50, 200, 1000], value_parser = clap::value_parser!(u16).range(1..=10_000))]
    sessions: Vec<u16>,
    /// Numbers of sessions on the disk
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 50, 200], value_parser = clap::value_parser!(u16).range(1..=1000))]
    durable_sessions: Vec<u16>,
    /// Idle sessions
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    idle: u16,
    /// Only these parts
    #[arg(long, value_name = "PART,…", value_enum, value_delimiter = ',', default_values_t = [Part::Memory, Part::Durable, Part::Idle])]
    parts: Vec<Part>,
    /// Leave these out, which the machine may not have
    #[arg(long, value_name = "PROGRAM,…", value_enum, value_delimiter = ',')]
    without: Vec<Competitor>,
    /// Keep what is kept in this folder: its disk is measured [default: where this program lies]
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
    /// Keep the load on the first core and the servers on the others: steadier, but no server has a second one on a machine
    /// with two
    #[arg(long)]
    apart: bool,
    /// Write compare.md and the pictures into this folder, made where there is none
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The orders of the rounds are drawn from this; printed, and random where it is not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Be an echo server instead: what the comparison starts itself as
    #[arg(long, hide = true, value_enum, requires = "echo_reply")]
    echo: Option<echo::Concurrency>,
    #[arg(long, hide = true)]
    echo_reply: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Everything in memory
    Memory,
    /// Everything on the disk
    Durable,
    /// Idle sessions
    Idle,
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .ok_or_else(|| "from 0 to 3600".to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (arguments.echo, arguments.echo_reply) {
        (Some(way), Some(reply)) => {
            raise_file_limit();
            echo::serve(way, reply).map_err(|error| error.to_string())
        }
        _ => guarded(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            if signals::stopped() { ExitCode::from(signals::INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

/// Compares. Servers are started by what the tests use, which panics where one does not start: that is an error here, and
/// whatever runs is stopped on the way.
fn guarded(arguments: Arguments) -> Result<(), String> {
    panic::set_hook(Box::new(|_| {}));
    panic::catch_unwind(AssertUnwindSafe(|| compare(arguments))).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        Err(text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("it has failed").to_owned())
    })
}

/// What is written, and which pictures belong to it.
#[derive(Default)]
struct Page {
    text: String,
    pictures: Vec<(&'static str, String)>,
    aims: Vec<PerformanceTarget>,
    command: String,
    out: Option<PathBuf>,
}

impl Page {
    /// Something for the page, and for whoever looks on.
    fn add(&mut self, text: &str) {
        print!("\n{text}");
        self.text.push('\n');
        self.text.push_str(text);
    }

    /// Writes what there is by now, where it is to be written.
    fn write(&self) -> Result<(), String> {
        let Some(folder) = &self.out else { return Ok(()) };
        let write = || {
            for (name, picture) in &self.pictures {
                fs::write(folder.join(name), picture)?;
            }
            fs::write(folder.join("compare.md"), &self.text)
        };
        write().map_err(|error: io::Error| format!("{}: {error}", folder.display()))
    }

    fn draw(
        &mut self,
        name: &'static str,
        (title, label, scale): (&str, &str, Scale),
        results: &Results,
        value: impl Fn(&str, usize) -> Option<f64>,
    ) {
        let chart = Chart { title, label, scale };
        self.pictures.push((name, chart.draw(results, value)));
    }
}

fn compare(mut arguments: Arguments) -> Result<(), String> {
    if arguments.short {
        (arguments.rounds, arguments.duration, arguments.warm_up) = (1, 0.2, 0.05);
        arguments.sessions.retain(|sessions| *sessions <= 200);
        arguments.durable_sessions.retain(|sessions| *sessions <= 50);
        arguments.idle = arguments.idle.min(1000);
    }
    Competitor::check(&arguments.without)?;
    raise_file_limit();
    if arguments.apart {
        cores::keep_apart()?;
    }
    let data_folder = DataFolder::new(arguments.disk.as_deref())?;
    signals::watch().map_err(|error| format!("signals cannot be watched: {error}"))?;
    // What would end it late is tried before it begins.
    if let Some(folder) = &arguments.out {
        can_be_written(folder)?;
    }
    if arguments.parts.contains(&Part::Durable) && !arguments.without.contains(&Competitor::Postgres) {
        report_progress("PostgreSQL is tried".to_owned());
        System::try_postgres(&data_folder)?;
    }
    let seed = *arguments.seed.get_or_insert_with(|| fastrand::u64(..));
    let words: Vec<String> = std::env::args().skip(1).collect();
    let command = ["cargo compare", &words.join(" ")].join(" ");
    let mut page =
        Page { command: command.trim_end().to_owned(), out: arguments.out.clone(), ..Page::default() };
    page.text = format!(
        "# Our server beside others\n\nMade by `{}`. What is counted and how: see docs/benchmarks.md.\n",
        page.command
    );
    page.add(&format!(
        "{}* orders of the rounds: `--seed {seed}`\n",
        machine(&data_folder, &arguments.without)
    ));
    if cfg!(debug_assertions) {
        page.add("This is a debug build: no figure here means anything.\n");
    }
    for part in &arguments.parts {
        let done = signals::check().and_then(|()| measure_part(*part, &arguments, &data_folder, &mut page));
        if let Err(error) = done {
            page.add(&format!("## Not finished\n\n{error}\n"));
            page.write()?;
            return Err(error);
        }
        // Nothing is lost where a later part fails.
        page.write()?;
    }
    let aims = format!("## Aims\n\n{}", table::aims(&page.aims));
    page.add(&aims);
    page.write()
}

fn measure_part(
    part: Part,
    arguments: &Arguments,
    data_folder: &DataFolder,
    page: &mut Page,
) -> Result<(), String> {
    match part {
        Part::Memory => memory(arguments, data_folder, page),
        Part::Durable => durable(arguments, data_folder, page),
        Part::Idle => {
            report_progress("idle sessions".to_owned());
            let found = idle::measure(usize::from(arguments.idle), times(arguments).duration)?;
            signals::check()?;
            page.aims.extend(targets::idle(&found));
            page.add(&format!("## Idle sessions\n\n{}", table::idle(&found)));
            Ok(())
        }
    }
}

/// Makes the folder where there is none, and tries a file in it.
fn can_be_written(folder: &Path) -> Result<(), String> {
    let made = fs::create_dir_all(folder).and_then(|()| tempfile::NamedTempFile::new_in(folder));
    made.map(drop).map_err(|error| format!("{}: {error}", folder.display()))
}

fn times(arguments: &Arguments) -> Timing {
    Timing {
        warm_up: Duration::from_secs_f64(arguments.warm_up),
        duration: Duration::from_secs_f64(arguments.duration),
    }
}

fn measure(arguments: &Arguments, systems: &[System], sessions: &[u16]) -> Result<Results, String> {
    let sessions: Vec<usize> = sessions.iter().copied().map(usize::from).collect();
    let rounds = (usize::from(arguments.rounds), arguments.seed.unwrap_or_default());
    Results::measure(systems, &sessions, rounds, times(arguments), &mut tell)
}

/// Every system in memory.
fn memory(arguments: &Arguments, data_folder: &DataFolder, page: &mut Page) -> Result<(), String> {
    let without = |other| arguments.without.contains(&other);
    cores::run_for(Side::Servers)?;
    let ours = System::atm(Wire::Json);
    let bodies = ours.bodies()?;
    let mut systems = vec![ours, System::atm(Wire::Postcard)];
    for way in [echo::Concurrency::Threads, echo::Concurrency::Loop] {
        systems.push(System::echo(way, bodies)?);
    }
    if !without(Competitor::Redis) {
        systems.push(System::redis(data_folder, false)?);
    }
    if !without(Competitor::Python) {
        systems.extend([System::python(false), System::python(true)]);
    }
    let results = measure(arguments, &systems, &arguments.sessions)?;
    page.add(&format!(
        "## In memory\n\nAn echo's request has a body of {} bytes and its reply one of {}, as our `json` ones have on the average.\n",
        bodies.request, bodies.reply
    ));
    page.add(&table::rates(&results, "answers (requests) a second"));
    page.add(&table::times(&results));
    page.add(&table::busy(&results));
    page.add("![Answers a second in memory](memory-rate.svg)\n\n![The slowest of a hundred answers in memory](memory-p99.svg)\n");
    page.draw(
        "memory-rate.svg",
        ("In memory: answers a second", "answers (requests) a second", Scale::Linear),
        &results,
        |name, sessions| results.rate(name, sessions),
    );
    page.draw(
        "memory-p99.svg",
        (
            "In memory: the slowest of a hundred answers",
            "milliseconds (99 of 100 take less)",
            Scale::Logarithmic,
        ),
        &results,
        |name, sessions| results.time(name, sessions, |sample| sample.p99).map(|seconds| seconds * 1e3),
    );
    page.aims.extend(targets::in_memory(&results));
    Ok(())
}

/// Every system that keeps what it is told.
fn durable(arguments: &Arguments, data_folder: &DataFolder, page: &mut Page) -> Result<(), String> {
    let without = |other| arguments.without.contains(&other);
    cores::run_for(Side::Servers)?;
    let mut systems = vec![
        System::durable_atm(data_folder, InputStyle::Menu)?,
        System::durable_atm(data_folder, InputStyle::Words)?,
    ];
    if !without(Competitor::Redis) {
        systems.push(System::redis(data_folder, true)?);
    }
    if !without(Competitor::Postgres) {
        report_progress("PostgreSQL starts".to_owned());
        systems.extend(System::postgres(data_folder)?);
    }
    if !without(Competitor::Sqlite) {
        systems.push(System::sqlite(data_folder));
    }
    systems.push(System::disk(data_folder));
    let results = measure(arguments, &systems, &arguments.durable_sessions)?;
    page.add("## On the disk\n");
    page.add(&table::rates(&results, "operations a second"));
    page.add(&table::times(&results));
    page.add(&table::busy(&results));
    page.add("![Operations a second on the disk](durable-rate.svg)\n");
    page.draw(
        "durable-rate.svg",
        ("On the disk: operations a second", "operations a second", Scale::Logarithmic),
        &results,
        |name, sessions| results.rate(name, sessions),
    );
    page.aims.extend(targets::durable(&results));
    Ok(())
}

/// What is done next, for a person who looks on.
fn report_progress(what: String) {
    let mut err = io::stderr();
    if err.is_terminal() {
        // It is nobody's loss where it cannot be written.
        let _ = write!(err, "\r\x1b[K{what}").and_then(|()| err.flush());
    } else {
        let _ = writeln!(err, "{what}");
    }
}
