//! examples/terminal.py with a card: it says that it hides a PIN, and keeps nothing of it.
use crate::counter::{Counter, NUMBERS, PINS};
use atm_core::{time::Duration, wire::Wire};
use atm_e2e::{Program, examples, python};
use std::fs;

#[test]
fn the_terminal_serves_a_person_with_a_card() {
    let counter = Counter::start(Wire::Json, Duration::from_secs(300));
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("kiosk-7.json");
    let (host, port) = (counter.address.ip().to_string(), counter.address.port().to_string());
    let script = examples().join("terminal.py");
    let Some(command) = python(&script, &[&host, &port, "kiosk-7", state.to_str().unwrap()]) else { return };
    let done = Program::run(command, &format!("{}\n{}\nwithdraw 40\nexit\n", NUMBERS[0], PINS[0]));
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.contains("Amount withdrawn: $40. Your balance is $60."), "{done:?}");
    let kept = done.stdout + &fs::read_to_string(&state).unwrap();
    assert!(!kept.contains(NUMBERS[0]) && !kept.contains(PINS[0]), "{kept}");
}
