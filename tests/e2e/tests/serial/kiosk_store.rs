//! `firmware-sim --store FILE`: the balance and what terminals were told outlive the program, and a damaged file is refused.
use atm_e2e::{FirmwareSim, Output, Program, Signal, atm, firmware_sim};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A file that goes with the test.
struct Store(PathBuf);

impl Store {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("atm-store-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        Self(path)
    }

    fn sim(&self) -> FirmwareSim {
        FirmwareSim::start(&["--store", self.path(), "--balance", "100"])
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn run(sim: &FirmwareSim, lines: &str) -> Output {
    Program::run(atm(&["client", "--serial", &sim.path, "--terminal", "kiosk-7"]), lines)
}

fn kill(sim: &FirmwareSim) {
    sim.program.signal(Signal::KILL);
}

/// Spoils a byte of a page of both copies, or of one.
fn spoil(path: &Path, page: usize, halves: &[usize]) {
    let mut bytes = fs::read(path).unwrap();
    for half in halves {
        let at = half * 4096 + page * 128 + 5;
        bytes[at] ^= 0x10;
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_balance_outlives_the_program() {
    let store = Store::new("outlives");
    for turn in 0..4 {
        let sim = store.sim();
        let done = run(&sim, "deposit 10\n3\nexit\n");
        let text = format!("Your balance is ${}.", 110 + 10 * turn);
        assert!(done.code == Some(0) && done.stdout.contains(&text), "{text}: {done:?}");
        // As pulling the plug does; and one copy is damaged while it is off.
        kill(&sim);
        drop(sim);
        spoil(&store.0, turn % 2, &[turn % 2]);
    }
}

#[test]
fn what_neither_copy_has_any_more_is_out_of_service() {
    let store = Store::new("damaged");
    let sim = store.sim();
    assert_eq!(run(&sim, "deposit 10\nexit\n").code, Some(0));
    kill(&sim);
    drop(sim);
    spoil(&store.0, 1, &[0, 1]);
    let before = fs::read(&store.0).unwrap();
    let sim = store.sim();
    let done = run(&sim, "deposit 10\nexit\n");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("This ATM is out of service: its records cannot be read."), "{done:?}");
    drop(sim);
    assert_eq!(fs::read(&store.0).unwrap(), before, "it is left as it is");
}

#[test]
fn a_store_is_one_programs_and_an_eeproms() {
    let store = Store::new("shared");
    let first = store.sim();
    let second = Program::run(firmware_sim(&["--store", store.path()]), "");
    assert!(second.code == Some(1) && second.stderr.contains("another program has it open"), "{second:?}");
    drop(first);
    fs::write(&store.0, "no EEPROM").unwrap();
    let done = Program::run(firmware_sim(&["--store", store.path()]), "");
    assert!(done.code == Some(1) && done.stderr.contains("it has 9 bytes, and an EEPROM 65536"), "{done:?}");
}
