//! `atm serve --data` on a full disk: no false outcome is sent, no money is lost, and service resumes when there is room.
use atm_e2e::{
    Client, NamedTerminal, Program, SerialPair, Server, Signal, TIMEOUT, atm, ledger::ledger_command, prompts,
};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Starts a server with its folder on a tmpfs of 16 MB, in a mount namespace of its own (unshare(1)).
fn start_server(folder: &TempDir, arguments: &[&str]) -> Program {
    let path = folder.path().to_str().unwrap();
    let mount = format!("mount -t tmpfs -o size=16m none {path} && exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &mount]);
    let serve = atm(&["serve", "--data", path]);
    command.arg(serve.get_program()).args(serve.get_args()).args(arguments);
    Program::start(command)
}

/// The server's tmpfs, seen from the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn of(server: &Program, folder: &TempDir) -> Self {
        Self(server.root().join(folder.path().strip_prefix("/").unwrap()))
    }

    fn fill(&self) {
        let mut file = File::create(self.0.join("ballast")).unwrap();
        loop {
            match file.write(&[1; 512]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

/// A command in the namespaces of a program (nsenter(1)).
fn within(program: &Program, command: Command) -> Command {
    let mut inside = Command::new("nsenter");
    inside.args(["--preserve-credentials", "--user", "--mount", "--target", &program.pid().to_string()]);
    inside.arg(command.get_program()).args(command.get_args());
    inside
}

/// The number of failed commits, by the log.
fn failed_commits(server: &Program) -> usize {
    server.stderr().matches("the ledger's commit failed").count()
}

#[test]
fn a_disk_that_is_full_costs_no_cent_and_the_server_goes_on_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let server = Server::of(start_server(&folder, &["--listen", "127.0.0.1:0"]));
    let disk = SmallDisk::of(&server.program, &folder);
    let mut terminal = NamedTerminal::new("kiosk-1");
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    let (mut done, mut lost) = (0, 0);
    for _ in 0..3 {
        disk.fill();
        let errors = failed_commits(&server.program);
        // It takes some before the write-ahead log has to grow.
        while failed_commits(&server.program) == errors {
            terminal.answer(&mut client, "deposit 1");
            let Some(reply) = client.read_unless(|| failed_commits(&server.program) > errors) else {
                break;
            };
            assert_eq!(reply["outcome"], "done", "{reply}");
            terminal.show(&reply);
            done += 1;
        }
        // The operation that is in doubt has no outcome before there is room again: a duplicate gets `working`. Nor has an
        // inquiry of another session an answer.
        terminal.answer(&mut client, "deposit 1");
        let reply = client.read();
        assert_eq!(reply["notice"], "working", "{reply}");
        let mut other = Client::greeted(server.address);
        other.answer("balance");
        // What was acknowledged can be read.
        let shown = Program::run(within(&server.program, ledger_command(&["show"], folder.path())), "");
        assert!(shown.stdout.contains(&format!("1: ${}\n", 100 + done)), "{shown:?}");
        disk.make_room();
        let reply = client.read();
        assert!(reply["outcome"] == "done" || reply["outcome"] == "not-done", "{reply}");
        done += u64::from(reply["outcome"] == "done");
        lost += u64::from(reply["outcome"] == "not-done");
        terminal.show(&reply);
        assert_eq!(other.read()["balance"], 10_000 + done * 100);
    }
    assert!(lost > 0, "a commit failed for want of room");
    terminal.answer(&mut client, "3");
    assert_eq!(client.read()["balance"], 10_000 + done * 100);
    drop(client);
    server.stop();
}

#[test]
fn a_serial_line_waits_for_room_too() {
    let (folder, pair) = (TempDir::new().unwrap(), SerialPair::new());
    let server = start_server(&folder, &["--serial", &pair.near]);
    server.wait_for("listening on");
    let disk = SmallDisk::of(&server, &folder);
    let client = |name| atm(&["client", "--serial", &pair.far, "--terminal", name]);
    let (mut done, mut lost) = (0, 0);
    let faults = || failed_commits(&server);
    // There is no room for the commit of the first hello.
    disk.fill();
    let mut first = Program::start(client("kiosk-0"));
    let until = Instant::now() + TIMEOUT;
    while faults() == 0 {
        assert!(Instant::now() < until, "{}", server.stderr());
        thread::sleep(Duration::from_millis(5));
    }
    assert!(prompts(&first.stdout()) == 0, "{}", first.stdout());
    disk.make_room();
    first.wait_for_prompts(1);
    first.end_input();
    assert_eq!(first.finish().code, Some(0));
    for name in ["kiosk-1", "kiosk-2"] {
        let mut client = Program::start(client(name));
        client.wait_for_prompts(1);
        let (mut asked, before) = (0, faults());
        disk.fill();
        // It takes some before the write-ahead log has to grow.
        while faults() == before {
            client.type_line("deposit 1");
            asked += 1;
            // Either program may be the next to print.
            let until = Instant::now() + TIMEOUT;
            while prompts(&client.stdout()) <= asked && faults() == before {
                assert!(Instant::now() < until, "{}", client.stdout());
                thread::sleep(Duration::from_millis(5));
            }
        }
        disk.make_room();
        // Lines from a pipe end where one was not done.
        client.end_input();
        let ended = client.finish();
        let not_done = ended.stdout.matches("Your request was not done. No money was moved.").count();
        assert_eq!(ended.code, Some(if not_done > 0 { 5 } else { 0 }), "{ended:?}");
        done += ended.stdout.matches("Amount deposited: $1.").count();
        lost += not_done;
        assert_eq!(ended.stdout.matches("Amount deposited: $1.").count() + not_done, asked, "{ended:?}");
    }
    assert!(lost > 0, "a commit failed for want of room");
    let ended = Program::run(client("kiosk-1"), "3\nexit\n");
    assert!(ended.stdout.contains(&format!("\nYour balance is ${}.", 100 + done)), "{done}: {ended:?}");
    server.signal(Signal::TERM);
    let done = server.finish();
    assert_eq!(done.code, Some(0), "{done:?}");
}
