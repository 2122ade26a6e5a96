//! Attacks 5, 6 and 15: what was recorded before the server restarted, or before its ledger was set back.
use crate::bank::{Bank, Link, hellos, indexes, moved};
use atm_core::seal;
use atm_e2e::{Direction, Program, exchange_frames, ledger::ledger_stdout, replay_session};

/// Attack 5: the terminal's row keeps the epoch of its last hello.
#[test]
fn an_older_hello_is_refused_after_the_server_restarted() {
    let mut bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    bank.proxy.cut();
    person.types(&["deposit 40"]);
    person.leaves();
    let (recorded, rows) = (bank.proxy.bodies(Direction::Up), bank.terminals());
    bank.stop();
    bank.start("data");
    for hello in hellos(&bank.proxy) {
        assert_eq!(indexes(&exchange_frames(bank.address(), &[hello])), [7], "name-in-use");
    }
    assert!(indexes(&replay_session(bank.address(), &recorded)).iter().all(|index| *index == 7));
    assert_eq!(bank.terminals(), rows);
    assert_eq!(bank.movements(), [moved("deposit", 40)]);
}

/// Attack 6: an old copy of the whole folder, mark included, which no server can recognise by itself. The next hello of the
/// true terminal proves it, and closes that terminal.
#[test]
fn a_hello_that_proves_a_set_back_closes_its_terminal() {
    let mut bank = Bank::new(Link::Sealed);
    bank.stop();
    bank.copy("data", "old");
    bank.start("data");
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40"]);
    bank.kill();
    bank.start("old");
    // The live client reconnects: the hello that proves it gets no session.
    let done = person.program.finish();
    assert!(done.code == Some(1) && done.stdout.contains("out of service"), "{done:?}");
    let rows = bank.manage(&["terminal", "list", "--json"], "old");
    assert!(rows.lines().any(|row| row.contains("kiosk-7") && row.contains(r#""closed":true"#)), "{rows}");
    assert!(rows.lines().any(|row| row.contains("kiosk-8") && row.contains(r#""closed":false"#)), "{rows}");
    let done = Program::run(bank.client("kiosk-7", &[]), "balance\n");
    assert!(done.code == Some(1) && done.stdout.contains("out of service"), "{done:?}");
    bank.manage(&["access", "confirm", "kiosk-7"], "old");
    let mut person = bank.at_menu("kiosk-7");
    assert!(person.types(&["balance"]).contains("Your balance is $100."));
    person.leaves();
    assert_eq!(bank.movements_in("old"), []);
}

/// Attack 6: he plays the recorded session to that copy, which does not know the hello: the keys are others, so no answer is
/// read. Numbers are reserved for it, so the server has no proof any more; the terminal has.
#[test]
fn a_session_that_a_set_back_ledger_forgot_moves_nothing_there() {
    let mut bank = Bank::new(Link::Sealed);
    bank.stop();
    bank.copy("data", "old");
    bank.start("data");
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit 40", "withdraw 15"]);
    let recorded = bank.proxy.bodies(Direction::Up);
    // The live client waits.
    bank.proxy.drop_all();
    bank.kill();
    bank.start("old");
    let replies = replay_session(bank.address(), &recorded);
    assert_eq!(indexes(&replies), [6], "a welcome under other keys, and silence to the answers");
    assert_eq!(bank.movements_in("old"), []);
    bank.proxy.forward_all();
    bank.proxy.cut();
    person.program.wait_for_stderr("the ATM's ledger was set back to an earlier state: check the balance");
    drop(person);
    assert_eq!(bank.movements_in("old"), []);
}

/// Attack 6: a restored backup has another identity, and every terminal with a key is closed.
#[test]
fn a_restored_ledger_serves_no_terminal_before_it_is_confirmed() {
    let mut bank = Bank::new(Link::Sealed);
    let mut person = bank.at_menu("kiosk-7");
    let (backup, restored) = (bank.path("backup.db"), bank.path("restored"));
    person.types(&["deposit 5"]);
    ledger_stdout(&["backup", backup.to_str().unwrap()], &bank.path("data"));
    person.types(&["deposit 40"]);
    let recorded = bank.proxy.bodies(Direction::Up);
    bank.kill();
    ledger_stdout(&["restore", backup.to_str().unwrap()], &restored);
    bank.start("restored");
    let replies = replay_session(bank.address(), &recorded);
    assert_eq!(indexes(&replies), [7], "out-of-service");
    // The live client reconnects.
    let done = person.program.finish();
    assert!(done.code == Some(1) && done.stdout.contains("out of service"), "{done:?}");
    assert_eq!(bank.movements_in("restored"), [moved("deposit", 5)]);
    bank.manage(&["access", "confirm"], "restored");
    let mut person = bank.at_menu("kiosk-7");
    assert!(person.types(&["deposit 1"]).contains("Your balance is $106."));
    person.leaves();
    assert_eq!(bank.movements_in("restored"), [moved("deposit", 5), moved("deposit", 1)]);
}

/// Attack 15: the server restarts, and he gives it the terminal's hello again on a connection that the terminal knows nothing of.
#[test]
fn a_second_welcome_for_one_hello_is_not_read() {
    let mut bank = Bank::new(Link::Sealed);
    bank.proxy.hold_open();
    let mut person = bank.at_menu("kiosk-7");
    person.types(&["deposit"]);
    let hello = hellos(&bank.proxy)[0].clone();
    bank.kill();
    bank.start("data");
    bank.proxy.reconnect_host(0);
    let before = bank.proxy.recorded().len();
    bank.proxy.inject(Direction::Up, &hello);
    let second = bank.proxy.wait_until(|frames| frames.get(before).cloned());
    // By the terminal's row it is the same hello on another connection; a welcome would have another header.
    assert_eq!(second.body[0], 7);
    person.program.type_line("40");
    // The server has no keys for the answer; its `who` has the terminal say hello.
    person.wait_for_prompt();
    let outcome = "About your earlier request:\n\nYour request was not done. No money was moved.";
    assert!(person.program.stdout().contains(outcome), "{}", person.program.stdout());
    drop(person);
    assert_eq!(bank.movements(), []);
}

/// Attacks 6 and 15: the ledger is set back, and welcomes the same hello under another header. Were it read, the answer to the
/// prompt of the same number would move money there.
#[test]
fn a_second_welcome_of_a_ledger_that_was_set_back_is_not_read() {
    let mut bank = Bank::new(Link::Sealed);
    bank.stop();
    bank.copy("data", "old");
    bank.start("data");
    bank.proxy.hold_open();
    let person = bank.at_menu("kiosk-7");
    let mut person = person.program;
    let hello = hellos(&bank.proxy)[0].clone();
    bank.kill();
    bank.start("old");
    bank.proxy.reconnect_host(0);
    bank.proxy.inject(Direction::Up, &hello);
    let welcomes = bank.proxy.wait_until(|frames| {
        let welcomes = frames.iter().filter(|frame| frame.body[0] == seal::WELCOME).cloned();
        Some(welcomes.collect::<Vec<_>>()).filter(|welcomes| welcomes.len() == 2)
    });
    let [first, second] = [0, 1].map(|welcome: usize| &welcomes[welcome].body[1..17]);
    assert!(first[..8] != second[..8] && first[8..] == second[8..], "another origin, the same number");
    person.type_line("deposit 40");
    // The answer and its retransmission.
    bank.proxy.wait_until(|frames| {
        (frames
            .iter()
            .filter(|frame| frame.body[0] == seal::SEALED && frame.direction == Direction::Up)
            .count()
            >= 2)
            .then_some(())
    });
    assert!(!person.stdout().contains("deposited"), "{}", person.stdout());
    assert_eq!(bank.movements_in("old"), []);
}
