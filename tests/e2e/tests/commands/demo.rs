//! The demos show a whole session, check it and exit with 0.
use atm_e2e::{Program, atm, firmware_sim};
use std::process::Command;

fn passes(command: Command, wire: &str) {
    let done = Program::run(command, "");
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    // Numbered steps, with what crosses the wire both ways, and a verdict at the end.
    for text in ["\n1. ", "\n2. ", "\n   -> ", "\n   <- "] {
        assert!(done.stdout.contains(text), "no {text:?} in {}", done.stdout);
    }
    let last = done.stdout.lines().last().unwrap();
    assert!(
        last.starts_with("ok: ") && last.contains(&format!("over the {wire} wire, every balance checked")),
        "{last}"
    );
}

#[test]
fn over_tcp_on_every_wire() {
    passes(atm(&["demo"]), "json");
    for wire in ["json", "raw", "postcard"] {
        passes(atm(&["demo", "--wire", wire]), wire);
    }
}

#[test]
fn over_a_serial_line() {
    passes(firmware_sim(&["--demo"]), "postcard");
    passes(firmware_sim(&["--demo", "--wire", "json"]), "json");
    passes(firmware_sim(&["--demo", "--balance", "140.50"]), "postcard");
}
