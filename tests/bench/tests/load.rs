//! The load generator against real and faulty servers: its counts are right, wrong balances are detected, and
//! an open loop keeps its schedule.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use atm_bench::{LoadConfig, LoadProgress, Report, customer::InputStyle, mix::Mix};
use atm_e2e::{
    Client, Program, Server, Signal, TIMEOUT, Value, frame, ledger, original_programs, project_root, python,
    raise_file_limit, with_ephemeral_ports,
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

/// A short run: one session on the `json` wire, closed loop.
fn short(address: SocketAddr) -> LoadConfig {
    LoadConfig {
        addresses: vec![address],
        wire: "json".parse().unwrap(),
        sessions: 1,
        terminals: None,
        burst: 100,
        threads: 1,
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(300),
        mix: Mix::default(),
        input_style: InputStyle::Menu,
        rate: None,
        seed: 7,
        shared: false,
        timeout: TIMEOUT,
    }
}

#[test]
fn sessions_take_the_addresses_in_turn() {
    let server = Server::start(&[]);
    // No server listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let addresses = vec![server.address, gone];
    let report = run(&LoadConfig { addresses, sessions: 5, ..short(server.address) });
    assert_eq!(report.measurements.lost, 2, "{report}");
    assert!(report.measurements.answers > 0 && report.balances.wrong == 0, "{report}");
}

#[test]
fn no_session_connects_to_itself() {
    let command = load_generator(&["--connect", "127.0.0.1:40000", "--sessions", "2", "--duration", "1s"]);
    let Some(command) = with_ephemeral_ports(&command, 40_000) else { return };
    let done = Program::run(command, "");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!((done.stdout + &done.stderr).contains("refused"));
}

fn run(config: &LoadConfig) -> Report {
    atm_bench::run(config, &mut |_| {}).unwrap()
}

/// A server that knows only the balance query, one session at a time. `balance` returns what it reports the
/// `n`th time, in cents, or ends the session.
fn fake_server(balance: impl Fn(u64) -> Option<u64> + Send + 'static) -> SocketAddr {
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
fn the_report_agrees_with_the_servers_balance() {
    assert!(raise_file_limit() > 2100, "the system allows too few open files (ulimit -n)");
    for (wire, sessions, threads, input_style) in [
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
        let report = run(&LoadConfig { wire, sessions, threads, input_style, ..short(server.address) });
        assert!(report.passed(), "{report}");
        let (measurements, counts, balances) = (&report.measurements, report.counts, &report.balances);
        assert!(measurements.answers > 0 && measurements.operations <= measurements.answers, "{report}");
        // A request that is outstanding at the end counts in the latency but not in the throughput.
        let latencies = measurements.answer_latency.count();
        assert!(latencies.abs_diff(measurements.answers) <= sessions as u64, "{report}");
        assert!(counts.balances > 0 && counts.deposits > 0 && counts.withdrawals > 0, "{report}");
        // Every operation reports a balance, and so do the prompts for a withdrawal.
        assert!(balances.checked >= counts.total() - 1, "{report}");
        let minor = |amount: Option<atm_core::money::Amount>| i64::try_from(amount.unwrap().minor()).unwrap();
        assert_eq!(
            minor(balances.start) + balances.deposited - balances.withdrawn,
            minor(balances.end),
            "{report}"
        );
        // A later run starts with the balance at the end of this one.
        let next = run(&LoadConfig { wire, duration: Duration::from_millis(1), ..short(server.address) });
        assert_eq!(next.balances.start, balances.end, "{next}");
        server.stop();
    }
}

#[test]
fn every_named_terminal_has_a_row_and_its_operations_pass() {
    let folder = tempfile::tempdir().unwrap();
    let server = ledger::start_server(folder.path());
    // A later run on the same ledger is one of later epochs.
    for (sessions, threads, input_style) in
        [(4, 2, InputStyle::Words), (7, 1, InputStyle::Menu), (30, 1, InputStyle::Words)]
    {
        let terminals = Some(30);
        let report = run(&LoadConfig { sessions, threads, terminals, input_style, ..short(server.address) });
        assert!(report.passed() && report.counts.deposits > 0, "{report}");
        assert!(report.to_string().contains("30 named terminals"), "{report}");
    }
    server.stop();
    let shown = ledger::ledger_stdout(&["show"], folder.path());
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["terminals", "30"])), "{shown}");
}

#[test]
fn the_program_prints_the_report_and_its_exit_code_says_whether_it_passed() {
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
    for word in ["throughput", "answers/s", "operations/s", "p99.9", "--seed", "0 lost", "0 wrong"] {
        assert!(done.stdout.contains(word), "{word}: {done:?}");
    }
    server.stop();
    let done = Program::run(load_generator(&load), "");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("3 lost") && done.stdout.contains("lost: not connected"), "{done:?}");
}

#[test]
fn a_wrong_balance_is_detected() {
    let address = fake_server(|number| Some(if number == 5 { 10_001 } else { 10_000 }));
    let address = address.to_string();
    let load = ["--connect", &address, "--sessions", "1", "--duration", "100ms", "--warm-up", "0s"];
    let done = Program::run(load_generator(&[&load[..], &["--mix", "balance=1"]].concat()), "");
    assert_eq!(done.code, Some(1), "{done:?}");
    for text in ["1 wrong", "a balance of $100.01 was reported, but it must be $100"] {
        assert!(done.stdout.contains(text), "{text}: {done:?}");
    }
}

#[test]
fn a_lost_session_is_reported_with_its_reason() {
    let mix = "balance=1".parse().unwrap();
    let report = run(&LoadConfig { mix, ..short(fake_server(|number| (number < 5).then_some(10_000))) });
    assert_eq!((report.measurements.lost, report.passed()), (1, false), "{report}");
    assert_eq!(report.measurements.reasons, ["the server closed the connection"]);
    // A server that does not reply in time.
    let silent = |number| {
        if number < 5 {
            Some(10_000)
        } else {
            loop {
                thread::park()
            }
        }
    };
    let timeout = Duration::from_millis(200);
    let report = run(&LoadConfig { mix, timeout, ..short(fake_server(silent)) });
    assert_eq!(report.measurements.reasons, ["no reply within 200ms"]);
    assert!(report.measurements.answer_latency.max() >= timeout, "the wait counts in the latency: {report}");
    // An open loop ends with its last session.
    let (rate, duration) = (Some(20.0), Duration::from_secs(3600));
    let report = run(&LoadConfig {
        mix,
        rate,
        duration,
        ..short(fake_server(|number| (number < 5).then_some(10_000)))
    });
    let measurements = &report.measurements;
    assert!(measurements.missed == measurements.missed_without_session, "{report}");
    assert!(measurements.missed < 20 * 60, "{report}");
    assert!(
        measurements.elapsed < duration / 60 && report.to_string().contains("none left, 1 lost"),
        "{report}"
    );
    // The server refuses a session over its limit with a notice.
    let server = Server::start(&["--max-sessions", "3", "--log", "off"]);
    let report = run(&LoadConfig { sessions: 4, ..short(server.address) });
    assert_eq!((report.measurements.lost, report.balances.wrong), (1, 0), "{report}");
    assert!(report.measurements.reasons[0].contains("as many sessions as it takes"), "{report}");
}

#[test]
fn a_deposit_by_another_client_is_detected_unless_the_server_is_shared() {
    for shared in [false, true] {
        let server = Server::start(&["--log", "warn"]);
        let (mut other, mut moved) = (Client::greeted(server.address), false);
        let report = atm_bench::run(&LoadConfig { shared, ..short(server.address) }, &mut |progress| {
            if matches!(progress, LoadProgress::Running { replies: 1.., .. }) && !moved {
                moved = true;
                other.ask("deposit 1");
            }
        });
        let report = report.unwrap();
        assert!(moved && report.measurements.lost == 0, "{report}");
        assert_eq!(report.passed(), shared, "{report}");
    }
}

#[test]
fn an_open_loop_keeps_its_schedule_and_avoids_coordinated_omission() {
    let server = Server::start(&["--log", "warn"]);
    let (rate, duration) = (500.0, Duration::from_secs(1));
    let report = run(&LoadConfig { sessions: 100, rate: Some(rate), duration, ..short(server.address) });
    // Sessions were idle all the time: no request may be missed because the loop woke late.
    assert!(report.passed() && report.measurements.missed == 0, "{report}");
    // Every request that was due in the measured time is measured, whenever it was sent.
    assert!(report.measurements.answer_latency.count().abs_diff(500) <= 1, "{report}");

    // The server stalls for a fifth of the time. A closed loop measures one slow reply; an open loop also
    // measures the wait of every request that was due in the meantime.
    let stalling = || {
        fake_server(move |number| {
            if number == 300 {
                // The stall itself is measured: it must take this long.
                thread::sleep(duration / 5);
            }
            Some(10_000)
        })
    };
    let mix = "balance=1".parse().unwrap();
    let closed = run(&LoadConfig { mix, duration, ..short(stalling()) });
    let open = run(&LoadConfig { mix, duration, rate: Some(1000.0), ..short(stalling()) });
    let tenth = duration / 10;
    assert!(
        closed.measurements.answer_latency.max() > tenth
            && closed.measurements.answer_latency.quantile(0.95) < tenth,
        "{closed}"
    );
    assert!(open.measurements.answer_latency.count().abs_diff(1000) <= 1, "{open}");
    assert!(open.measurements.answer_latency.quantile(0.95) > tenth, "{open}");
}

#[test]
fn the_original_servers_are_measured_and_checked_too() {
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
        let report = run(&LoadConfig { wire: "raw".parse().unwrap(), sessions, ..short(address) });
        assert!(report.passed() && report.counts.total() > 0 && report.balances.checked > 0, "{report}");
        assert!(report.balances.end.is_some(), "{report}");
    }
}

#[test]
fn an_amount_over_the_servers_limit_counts_as_refused() {
    for (wire, input_style) in [
        ("json", InputStyle::Menu),
        ("json", InputStyle::Words),
        ("raw", InputStyle::Menu),
        ("raw", InputStyle::Words),
        ("postcard", InputStyle::Menu),
        ("postcard", InputStyle::Words),
    ] {
        let server = Server::start(&["--wire", wire, "--limit", "10", "--log", "warn"]);
        let report = run(&LoadConfig { wire: wire.parse().unwrap(), input_style, ..short(server.address) });
        assert!(
            report.passed() && report.counts.refused > 0 && report.counts.deposits > 0,
            "{wire}: {report}"
        );
        server.stop();
    }
}

#[test]
fn a_stopped_run_reports_what_it_has_measured() {
    let server = Server::start(&["--log", "warn"]);
    let duration = Duration::from_secs(3600);
    for rate in [None, Some(1000.0)] {
        let (stop, begin) = (AtomicBool::new(false), Instant::now());
        let config = LoadConfig { rate, duration, ..short(server.address) };
        let mut on_progress = |progress| {
            if matches!(progress, LoadProgress::Running { replies: 1.., .. }) {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let report = atm_bench::run_until(&config, &mut on_progress, &stop).unwrap();
        assert!(report.stopped && report.passed() && report.measurements.answers > 0, "{report}");
        assert!(begin.elapsed() < duration / 60 && report.measurements.missed < 60_000, "{report}");
    }
    // Stopped during the warm-up.
    let config = LoadConfig { warm_up: duration, ..short(server.address) };
    let report = atm_bench::run_until(&config, &mut |_| {}, &AtomicBool::new(true)).unwrap();
    assert!(
        report.passed() && report.to_string().contains("throughput  no answers were measured"),
        "{report}"
    );
    assert!(report.to_json()["answers_per_second"].is_null(), "{report}");
    let (address, before) = (server.address.to_string(), server.balance());
    let load =
        ["--connect", &address, "--sessions", "2", "--mix", "deposit=1", "--shared", "--duration", "1h"];
    let program = Program::start(load_generator(&load));
    while server.balance() == before {}
    program.signal(Signal::INT);
    let done = program.finish();
    assert_eq!(done.code, Some(130), "{done:?}");
    assert!(done.stdout.contains("stopped     before the end") && done.stdout.contains("0 lost"), "{done:?}");
    server.stop();
}

#[test]
fn figures_that_were_not_measured_are_null_or_absent() {
    let server = Server::start(&["--log", "warn"]);
    let address = server.address.to_string();
    server.stop();
    let load = ["--connect", &address, "--sessions", "1", "--words", "--duration", "50ms"];
    let done = Program::run(load_generator(&[&load[..], &["--format", "json"]].concat()), "");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(["latency", "settling", "busy"].iter().all(|name| report[name].is_null()), "{report}");
    assert_eq!((&report["words"], &report["shared"]), (&true.into(), &false.into()), "{report}");
    let done = Program::run(load_generator(&load), "");
    assert!(
        done.stdout.contains("latency     none measured of answers") && !done.stdout.contains("% of"),
        "{done:?}"
    );
}

#[test]
fn wrong_usage_is_refused_with_exit_code_2() {
    let code = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Program::run(load_generator(&words), "").code
    };
    for line in [
        "--sessions 0",
        "--duration 0s",
        "--duration 10",
        "--warm-up -1s",
        "--warm-up 2days",
        "--mix theft=1",
        "--mix deposit=0",
        "--rate 0",
        "--rate NaN",
        "--wire morse",
        "--format xml",
        "--terminals 0",
        "--terminals 5 --wire raw",
        "--terminals 5 --wire postcard",
    ] {
        assert_eq!(code(line), Some(2), "{line}");
    }
    // Every option is accepted; the session is lost, since no server listens there.
    let line = "--connect 127.0.0.1:1 --wire raw --sessions 2 --duration 500ms --warm-up 0s --mix deposit=1 --words \
                --rate 0.5 --threads 2 --shared --seed 7 --format json";
    assert_eq!(code(line), Some(1));
}
