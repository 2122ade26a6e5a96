//! `firmware-sim --store FILE`: the ledger survives `kill -9` and damage to one copy; with both copies damaged the
//! ATM is out of service and leaves the file as it is.
use atm_e2e::{FirmwareSim, Output, Program, Signal, atm, firmware_sim};
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The path of a store file, removed after the test.
struct StoreFile(PathBuf);

impl StoreFile {
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

impl Drop for StoreFile {
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

/// Flips a bit in a page of the given copies (0 and 1).
fn corrupt(path: &Path, page: usize, copies: &[usize]) {
    let mut bytes = fs::read(path).unwrap();
    for copy in copies {
        let at = copy * 4096 + page * 128 + 5;
        bytes[at] ^= 0x10;
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_new_store_can_be_read_by_its_owner_alone() {
    let store = StoreFile::new("private");
    let _sim = store.sim();
    let mode = fs::metadata(&store.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_balance_survives_a_kill_and_damage_to_one_copy() {
    let store = StoreFile::new("outlives");
    for turn in 0..4 {
        let sim = store.sim();
        let done = run(&sim, "deposit 10\n3\nexit\n");
        let text = format!("Your balance is ${}.", 110 + 10 * turn);
        assert!(done.code == Some(0) && done.stdout.contains(&text), "{text}: {done:?}");
        // A loss of power, and damage to one copy while the kiosk is off.
        kill(&sim);
        drop(sim);
        corrupt(&store.0, turn % 2, &[turn % 2]);
    }
}

#[test]
fn damage_to_both_copies_puts_the_atm_out_of_service() {
    let store = StoreFile::new("damaged");
    let sim = store.sim();
    assert_eq!(run(&sim, "deposit 10\nexit\n").code, Some(0));
    kill(&sim);
    drop(sim);
    corrupt(&store.0, 1, &[0, 1]);
    let before = fs::read(&store.0).unwrap();
    let sim = store.sim();
    let done = run(&sim, "deposit 10\nexit\n");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("This ATM is out of service."), "{done:?}");
    drop(sim);
    assert_eq!(fs::read(&store.0).unwrap(), before, "the file is not changed");
}

#[test]
fn no_new_ledger_begins_over_the_record_of_a_terminal() {
    let store = StoreFile::new("blank");
    let sim = store.sim();
    assert_eq!(run(&sim, "deposit 10\nexit\n").code, Some(0));
    kill(&sim);
    drop(sim);
    // The first slot and the mark are blank in both copies.
    let mut bytes = fs::read(&store.0).unwrap();
    for page in [0, 31, 32, 63] {
        bytes[page * 128..(page + 1) * 128].fill(0xff);
    }
    fs::write(&store.0, &bytes).unwrap();
    let sim = store.sim();
    let done = run(&sim, "deposit 10\nexit\n");
    assert!(done.code == Some(1) && done.stdout.contains("This ATM is out of service"), "{done:?}");
    drop(sim);
    assert_eq!(fs::read(&store.0).unwrap(), bytes, "the file is not changed");
}

#[test]
fn a_file_that_is_in_use_or_is_no_eeprom_image_is_refused() {
    let store = StoreFile::new("shared");
    let first = store.sim();
    let second = Program::run(firmware_sim(&["--store", store.path()]), "");
    assert!(second.code == Some(1) && second.stderr.contains("another program has it open"), "{second:?}");
    drop(first);
    fs::write(&store.0, "no EEPROM").unwrap();
    let done = Program::run(firmware_sim(&["--store", store.path()]), "");
    assert!(done.code == Some(1) && done.stderr.contains("it has 9 bytes, and an EEPROM 65536"), "{done:?}");
}
