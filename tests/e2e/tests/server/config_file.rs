//! The configuration file of `atm serve` (`--config FILE`, TOML).
use atm_e2e::{Program, Server, atm};
use std::{fs, path::Path};
use tempfile::TempDir;

/// Writes a configuration file; returns its path.
fn write_config(folder: &Path, text: &str) -> String {
    let path = folder.join("atm.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_command_line_overrides_the_configuration_file() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let text = format!("listen = \"127.0.0.1:0\"\nbalance = 7\nlog = \"off\"\ndata = {data:?}\n");
    let file = write_config(folder.path(), &text);
    let server = Server::of(Program::start(atm(&["serve", "--config", &file])));
    assert_eq!(server.balance(), 700);
    assert_eq!(server.program.stderr(), "", "the log is off");
    server.stop();
    assert!(data.join("ledger.db").exists());
    let other = folder.path().join("other");
    let arguments = ["serve", "--config", &file, "--balance", "8", "--data", other.to_str().unwrap()];
    let server = Server::of(Program::start(atm(&arguments)));
    assert_eq!(server.balance(), 800);
    server.stop();
}

#[test]
fn errors_in_the_configuration_file_are_usage_errors() {
    let folder = TempDir::new().unwrap();
    for (text, message) in [
        ("listen = \"127.0.0.1:0\"\ncolour = 1\n", "unknown field `colour`"),
        ("idle-timeout = 0\n", "--idle-timeout"),
        ("listen\n", "line 1, column 7: "),
        ("wire = \"\\u001b[2J\\n\"", "invalid value '\\u{1b}[2J\\n' for '--wire"),
    ] {
        let file = write_config(folder.path(), text);
        let output = Program::run(atm(&["serve", "--config", &file]), "");
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output:?}");
        assert!(output.stderr.starts_with("error: ") && output.stderr.contains(&file), "{output:?}");
        assert!(output.stderr.contains(message), "{output:?}");
        assert_eq!(output.stderr.find(char::is_control), Some(output.stderr.len() - 1), "{output:?}");
    }
    for (file, message) in [("/proc/none.toml", "No such file"), ("/dev/zero", "not a regular file")] {
        let output = Program::run(atm(&["serve", "--config", file]), "");
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains(&format!("{file}: {message}")), "{output:?}");
    }
}

/// Also where they are quoted by the system's error after the file was parsed.
#[test]
fn values_of_the_configuration_file_are_printed_escaped() {
    let folder = TempDir::new().unwrap();
    let text = "listen = \"127.0.0.1:0\"\nlog = \"off\"\ndata = \"/proc/none/\\u001b[31mx\\u0007\"\n";
    let output = Program::run(atm(&["serve", "--config", &write_config(folder.path(), text)]), "");
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("/proc/none/\\u{1b}[31mx\\u{7} cannot be used"), "{output:?}");
    assert_eq!(output.stderr.find(char::is_control), Some(output.stderr.len() - 1), "{output:?}");
}

#[test]
fn check_config_reports_ok_or_what_is_wrong_and_starts_no_server() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let file = write_config(folder.path(), &format!("data = {data:?}\nmax-sessions = 7\n"));
    let check = |more: &[&str]| {
        let arguments = [&["serve", "--check-config", "--config", &file], more].concat();
        let output = Program::run(atm(&arguments), "");
        (output.code, output.stdout, output.stderr)
    };
    let ok = || (Some(0), "ok\n".to_owned(), String::new());
    assert_eq!(check(&[]), ok());
    assert!(!data.exists());
    let (code, stdout, stderr) = check(&["--wire", "morse"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("'morse'"), "{stderr}");
    // The address of a running server: it is not bound.
    let server = Server::start(&[]);
    assert_eq!(check(&["--listen", &server.address.to_string()]), ok());
    server.stop();
    write_config(folder.path(), "max-sessions = 0\n");
    let (code, stdout, stderr) = check(&[]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.starts_with(&format!("error: {file}: invalid value '0' for '--max-sessions")), "{stderr}");
}
