//! The alarm: refused verifications at many terminals are logged once, and counted.
use crate::branch::Branch;
use atm_e2e::Server;
use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// The value of a metric of the server.
fn metric(server: &Server, name: &str) -> u64 {
    server.program.wait_for_stderr("metrics at /metrics");
    let log = server.program.stderr();
    let (_, address) = log.split_once("metrics at /metrics address=").unwrap();
    let mut stream = TcpStream::connect(address.split_whitespace().next().unwrap()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name}: {page}"))
}

#[test]
fn wrong_pins_at_many_terminals_raise_one_alarm() {
    let branch = Branch::new();
    let server = branch.serve(&["--refusal-alarm", "2", "--metrics", "127.0.0.1:0"]);
    // One PIN on one card after the other: no card is blocked, and each terminal's delay is short.
    let wrong = |name: &str, card: usize| {
        let (number, _) = &branch.cards[card];
        let mut terminal = branch.at_card(name, &server);
        terminal.ask(number);
        let text = terminal.ask("0070").text;
        assert!(text.starts_with("The card and the PIN were not accepted."), "{text}");
        terminal
    };
    let terminals = [("a", 0), ("b", 1), ("c", 0), ("d", 1), ("e", 0)].map(|(name, card)| wrong(name, card));
    server.program.wait_for_stderr("alarm: too many verifications are refused");
    let log = server.program.stderr();
    let alarms: Vec<_> = log.lines().filter(|line| line.contains("alarm:")).collect();
    let [alarm] = alarms[..] else { panic!("{log}") };
    assert!(alarm.contains(" WARN ") && alarm.contains("a_minute=3 limit=2"), "{alarm}");
    for (name, expected) in [
        ("atm_refused_verifications_total", 5),
        ("atm_verification_alarms_total", 1),
        // The third wrong PIN on card 0.
        ("atm_blocked_cards_total", 1),
    ] {
        assert_eq!(metric(&server, name), expected, "{name}");
    }
    drop(terminals);
    server.stop();
}
