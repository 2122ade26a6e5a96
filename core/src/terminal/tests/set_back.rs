//! A ledger that was set back: the host welcomes the terminal with a number that it has already shown.
use super::*;
use crate::{
    message::Reply,
    screen::{Screen, screens},
};

const WIRES: [Wire; 2] = [Wire::Json, Wire::Postcard];

/// The state of a terminal that has shown reply 9.
fn memory(pending: Option<u64>) -> Memory {
    Memory { ledger: Some(LEDGER), shown: 9, pending }
}

/// A terminal in a new life; its hello is sent.
fn restarted(wire: Wire, pending: Option<u64>) -> TestTerminal {
    let config = config(wire, LinkKind::Serial, Some("a"), memory(pending));
    let mut terminal = TestTerminal::new(config, Instant::default());
    terminal.consume(usize::MAX);
    terminal
}

/// A terminal in the life in which it has shown reply 9; it says hello again after `answer` was lost.
fn resumed(wire: Wire, answer: Option<&str>) -> TestTerminal {
    let mut terminal = restarted(wire, None);
    terminal.memory.shown = 8;
    assert_eq!(only(receive(&mut terminal, 9, None, 1)).seq(), Some(9));
    if let Some(answer) = answer {
        terminal.answer(Some(9), answer, Instant::default()).unwrap();
        terminal.consume(usize::MAX);
    }
    terminal.reconnect(Instant::default());
    terminal.consume(usize::MAX);
    terminal
}

impl Shown {
    fn seq(&self) -> Option<u64> {
        match self {
            Self::Message { seq, .. } => *seq,
            _ => None,
        }
    }
}

/// The menu as reply `seq`; with `attempt` as the reply to that hello.
fn reply_bytes(wire: Wire, seq: u64, re: Option<u64>, attempt: Option<u32>) -> Vec<u8> {
    let welcome = attempt.map(|attempt| Welcome { ledger: Some(LEDGER), start: 1, attempt });
    let mut outbox = Outbox::<1024>::new(wire);
    outbox.reply(&Reply { seq, re, screens: screens([Screen::Menu]), welcome }).unwrap();
    outbox.output().to_vec()
}

fn receive(terminal: &mut TestTerminal, seq: u64, re: Option<u64>, attempt: u32) -> Vec<Shown> {
    let bytes = reply_bytes(terminal.config.wire, seq, re, Some(attempt));
    feed(terminal, &bytes, Instant::default())
}

/// The terminal reports that the ledger was set back, shows the reply `seq`, and goes on from there.
#[track_caller]
fn assert_set_back(terminal: &mut TestTerminal, shown: &[Shown], pending: Option<u64>, seq: u64) {
    let [warning, reply] = shown else { panic!("{shown:?}") };
    assert_eq!(*warning, Shown::LedgerSetBack { pending });
    assert!(reply.text().starts_with("Welcome") && reply.seq() == Some(seq), "{reply:?}");
    assert_eq!(terminal.memory(), Memory { ledger: Some(LEDGER), shown: seq, pending: None });
    assert_eq!((terminal.prompt(), terminal.is_awaiting_reply()), (Some(Some(seq)), false));
    assert!(terminal.output().is_empty() && terminal.deadline().is_none(), "the lost answer is not sent");

    let (wire, now) = (terminal.config.wire, Instant::default());
    terminal.answer(Some(seq), "deposit 40", now).unwrap();
    assert_eq!(terminal.memory().pending, Some(seq));
    terminal.consume(usize::MAX);
    // Late duplicates of replies that the ledger has lost.
    for (late, re) in [(9, Some(8)), (8, Some(7)), (9, None)] {
        assert_eq!(feed(terminal, &reply_bytes(wire, late, re, None), now), []);
    }
    let next = feed(terminal, &reply_bytes(wire, seq + 1, Some(seq), None), now);
    assert_eq!(only(next).seq(), Some(seq + 1));
    assert_eq!(terminal.memory(), Memory { ledger: Some(LEDGER), shown: seq + 1, pending: None });
}

#[test]
fn in_a_new_life_a_number_that_was_shown_is_reported_before_its_reply() {
    for wire in WIRES {
        for pending in [None, Some(9)] {
            for seq in [1, 5, 9] {
                let mut terminal = restarted(wire, pending);
                let shown = receive(&mut terminal, seq, pending, 1);
                assert_set_back(&mut terminal, &shown, pending, seq);
            }
            // A number above those shown is no proof.
            let shown = receive(&mut restarted(wire, pending), 10, pending, 1);
            assert_eq!(only(shown).seq(), Some(10));
        }
    }
}

#[test]
fn in_the_same_life_a_lower_number_than_the_last_shown_is_reported() {
    for wire in WIRES {
        for (answer, pending) in [(None, None), (Some("deposit 40"), Some(9))] {
            let mut terminal = resumed(wire, answer);
            let shown = receive(&mut terminal, 5, pending, 2);
            assert_set_back(&mut terminal, &shown, pending, 5);
        }
    }
}

#[test]
fn in_the_same_life_the_last_reply_again_resumes_the_session() {
    for wire in WIRES {
        let mut terminal = resumed(wire, None);
        assert_eq!(receive(&mut terminal, 9, Some(8), 2), []);
        assert_eq!((terminal.prompt(), terminal.memory()), (Some(Some(9)), memory(None)));

        let mut terminal = resumed(wire, Some("deposit 40"));
        assert_eq!(receive(&mut terminal, 9, Some(8), 2), []);
        assert_eq!(terminal.memory(), memory(Some(9)));
        assert!(terminal.output().windows(10).any(|part| part == b"deposit 40"), "it is retransmitted");
    }
}

#[test]
fn a_reply_to_the_pending_prompt_with_the_number_of_that_prompt_is_reported() {
    for wire in WIRES {
        let mut terminal = resumed(wire, Some("deposit 40"));
        let shown = receive(&mut terminal, 9, Some(9), 2);
        assert_set_back(&mut terminal, &shown, Some(9), 9);
    }
}

#[test]
fn after_giving_up_the_last_number_again_is_reported() {
    for wire in WIRES {
        let mut terminal = resumed(wire, Some("deposit 40"));
        let waited = Instant::default() + RETRANSMIT.give_up_after;
        terminal.tick(waited);
        terminal.consume(usize::MAX);
        let mut shown = receive(&mut terminal, 9, None, 3);
        shown.retain(|shown| !matches!(shown, Shown::LinkDown | Shown::LinkUp));
        assert_set_back(&mut terminal, &shown, Some(9), 9);
    }
}

#[test]
fn a_welcome_that_resumes_after_the_driver_gave_up_is_followed_by_another_hello() {
    for wire in WIRES {
        let mut terminal = resumed(wire, Some("deposit 40"));
        terminal.give_up();
        assert_eq!(receive(&mut terminal, 9, Some(8), 2), [], "the hello had asked to resume");
        assert!(terminal.prompt().is_none(), "no other answer is sent to a prompt that was answered");
        assert!(terminal.is_handshaking() && !terminal.output().is_empty());
        terminal.consume(usize::MAX);
        let shown = only(receive(&mut terminal, 10, Some(9), 3));
        assert_eq!((shown.seq(), terminal.memory().pending), (Some(10), None));
    }
}

#[test]
fn a_link_that_drops_before_the_reply_is_shown_loses_no_prompt() {
    for wire in WIRES {
        for (mut terminal, attempt) in [(restarted(wire, Some(9)), 1), (resumed(wire, Some("deposit 40")), 2)]
        {
            let mut now = Instant::default();
            terminal.feed(&reply_bytes(wire, 5, Some(9), Some(attempt)), now);
            assert_eq!(terminal.poll_event(now), Some(Event::LedgerSetBack { pending: Some(9) }));
            // Nothing is stored as shown that was not.
            assert_eq!(terminal.memory(), Memory { ledger: Some(LEDGER), shown: 0, pending: None });
            assert!(terminal.prompt().is_none() && !terminal.is_awaiting_reply());
            now = now + RETRANSMIT.first_wait;
            terminal.tick(now);
            assert!(terminal.output().is_empty(), "the lost answer is not sent");
            terminal.reconnect(now);
            assert_eq!(terminal.poll_event(now), None);
            assert_eq!(only(receive(&mut terminal, 6, None, attempt + 1)).seq(), Some(6));
        }
    }
}
