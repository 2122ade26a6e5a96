//! Numbers and PINs that are typed at a terminal, which does not show them.
use crate::card_bank::{CardBank, done};
use atm_e2e::{Signal, TerminalProgram};
use std::fs;

fn start(bank: &CardBank, words: &[&str]) -> TerminalProgram {
    TerminalProgram::start(bank.command(words))
}

/// Types a line at the prompt that is shown `times` times.
fn answer(screen: &mut TerminalProgram, prompt: &str, times: usize, keys: &str) {
    screen.wait_for_times(prompt, times);
    screen.press(keys);
}

#[test]
fn a_pin_is_asked_for_twice_and_not_shown() {
    let (bank, number, _) = CardBank::with_card(&[]);
    let mut screen = start(&bank, &["card", "set-pin", "1", "--ask-pin"]);
    answer(&mut screen, "New PIN: ", 1, "2580\r");
    answer(&mut screen, "Again: ", 1, "2581\r");
    screen.wait_for("These are two different PINs.");
    answer(&mut screen, "New PIN: ", 2, "1234\r");
    screen.wait_for("a PIN must not be a run or a repetition of digits");
    // Backspace, and Ctrl-U.
    answer(&mut screen, "New PIN: ", 3, "99\x1531417\x7f\x086\r");
    answer(&mut screen, "Again: ", 2, "3146\n");
    screen.wait_for("card 1: it has the new PIN, and its sessions are over");
    let shown = screen.shown();
    assert_eq!(screen.finish(), Some(0));
    assert!(["2580", "2581", "1234", "3141", "3146"].iter().all(|typed| !shown.contains(typed)), "{shown}");
    assert!(bank.matches(1, &number, "3146"));
    bank.stop();
}

#[test]
fn a_card_is_issued_with_the_pin_that_was_typed() {
    let (bank, ..) = CardBank::with_card(&[]);
    let mut screen = start(&bank, &["card", "issue", "--account", "1000", "--ask-pin"]);
    answer(&mut screen, "New PIN: ", 1, "314159\r");
    answer(&mut screen, "Again: ", 1, "314159\r");
    screen.wait_for("number  9999 ");
    let shown = screen.shown();
    assert_eq!(screen.finish(), Some(0));
    let (_, number) = shown.split_once("number  ").unwrap();
    assert!(!shown.contains("PIN     "), "{shown}");
    assert!(bank.matches(2, number.trim_end(), "314159"));
    bank.stop();
}

#[test]
fn a_card_is_named_by_its_own_number_which_is_not_shown() {
    let (bank, number, _) = CardBank::with_card(&[]);
    let blanks = format!("{} {}", &number[..4], &number[4..]);
    for (words, keys, said) in [
        (&["card", "block", "--ask-number"][..], &number, "card 1: blocked"),
        (&["card", "unblock", "--ask-number"], &blanks, "card 1: unblocked"),
        (&["card", "set-pin", "--ask-number"], &number, "card    1\r\nPIN     "),
    ] {
        let mut screen = start(&bank, words);
        answer(&mut screen, "Card number: ", 1, &format!("{keys}\r"));
        screen.wait_for(said);
        let shown = screen.shown();
        assert_eq!(screen.finish(), Some(0));
        assert!(!shown.contains(&number[4..12]), "{shown}");
        bank.verify();
    }
    for (keys, said) in [
        ("4111 1111 1111 1111\r", "no card of the ledger has this number"),
        ("4111 1111 1111 1112\r", "the last a check digit"),
        ("4111111111111111\u{e9}\r", "the last a check digit"),
        (&format!("{number}{}1", " ".repeat(48)), "the line is too long"),
    ] {
        let mut screen = start(&bank, &["card", "block", "--ask-number"]);
        answer(&mut screen, "Card number: ", 1, keys);
        screen.wait_for(said);
        assert_eq!(screen.finish(), Some(1));
    }
    bank.stop();
}

#[test]
fn a_key_or_a_signal_that_interrupts_leaves_the_card_and_the_terminal_as_they_were() {
    let (bank, number, pin) = CardBank::with_card(&[]);
    for keys in ["\x03", "25\x03", "\x04"] {
        let mut screen = start(&bank, &["card", "set-pin", "1", "--ask-pin"]);
        answer(&mut screen, "New PIN: ", 1, keys);
        assert_eq!(screen.finish(), Some(130), "{keys:?}");
    }
    for signal in [Signal::TERM, Signal::INT] {
        let mut screen = start(&bank, &["card", "set-pin", "1", "--ask-pin"]);
        answer(&mut screen, "New PIN: ", 1, "2580\r");
        screen.wait_for("Again: ");
        screen.signal(signal);
        assert_eq!(screen.finish(), Some(130), "{signal:?}");
    }
    assert!(bank.matches(1, &number, &pin));
    bank.stop();
}

#[test]
fn a_terminal_that_another_program_made_non_blocking_is_read() {
    let (bank, number, _) = CardBank::with_card(&[]);
    let mut screen = start(&bank, &["card", "set-pin", "1", "--ask-pin"]);
    screen.wait_for("New PIN: ");
    screen.make_non_blocking();
    screen.press("2580\r");
    answer(&mut screen, "Again: ", 1, "2580\r");
    screen.wait_for("it has the new PIN");
    assert_eq!(screen.finish(), Some(0));
    assert!(bank.matches(1, &number, "2580"));
    bank.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_asks_for_a_pin_makes_no_core_dump_and_has_none_of_it_in_its_arguments() {
    let (bank, ..) = CardBank::with_card(&[]);
    let screen = start(&bank, &["card", "set-pin", "1", "--ask-pin"]);
    screen.wait_for("New PIN: ");
    let file = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", screen.pid())).unwrap();
    let limits = file("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    screen.signal(Signal::KILL);
    assert_eq!(done(&bank.run(&["card", "list", "--json"])).lines().count(), 1);
    bank.stop();
}
