//! `atm terminal provision`: a key file's key in the EEPROM image of a microcontroller, and nothing else changed there.
use atm_core::seal::{Key, KeyStore, TerminalKey};
use atm_e2e::{FirmwareSim, Output, Program, Signal, atm};
use atm_host::access::KeyFile;
use embedded_storage::{ReadStorage, Storage};
use std::{
    convert::Infallible,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The part of an EEPROM image from which the images read the key.
struct KeyPart(Vec<u8>);

impl ReadStorage for KeyPart {
    type Error = Infallible;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        let at = (KeyStore::<Self>::AT + offset) as usize;
        bytes.copy_from_slice(&self.0[at..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        KeyStore::<Self>::SIZE
    }
}

impl Storage for KeyPart {
    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), Infallible> {
        panic!("both copies are whole");
    }
}

/// A folder with a key file.
struct Files(TempDir);

impl Files {
    fn new(series: u32) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        Self::key(series).create(&files.path("kiosk-7.key")).unwrap();
        files
    }

    fn key(series: u32) -> KeyFile {
        let terminal = "kiosk-7".parse().unwrap();
        let key = TerminalKey::derive(&Key::from([9; 32]), series.try_into().unwrap(), &terminal);
        KeyFile { terminal, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn provision(&self) -> Output {
        let mut command = atm(&["terminal", "provision", "--eeprom"]);
        command.arg(self.path("kiosk.eeprom")).arg("--key").arg(self.path("kiosk-7.key"));
        Program::run(command, "")
    }

    fn stored(&self) -> KeyFile {
        let bytes = fs::read(self.path("kiosk.eeprom")).unwrap();
        let (terminal, key) = KeyStore::new(KeyPart(bytes)).unwrap().load().unwrap().unwrap();
        KeyFile { terminal, key }
    }

    fn sim(&self) -> FirmwareSim {
        FirmwareSim::start(&["--store", self.path("kiosk.eeprom").to_str().unwrap()])
    }
}

fn balance(sim: &FirmwareSim, lines: &str, balance: &str) {
    let output = Program::run(atm(&["client", "--serial", &sim.path, "--terminal", "kiosk-7"]), lines);
    assert!(output.stdout.contains(balance), "{output:?}");
}

#[test]
fn a_new_image_has_the_key_and_is_its_owners_alone() {
    let files = Files::new(1);
    let output = files.provision();
    assert_eq!(output.code, Some(0), "{output:?}");
    let shown = format!(
        "kiosk-7: the key of series 1, step 0 is in {}\n",
        Path::display(&files.path("kiosk.eeprom"))
    );
    assert_eq!(output.stdout, shown, "the key itself is not shown");
    assert_eq!(files.stored(), Files::key(1));
    assert_eq!(fs::metadata(files.path("kiosk.eeprom")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_kiosks_ledger_stays_and_an_image_in_use_is_left_as_it_is() {
    let files = Files::new(2);
    let sim = files.sim();
    balance(&sim, "deposit 40\n", "Your balance is $140.");
    let before = fs::read(files.path("kiosk.eeprom")).unwrap();
    let refused = files.provision();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("kiosk.eeprom: another program has it open"), "{refused:?}");
    assert_eq!(fs::read(files.path("kiosk.eeprom")).unwrap(), before);
    sim.program.signal(Signal::KILL);
    drop(sim);
    assert_eq!(files.provision().code, Some(0));
    assert_eq!(files.stored(), Files::key(2));
    balance(&files.sim(), "balance\n", "Your balance is $140.");
}

#[test]
fn a_key_file_that_others_can_use_is_refused() {
    let files = Files::new(1);
    fs::set_permissions(files.path("kiosk-7.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let refused = files.provision();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("kiosk-7.key: users other than its owner can use it"), "{refused:?}");
    assert!(!files.path("kiosk.eeprom").exists());
}
