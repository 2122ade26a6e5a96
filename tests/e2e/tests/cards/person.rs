//! A person with a card at `atm client`: what is typed at a secret prompt is shown nowhere and kept nowhere.
use crate::counter::{Counter, NUMBERS, PINS};
use atm_core::{time::Duration, wire::Wire};
use atm_e2e::{Program, Signal, TerminalProgram, atm};
use std::{fs, path::Path, process::Command};

const IDLE: Duration = Duration::from_secs(300);
const BLANK: &str = "\x1b[2J\x1b[3J\x1b[H";

/// A client in clear with all that it could keep something in, in this folder.
fn client(counter: &Counter, folder: &Path) -> Command {
    let (address, state) = (counter.address.to_string(), folder.join("state"));
    let mut command = atm(&["client", &address, "--terminal", "kiosk-7", "--state", state.to_str().unwrap()]);
    command.env("XDG_STATE_HOME", folder).env("RUST_LOG", "trace");
    command
}

/// All files below a folder, with their contents.
fn files(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all += &format!("\n{}\n", path.display());
        all += &match path.is_dir() {
            true => files(&path),
            false => String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
        };
    }
    all
}

/// Types a card's number and its PIN, up to the menu.
fn sign_in(screen: &mut TerminalProgram, card: usize, times: usize) {
    screen.wait_for_times("Please type the number of your card.", times);
    screen.press(format!("{}\r", NUMBERS[card]));
    screen.wait_for_times("Please type your PIN.", times);
    screen.press(format!("{}\r", PINS[card]));
    screen.wait_for_times("7. Log out", times);
}

#[test]
fn a_pin_is_shown_and_kept_nowhere() {
    for wire in [Wire::Json, Wire::Postcard] {
        let (counter, folder) = (Counter::start(wire, IDLE), tempfile::tempdir().unwrap());
        let mut command = client(&counter, folder.path());
        command.args(["--wire", &wire.to_string()]);
        let mut screen = TerminalProgram::start(command);
        screen.wait_for("Please type the number of your card.");
        screen.press(format!("{}\r", NUMBERS[0]));
        screen.wait_for("Please type your PIN.");
        // A wrong one, and a mistake that is corrected.
        screen.press("531864\r");
        screen.wait_for("The card and the PIN were not accepted.");
        screen.wait_for_times("Please type your PIN.", 2);
        screen.press(format!("7\x7f{}\t\x1b[A\r", PINS[0]));
        screen.wait_for("in 1 s.");
        let mut pins = 3;
        while !screen.shown().contains("7. Log out") {
            screen.press(format!("{}\r", PINS[0]));
            pins += 1;
            screen.wait_until(|shown| {
                shown.matches("Please type your PIN.").count() == pins || shown.contains("7. Log out")
            });
        }
        screen.press("balance\r");
        screen.wait_for("Your balance is $100.");
        // Neither history nor what was deleted comes back: Arrow up, Ctrl-Y.
        screen.press("\x1b[A\x1b[A\x19\x12pin\r");
        screen.wait_for("Please type your present PIN.");
        for (pin, then) in [
            (PINS[0], "Please type the new PIN: 4 to 12 digits."),
            ("642975", "Please type the new PIN again."),
            ("642975", "Your PIN is changed."),
        ] {
            screen.press(format!("{pin}\r"));
            screen.wait_for(then);
        }
        screen.press("exit\r");
        screen.wait_for("Goodbye.");
        let (shown, files) = (screen.shown(), files(folder.path()));
        assert_eq!(screen.finish(), Some(0));
        for pin in [PINS[0], "531864", "642975"] {
            // Nor a part of it.
            for part in [pin, &pin[..4], &pin[2..]] {
                assert!(!shown.contains(part) && !files.contains(part), "{wire}: {part} in {shown} {files}");
            }
        }
        assert!(shown.contains("******"), "{shown}");
        assert_eq!(shown.matches(NUMBERS[0]).count(), 1, "as it was typed: {shown}");
        for kept in [NUMBERS[0], "1111", "balance"] {
            assert!(!files.contains(kept), "{wire}: {files}");
        }
        assert!(files.contains("terminal kiosk-7"), "{files}");
    }
}

/// The PIN with the number, in one paste: what follows the number's line is dropped, and nothing of it shows.
#[test]
fn what_was_typed_before_a_prompt_opened_is_dropped() {
    let (counter, folder) = (Counter::start(Wire::Json, IDLE), tempfile::tempdir().unwrap());
    let mut screen = TerminalProgram::start(client(&counter, folder.path()));
    screen.wait_for("Please type the number of your card.");
    // The first number is refused, and the PIN would be an answer to the same prompt again.
    screen.press(format!("4111111111111112\r{}\r", PINS[0]));
    screen.wait_for("That is not the number of a card.");
    screen.press(format!("{}\r{}\r", NUMBERS[0], PINS[0]));
    screen.wait_for("Please type your PIN.");
    assert!(!screen.echoes(), "what is typed between two prompts is not shown");
    screen.press(format!("{}\rbalance\r", PINS[0]));
    screen.wait_for("7. Log out");
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    let (shown, files) = (screen.shown(), files(folder.path()));
    assert_eq!(screen.finish(), Some(0));
    assert!(
        !shown.contains(PINS[0]) && !shown.contains("balance") && !files.contains(PINS[0]),
        "{shown} {files}"
    );
}

#[test]
fn ctrl_c_or_a_signal_at_a_secret_prompt_leaves_nothing() {
    let counter = Counter::start(Wire::Json, IDLE);
    for signal in [None, Some(Signal::TERM), Some(Signal::INT), Some(Signal::HUP)] {
        let folder = tempfile::tempdir().unwrap();
        let mut screen = TerminalProgram::start(client(&counter, folder.path()));
        screen.wait_for("Please type the number of your card.");
        screen.press(format!("{}\r", NUMBERS[0]));
        screen.wait_for("Please type your PIN.");
        screen.press(PINS[0]);
        screen.wait_for("******");
        match signal {
            Some(signal) => screen.signal(signal),
            None => screen.press("\x03"),
        }
        let shown = screen.finish_with_screen();
        let files = files(folder.path());
        assert_eq!(shown.0, Some(130), "{signal:?}");
        assert!(!shown.1.contains(PINS[0]) && !files.contains(PINS[0]), "{signal:?} {shown:?} {files}");
    }
}

#[test]
fn an_idle_session_is_blanked_and_the_next_person_is_at_the_card_prompt() {
    let (counter, folder) =
        (Counter::start(Wire::Json, Duration::from_secs(3)), tempfile::tempdir().unwrap());
    let mut screen = TerminalProgram::start(client(&counter, folder.path()));
    sign_in(&mut screen, 0, 1);
    screen.press("balance\r");
    screen.wait_for("Your balance is $100.");
    // The line that was begun is dropped.
    screen.press("withdraw 4");
    screen.wait_for(BLANK);
    screen.wait_until(|shown| {
        shown.rsplit(BLANK).next().is_some_and(|next| next.contains("number of your card"))
    });
    let after = screen.shown().rsplit(BLANK).next().unwrap().to_owned();
    assert!(!after.contains('$') && !after.contains("connection"), "{after}");
    let times = screen.shown().matches("Please type the number of your card.").count();
    screen.press(format!("{}\r", NUMBERS[1]));
    screen.wait_for_times("Please type your PIN.", 2);
    screen.press(format!("{}\r", PINS[1]));
    screen.wait_for_times("7. Log out", 3);
    assert_eq!(screen.shown().matches("Please type the number of your card.").count(), times);
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
}

#[test]
fn lines_of_a_pipe_are_read_as_they_are_and_not_repeated() {
    let (counter, folder) = (Counter::start(Wire::Json, IDLE), tempfile::tempdir().unwrap());
    let lines = format!("{}\n{}\nwithdraw 40\nstatement\n", NUMBERS[0], PINS[0]);
    let done = Program::run(client(&counter, folder.path()), &lines);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.contains("Amount withdrawn: $40. Your balance is $60."), "{done:?}");
    assert!(done.stdout.contains("withdrawal $40, balance $60"), "{done:?}");
    let refused = Program::run(client(&counter, folder.path()), &format!("{}\n531864\n", NUMBERS[0]));
    assert_eq!((refused.code, refused.stderr.as_str()), (Some(3), "stopped at line 2: it was refused\n"));
    let files = files(folder.path());
    for secret in [NUMBERS[0], PINS[0], "531864"] {
        assert!(
            ![&done.stdout, &refused.stdout, &files].iter().any(|text| text.contains(secret)),
            "{secret}"
        );
    }
}
