//! `atm-bench`: what it counts is what happened, a server that lies is caught, and a schedule is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use atm_bench::{Config, LoadProgress, Report, customer::InputStyle, mix::Mix, report::JsonReport};
use atm_e2e::{
    Client, Program, Server, Signal, TIMEOUT, Value, frame, original_programs, project_root, python,
    raise_file_limit,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The built `atm-bench` with arguments.
fn load_generator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atm-bench"));
    command.args(arguments);
    command
}

/// A short load: one session on the `json` wire.
fn short(address: SocketAddr) -> Config {
    Config {
        address,
        wire: "json".parse().unwrap(),
        sessions: 1,
        burst: 100,
        threads: 1,
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(300),
        mix: Mix::default(),
        manner: InputStyle::Menu,
        rate: None,
        seed: 7,
        shared: false,
        patience: TIMEOUT,
    }
}

fn run(config: &Config) -> Report {
    atm_bench::run(config, &mut |_| {}).unwrap()
}

/// An ATM that was never asked for an amount, one session at a time; `balance` says what it tells the `n`th time, in
/// cents, or ends the session.
fn fake(balance: impl Fn(u64) -> Option<u64> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut number = 0;
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_nodelay(true).unwrap();
            let greeting = r#"{"seq":1,"input":true,"data":"quit also stops the server."}"#;
            let mut last = 1;
            let mut sent = stream.write_all(&frame(greeting)).is_ok();
            while sent && read_frame(&mut stream) {
                number += 1;
                let Some(balance) = balance(number) else { break };
                let seq = last + 1;
                let reply = format!(
                    r#"{{"seq":{seq},"re":{last},"input":true,"data":"quit also stops the server.","outcome":"done","operation":"balance","balance":{balance}}}"#
                );
                sent = stream.write_all(&frame(reply)).is_ok();
                last = seq;
            }
        }
    });
    address
}

fn read_frame(stream: &mut TcpStream) -> bool {
    let mut length = [0; 4];
    let Ok(()) = stream.read_exact(&mut length) else { return false };
    stream.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize]).is_ok()
}

#[test]
fn what_is_counted_is_what_happened() {
    assert!(raise_file_limit() > 2100, "the system allows too few open files (ulimit -n)");
    for (wire, sessions, threads, manner) in [
        ("json", 1, 1, InputStyle::Menu),
        ("json", 20, 2, InputStyle::Words),
        ("postcard", 1, 1, InputStyle::Words),
        ("postcard", 20, 1, InputStyle::Menu),
        ("raw", 1, 1, InputStyle::Menu),
        ("raw", 20, 3, InputStyle::Words),
        ("json", 2000, 1, InputStyle::Words),
    ] {
        let server = Server::start(&["--wire", wire, "--log", "warn"]);
        let wire = wire.parse().unwrap();
        let report = run(&Config { wire, sessions, threads, manner, ..short(server.address) });
        assert!(report.is_good(), "{report}");
        let (measured, counts, balances) = (&report.measured, report.counts, &report.balances);
        assert!(measured.answers > 0 && measured.settled <= measured.answers, "{report}");
        // What was out at the end of the time is measured and not counted.
        assert!(measured.latency.count().abs_diff(measured.answers) <= sessions as u64, "{report}");
        assert!(counts.balances > 0 && counts.deposits > 0 && counts.withdrawals > 0, "{report}");
        // Every operation told a balance, the first and the last one too, and some questions did.
        assert!(balances.checked >= counts.all() - 1, "{report}");
        let minor = |amount: Option<atm_core::money::Amount>| i64::try_from(amount.unwrap().minor()).unwrap();
        assert_eq!(
            minor(balances.start) + balances.deposited - balances.withdrawn,
            minor(balances.end),
            "{report}"
        );
        // A later load begins where this one ended.
        let next = run(&Config { wire, duration: Duration::from_millis(1), ..short(server.address) });
        assert_eq!(next.balances.start, balances.end, "{next}");
        server.stop();
    }
}

#[test]
fn the_program_tells_it_and_exits_as_it_went() {
    let server = Server::start(&["--log", "warn"]);
    let address = server.address.to_string();
    let load = ["--connect", &address, "--sessions", "3", "--duration", "200ms", "--warm-up", "50ms"];
    let done = Program::run(load_generator(&[&load[..], &["--format", "json", "--seed", "5"]].concat()), "");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["end"].as_u64().unwrap(), server.balance(), "{report}");
    assert_eq!(
        (&report["seed"], &report["lost"], &report["wrong"]),
        (&5.into(), &0.into(), &0.into()),
        "{report}"
    );
    let seconds = |which: &str| report["latency"][which].as_f64().unwrap();
    assert!(
        0.0 < seconds("p50") && seconds("p50") <= seconds("p99") && seconds("p99") <= seconds("max"),
        "{report}"
    );
    let done = Program::run(load_generator(&load), "");
    assert_eq!(done.code, Some(0), "{done:?}");
    for word in ["answers", "operations", "p99.9", "--seed", "0 lost", "0 wrong"] {
        assert!(done.stdout.contains(word), "{word}: {done:?}");
    }
    server.stop();
    let done = Program::run(load_generator(&load), "");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("3 lost") && done.stdout.contains("lost: not connected"), "{done:?}");
}

#[test]
fn a_lie_about_a_balance_is_caught() {
    let address = fake(|number| Some(if number == 5 { 10_001 } else { 10_000 }));
    let address = address.to_string();
    let load = ["--connect", &address, "--sessions", "1", "--duration", "100ms", "--warm-up", "0s"];
    let done = Program::run(load_generator(&[&load[..], &["--mix", "balance=1"]].concat()), "");
    assert_eq!(done.code, Some(1), "{done:?}");
    let told = "1 wrong";
    assert!(done.stdout.contains(told), "{done:?}");
    assert!(done.stdout.contains("a balance of $100.01 was told, and it must be $100.00"), "{done:?}");
}

#[test]
fn a_session_that_is_lost_is_told() {
    let mix = "balance=1".parse().unwrap();
    let report = run(&Config { mix, ..short(fake(|number| (number < 5).then_some(10_000))) });
    assert_eq!((report.measured.lost, report.is_good()), (1, false), "{report}");
    assert_eq!(report.measured.reasons, ["the server closed the connection"]);
    // One that says nothing any more is given up.
    let silent = |number| {
        if number < 5 {
            Some(10_000)
        } else {
            loop {
                thread::park()
            }
        }
    };
    let patience = Duration::from_millis(200);
    let report = run(&Config { mix, patience, ..short(fake(silent)) });
    assert_eq!(report.measured.reasons, ["no reply within 200ms"]);
    assert!(report.measured.latency.max() >= patience, "what it waited for in vain is measured: {report}");
    // Nothing that is due later waits for anything: the load is over with its last session.
    let (rate, duration) = (Some(20.0), Duration::from_secs(3600));
    let report = run(&Config { mix, rate, duration, ..short(fake(|number| (number < 5).then_some(10_000))) });
    let measured = &report.measured;
    assert!(measured.late == measured.orphaned && measured.late < 20 * 60, "{report}");
    assert!(
        measured.elapsed < duration / 60 && report.to_string().contains("none is left, 1 lost"),
        "{report}"
    );
    // One over the limit is told so by the server.
    let server = Server::start(&["--max-sessions", "3", "--log", "off"]);
    let report = run(&Config { sessions: 4, ..short(server.address) });
    assert_eq!((report.measured.lost, report.balances.wrong), (1, 0), "{report}");
    assert!(report.measured.reasons[0].contains("as many sessions as it takes"), "{report}");
}

#[test]
fn it_is_noticed_that_others_move_money() {
    for shared in [false, true] {
        let server = Server::start(&["--log", "warn"]);
        let (mut other, mut moved) = (Client::greeted(server.address), false);
        let report = atm_bench::run(&Config { shared, ..short(server.address) }, &mut |stage| {
            if matches!(stage, LoadProgress::Asking(_, replies) if replies > 0) && !moved {
                moved = true;
                other.ask("deposit 1");
            }
        });
        let report = report.unwrap();
        assert!(moved && report.measured.lost == 0, "{report}");
        assert_eq!(report.is_good(), shared, "{report}");
    }
}

#[test]
fn a_schedule_is_kept_and_no_wait_is_left_out() {
    let server = Server::start(&["--log", "warn"]);
    let (rate, duration) = (500.0, Duration::from_secs(1));
    let report = run(&Config { sessions: 100, rate: Some(rate), duration, ..short(server.address) });
    // Sessions were free all the time: nothing may be left for having woken late.
    assert!(report.is_good() && report.measured.late == 0, "{report}");
    // Each request that was due in this time is measured, whenever it was made.
    assert!(report.measured.latency.count().abs_diff(500) <= 1, "{report}");

    // The server stops for a fifth of the time. A session that only asks again after each reply waits once; on schedule,
    // whatever was due in the meantime has waited too.
    let stops = || {
        fake(move |number| {
            if number == 300 {
                // What is measured is how long this takes.
                thread::sleep(duration / 5);
            }
            Some(10_000)
        })
    };
    let mix = "balance=1".parse().unwrap();
    let closed = run(&Config { mix, duration, ..short(stops()) });
    let open = run(&Config { mix, duration, rate: Some(1000.0), ..short(stops()) });
    let tenth = duration / 10;
    assert!(closed.measured.latency.max() > tenth && closed.measured.latency.at(0.95) < tenth, "{closed}");
    assert!(open.measured.latency.count().abs_diff(1000) <= 1, "{open}");
    assert!(open.measured.latency.at(0.95) > tenth, "{open}");
}

#[test]
fn the_original_and_its_way_for_many_are_checked_alike() {
    let folder = original_programs();
    let many = project_root().join("tests/compare/python/threads.py");
    for (script, argument, sessions) in [(folder.join("server.py"), "0", 1), (many, "--nodelay", 8)] {
        let Some(command) = python(&script, &[argument]) else { return };
        let server = Program::start(command);
        let port: u16 = server.wait_until(|text| {
            let line = text.split_once('\n')?.0.trim_end_matches(" (raw)");
            line.rsplit([' ', ':']).next()?.parse().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let report = run(&Config { wire: "raw".parse().unwrap(), sessions, ..short(address) });
        assert!(report.is_good() && report.counts.all() > 0 && report.balances.checked > 0, "{report}");
        assert!(report.balances.end.is_some(), "{report}");
    }
}

#[test]
fn what_is_over_the_limit_is_a_refusal() {
    for (wire, manner) in [
        ("json", InputStyle::Menu),
        ("json", InputStyle::Words),
        ("raw", InputStyle::Menu),
        ("raw", InputStyle::Words),
        ("postcard", InputStyle::Menu),
        ("postcard", InputStyle::Words),
    ] {
        let server = Server::start(&["--wire", wire, "--limit", "10", "--log", "warn"]);
        let report = run(&Config { wire: wire.parse().unwrap(), manner, ..short(server.address) });
        assert!(
            report.is_good() && report.counts.refused > 0 && report.counts.deposits > 0,
            "{wire}: {report}"
        );
        server.stop();
    }
}

#[test]
fn a_load_that_is_stopped_tells_what_it_has_measured() {
    let server = Server::start(&["--log", "warn"]);
    let duration = Duration::from_secs(3600);
    for rate in [None, Some(1000.0)] {
        let (stop, begin) = (AtomicBool::new(false), Instant::now());
        let config = Config { rate, duration, ..short(server.address) };
        let mut watch = |stage| {
            if matches!(stage, LoadProgress::Asking(_, replies) if replies > 0) {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let report = atm_bench::run_until(&config, &mut watch, &stop).unwrap();
        assert!(report.stopped && report.is_good() && report.measured.answers > 0, "{report}");
        assert!(begin.elapsed() < duration / 60 && report.measured.late < 60_000, "{report}");
    }
    // Before anything counts.
    let config = Config { warm_up: duration, ..short(server.address) };
    let report = atm_bench::run_until(&config, &mut |_| {}, &AtomicBool::new(true)).unwrap();
    assert!(report.is_good() && report.to_string().contains("answers     none"), "{report}");
    assert!(JsonReport(&report).to_string().contains("\"answers_per_second\":null"), "{report}");
    let (address, before) = (server.address.to_string(), server.balance());
    let load =
        ["--connect", &address, "--sessions", "2", "--mix", "deposit=1", "--shared", "--duration", "1h"];
    let program = Program::start(load_generator(&load));
    while server.balance() == before {}
    program.signal(Signal::INT);
    let done = program.finish();
    assert_eq!(done.code, Some(130), "{done:?}");
    assert!(done.stdout.contains("stopped     before") && done.stdout.contains("0 lost"), "{done:?}");
    server.stop();
}

#[test]
fn what_was_not_measured_is_told_as_nothing() {
    let server = Server::start(&["--log", "warn"]);
    let address = server.address.to_string();
    server.stop();
    let load = ["--connect", &address, "--sessions", "1", "--words", "--duration", "50ms"];
    let done = Program::run(load_generator(&[&load[..], &["--format", "json"]].concat()), "");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(["latency", "settling", "busy"].iter().all(|name| report[name].is_null()), "{report}");
    assert_eq!((&report["words"], &report["shared"]), (&true.into(), &false.into()), "{report}");
    let done = Program::run(load_generator(&load), "");
    assert!(done.stdout.contains("latency     none: an answer") && !done.stdout.contains("% of"), "{done:?}");
}
