//! One server at a time writes to the folder of `atm serve --data`; any number of readers are beside it.
use atm_e2e::{
    Program, Server, atm,
    ledger::{deposit_repeatedly, ledger_stdout, start_server},
};
use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use tempfile::TempDir;

/// The number behind a word at the start of a line.
fn number(text: &str, word: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(word)).unwrap();
    line.rsplit(' ').next().unwrap().trim_start_matches('$').parse().unwrap()
}

#[test]
fn whatever_is_read_beside_a_busy_server_is_one_state_of_the_ledger() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = start_server(&data);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.client();
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(client.ask("deposit 1")["outcome"], "done");
                }
            });
        }
        let mut entries = 0;
        for round in 0..6 {
            let verified = ledger_stdout(&["verify"], &data);
            let backup = folder.path().join(format!("backup-{round}"));
            ledger_stdout(&["backup", backup.to_str().unwrap()], &data);
            let restored = folder.path().join(format!("restored-{round}"));
            let restored = ledger_stdout(&["restore", backup.to_str().unwrap()], &restored);
            let csv = ledger_stdout(&["export"], &data);
            let exported = csv.lines().filter(|line| line.contains(",done,")).count() as u64 + 1;
            // A deposit of $1 each, behind the entry of $100; a restored ledger has an entry more.
            assert_eq!(number(&verified, "balance"), number(&verified, "entries") + 99);
            assert_eq!(number(&restored, "balance"), number(&restored, "entries") + 98);
            for count in [number(&verified, "entries"), number(&restored, "entries") - 1, exported] {
                assert!(count >= entries, "{count} {entries}");
                entries = count;
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    server.stop();
}

#[test]
fn a_second_server_is_refused_and_without_the_lock_it_fences_the_first() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let server = start_server(data);
    deposit_repeatedly(&server, 10);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--log", "off", "--data", data.to_str().unwrap()];
    let done = Program::run(atm(&arguments), "");
    let expected = format!("another process has the ledger open (process {})", server.program.pid());
    assert!(done.code == Some(1) && done.stderr.contains(&expected), "{done:?}");
    fs::remove_file(data.join("ledger.lock")).unwrap();
    let second = Server::start(&arguments[3..]);
    deposit_repeatedly(&second, 10);
    // The first one acknowledges nothing any more.
    let mut client = server.client();
    client.answer("deposit 1");
    let said = client.read_or_end();
    assert!(said.is_none_or(|said| said["outcome"] != "done"));
    server.program.wait_for_stderr("another process has taken the journal over");
    assert_eq!(server.program.finish().code, Some(1));
    assert_eq!(second.balance(), 12_000);
    second.stop();
    assert_eq!(number(&ledger_stdout(&["verify"], data), "entries"), 21);
}
