//! The keys of cards are replaced in steps: every right PIN is accepted in between, and counted as wrong by a server that was left out.
use crate::branch::Branch;
use atm_e2e::{Output, Program, atm};
use atm_host::client::Target;
use std::fs;

fn secrets(branch: &Branch, words: &[&str]) -> Output {
    let file = branch.path("secrets");
    Program::run(atm(&[&["secrets", words[0], words[1], &file], &words[2..]].concat()), "")
}

#[track_caller]
fn step(branch: &Branch, words: &[&str]) {
    let output = secrets(branch, words);
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[test]
fn every_card_is_served_after_each_step_and_gets_the_new_keys_with_its_right_pin() {
    let branch = Branch::new();
    let data = branch.path("data");
    let serve_cards = |name: &str, cards: &[usize]| {
        let server = branch.serve(&[]);
        for card in cards {
            branch.at_menu(&format!("{name}-{card}"), &server, *card);
        }
        server.stop();
    };
    for kind in ["pins", "tokens"] {
        step(&branch, &["add", kind]);
        serve_cards(&format!("{kind}-added"), &[0, 1]);
        step(&branch, &["use", kind]);
        serve_cards(&format!("{kind}-used"), &[0]);
        let refused = secrets(&branch, &["remove", kind, "--data", &data]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("cards with the key that is to be removed: 2;"), "{refused:?}");
        serve_cards(&format!("{kind}-used"), &[1]);
        step(&branch, &["remove", kind, "--data", &data]);
        serve_cards(&format!("{kind}-removed"), &[0, 1]);
    }
    branch.order(&["ledger", "verify"]);
}

#[test]
fn a_server_without_the_key_of_a_cards_row_counts_its_right_pin_as_a_wrong_one() {
    let mut branch = Branch::new();
    let (file, former) = (branch.path("secrets"), branch.path("former"));
    fs::copy(&file, &former).unwrap();
    for kind in ["add", "use"] {
        step(&branch, &[kind, "pins"]);
    }
    let set = branch.order(&["card", "set-pin", "1", "--secrets", &file]).stdout;
    branch.cards[0].1 = set.lines().find_map(|line| line.strip_prefix("PIN     ")).unwrap().to_owned();
    let next = fs::read(&file).unwrap();
    fs::copy(&former, &file).unwrap();
    let server = branch.serve(&[]);
    branch.enrol("kiosk-1");
    let mut terminal = branch.terminal("kiosk-1", Target::Tcp(vec![server.address.to_string()]));
    let (number, pin) = branch.cards[0].clone();
    terminal.ask(&number);
    let text = terminal.ask(&pin).text;
    assert!(text.starts_with("The card and the PIN were not accepted."), "{text}");
    server.stop();
    assert!(branch.order(&["card", "list", "--json"]).stdout.contains("\"tries\":1,"));
    // With the file that the others have, the card is served, and its tries are all there again.
    fs::write(&file, next).unwrap();
    let server = branch.serve(&[]);
    branch.at_menu("kiosk-2", &server, 0);
    server.stop();
    assert!(!branch.order(&["card", "list", "--json"]).stdout.contains("\"tries\":1,"));
}
