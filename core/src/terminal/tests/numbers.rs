//! The bound of numbers: a reply with a number that no host gives is a fault, and leaves nothing behind.
use super::*;
use crate::{message::Reply, screen::Screen};

const MAX: u64 = Numbers::MAX;

/// A frame with a menu under the number `seq`.
fn menu(wire: Wire, seq: u64, re: Option<u64>, welcome: Option<Welcome>) -> Vec<u8> {
    let mut outbox = Outbox::<1024>::new(wire);
    outbox.reply(&Reply { seq, re, screens: [Screen::Menu].into_iter().collect(), welcome }).unwrap();
    outbox.output().to_vec()
}

#[test]
fn a_reply_with_a_number_out_of_range_is_a_fault_and_changes_nothing() {
    for wire in [Wire::Json, Wire::Postcard] {
        for link in [LinkKind::Connection, LinkKind::Serial] {
            let mut pair = Pair::new(config(wire, link, Some("a"), Memory::default()));
            let welcome = Some(Welcome { ledger: Some(LEDGER), start: 1, attempt: 1 });
            for number in [MAX, MAX + 1, u64::MAX] {
                for (seq, re) in [(number, None), (1, Some(number))] {
                    let before = pair.terminal.clone();
                    let shown = feed(&mut pair.terminal, &menu(wire, seq, re, welcome), pair.now);
                    assert_eq!(shown, [Shown::Fault(Fault::NotAMessage)], "{wire} {link:?} {seq} {re:?}");
                    assert_eq!(pair.terminal.memory(), Memory::default());
                    assert_eq!(pair.terminal.is_handshaking(), before.is_handshaking());
                }
            }
            pair.run();
            let open = pair.terminal.prompt().unwrap();
            pair.drop_to_host = true;
            pair.types("deposit 40");
            let pending = pair.terminal.memory();
            for number in [MAX, MAX + 1, u64::MAX] {
                let shown = feed(&mut pair.terminal, &menu(wire, number, open, None), pair.now);
                assert_eq!(shown, [Shown::Fault(Fault::NotAMessage)], "{wire} {link:?} {number}");
                assert_eq!(pair.terminal.memory(), pending);
            }
        }
    }
}

#[test]
fn the_largest_number_is_shown_stored_and_accepted_in_a_hello() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut pair = Pair::in_clear(wire);
        let other = Some(LedgerId(7));
        let welcome = Some(Welcome { ledger: other, start: 1, attempt: 1 });
        let shown = only(feed(&mut pair.terminal, &menu(wire, MAX - 1, None, welcome), pair.now));
        assert!(shown.text().starts_with("Welcome"), "{wire}: {shown:?}");
        pair.terminal.answer(Some(MAX - 1), "3", pair.now).unwrap();
        pair.stored = pair.terminal.memory();
        assert_eq!(pair.stored, Memory { ledger: other, shown: MAX - 1, pending: Some(MAX - 1) });
        pair.restart_terminal();
        pair.restart_host();
        let shown = only(pair.run());
        assert_eq!(shown.outcome(), Some(Outcome::Unknown), "{wire}: of another ledger");
        assert!(pair.terminal.prompt().is_some());
    }
}
