//! A changer: he moves no other amount than the person, and shows the person nothing that the bank has not sent.
use crate::bank::{Bank, LINKS, Link, moved};
use atm_core::{codec::postcard, seal};
use atm_e2e::{Direction, Frame, exchange_frames};

/// The body with `from` replaced by `to`, once.
fn replace(body: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let at = body.windows(from.len()).position(|bytes| bytes == from)?;
    Some([&body[..at], to, &body[at + from.len()..]].concat())
}

/// In clear he changes the digits of an answer. On a sealed link he knows where they are and what they are, so he can flip the
/// same bits in the ciphertext, and tries other places too; then he lets the retransmission pass.
#[test]
fn a_changed_answer_moves_no_other_amount() {
    for link in LINKS {
        let bank = Bank::new(link);
        let mut person = bank.at_menu("kiosk-7");
        let mut is_changed = false;
        bank.proxy.set_rule(move |frame| match replace(&frame.body, b"deposit 40", b"deposit 90") {
            Some(body) => vec![frame.with_body(body)],
            None if frame.body[0] == seal::SEALED && frame.direction == Direction::Up && !is_changed => {
                is_changed = true;
                // The answer is `01 01 NUMBER LENGTH` and the text, behind index and tag. A connection ends after 16 frames
                // that are not authentic.
                let digit = 1 + seal::TAG + 4 + "deposit ".len();
                let ends = [(0, 1), (1, 1), (16, 128), (17, 1), (96, 128)];
                let flips = [(digit, b'4' ^ b'9'), (digit + 1, 1), (19, 1)].into_iter().chain(ends);
                flips.map(|(at, bits)| flipped(frame, at, bits)).collect()
            }
            None => frame.forward(),
        });
        let shown = person.types(&["deposit 40"]);
        let amount = if link == Link::Clear { 90 } else { 40 };
        assert!(shown.contains(&format!("Amount deposited: ${amount}.")), "{shown}");
        person.leaves();
        assert_eq!(bank.movements(), [moved("deposit", amount)]);
    }
}

fn flipped(frame: &Frame, at: usize, bits: u8) -> Frame {
    let mut body = frame.body.clone();
    body[at] ^= bits;
    frame.with_body(body)
}

/// He changes what the person reads: the balance, whose bytes he knows, somewhere in the reply.
#[test]
fn a_changed_reply_is_not_shown() {
    for link in LINKS {
        let bank = Bank::new(link);
        let mut person = bank.at_menu("kiosk-7");
        // $100 and $100.44, in minor units as varints.
        let (hundred, more) = ([0x90, 0x4e], [0xbc, 0x4e]);
        bank.proxy.set_rule(move |frame| match (frame.direction, frame.body[0]) {
            (Direction::Down, 2) => {
                let changed = replace(&frame.body, &hundred, &more);
                vec![frame.with_body(changed.unwrap_or_else(|| frame.body.clone()))]
            }
            (Direction::Down, _) => {
                let flips = (1..frame.body.len()).map(|at| flipped(frame, at, hundred[0] ^ more[0]));
                flips.chain(frame.forward()).collect()
            }
            _ => frame.forward(),
        });
        let shown = person.types(&["balance"]);
        let expected = if link == Link::Clear { "Your balance is $100.44." } else { "Your balance is $100." };
        assert!(shown.contains(expected) && shown.matches("Your balance").count() == 1, "{shown}");
        assert_eq!(bank.movements(), []);
    }
}

/// He answers the open prompt himself.
#[test]
fn an_injected_answer_moves_no_money() {
    for link in LINKS {
        let bank = Bank::new(link);
        let mut person = bank.at_menu("kiosk-7");
        person.types(&["balance"]);
        // The numbers of the prompts, in clear or guessed: a new terminal's begin at 1.
        for re in [None, Some(1), Some(2), Some(3)] {
            let mut body = [0; 64];
            let length = postcard::write_answer(re, "withdraw 50", &mut body).unwrap();
            let mut sealed = vec![5; 97];
            sealed[17..17 + length].copy_from_slice(&body[..length]);
            for body in [body[..length].to_vec(), sealed] {
                bank.proxy.inject(Direction::Up, &body);
            }
        }
        let frames = bank.proxy.recorded().len();
        if link == Link::Clear {
            bank.proxy.wait_until(|all| {
                let outcomes = |frame: &Frame| postcard::read_host(&frame.body).ok()??.outcome;
                (all.iter().filter_map(outcomes).count() > 1).then_some(())
            });
            assert!(bank.movements().contains(&moved("withdrawal", 50)));
            continue;
        }
        let shown = person.types(&["deposit 40"]);
        assert!(shown.contains("Amount deposited: $40. Your balance is $140."), "{shown}");
        assert_eq!(bank.proxy.recorded().len(), frames + 2, "the answer and its reply");
        person.leaves();
        assert_eq!(bank.movements(), [moved("deposit", 40)]);
    }
}

/// A peer without a key uses the terminal's name.
#[test]
fn a_peer_without_the_key_is_not_served_under_a_terminals_name() {
    for link in LINKS {
        let bank = Bank::new(link);
        let mut person = bank.at_menu("kiosk-7");
        // PROTOCOL.md, section 2.1: a greater start than any clock's.
        let mut hello = b"\0\x01\x01\x07kiosk-7".to_vec();
        hello.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0, 0, 0]);
        let replies = exchange_frames(bank.address(), &[hello]);
        if link == Link::Clear {
            let welcome = replies.iter().filter_map(|body| postcard::read_host(body).ok()??.welcome).count();
            assert_eq!(welcome, 1, "{replies:?}");
            continue;
        }
        assert!(replies.is_empty(), "{replies:?}");
        assert!(person.types(&["deposit 40"]).contains("Your balance is $140."));
        person.leaves();
        assert_eq!(bank.movements(), [moved("deposit", 40)]);
    }
}
