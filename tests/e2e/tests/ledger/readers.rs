//! Readers of the ledger (`atm ledger`), beside a server and without one: they delay no commit, change no file, and report
//! what prevents them.
use atm_e2e::{
    Program, Signal, atm,
    ledger::{deposit_repeatedly, ledger_command, ledger_stdout, run_ledger, start_server},
};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Makes a ledger whose export is longer than the buffers of pipes and sockets; returns the export.
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
        let mut child = ledger_command(&["export"], folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
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
fn readers_who_pause_keep_neither_each_other_nor_a_server_waiting() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let whole = long_ledger(data);
    let mut paused: Vec<PausedExport> = (0..6).map(|_| PausedExport::start(data)).collect();
    assert_eq!(ledger_stdout(&["export"], data), whole);
    assert!(ledger_stdout(&["verify"], data).contains("the balance is $4100;"));
    // Nobody else has been there: what is left is in the file.
    assert_eq!(paused.pop().unwrap().rest(), whole);

    let began = Instant::now();
    let server = start_server(data);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    deposit_repeatedly(&server, 500);
    // A server works on it: what is left comes from there, and no more than what there was.
    assert_eq!(paused.pop().unwrap().rest(), whole);
    let longer = ledger_stdout(&["export"], data);
    assert!(longer.starts_with(&whole) && longer.len() > whole.len());
    paused.extend((0..3).map(|_| PausedExport::start(data)));
    deposit_repeatedly(&server, 10);
    server.program.signal(Signal::KILL);
    drop(server);
    // It has come and gone, or is gone: what is left is in the file again.
    assert_eq!(paused.pop().unwrap().rest(), longer);
    assert_eq!(paused.remove(0).rest(), whole);
    let server = start_server(data);
    assert_eq!(paused.pop().unwrap().rest(), longer);
    assert_eq!(paused.remove(0).rest(), whole);
    server.stop();
    for (paused, expected) in paused.into_iter().zip([&whole, &whole, &longer]) {
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

#[test]
fn a_reader_does_not_go_on_in_another_ledger() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    long_ledger(data);
    let mut paused = PausedExport::start(data);
    for name in ["ledger.redb", "ledger.journal", "ledger.told"] {
        fs::remove_file(data.join(name)).unwrap();
    }
    let server = start_server(data);
    deposit_repeatedly(&server, 1);
    // What it has open is the old file, until a server is there.
    let mut text = String::new();
    paused.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let done = paused.0.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let errors = String::from_utf8(done.stderr).unwrap();
    // The new one may not be there yet when it is looked for.
    let told = ["somebody has removed it, or put another in its place", "there is no ledger"];
    assert!(told.iter().any(|told| errors.contains(told)), "{errors}");
    server.stop();
}

#[test]
fn a_reader_changes_nothing_and_needs_no_disk_that_can_be_written_to() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = start_server(&data);
    deposit_repeatedly(&server, 20);
    server.program.signal(Signal::KILL);
    drop(server);
    // As the server left it when it was killed: redb has it to mend.
    let bytes = fs::read(data.join("ledger.redb")).unwrap();
    let told_first = ledger_stdout(&["verify"], &data);
    assert!(told_first.contains("the balance is $120;"), "{told_first}");
    assert_eq!(fs::read(data.join("ledger.redb")).unwrap(), bytes);
    fs::remove_file(data.join("ledger.lock")).unwrap();
    let path = data.to_str().unwrap();
    let mount =
        format!("mount --bind {path} {path} && mount -o remount,bind,ro {path} && exec \"$0\" \"$@\"");
    for words in [&["verify"][..], &["export"], &["show"]] {
        let mut inside = Command::new("unshare");
        let plain = ledger_command(words, &data);
        inside.args(["-rm", "sh", "-c", &mount]).arg(plain.get_program()).args(plain.get_args());
        let done = Program::run(inside, "");
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        assert!(!data.join("ledger.lock").exists());
        assert_eq!(done.stdout, ledger_stdout(words, &data));
        fs::remove_file(data.join("ledger.lock")).unwrap();
    }
    let server = start_server(&data);
    assert_eq!(server.balance(), 12_000);
    server.stop();
}

#[test]
fn a_folder_whose_path_is_too_long_for_a_socket_has_one_all_the_same() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("d".repeat(100)).join("e".repeat(200));
    let server = start_server(&data);
    deposit_repeatedly(&server, 1);
    assert!(data.join("ledger.sock").exists());
    assert!(ledger_stdout(&["verify"], &data).contains("the balance is $101;"));
    assert!(ledger_stdout(&["show"], &data).contains("$101"));
    assert_eq!(server.program.stderr(), "");
    server.stop();
    assert!(!data.join("ledger.sock").exists());
    assert!(ledger_stdout(&["verify"], &data).contains("the balance is $101;"));
}

#[test]
fn a_server_without_a_socket_is_named() {
    let folder = TempDir::new().unwrap();
    // Nothing can be bound to where a folder is.
    fs::create_dir_all(folder.path().join("ledger.sock/in/the/way")).unwrap();
    let server = start_server(folder.path());
    server.program.wait_for_stderr("nobody can read the books while the server runs");
    fs::remove_dir_all(folder.path().join("ledger.sock")).unwrap();
    let done = run_ledger(&["verify"], folder.path());
    assert_eq!(done.code, Some(1), "{done:?}");
    let process = server.program.pid();
    let expected =
        format!("another process works on it (its number is {process}) and shows its books to nobody");
    assert!(done.stderr.contains(&expected), "{done:?}");
    server.stop();
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    start_server(&data).stop();
    let path = data.join("ledger.redb");
    // Nobody may read what is no file, not even the administrator.
    fs::rename(&path, data.join("away")).unwrap();
    fs::create_dir(&path).unwrap();
    let done = run_ledger(&["verify"], &data);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.starts_with(&format!("atm: {}: this is not a file", path.display())), "{done:?}");
    fs::remove_dir(&path).unwrap();
    fs::rename(data.join("away"), &path).unwrap();
    fs::remove_file(data.join("ledger.lock")).unwrap();
    fs::create_dir(data.join("ledger.lock")).unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--log", "off", "--data", data.to_str().unwrap()];
    let done = Program::run(atm(&arguments), "");
    let lock = data.join("ledger.lock");
    assert!(done.stderr.contains(&format!("{}: Is a directory", lock.display())), "{done:?}");
}

#[test]
fn a_server_that_is_stopped_is_told_of() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    deposit_repeatedly(&server, 1);
    server.program.signal(Signal::STOP);
    let began = Instant::now();
    let done = run_ledger(&["show"], folder.path());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    let expected = format!("the server (process {}) works on it and has said nothing", server.program.pid());
    assert!(done.stderr.contains(&expected), "{done:?}");
    server.program.signal(Signal::CONT);
    assert!(ledger_stdout(&["show"], folder.path()).contains("$101"));
    server.stop();
}

#[test]
fn a_reader_who_falls_asleep_keeps_nobody_waiting() {
    let folder = TempDir::new().unwrap();
    long_ledger(folder.path());
    let server = start_server(folder.path());
    let sleepers: Vec<UnixStream> = (0..12)
        .map(|_| {
            let mut socket = UnixStream::connect(folder.path().join("ledger.sock")).unwrap();
            // Whoever is one too many may have been told so already.
            match socket.write_all(b"read 1\n") {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                result => result.unwrap(),
            }
            socket
        })
        .collect();
    let began = Instant::now();
    deposit_repeatedly(&server, 200);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    // There are no more readers than may be.
    let done = run_ledger(&["verify"], folder.path());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("8 others read the books, and no more may at once"), "{done:?}");
    for mut more in sleepers.into_iter().skip(8) {
        let mut said = String::new();
        // The question was not read: behind the answer, the connection may be reset.
        let _ = more.read_to_string(&mut said);
        assert_eq!(said, "fault,8 others read the books, and no more may at once\n");
    }
    // Nobody asks for what is not there.
    let mut said = String::new();
    let until = Instant::now() + Duration::from_secs(20);
    while !said.contains("that is not a question") {
        assert!(Instant::now() < until, "{said}");
        let mut socket = UnixStream::connect(folder.path().join("ledger.sock")).unwrap();
        let _ = socket.write_all(b"sing\n");
        said.clear();
        let _ = socket.read_to_string(&mut said);
        assert!(said.starts_with("fault,"), "{said}");
    }
    server.stop();
}

#[test]
fn what_standard_output_does_not_take_is_not_the_ledgers_fault() {
    let folder = TempDir::new().unwrap();
    let server = start_server(folder.path());
    deposit_repeatedly(&server, 1_000);
    server.stop();
    let backup = folder.path().join("backup.csv");
    for words in [&["export"][..], &["show"], &["verify"], &["backup", backup.to_str().unwrap()]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let done = ledger_command(words, folder.path()).stdout(full).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{words:?}: {done:?}");
        let errors = String::from_utf8(done.stderr).unwrap();
        assert_eq!(errors, "atm: standard output cannot be written: No space left on device (os error 28)\n");
    }
    fs::remove_file(&backup).unwrap();
    // A reader that has seen enough is no error to speak of.
    for words in [&["export"][..], &["show"], &["verify"]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let done = ledger_command(words, folder.path()).stdout(writer).output().unwrap();
        assert_eq!((done.status.code(), done.stderr.as_slice()), (Some(1), &b""[..]), "{words:?}");
    }
}
