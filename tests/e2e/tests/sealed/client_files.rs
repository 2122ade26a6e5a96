//! Key files and state files that `atm client --key` refuses: it sends nothing then, and nothing in clear.
use crate::host::{SealedHost, Station};
use atm_e2e::Program;
use std::{fs, os::unix::fs::PermissionsExt};

/// The client's error; it has not said hello.
fn refused(station: &Station, host: &SealedHost, arguments: &[&str]) -> String {
    let before = host.claims().len();
    let done = Program::run(station.client(arguments), "deposit 40\n");
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert_eq!(host.claims().len(), before);
    done.stderr
}

#[test]
fn a_key_file_that_others_can_use_is_missing_or_is_no_key_is_refused() {
    let (host, station) = (SealedHost::new(), Station::new());
    let address = host.listen().to_string();
    fs::set_permissions(station.key(), fs::Permissions::from_mode(0o640)).unwrap();
    let error = refused(&station, &host, &[&address]);
    assert!(
        error.contains("kiosk-7.key: users other than its owner can use it (mode 640): chmod 600"),
        "{error}"
    );
    fs::set_permissions(station.key(), fs::Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(station.key()).unwrap();
    fs::write(station.key(), text.replace("step = 0", "step = zero")).unwrap();
    let error = refused(&station, &host, &[&address]);
    assert!(
        error.contains("kiosk-7.key: it is not a terminal's key") && error.lines().count() == 1,
        "{error}"
    );
    fs::remove_file(station.key()).unwrap();
    let error = refused(&station, &host, &[&address]);
    assert!(error.contains("kiosk-7.key: No such file"), "{error}");
}

#[test]
fn another_name_and_an_older_series_are_refused() {
    let (host, station) = (SealedHost::new(), Station::new());
    let address = host.listen().to_string();
    let error = refused(&station, &host, &[&address, "--terminal", "kiosk-8"]);
    assert!(error.contains("the key is that of the terminal kiosk-7, and not of kiosk-8"), "{error}");
    station.issue("kiosk-7", 2);
    assert_eq!(Program::run(station.client(&[&address]), "balance\n").code, Some(0));
    station.issue("kiosk-7", 1);
    let error = refused(&station, &host, &[&address]);
    assert!(
        error.contains("the terminal has used a key of series 2, and this one is of series 1"),
        "{error}"
    );
    station.issue("kiosk-8", 1);
    let error = refused(&station, &host, &[&address]);
    assert!(error.contains("it is the state file of the terminal kiosk-7"), "{error}");
}

#[test]
fn a_state_of_a_key_is_refused_without_that_key() {
    let (host, station) = (SealedHost::new(), Station::new());
    let address = host.listen().to_string();
    assert_eq!(Program::run(station.client(&[&address]), "balance\n").code, Some(0));
    let mut clear =
        atm_e2e::atm(&["client", &address, "--wire", "postcard", "--terminal", "kiosk-7", "--state"]);
    clear.arg(station.folder().join("kiosk-7.key.state"));
    let done = Program::run(clear, "balance\n");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("it is that of a terminal with a key: use --key"), "{done:?}");
}

#[test]
fn two_clients_with_one_key_file_do_not_run_at_once() {
    let (host, station) = (SealedHost::new(), Station::new());
    let address = host.listen().to_string();
    let first = station.at_menu(&[&address]);
    let other = station.folder().join("other").to_str().unwrap().to_owned();
    for arguments in [&[address.as_str()][..], &[&address, "--state", &other]] {
        let error = refused(&station, &host, arguments);
        assert!(error.contains("kiosk-7.key: another program is using it"), "{error}");
    }
    drop(first);
}
