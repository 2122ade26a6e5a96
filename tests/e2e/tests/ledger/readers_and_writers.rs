//! Locking of the folder of `atm serve --data`: one server at a time, readers beside it, and how long each waits.
use atm_e2e::{
    Program, Server, atm,
    ledger::{deposit_repeatedly, ledger_command, ledger_stdout, start_server},
};
use std::{
    fs::{self, File},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

#[test]
fn a_server_waits_a_while_for_a_reader_that_was_stopped_as_it_read() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let server = start_server(data);
    deposit_repeatedly(&server, 1);
    server.stop();
    // As a reader does between two of its parts, at the worst moment.
    let reader = File::open(data.join("ledger.lock")).unwrap();
    reader.lock_shared().unwrap();
    let waiting =
        Program::start(atm(&["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]));
    let until = Instant::now() + Duration::from_secs(8);
    while !data.join("ledger.gate").exists() {
        assert!(Instant::now() < until, "it does not wait");
        thread::sleep(Duration::from_millis(10));
    }
    // It waits for nobody who comes later: they wait for it.
    let later = Program::start(ledger_command(&["verify"], data));
    reader.unlock().unwrap();
    let server = Server::of(waiting);
    assert_eq!(server.balance(), 10_100);
    assert!(!data.join("ledger.gate").exists());
    let done = later.finish();
    assert!(done.code == Some(0) && done.stdout.contains("the balance is $101;"), "{done:?}");
    server.stop();
    reader.lock_shared().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--log", "off", "--data", data.to_str().unwrap()];
    let done = Program::run(atm(&arguments), "");
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert!(done.stderr.contains("somebody reads it, and has not let go of it in time"), "{done:?}");
}

#[test]
fn readers_without_a_pause_keep_no_server_from_starting() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let server = start_server(data);
    deposit_repeatedly(&server, 1);
    server.stop();
    let (over, began) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        for reader in 0..4 {
            let over = &over;
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(100 * reader));
                while !over.load(Ordering::Relaxed) && began.elapsed() < Duration::from_secs(20) {
                    // As one does that has a long ledger to check: through the gate, then in. One of four is always in.
                    while File::open(data.join("ledger.gate"))
                        .is_ok_and(|gate| gate.try_lock_shared().is_err())
                    {
                        thread::sleep(Duration::from_millis(5));
                    }
                    let lock = File::open(data.join("ledger.lock")).unwrap();
                    if lock.try_lock_shared().is_ok() {
                        thread::sleep(Duration::from_millis(400));
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        let server = start_server(data);
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        over.store(true, Ordering::Relaxed);
        server.stop();
    });
}

#[test]
fn a_healthy_ledger_is_not_called_damaged_where_the_lock_of_its_server_was_removed() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let server = start_server(data);
    deposit_repeatedly(&server, 10);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = server.client();
            while !over.load(Ordering::Relaxed) {
                assert_eq!(client.ask("deposit 1")["outcome"], "done");
            }
        });
        for _ in 0..10 {
            for words in [&["verify"][..], &["export"], &["show"]] {
                let _ = fs::remove_file(data.join("ledger.lock"));
                ledger_stdout(words, data);
            }
        }
        // Nor does another server work on it.
        let _ = fs::remove_file(data.join("ledger.lock"));
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--log", "off", "--data", data.to_str().unwrap()];
        let done = Program::run(atm(&arguments), "");
        assert!(done.code == Some(1) && done.stderr.contains("another process works on it"), "{done:?}");
        over.store(true, Ordering::Relaxed);
    });
    server.stop();
}
