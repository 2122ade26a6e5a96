//! The alarm: refused verifications at many terminals are logged once, and counted.
use crate::branch::Branch;
use atm_e2e::TIMEOUT;
use atm_host::{access::draw, client::Target};
use std::time::{Duration, Instant};

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
        assert_eq!(server.metric(name), expected, "{name}");
    }
    drop(terminals);
    server.stop();
}

/// What is judged at one terminal, in the first seconds: one PIN at once, and each further one after a delay of 1, 2, 4 s.
#[test]
fn many_cards_with_one_pin_each_are_slowed_at_each_terminal_and_raise_the_alarm() {
    const JUDGED: usize = 3;
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let branch = Branch::new();
    let server = branch.serve(&["--refusal-alarm", "8", "--metrics", "127.0.0.1:0"]);
    let mut terminals = NAMES.map(|name| branch.at_card(name, &server));
    let (mut judged, mut tried, began) = ([0; NAMES.len()], 0, Instant::now());
    while judged.iter().any(|judged| *judged < JUDGED) {
        assert!(began.elapsed() < TIMEOUT, "{judged:?} of {tried}");
        for (at, terminal) in terminals.iter_mut().enumerate() {
            if judged[at] == JUDGED {
                continue;
            }
            let (_, number) = draw::card_number(&"9999".parse().unwrap()).unwrap();
            assert!(terminal.ask(&number).text.starts_with("Please type your PIN."));
            let text = terminal.ask("2580").text;
            tried += 1;
            if text.starts_with("The card and the PIN were not accepted.") {
                let earliest = Duration::from_secs((1 << judged[at]) - 1);
                // Of the clocks.
                let slack = Duration::from_millis(20);
                assert!(began.elapsed() + slack >= earliest, "{at}: {judged:?} after {:?}", began.elapsed());
                judged[at] += 1;
            } else {
                assert!(text.contains(" s."), "{text}");
            }
            // Neither another card nor another connection makes the delay shorter.
            match at {
                0 => *terminal = branch.terminal(NAMES[at], Target::Tcp(vec![server.address.to_string()])),
                _ => drop(terminal.ask("back")),
            }
        }
    }
    assert!(tried > 10 * NAMES.len(), "{tried}");
    server.program.wait_for_stderr("a_minute=9 limit=8");
    for (name, expected) in [
        ("atm_refused_verifications_total", (NAMES.len() * JUDGED) as u64),
        ("atm_verification_alarms_total", 1),
    ] {
        assert_eq!(server.metric(name), expected, "{name}");
    }
    drop(terminals);
    server.stop();
}
