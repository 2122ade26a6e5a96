//! A listener: he reads no amount, text or balance on a sealed link, from bytes or from lengths. Names are in hellos.
use crate::bank::{Bank, LINKS, Link};
use atm_core::{codec::postcard, seal};
use atm_e2e::Direction;
use std::collections::HashSet;

fn contains(bodies: &[Vec<u8>], text: &str) -> bool {
    bodies.iter().any(|body| body.windows(text.len()).any(|bytes| bytes == text.as_bytes()))
}

#[test]
fn a_listener_reads_nothing_that_is_typed_or_shown() {
    for link in LINKS {
        let bank = Bank::new(link);
        let mut person = bank.at_menu("kiosk-7");
        person.types(&["a word of a person", "deposit 4711", "balance", "withdraw 31"]);
        person.leaves();
        let (up, down) = (bank.proxy.bodies(Direction::Up), bank.proxy.bodies(Direction::Down));
        let is_read = |text| contains(&up, text);
        let is_clear = link == Link::Clear;
        assert_eq!([is_read("word of a person"), is_read("4711"), is_read("withdraw")], [is_clear; 3]);
        // What the messages of the host say.
        let balances: Vec<String> = (down.iter())
            .filter_map(|body| postcard::read_host(body).ok()??.outcome.map(|outcome| format!("{outcome:?}")))
            .collect();
        assert_eq!(balances.len(), if is_clear { 3 } else { 0 }, "{balances:?}");
        assert!(contains(&up, "kiosk-7"), "the hello's fields are in clear");
        // Only hellos are: every other byte of a sealed link looks random. In so many bytes each value is there, and none often.
        let sealed: Vec<u8> = (up.iter().chain(&down))
            .filter(|body| !matches!(body[0], 0 | 4))
            .flat_map(|body| &body[body.len().saturating_sub(96)..])
            .copied()
            .collect();
        let most = (0..=u8::MAX).map(|value| sealed.iter().filter(|byte| **byte == value).count()).max();
        assert_eq!(most.unwrap() * 24 > sealed.len(), is_clear, "{most:?} of {}", sealed.len());
    }
}

/// Attack 12: a person of the bank finds a balance by bisecting withdrawals, while he watches lengths elsewhere. The lengths of
/// all frames of a session are the same for each balance, for an operation that is refused or done, and for each answer.
#[test]
fn lengths_say_nothing_of_balances_refusals_and_answers() {
    for link in LINKS {
        let (mut sessions, mut lengths) = (HashSet::new(), HashSet::new());
        for balance in ["0", "1", "20000", "900000"] {
            let bank = Bank::with(link, &["--balance", balance]);
            let mut person = bank.at_menu("kiosk-7");
            person.types(&[
                "withdraw 7",
                "balance",
                "nonsense",
                "withdraw 1000000",
                "deposit 1",
                "withdraw 1",
                "back",
            ]);
            person.leaves();
            let mut frames = bank.proxy.recorded();
            // The hello, in clear on both links, has the time and random bytes in it.
            frames.retain(|frame| !matches!(frame.body[0], 0 | seal::HELLO));
            sessions
                .insert(frames.iter().map(|frame| (frame.direction, frame.body.len())).collect::<Vec<_>>());
            // A welcome has a header.
            lengths.extend(
                frames.iter().filter(|frame| frame.body[0] != seal::WELCOME).map(|frame| frame.body.len()),
            );
        }
        let is_clear = link == Link::Clear;
        assert_eq!((sessions.len() > 1, lengths.len() > 1), (is_clear, is_clear), "{sessions:?}");
    }
}
