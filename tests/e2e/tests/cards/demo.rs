//! `atm demo --cards`: one command leads a person to the card prompt, with three cards and their PINs on the screen.
use atm_e2e::{Program, TerminalProgram, atm};
use std::collections::BTreeSet;

/// A row of the table that the demo prints.
struct Row {
    number: String,
    pin: String,
    account: String,
}

/// The row of this owner, once it is printed.
fn row(shown: &str, owner: &str) -> Row {
    let line = shown.lines().find(|line| line.contains(owner)).unwrap_or_else(|| panic!("{shown}"));
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    Row { number: words[..4].join(" "), pin: words[4].clone(), account: words[5].clone() }
}

const OWNERS: [&str; 3] = ["Ada Lovelace", "Grace Hopper", "Alan Turing"];

#[test]
fn a_person_goes_from_the_card_to_a_statement() {
    let mut screen = TerminalProgram::start(atm(&["demo", "--cards"]));
    screen.wait_for("Please type the number of your card.");
    let [ada, grace] = [OWNERS[0], OWNERS[1]].map(|owner| row(&screen.shown(), owner));
    screen.press(format!("{}\r", ada.number));
    screen.wait_for("Please type your PIN.");
    screen.press(format!("{}\r", ada.pin));
    screen.wait_for("What would you like to do?");
    screen.press("balance\r");
    screen.wait_for("Your balance is $250.");
    screen.press("transfer\r");
    screen.wait_for("To which account would you like to transfer?");
    screen.press(format!("{}\r", grace.account));
    screen.wait_for("belongs to G*** H***.");
    screen.press("12.34\r");
    screen.wait_for("Transfer $12.34 to account 2 of G*** H***? (yes, or back)");
    screen.press("yes\r");
    screen.wait_for("Amount transferred: $12.34 to account 2. Your balance is $237.66.");
    screen.press("statement\r");
    screen.wait_for("transfer out $12.34, balance $237.66");
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    assert_eq!(screen.finish(), Some(0));
}

#[test]
fn the_payee_has_the_money_and_a_wrong_pin_is_refused() {
    let mut demo = Program::start(atm(&["demo", "--cards"]));
    demo.wait_for("Please type the number of your card.");
    let [ada, alan] = [OWNERS[0], OWNERS[2]].map(|owner| row(&demo.stdout(), owner));
    for line in [&ada.number, &ada.pin, "4", &alan.account, "60", "yes", "logout", &alan.number, &alan.pin] {
        demo.type_line(line);
    }
    demo.wait_for("Your balance is $190.");
    demo.type_line("balance");
    demo.wait_for("Your balance is $100.");
    for line in ["logout", &ada.number, if ada.pin == "0000" { "1111" } else { "0000" }] {
        demo.type_line(line);
    }
    demo.end_input();
    let output = demo.finish();
    assert!(output.stdout.contains("The card and the PIN were not accepted."), "{output:?}");
}

#[test]
fn each_run_has_other_numbers_and_pins() {
    let (mut numbers, mut pins) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..4 {
        let output = Program::run(atm(&["demo", "--cards"]), "exit\n");
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
        for owner in OWNERS {
            let row = row(&output.stdout, owner);
            numbers.insert(row.number);
            pins.insert(row.pin);
        }
    }
    // Twelve PINs of four digits may have one twice.
    assert!(numbers.len() == 12 && pins.len() >= 10, "{numbers:?}");
}

#[test]
fn the_options_of_the_scripted_demo_do_not_go_with_it() {
    for option in [&["--hex"][..], &["--wire", "json"]] {
        let output = Program::run(atm(&[&["demo", "--cards"], option].concat()), "");
        assert_eq!(output.code, Some(2), "{output:?}");
    }
}
