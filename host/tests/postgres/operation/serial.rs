//! A serial line whose host is one of those of a shared ledger.
use super::{Host, atm, migrated};
use atm_e2e::{Program, SerialPair, Signal};
use std::path::Path;

/// A host with a terminal on a serial line.
fn serial_host(line: &SerialPair, url: &str, data: &Path) -> Program {
    let mut command =
        atm(&["serve", "--serial", &line.near, "--database", url, "--host-name", "branch-7", "--data"]);
    command.arg(data);
    let program = Program::start(command);
    program.wait_for("listening on ");
    program
}

#[test]
fn a_terminal_on_a_serial_line_is_served_from_the_shared_ledger_and_each_operation_is_done_once() {
    let (mut cluster, url) = migrated();
    let folder = tempfile::tempdir().unwrap();
    let [data, copy, other, state] =
        ["data", "copy", "other", "kiosk-7.state"].map(|name| folder.path().join(name));
    let state = state.display().to_string();
    let tcp = Host::start(&url, "host", &other);
    let line = SerialPair::new();
    let serial = serial_host(&line, &url, &data);
    let named = ["--terminal", "kiosk-7", "--state", &state];
    let start = |place: &[&str], operation: &[&str]| {
        let mut client = Program::start(atm(&[&["client"], place, operation, &named].concat()));
        client.end_input();
        client
    };
    let on_the_line = ["--serial", &line.far];
    assert_eq!(start(&on_the_line, &["deposit", "40"]).finish().code, Some(0));
    // The same terminal at another host, and back.
    assert_eq!(start(&[&tcp.address], &["withdraw", "15"]).finish().code, Some(0));
    assert_eq!(start(&on_the_line, &["deposit", "1"]).finish().code, Some(0));
    cluster.stop();
    let client = start(&on_the_line, &["deposit", "2"]);
    serial.wait_for_stderr("the ledger's database does not answer");
    cluster.restart();
    assert_eq!(client.finish().code, Some(0), "{}", serial.stderr());
    assert_eq!(cluster.sql("ledger", "SELECT balance, version FROM accounts"), "12800|5");
    // The line is at rest when another process takes the name.
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(data.join("ledger.mark"), copy.join("ledger.mark")).unwrap();
    let second_line = SerialPair::new();
    let second = serial_host(&second_line, &url, &copy);
    let output = serial.finish();
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output.stderr.contains(
            "atm: the server failed: another process has taken the journal over, that of the host branch-7"
        ),
        "{output:?}"
    );
    second.signal(Signal::TERM);
    assert_eq!(second.finish().code, Some(0));
    let verified = atm(&["ledger", "verify", "--database", &url]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
