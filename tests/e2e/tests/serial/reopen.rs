//! A serial device that is gone and back under the same name: client and server open it again, and say so.
use atm_e2e::{FirmwareSim, Program, Signal, atm};
use std::{fs, os::unix::fs::symlink, path::Path};

/// Starts a kiosk behind the link, which takes its balance from the store.
fn plug_in(link: &Path, store: &Path) -> FirmwareSim {
    let sim = FirmwareSim::start(&["--store", store.to_str().unwrap()]);
    symlink(&sim.path, link).unwrap();
    sim
}

/// Kills the kiosk, whose port is gone with it, and removes the link.
fn pull(link: &Path, sim: FirmwareSim) {
    sim.program.signal(Signal::KILL);
    sim.program.finish();
    fs::remove_file(link).unwrap();
}

#[test]
fn a_client_opens_its_serial_device_again_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (link, store) = (folder.path().join("port"), folder.path().join("kiosk.eeprom"));
    for name in [&[][..], &["--terminal", "kiosk-7"]] {
        let sim = plug_in(&link, &store);
        let serial = ["client", "--serial", link.to_str().unwrap()];
        let mut client = Program::start(atm(&[&serial[..], name].concat()));
        client.wait_for_prompts(1);
        client.type_line("deposit 40");
        client.wait_for_prompts(2);
        pull(&link, sim);
        client.wait_for_stderr("connection lost; reconnecting");
        let sim = plug_in(&link, &store);
        client.wait_for_stderr("reconnected");
        // The kiosk has started anew: a pipe's lines were meant for the session before.
        client.wait_for_stderr("a new session began");
        let done = client.finish();
        assert_eq!(done.code, Some(1), "{done:?}");
        let next = Program::run(atm(&serial), "withdraw 40\n");
        assert!(next.stdout.contains("Your balance is $100."), "{next:?}");
        pull(&link, sim);
    }
}

#[test]
fn a_server_opens_its_serial_device_again_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (link, store) = (folder.path().join("port"), folder.path().join("kiosk.eeprom"));
    let sim = plug_in(&link, &store);
    let server = Program::start(atm(&["serve", "--serial", link.to_str().unwrap()]));
    server.wait_for("listening on");
    pull(&link, sim);
    server.wait_for_stderr("the serial port is lost: waiting for its device");
    let sim = plug_in(&link, &store);
    server.wait_for_stderr("the serial port is open again");
    pull(&link, sim);
    // It stops while there is no device.
    server.signal(Signal::TERM);
    let done = server.finish();
    assert_eq!(done.code, Some(0), "{done:?}");
}
