//! Signals: each ends the server in order, or is ignored and logged.
use atm_e2e::{Client, Program, Server, Signal, TerminalProgram, atm, ledger::ledger_command};
use std::fs;
use tempfile::TempDir;

#[test]
fn signals_without_a_meaning_are_ignored_and_logged() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (signal, name) in [
        (Signal::HUP, "SIGHUP"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::VTALARM, "SIGVTALRM"),
        (Signal::PROF, "SIGPROF"),
        (Signal::IO, "SIGIO"),
    ] {
        server.program.signal(signal);
        let event = format!("signal ignored: there is nothing to reload signal=\"{name}\"");
        server.program.wait_for_stderr(&event);
    }
    assert_eq!(client.ask("deposit 5")["outcome"], "done");
    drop(client);
    server.stop();
}

#[test]
fn a_hangup_stops_a_server_at_a_terminal_in_order() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let server = TerminalProgram::start(atm(&["serve", "--listen", "127.0.0.1:0", "--data", data]));
    server.wait_for("listening on");
    server.signal(Signal::HUP);
    server.wait_for("signal=\"SIGHUP\"");
    assert_eq!(server.finish(), Some(0));
    assert!(Program::run(ledger_command(&["verify"], folder.path()), "").stdout.starts_with("ok\n"));
}

#[test]
fn other_signals_that_end_a_process_stop_the_server_in_order() {
    for signal in [Signal::QUIT, Signal::XCPU] {
        let server = Server::start(&[]);
        let mut client: Client = server.client();
        server.program.signal(signal);
        assert_eq!(client.read()["notice"], "stopping");
        drop(client);
        assert_eq!(server.program.finish().code, Some(0));
    }
}

/// Whether a process listens, and whether it catches SIGTERM, read in this order (proc_pid_fd(5), proc_pid_status(5)).
#[cfg(target_os = "linux")]
fn listener_and_handler(pid: u32) -> (bool, bool) {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let sockets: Vec<String> = targets
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let connections = fs::read_to_string("/proc/net/tcp").unwrap();
    let listens = connections.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|line| {
        // The state LISTEN, and the socket's inode.
        line[3] == "0A" && sockets.iter().any(|socket| socket == line[9])
    });
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    (listens, caught >> (Signal::TERM.as_raw() - 1) & 1 == 1)
}

#[cfg(target_os = "linux")]
#[test]
fn sigterm_is_caught_before_the_server_listens() {
    for _ in 0..10 {
        let folder = TempDir::new().unwrap();
        let data = folder.path().to_str().unwrap();
        let program = Program::start(atm(&["serve", "--listen", "127.0.0.1:0", "--data", data]));
        loop {
            let (listens, is_caught) = listener_and_handler(program.pid());
            assert!(is_caught || !listens, "it listens, and a signal ends it at once");
            if is_caught {
                break;
            }
        }
        program.signal(Signal::TERM);
        let done = program.finish();
        assert_eq!(done.code, Some(0), "{done:?}");
        let verified = Program::run(ledger_command(&["verify"], folder.path()), "");
        assert!(verified.stdout.starts_with("ok\n"), "{verified:?}");
    }
}
