//! Attacks 4 and 13: floods of forged hellos. They cost the ledger nothing, and the true terminal is served meanwhile.
use crate::bank::{Bank, Link, hellos, indexes, moved};
use atm_core::{codec::postcard, seal};
use atm_e2e::{Rng, TIMEOUT, exchange_frames, seeded_rng};
use std::{
    io::Read,
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Instant,
};

/// Three attackers, whose hellos claim any start, series and step: a great step costs the server that of the key.
#[test]
fn a_flood_of_forged_hellos_under_a_known_name_changes_nothing() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40"]);
    let (genuine, rows) = (hellos(&bank.proxy)[0].clone(), bank.terminals());
    let (mut rng, address) = (seeded_rng(), bank.address());
    let (done, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for mut rng in [rng.fork(), rng.fork(), rng.fork()] {
            let (genuine, done, sent) = (&genuine, &done, &sent);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) && sent.load(Ordering::Relaxed) < 20_000 {
                    // A connection ends after 16.
                    let forged: Vec<_> = (0..12).map(|_| forged(genuine, &mut rng)).collect();
                    let replies = exchange_frames(address, &forged);
                    assert!(replies.is_empty(), "{replies:?}");
                    sent.fetch_add(12, Ordering::Relaxed);
                }
            });
        }
        let since = Instant::now();
        for balance in [130, 120, 110, 100] {
            assert!(person.types(&["withdraw 10"]).contains(&format!("Your balance is ${balance}.")));
        }
        // Hellos of the true terminals, one of them with the next step of its key.
        bank.at_menu("kiosk-8").leaves();
        person.leaves();
        bank.at_menu("kiosk-7").leaves();
        while sent.load(Ordering::Relaxed) < 300 {
            assert!(since.elapsed() < TIMEOUT, "{sent:?}");
            thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(bank.movements(), [vec![moved("deposit", 40)], vec![moved("withdrawal", 10); 4]].concat());
    // The row follows from the genuine hellos.
    assert!(rows.contains(r#""terminal":"kiosk-7","series":1,"step":0,"#), "{rows}");
    assert!(
        bank.terminals().contains(r#""terminal":"kiosk-7","series":1,"step":1,"#),
        "{}",
        bank.terminals()
    );
}

/// Connections that say nothing take every session, and more of them wait for one.
#[test]
fn silent_connections_that_fill_the_sessions_make_room_for_terminals() {
    let bank = Bank::with(Link::Sealed, &["--max-sessions", "4", "--frame-timeout", "60"]);
    bank.at_menu("kiosk-7").leaves();
    let connect = || TcpStream::connect(bank.address()).unwrap();
    let mut silent: Vec<_> = (0..12).map(|_| connect()).collect();
    // One whose conversation is held, and one that has said no hello before.
    let (mut held, mut new) = (bank.at_menu("kiosk-7"), bank.at_menu("kiosk-8"));
    held.types(&["deposit 40"]);
    assert!(new.types(&["withdraw 30"]).contains("Your balance is $110."));
    // The two that were there for longest have ended.
    for ended in &mut silent[..2] {
        ended.set_read_timeout(Some(TIMEOUT)).unwrap();
        assert_eq!(ended.read_to_end(&mut Vec::new()).unwrap(), 0, "in silence");
    }
}

/// A hello with other counters, and a tag of random bytes.
fn forged(genuine: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut hello = postcard::read_sealed_hello(&genuine[..genuine.len() - seal::TAG]).unwrap();
    let mut key = hello.key.unwrap();
    (hello.start, key.step) = (rng.u64(..1 << 53), rng.u32(..5_000));
    key.series = rng.u32(1..3).try_into().unwrap();
    let mut body = vec![0; 200];
    let length = postcard::write_sealed_hello(&hello, &key, &mut body).unwrap();
    body.truncate(length);
    body.extend(rng.u128(..).to_le_bytes());
    body
}

/// Attack 4: a night of hellos that are forged, or genuine and older, writes not a byte of the ledger.
#[test]
fn forged_and_replayed_hellos_write_nothing() {
    let bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    bank.proxy.cut();
    person.types(&["deposit 40"]);
    person.leaves();
    let genuine = hellos(&bank.proxy);
    let before = files(&bank);
    for round in 0..100u8 {
        let mut forged = genuine[1].clone();
        forged[12] ^= round | 1;
        let replies = exchange_frames(bank.address(), &[&forged, &genuine[0], &forged]);
        assert_eq!(indexes(&replies), [7], "the genuine one");
    }
    assert_eq!(files(&bank), before);
    // The comparison sees a write.
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["balance"]);
    assert_ne!(files(&bank), before, "a hello that is admitted is written");
}

/// The content of the ledger's files but the lock.
fn files(bank: &Bank) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = std::fs::read_dir(bank.path("data")).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        // The index of the write-ahead log has the locks of readers.
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with("-shm"))
        .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}
