//! The demos run a complete session, check every balance and exit with code 0.
use atm_e2e::{Program, atm, firmware_sim};
use std::process::Command;

fn assert_passes(mut command: Command, wire: &str) {
    command.arg("--hex");
    let output = Program::run(command, "");
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    // Numbered steps, the bytes on the wire in both directions, and the result.
    for text in ["\n1. ", "\n2. ", "\n   -> ", "\n   <- "] {
        assert!(output.stdout.contains(text), "no {text:?} in {}", output.stdout);
    }
    let last = output.stdout.lines().last().unwrap();
    assert!(
        last.starts_with("ok: ") && last.contains(&format!("over the {wire} wire, every balance checked")),
        "{last}"
    );
}

#[test]
fn the_demo_over_tcp_passes_on_every_wire() {
    assert_passes(atm(&["demo"]), "json");
    for wire in ["json", "raw", "postcard"] {
        assert_passes(atm(&["demo", "--wire", wire]), wire);
    }
}

#[test]
fn the_demo_over_a_serial_line_passes_on_both_wires() {
    assert_passes(firmware_sim(&["--demo"]), "postcard");
    assert_passes(firmware_sim(&["--demo", "--wire", "json"]), "json");
    assert_passes(firmware_sim(&["--demo", "--balance", "140.50"]), "postcard");
}
