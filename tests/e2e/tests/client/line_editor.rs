//! `atm client` at a pseudo-terminal: line editing, history, signals, and the restored terminal mode.
use atm_e2e::{FirmwareSim, Server, Signal, TerminalProgram, atm};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

fn client(server: &Server) -> Command {
    atm(&["client", "--connect", &server.address.to_string()])
}

#[test]
fn atm_without_arguments_opens_the_menu() {
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
fn lines_can_be_edited_and_recalled() {
    let server = Server::start(&[]);
    let mut screen = TerminalProgram::start(client(&server));
    screen.wait_for(">>> ");
    // Ctrl-A and backspace correct the line: "deposit" is typed before "40", with a wrong letter deleted.
    screen.press("40\x01deposiz\x7ft \r");
    screen.wait_for("Amount deposited: $40. Your balance is $140.");
    // Arrow up recalls the line.
    screen.press("\x1b[A\r");
    screen.wait_for("Amount deposited: $40. Your balance is $180.");
    screen.press("withdraw 30\r");
    screen.wait_for("Your balance is $150.");
    screen.press("\x1b[A\x1b[A\r");
    screen.wait_for("Your balance is $190.");
    // Ctrl-D, the end of the input, means exit.
    screen.press("\x04");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
    assert_eq!(server.balance(), 19_000);
    server.stop();
}

#[test]
fn the_menu_is_whole_once_and_then_on_request() {
    let server = Server::start(&[]);
    let mut screen = TerminalProgram::start(client(&server));
    screen.wait_for(">>> ");
    for (number, keys) in ["help\r", "?\r", "\r"].into_iter().enumerate() {
        screen.press("balance\r");
        screen.wait_for_times("Deposit, withdraw, balance or exit? (help shows the menu)", number + 1);
        screen.press(keys);
        screen.wait_for_times("3. Balance", number + 2);
    }
    screen.press("2\r");
    screen.wait_for("How much would you like to withdraw?");
    screen.press("\r");
    screen.wait_for_times("How much would you like to withdraw?", 2);
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
    server.stop();
}

#[test]
fn tab_completes_a_word() {
    let server = Server::start(&[]);
    let mut screen = TerminalProgram::start(client(&server));
    screen.wait_for(">>> ");
    screen.press("dep\t40\r");
    screen.wait_for("Amount deposited: $40. Your balance is $140.");
    screen.press("wi\ta\t\r");
    screen.wait_for("Amount withdrawn: $140. Your balance is $0.");
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
    server.stop();
}

#[test]
fn answers_are_recalled_at_the_next_start_unless_no_history_is_kept() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let start = |more: &[&str]| {
        let mut command = client(&server);
        command.args(more).env("XDG_STATE_HOME", folder.path());
        let screen = TerminalProgram::start(command);
        screen.wait_for(">>> ");
        screen
    };
    for (more, keys, balance) in [
        (&[][..], "deposit 40\r", 140),
        (&["--no-history"], "\x1b[Adeposit 1\r", 141),
        (&[], "\x1b[A\r", 181),
    ] {
        let mut screen = start(more);
        screen.press(keys);
        screen.wait_for(&format!("Your balance is ${balance}."));
        screen.press("exit\r");
        assert_eq!(screen.finish(), Some(0));
    }
    let file = folder.path().join("atm/history");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).unwrap().contains("deposit 1\n"));
    server.stop();
}

#[test]
fn a_history_that_is_no_regular_file_is_not_opened() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("atm")).unwrap();
    let fifo = folder.path().join("atm/history");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = client(&server);
    command.env("XDG_STATE_HOME", folder.path());
    let mut screen = TerminalProgram::start(command);
    screen.wait_for(">>> ");
    screen.press("deposit 40\r");
    screen.wait_for("Your balance is $140.");
    screen.press("exit\r");
    assert_eq!(screen.finish(), Some(0));
    server.stop();
}

#[test]
fn text_is_coloured_unless_no_color_is_set() {
    let server = Server::start(&[]);
    for (value, coloured) in [("", true), ("1", false)] {
        let mut command = client(&server);
        command.env("NO_COLOR", value);
        let mut screen = TerminalProgram::start(command);
        screen.wait_for(">>> ");
        screen.press("sing\r");
        screen.wait_for("That is not a valid choice.");
        screen.press("exit\r");
        screen.wait_for("Goodbye.");
        let shown = screen.shown();
        assert_eq!(shown.contains("\x1b[31mThat is not a valid choice.\x1b[0m"), coloured, "{shown:?}");
        assert_eq!(shown.contains("\x1b[1m>>> \x1b[0m"), coloured, "{shown:?}");
        assert_eq!(screen.finish(), Some(0));
    }
    server.stop();
}

#[test]
fn each_pasted_line_is_an_answer() {
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
fn a_line_with_a_byte_that_is_not_utf8_is_not_sent() {
    let server = Server::start(&[]);
    let mut screen = TerminalProgram::start(client(&server));
    screen.wait_for(">>> ");
    for (number, keys) in [&b"1\xff"[..], b"deposit 4\xff0\rdeposit 7\r"].into_iter().enumerate() {
        screen.press(keys);
        screen.wait_for_times("not UTF-8 text: press Enter to begin again", number + 1);
        screen.press("50\r");
        screen.wait_for_times("an answer must be UTF-8 text", number + 1);
    }
    screen.press("balance\r");
    screen.wait_for("\nYour balance is $100.");
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
    server.stop();
}

#[test]
fn a_byte_order_mark_before_the_first_line_is_skipped() {
    let server = Server::start(&[]);
    let mut screen = TerminalProgram::start(client(&server));
    screen.wait_for(">>> ");
    screen.press("\u{feff}deposit 40\r");
    screen.wait_for("Amount deposited: $40. Your balance is $140.");
    screen.press("exit\r");
    assert_eq!(screen.finish(), Some(0));
    server.stop();
}

#[test]
fn a_terminal_that_another_program_made_non_blocking_is_read() {
    let server = Server::start(&[]);
    let mut screen = TerminalProgram::start(client(&server));
    screen.wait_for(">>> ");
    screen.make_non_blocking();
    for (amount, balance) in [(40, 140), (1, 141)] {
        screen.press(format!("\x1b[D\u{e9}\x7fdeposit {amount}\r"));
        screen.wait_for(&format!("Amount deposited: ${amount}. Your balance is ${balance}."));
    }
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
    server.stop();
}

#[test]
fn ctrl_c_leaves() {
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
        assert_eq!(screen.finish(), Some(130), "{setup:?}");
    }
    server.stop();
}

#[test]
fn a_server_that_ends_is_reported_while_a_line_is_typed() {
    for signal in [Signal::KILL, Signal::TERM] {
        let server = Server::start(&[]);
        let mut screen = TerminalProgram::start(client(&server));
        screen.wait_for(">>> ");
        screen.press("depos");
        screen.wait_for("depos");
        server.program.signal(signal);
        let reason = if signal == Signal::KILL {
            "the server closed the connection"
        } else {
            "The server is stopping."
        };
        screen.wait_for(reason);
        assert_eq!(screen.finish(), Some(1));
    }
}

#[test]
fn signals_end_the_client_and_restore_the_terminal() {
    let server = Server::start(&[]);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1] {
        let mut screen = TerminalProgram::start(client(&server));
        screen.wait_for(">>> ");
        screen.press("depos");
        screen.wait_for("depos");
        screen.signal(signal);
        assert_eq!(screen.finish(), Some(130));
    }
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn a_serial_session_ends_when_the_device_is_gone() {
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
