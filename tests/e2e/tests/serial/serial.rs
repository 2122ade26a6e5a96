//! `firmware-sim` on a pseudo-terminal with `atm client --serial` on the other end: clients one after another,
//! killed clients, noise, injected faults, and errors of the port.
use atm_e2e::{FirmwareSim, Output, Program, SerialPair, Signal, atm, random_bytes, seeded_rng};
use std::io::Write;

const WIRES: [&str; 2] = ["postcard", "json"];

fn client(sim: &FirmwareSim, wire: &str) -> Program {
    Program::start(atm(&["client", "--serial", &sim.path, "--wire", wire]))
}

/// Runs a client whose whole input is `lines`.
fn run(sim: &FirmwareSim, wire: &str, lines: &str) -> Output {
    Program::run(atm(&["client", "--serial", &sim.path, "--wire", wire]), lines)
}

/// Stops the kiosk by `quit`, and checks that both ends exit with 0.
fn quit(sim: FirmwareSim, wire: &str) {
    let done = run(&sim, wire, "quit\n");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.ends_with("The server is stopping. Goodbye.\n"), "{done:?}");
    let ended = sim.program.finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}

#[test]
fn clients_come_one_after_another() {
    for wire in WIRES {
        let sim = FirmwareSim::start(&["--wire", wire]);
        let done = run(&sim, wire, "1\n40\n2\n15\n3\nexit\n");
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        for text in [
            "1. Deposit",
            "How much would you like to deposit?",
            "Amount deposited: $40. Your balance is $140.",
            "Balance: $140. How much would you like to withdraw?",
            "Amount withdrawn: $15. Your balance is $125.",
            "\nYour balance is $125.",
        ] {
            assert!(done.stdout.contains(text), "no {text:?} in {}", done.stdout);
        }
        assert!(done.stdout.ends_with("\nGoodbye.\n"), "{}", done.stdout);
        // Each client begins at the menu and finds the balance that the one before left.
        for (turn, end) in ["exit\n", "", "1\nexit\n", "2\n"].into_iter().enumerate() {
            let done = run(&sim, wire, &format!("deposit 1\n{end}"));
            assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
            assert!(done.stdout.starts_with("Welcome to the ATM"), "{done:?}");
            assert!(done.stdout.contains(&format!("Your balance is ${}.", 126 + turn)), "{done:?}");
        }
        quit(sim, wire);
    }
}

#[test]
fn a_client_that_is_killed_leaves_the_next_one_at_the_menu() {
    for wire in WIRES {
        let sim = FirmwareSim::start(&["--wire", wire]);
        for lines in [&[][..], &["1"], &["2"], &["deposit 5"], &["withdraw", "5"]] {
            let mut killed = client(&sim, wire);
            for (number, line) in lines.iter().enumerate() {
                killed.wait_for_prompts(number + 1);
                killed.type_line(line);
            }
            killed.wait_for_prompts(lines.len() + 1);
            killed.signal(Signal::KILL);
            killed.finish();
            let next = run(&sim, wire, "exit\n");
            assert_eq!((next.code, next.stderr.as_str()), (Some(0), ""), "{next:?}");
            assert!(next.stdout.starts_with("Welcome to the ATM"), "{lines:?}: {next:?}");
        }
        let done = run(&sim, wire, "3\n");
        assert!(done.stdout.contains("Your balance is $100."), "{done:?}");
    }
}

#[test]
fn noise_before_a_client_is_skipped() {
    let mut random = seeded_rng();
    let sim = FirmwareSim::start(&[]);
    let mut port = sim.open();
    for _ in 0..8 {
        port.write_all(&random_bytes(&mut random, 600)).unwrap();
        let done = run(&sim, "postcard", "3\nexit\n");
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        assert!(done.stdout.starts_with("Welcome to the ATM"), "{done:?}");
        assert!(done.stdout.contains("Your balance is $100."), "{done:?}");
    }
}

#[test]
fn injected_faults_lose_and_duplicate_no_deposit() {
    let seed = seeded_rng().u32(..).to_string();
    let mut arguments = vec!["--seed", &seed];
    for fault in [
        "--drop-chance",
        "--duplicate-chance",
        "--corrupt-chance",
        "--truncate-chance",
        "--merge-chance",
        "--burst-chance",
    ] {
        arguments.extend([fault, "0.02"]);
    }
    let sim = FirmwareSim::start(&arguments);
    let lines: String = (1..=15).map(|amount| format!("deposit {amount}\n")).collect();
    let done = run(&sim, "postcard", &format!("{lines}3\nexit\n"));
    assert_eq!(done.code, Some(0), "{done:?}");
    for (number, amount) in (1..=15).enumerate() {
        let balance = 100 + (1..=amount).sum::<u32>();
        let text = format!("Amount deposited: ${amount}. Your balance is ${balance}.");
        assert_eq!(done.stdout.matches(&text).count(), 1, "deposit {number}: {text:?} in {}", done.stdout);
    }
    assert!(done.stdout.contains("\nYour balance is $220."), "{}", done.stdout);
}

#[test]
fn a_second_client_on_a_port_in_use_is_refused() {
    let sim = FirmwareSim::start(&[]);
    let first = client(&sim, "postcard");
    first.wait_for_prompts(1);
    let second = run(&sim, "postcard", "3\n");
    assert_eq!((second.code, second.stderr.lines().count()), (Some(1), 1), "{second:?}");
    assert!(second.stderr.contains(&sim.path) && second.stderr.contains("another program"), "{second:?}");
    drop(first);
}

#[test]
fn a_port_that_disappears_ends_the_client() {
    let sim = FirmwareSim::start(&[]);
    let client = client(&sim, "postcard");
    client.wait_for_prompts(1);
    sim.program.signal(Signal::KILL);
    let done = client.finish();
    assert_eq!((done.code, done.stderr.lines().count()), (Some(1), 1), "{done:?}");
    assert!(done.stderr.contains("gone"), "{done:?}");
}

#[test]
fn an_idle_prompt_times_out_and_ends_the_client() {
    let sim = FirmwareSim::start(&["--idle-timeout", "1"]);
    let idle = client(&sim, "postcard");
    let done = idle.finish();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.ends_with("No answer for too long. Goodbye.\n"), "{done:?}");
}

#[test]
fn a_missing_port_and_the_raw_wire_are_reported_in_one_line() {
    let done = Program::run(atm(&["client", "--serial", "/dev/no-such-port"]), "3\n");
    assert_eq!((done.code, done.stderr.lines().count()), (Some(1), 1), "{done:?}");
    assert!(done.stderr.contains("/dev/no-such-port"), "{done:?}");
    let sim = FirmwareSim::start(&[]);
    // The raw wire has no hello, and on a serial line the host sends nothing before one.
    let done = run(&sim, "raw", "3\n");
    assert!(done.code == Some(2) && done.stderr.contains("no hello"), "{done:?}");
}

#[test]
fn a_server_warns_once_of_a_terminal_of_another_wire() {
    for (wire, other) in [("postcard", "json"), ("json", "postcard")] {
        let pair = SerialPair::new();
        let server = Program::start(atm(&["serve", "--serial", &pair.near, "--wire", wire]));
        server.wait_for("listening on");
        let arguments = ["client", "--serial", &pair.far, "--wire", other, "--reply-timeout", "2"];
        let done = Program::run(atm(&arguments), "balance\n");
        assert_eq!(done.code, Some(1), "{done:?}");
        server.signal(Signal::TERM);
        let done = server.finish();
        let warnings = done.stderr.matches("are no message of this wire").count();
        assert_eq!((done.code, warnings), (Some(0), 1), "{wire}: {done:?}");
    }
}
