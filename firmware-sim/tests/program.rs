//! The program `firmware-sim` starts. Cargo builds a package's programs for its integration tests: because this one exists,
//! `cargo test --workspace` builds `firmware-sim` once, and the end-to-end tests (tests/e2e) find it.
use std::process::Command;

#[test]
fn firmware_sim_prints_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_firmware-sim")).arg("--version").output().unwrap();
    let expected = concat!("firmware-sim ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), expected));
}
