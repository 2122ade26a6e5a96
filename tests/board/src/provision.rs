//! The key of a sealed link, in the EEPROM of a board.
use atm_core::seal::{Key, TerminalKey};
use atm_e2e::atm;
use atm_host::access::KeyFile;
use std::{fs, num::NonZeroU32, path::Path};

/// The key of the terminal with the longest name.
pub(crate) fn terminal_key() -> KeyFile {
    let name = "a-name-of-the-greatest-length-01".parse().unwrap();
    let key = TerminalKey::derive(&Key::from([0x5a; 32]), NonZeroU32::MIN, &name);
    KeyFile { terminal: name, key }
}

/// Writes the key into the EEPROM of a board whose files are in `folder`, as an operator does.
pub(crate) fn provision(key: &KeyFile, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join("key");
    key.create(&file).unwrap();
    let mut provision = atm(&["terminal", "provision", "--eeprom"]);
    let done = provision.arg(folder.join("eeprom")).arg("--key").arg(&file).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}
