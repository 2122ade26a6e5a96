//! An operator's orders beside a running server: when the command has returned, the session that was open moves nothing more.
use crate::branch::Branch;

#[test]
fn a_session_is_over_when_its_card_is_blocked_or_unblocked() {
    let branch = Branch::new();
    let server = branch.serve(&[]);
    for (name, order) in [("kiosk-1", "block"), ("kiosk-2", "unblock")] {
        let mut terminal = branch.at_menu(name, &server, 0);
        assert!(terminal.ask("withdraw 10").text.starts_with("Amount withdrawn: $10."));
        if order == "unblock" {
            branch.order(&["card", "block", "1"]);
        }
        branch.order(&["card", order, "1"]);
        terminal.assert_over("withdraw 40");
        // A blocked card gets the reply of a wrong PIN; an unblocked one is served anew.
        terminal.ask(&branch.cards[0].0);
        let text = terminal.ask(&branch.cards[0].1).text;
        let is_served = text.starts_with("What would you like to do?");
        assert_eq!(is_served, order == "unblock", "{text}");
        if order == "block" {
            branch.order(&["card", "unblock", "1"]);
        }
    }
    assert_eq!(branch.balance(1000), 23_000);
    server.stop();
}

#[test]
fn all_sessions_are_over_when_their_card_is_given_another_pin() {
    let mut branch = Branch::new();
    let server = branch.serve(&[]);
    let mut terminals = ["kiosk-1", "kiosk-2"].map(|name| branch.at_menu(name, &server, 0));
    let set = branch.order(&["card", "set-pin", "1", "--digits", "5", "--secrets", &branch.path("secrets")]);
    let (_, pin) = set.stdout.split_once("PIN     ").unwrap();
    let former = std::mem::replace(&mut branch.cards[0].1, pin.trim().to_owned());
    terminals[0].assert_over("withdraw 40");
    terminals[1].assert_over("deposit 40");
    terminals[0].ask(&branch.cards[0].0);
    let text = terminals[0].ask(&former).text;
    assert!(text.starts_with("The card and the PIN were not accepted."), "{text}");
    terminals[1].log_in(&branch.cards[0]);
    assert!(terminals[1].ask("balance").text.starts_with("Your balance is $250."));
    drop(terminals);
    server.stop();
}

#[test]
fn the_next_request_of_any_kind_is_refused() {
    let branch = Branch::new();
    let server = branch.serve(&[]);
    let requests: [&[&str]; 5] = [
        &["deposit 40"],
        &["balance"],
        &["statement"],
        &["transfer", "1001"],
        &["pin", "0007", "8642", "8642"],
    ];
    for (number, request) in requests.into_iter().enumerate() {
        let mut terminal = branch.at_menu(&format!("kiosk-{number}"), &server, 0);
        let (last, before) = request.split_last().unwrap();
        for answer in before {
            terminal.ask(answer);
        }
        branch.order(&["card", "block", "1"]);
        terminal.assert_over(last);
        branch.order(&["card", "unblock", "1"]);
    }
    assert_eq!(branch.balance(1000), 25_000);
    server.stop();
}

#[test]
fn a_frozen_account_is_shown_and_a_closed_one_is_not_served() {
    let branch = Branch::new();
    let server = branch.serve(&[]);
    let mut terminal = branch.at_menu("kiosk-1", &server, 0);
    branch.order(&["account", "freeze", "1000"]);
    let text = terminal.ask("withdraw 40").text;
    assert!(text.to_lowercase().contains("frozen"), "{text}");
    assert!(terminal.ask("balance").text.starts_with("Your balance is $250."));
    // Nor does money come in from another account.
    let mut other = branch.at_menu("kiosk-2", &server, 1);
    other.ask("transfer");
    let text = other.ask("1000").text;
    assert!(!text.contains("How much would you like to transfer?"), "{text}");
    branch.order(&["account", "unfreeze", "1000"]);
    assert!(terminal.ask("withdraw all").text.starts_with("Amount withdrawn: $250."));
    branch.order(&["account", "close", "1000"]);
    let text = terminal.ask("balance").text;
    assert!(text.to_lowercase().contains("closed"), "{text}");
    server.stop();
}

#[test]
fn a_session_is_over_when_its_terminal_is_revoked() {
    let branch = Branch::new();
    let server = branch.serve(&[]);
    let mut terminal = branch.at_menu("kiosk-1", &server, 0);
    branch.order(&["terminal", "revoke", "kiosk-1"]);
    let over = terminal.ask("withdraw 40");
    assert!(over.ends && over.text == "This ATM is out of service. Ask its operator.", "{over:?}");
    assert_eq!(branch.balance(1000), 25_000);
    drop(terminal);
    server.stop();
}
