//! `atm` for a person at a terminal: line editing, history, and a terminal that is left as it was found.
use atm_e2e::{FirmwareSim, Server, Signal, TerminalProgram, atm};
use std::process::Command;

fn client(server: &Server) -> Command {
    atm(&["client", "--connect", &server.address.to_string()])
}

#[test]
fn alone_it_brings_a_newcomer_to_the_menu() {
    let mut screen = TerminalProgram::start(atm(&[]));
    screen.wait_for("Welcome to the ATM");
    screen.wait_for_times(">>> ", 1);
    screen.press("1\r");
    screen.wait_for("How much would you like to deposit?");
    screen.press("40\r");
    screen.wait_for("Amount deposited: $40. Your balance is $140.");
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
}

#[test]
fn lines_can_be_edited_and_called_back() {
    let server = Server::start(&[]);
    let mut screen = TerminalProgram::start(client(&server));
    screen.wait_for(">>> ");
    // A slip that is taken back: a letter, and a word in front of which one is put in.
    screen.press("40\x01deposiz\x7ft \r");
    screen.wait_for("Amount deposited: $40. Your balance is $140.");
    // The arrow up brings the line again.
    screen.press("\x1b[A\r");
    screen.wait_for("Amount deposited: $40. Your balance is $180.");
    screen.press("withdraw 30\r");
    screen.wait_for("Your balance is $150.");
    screen.press("\x1b[A\x1b[A\r");
    screen.wait_for("Your balance is $190.");
    // The end of the input is exit.
    screen.press("\x04");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
    assert_eq!(server.balance(), 19_000);
    server.stop();
}

#[test]
fn what_is_pasted_is_answered_line_by_line() {
    let server = Server::start(&[]);
    let mut screen = TerminalProgram::start(client(&server));
    screen.wait_for(">>> ");
    screen.press("1\r40\rwithdraw 15\r3\rexit\r");
    screen.wait_for("Amount deposited: $40. Your balance is $140.");
    screen.wait_for("Amount withdrawn: $15. Your balance is $125.");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
    server.stop();
}

#[test]
fn the_key_that_interrupts_leaves() {
    let server = Server::start(&[]);
    for setup in ["", "1\r", "half a line"] {
        let mut screen = TerminalProgram::start(client(&server));
        screen.wait_for(">>> ");
        screen.press(setup);
        if setup.ends_with('\r') {
            screen.wait_for_times(">>> ", 2);
        }
        screen.press("\x03");
        screen.wait_for("Goodbye.");
        assert_eq!(screen.finish(), Some(0), "{setup:?}");
    }
    server.stop();
}

#[test]
fn a_server_that_goes_away_is_told_to_somebody_who_is_typing() {
    for signal in [Signal::KILL, Signal::TERM] {
        let server = Server::start(&[]);
        let mut screen = TerminalProgram::start(client(&server));
        screen.wait_for(">>> ");
        screen.press("depos");
        screen.wait_for("depos");
        server.program.signal(signal);
        let told = if signal == Signal::KILL {
            "the server closed the connection"
        } else {
            "The server is stopping."
        };
        screen.wait_for(told);
        assert_eq!(screen.finish(), Some(1));
    }
}

#[test]
fn signals_end_it() {
    let server = Server::start(&[]);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut screen = TerminalProgram::start(client(&server));
        screen.wait_for(">>> ");
        screen.press("depos");
        screen.wait_for("depos");
        screen.signal(signal);
        screen.finish();
    }
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn over_a_serial_line() {
    let sim = FirmwareSim::start(&[]);
    let mut screen = TerminalProgram::start(atm(&["client", "--serial", &sim.path]));
    screen.wait_for(">>> ");
    screen.press("deposit 40\r");
    screen.wait_for("Amount deposited: $40. Your balance is $140.");
    screen.press("half a");
    screen.wait_for("half a");
    sim.program.signal(Signal::KILL);
    screen.wait_for("gone");
    assert_eq!(screen.finish(), Some(1));
}
