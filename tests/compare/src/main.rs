//! `compare`: measures atm's server and its competitors, and writes the page with the results.
mod arguments;
mod page;

use arguments::{Arguments, Part};
use atm_bench::customer::InputStyle;
use atm_compare::{
    DataFolder,
    atm::Terminals,
    chart::Scale,
    competitor::{self, Competitor},
    cores::{self, Side},
    echo, idle,
    links::{LINKS, PAIRS},
    machine::machine,
    rounds::Results,
    signals,
    system::System,
    table, targets,
};
use atm_core::wire::Wire;
use atm_e2e::{ClosedOutput, raise_file_limit};
use clap::Parser;
use page::Page;
use std::{
    io::{self, IsTerminal, Write},
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (arguments.echo, arguments.echo_reply) {
        (Some(concurrency), Some(reply)) => {
            raise_file_limit();
            echo::serve(concurrency, reply).map_err(|error| error.to_string())
        }
        _ => catch_panics(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            if signals::stopped() { ExitCode::from(signals::INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

/// Runs the comparison. The tests' support library, which starts the servers, panics where one does not
/// start: that is an error here, and unwinding stops the other servers.
fn catch_panics(arguments: Arguments) -> Result<(), String> {
    panic::set_hook(Box::new(|_| {}));
    panic::catch_unwind(AssertUnwindSafe(|| compare(arguments))).unwrap_or_else(|cause| {
        if cause.is::<ClosedOutput>() {
            panic::resume_unwind(cause);
        }
        let text = cause.downcast_ref::<String>().map(String::as_str);
        Err(text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("it has failed").to_owned())
    })
}

fn compare(mut arguments: Arguments) -> Result<(), String> {
    if arguments.short {
        arguments.shorten();
    }
    Competitor::check(&arguments.without)?;
    if let Some(former) = &arguments.former {
        competitor::check_former(former)?;
    }
    raise_file_limit();
    if arguments.apart {
        cores::keep_apart()?;
    }
    let data_folder = DataFolder::new(arguments.disk.as_deref())?;
    signals::watch().map_err(|error| format!("the signal handlers cannot be installed: {error}"))?;
    // What could fail late is tried before anything is measured.
    let words = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    // As the alias begins.
    let (command, name) = match words.strip_prefix("--parts hosts") {
        Some(others) => (format!("cargo compare-hosts{others}"), "hosts.md"),
        None => (format!("cargo compare {words}"), "compare.md"),
    };
    let mut page = Page::new(command.trim_end(), (arguments.out.as_deref(), name))?;
    if arguments.parts.contains(&Part::Durable) && !arguments.without.contains(&Competitor::Postgres) {
        report_progress("trying PostgreSQL".to_owned());
        System::try_postgres(&data_folder)?;
    }
    let seed = *arguments.seed.get_or_insert_with(|| fastrand::u64(..));
    page.add(&format!(
        "{}* order of the systems in each round: `--seed {seed}`\n",
        machine(&data_folder, &arguments.without)
    ));
    if cfg!(debug_assertions) {
        page.add("This is a debug build: the figures have no meaning.\n");
    }
    for part in &arguments.parts {
        let done = signals::check().and_then(|()| measure_part(*part, &arguments, &data_folder, &mut page));
        if let Err(error) = done {
            page.add(&format!("## Not finished\n\n{error}\n"));
            page.write()?;
            return Err(error);
        }
        page.write()?;
    }
    if !page.targets.is_empty() {
        let targets = format!("## Targets\n\n{}", table::targets(&page.targets));
        page.add(&targets);
    }
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
        Part::Links => links(arguments, data_folder, page),
        Part::Durable => durable(arguments, data_folder, page),
        #[cfg(feature = "postgres")]
        Part::Hosts => hosts(arguments, data_folder, page),
        Part::Idle => {
            report_progress("idle sessions".to_owned());
            let results = idle::measure(usize::from(arguments.idle), arguments.timing().duration)?;
            signals::check()?;
            page.targets.extend(targets::idle(&results));
            page.add(&format!("## Idle sessions\n\n{}", table::idle(&results)));
            Ok(())
        }
    }
}

fn measure(arguments: &Arguments, systems: &[System], sessions: &[u16]) -> Result<Results, String> {
    let sessions: Vec<usize> = sessions.iter().copied().map(usize::from).collect();
    let rounds = (usize::from(arguments.rounds), arguments.seed.unwrap_or_default());
    Results::measure(systems, &sessions, rounds, arguments.timing(), &mut report_progress)
}

/// Measures the systems in memory.
fn memory(arguments: &Arguments, data_folder: &DataFolder, page: &mut Page) -> Result<(), String> {
    let without = |competitor| arguments.without.contains(&competitor);
    cores::run_for(Side::Servers)?;
    let ours = System::atm(Wire::Json);
    let bodies = ours.bodies()?;
    let mut systems = vec![ours, System::atm(Wire::Postcard)];
    for concurrency in [echo::Concurrency::Threads, echo::Concurrency::Loop] {
        systems.push(System::echo(concurrency, bodies)?);
    }
    if !without(Competitor::Redis) {
        systems.push(System::redis(data_folder)?);
    }
    if !without(Competitor::Python) {
        systems.extend([System::python(false), System::python(true)]);
    }
    let results = measure(arguments, &systems, &arguments.sessions)?;
    page.add(&format!(
        "## In memory\n\nThe columns are numbers of sessions. An echo server's request has a body of {} bytes and its reply one of \
         {}, the average of ours on the `json` wire.\n",
        bodies.request, bodies.reply
    ));
    page.add(&table::throughputs(&results, "answers (requests) per second"));
    page.add(&table::latencies(&results));
    page.add(&table::cpu_shares(&results));
    page.add("![Throughput in memory](memory-rate.svg)\n\n![p99 latency in memory](memory-p99.svg)\n");
    page.draw(
        "memory-rate.svg",
        ("Throughput in memory", "answers (requests) per second", Scale::Linear),
        &results,
        |name, sessions| results.throughput(name, sessions),
    );
    page.draw(
        "memory-p99.svg",
        ("p99 latency in memory", "milliseconds", Scale::Logarithmic),
        &results,
        |name, sessions| results.latency(name, sessions, |sample| sample.p99).map(|seconds| seconds * 1e3),
    );
    page.targets.extend(targets::in_memory(&results));
    Ok(())
}

/// Measures our server over each kind of link.
fn links(arguments: &Arguments, data_folder: &DataFolder, page: &mut Page) -> Result<(), String> {
    cores::run_for(Side::Servers)?;
    let terminals = arguments.durable_sessions.iter().copied().max().unwrap_or_default();
    let mut systems = Vec::new();
    for link in LINKS {
        report_progress(format!("starting {}", link.0));
        systems.push(System::link(data_folder, link, usize::from(terminals))?);
    }
    let results = measure(arguments, &systems, &arguments.durable_sessions)?;
    page.add("## Links\n\nBalances, by a named terminal for each session.\n");
    page.add(&table::throughputs(&results, "answers per second"));
    page.add(&table::ratios(&results, &PAIRS));
    page.add(&table::latencies(&results));
    page.add(&table::cpu_shares(&results));
    Ok(())
}

/// Measures the systems on disk.
fn durable(arguments: &Arguments, data_folder: &DataFolder, page: &mut Page) -> Result<(), String> {
    let without = |competitor| arguments.without.contains(&competitor);
    cores::run_for(Side::Servers)?;
    let loads = [
        (InputStyle::Words, Terminals::Unnamed),
        (InputStyle::Menu, Terminals::Unnamed),
        (InputStyle::Words, Terminals::OneEach),
        (InputStyle::Words, Terminals::Random(1000)),
        (InputStyle::Words, Terminals::Random(100_000)),
    ];
    let mut systems = Vec::new();
    for load in loads {
        systems.push(System::durable_atm(data_folder, None, load)?);
    }
    if let Some(former) = &arguments.former {
        for load in [loads[0], loads[2]] {
            systems.push(System::durable_atm(data_folder, Some(former), load)?);
        }
    }
    if !without(Competitor::Redis) {
        systems.extend(System::durable_redis(data_folder)?);
    }
    if !without(Competitor::Postgres) {
        report_progress("starting PostgreSQL".to_owned());
        systems.extend(System::postgres(data_folder)?);
    }
    if !without(Competitor::Sqlite) {
        systems.push(System::sqlite(data_folder));
    }
    systems.push(System::disk(data_folder));
    let results = measure(arguments, &systems, &arguments.durable_sessions)?;
    page.add("## On disk\n");
    page.add(&table::throughputs(&results, "operations per second"));
    page.add(&table::latencies(&results));
    page.add(&table::cpu_shares(&results));
    page.add("![Throughput on disk](durable-rate.svg)\n");
    page.draw(
        "durable-rate.svg",
        ("Throughput on disk", "operations per second", Scale::Logarithmic),
        &results,
        |name, sessions| results.throughput(name, sessions),
    );
    page.targets.extend(targets::durable(&results));
    Ok(())
}

/// Measures several hosts on one ledger in PostgreSQL.
#[cfg(feature = "postgres")]
fn hosts(arguments: &Arguments, data_folder: &DataFolder, page: &mut Page) -> Result<(), String> {
    cores::run_for(Side::Servers)?;
    // With fewer sessions the hosts have a few requests in a batch.
    let sessions: Vec<u16> =
        arguments.durable_sessions.iter().copied().filter(|sessions| *sessions >= 50).collect();
    report_progress("making the accounts and starting the hosts".to_owned());
    let terminals = sessions.iter().copied().max().unwrap_or_default();
    let sizes = (usize::from(arguments.accounts), usize::from(terminals));
    let (systems, [one, bank]) = System::hosts(data_folder, sizes)?;
    let results = measure(arguments, &systems, &sessions)?;
    page.add(&format!(
        "## Several hosts on one PostgreSQL\n\nThe columns are numbers of sessions, which spread over the hosts. One account: unnamed sessions. By \
         card: {} accounts, a terminal with a sealed link for each session, {} deposits with a card before the next one. Ledger threads: \
         such deposits without sockets and links, each with a card at random.\n",
        table::grouped(f64::from(arguments.accounts)),
        atm_compare::DEPOSITS
    ));
    page.add(&table::throughputs(&results, "operations per second"));
    page.add(&table::latencies(&results));
    page.add(&table::retries(&results));
    page.add(&table::log_bytes(&results));
    page.add(&table::cpu_shares(&results));
    page.add(&format!(
        "An entry takes {:.0} bytes of the database with its indexes, one by card {:.0}.\n",
        one.entry_size()?,
        bank.entry_size()?
    ));
    page.targets.extend(targets::hosts(&results));
    Ok(())
}

/// Prints the next step to standard error, on a terminal over the one before.
fn report_progress(step: String) {
    let mut err = io::stderr();
    // An error is ignored: the comparison does not depend on this output.
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K{step}").and_then(|()| err.flush());
    } else {
        let _ = writeln!(err, "{step}");
    }
}
