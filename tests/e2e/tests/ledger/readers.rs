//! Readers of the ledger (`atm ledger`), beside a server and without one: they delay no commit, need no folder that can be
//! written to, and report what prevents them.
use atm_e2e::{
    Program, Signal,
    ledger::{deposit_repeatedly, ledger_command, ledger_stdout, run_ledger, start_server},
};
use rustix::process::{Pid, kill_process};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use tempfile::TempDir;

/// Makes a ledger whose export is longer than the buffer of a pipe; returns the export.
fn long_ledger(folder: &Path) -> String {
    let server = start_server(folder);
    deposit_repeatedly(&server, 4_000);
    server.stop();
    ledger_stdout(&["export"], folder)
}

/// An export that is blocked, as only its first byte is read.
struct PausedExport(Child);

impl PausedExport {
    fn start(folder: &Path) -> Self {
        Self::spawn(&mut ledger_command(&["export"], folder))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }

    /// Reads the rest; the export must succeed.
    fn rest(mut self) -> String {
        let mut text = "f".to_owned();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let done = self.0.wait_with_output().unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
        text
    }
}

#[test]
fn readers_that_pause_keep_neither_each_other_nor_a_server_waiting() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let whole = long_ledger(data);
    let mut paused: Vec<PausedExport> = (0..6).map(|_| PausedExport::start(data)).collect();
    assert_eq!(ledger_stdout(&["export"], data), whole);
    assert!(ledger_stdout(&["verify"], data).contains("balance    $4100\n"));
    assert_eq!(paused.pop().unwrap().rest(), whole);
    let server = start_server(data);
    deposit_repeatedly(&server, 500);
    // An export ends with the entries that were there when it began.
    assert_eq!(paused.pop().unwrap().rest(), whole);
    let longer = ledger_stdout(&["export"], data);
    assert!(longer.len() > whole.len());
    paused.extend((0..3).map(|_| PausedExport::start(data)));
    // A paused export has no transaction open, so the log is used again from its start: 500 commits wrote far more.
    deposit_repeatedly(&server, 500);
    let log = data.join("ledger.db-wal").metadata().unwrap().len();
    assert!(log < 8 << 20, "{log}");
    server.program.signal(Signal::KILL);
    drop(server);
    assert_eq!(paused.pop().unwrap().rest(), longer);
    let server = start_server(data);
    assert_eq!(paused.pop().unwrap().rest(), longer);
    server.stop();
    for (paused, expected) in paused.into_iter().zip([&whole, &whole, &whole, &whole, &longer]) {
        assert_eq!(&paused.rest(), expected);
    }
}

#[test]
fn servers_that_come_and_go_change_nothing_of_what_is_read() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let whole = long_ledger(data);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0;
                    while !over.load(Ordering::Relaxed) {
                        assert_eq!(ledger_stdout(&["export"], data), whole);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for round in 0..8 {
            let server = start_server(data);
            server.client().balance();
            if round % 2 == 0 {
                server.program.signal(Signal::KILL);
                assert_eq!(server.program.finish().code, None);
            } else {
                server.stop();
            }
        }
        over.store(true, Ordering::Relaxed);
        let count: u32 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        println!("{count} exports");
    });
}

/// A command for which `folder` is read-only.
fn in_read_only_folder(command: &Command, folder: &Path) -> Command {
    let path = folder.to_str().unwrap();
    let mount =
        format!("mount --bind {path} {path} && mount -o remount,bind,ro {path} && exec \"$0\" \"$@\"");
    let mut inside = Command::new("unshare");
    inside.args(["-rm", "sh", "-c", &mount]).arg(command.get_program()).args(command.get_args());
    inside
}

#[test]
fn a_signal_leaves_no_copy_of_a_ledger_in_a_read_only_folder() {
    let folder = TempDir::new().unwrap();
    let (data, temporary) = (folder.path().join("data"), folder.path().join("tmp"));
    fs::create_dir(&temporary).unwrap();
    let server = start_server(&data);
    deposit_repeatedly(&server, 4_000);
    server.program.signal(Signal::KILL);
    drop(server);
    // Without the log's index, which a reader makes.
    let _ = fs::remove_file(data.join("ledger.db-shm"));
    let mut export = in_read_only_folder(&ledger_command(&["export"], &data), &data);
    let mut export = PausedExport::spawn(export.env("TMPDIR", &temporary));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 1, "a copy");
    kill_process(Pid::from_child(&export.0), Signal::TERM).unwrap();
    assert_eq!(export.0.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn a_reader_needs_no_folder_that_can_be_written_to() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = start_server(&data);
    deposit_repeatedly(&server, 20);
    server.program.signal(Signal::KILL);
    drop(server);
    let killed = folder.path().join("killed");
    fs::create_dir(&killed).unwrap();
    for name in ["ledger.db", "ledger.db-wal", "ledger.mark"] {
        fs::copy(data.join(name), killed.join(name)).unwrap();
    }
    let stopped = folder.path().join("stopped");
    let server = start_server(&stopped);
    deposit_repeatedly(&server, 20);
    server.stop();
    // With a log and its index, with a log alone, and without a log.
    for data in [&data, &killed, &stopped] {
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(data).unwrap().map(|file| file.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        for words in [&["verify"][..], &["export"], &["show"]] {
            let inside = in_read_only_folder(&ledger_command(words, data), data);
            let done = Program::run(inside, "");
            assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{words:?} {done:?}");
            assert!(done.stdout.contains("120") || words[0] == "export", "{done:?}");
            assert!(done.stdout.lines().count() > 4, "{done:?}");
            assert_eq!(names(), before);
        }
    }
}

#[test]
fn what_standard_output_does_not_take_is_not_the_ledgers_fault() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    deposit_repeatedly(&server, 1_000);
    server.stop();
    let backup = folder.path().join("backup.db");
    for words in [&["export"][..], &["show"], &["verify"], &["backup", backup.to_str().unwrap()]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let done = ledger_command(words, folder.path()).stdout(full).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{words:?}: {done:?}");
        let errors = String::from_utf8(done.stderr).unwrap();
        assert_eq!(errors, "atm: standard output cannot be written: No space left on device (os error 28)\n");
    }
    // A reader that has seen enough is no error to speak of.
    for words in [&["export"][..], &["show"], &["verify"]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let done = ledger_command(words, folder.path()).stdout(writer).output().unwrap();
        assert_eq!((done.status.code(), done.stderr.as_slice()), (Some(1), &b""[..]), "{words:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    start_server(&data).stop();
    let path = data.join("ledger.db");
    // No user can read what is no file, not even the administrator.
    fs::rename(&path, data.join("away")).unwrap();
    fs::create_dir(&path).unwrap();
    let done = run_ledger(&["verify"], &data);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.starts_with(&format!("atm: {}: ", path.display())), "{done:?}");
}
