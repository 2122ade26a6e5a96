//! A session by card: its idle timer, how long an answer is held, and what a terminal says of itself.
use super::*;
use crate::{
    message::{Capabilities, Hello, Reply},
    screen::{CardScreen, Screen},
};

const PIN: &str = "864297";
const IDLE: Duration = Duration::from_secs(30);
const HELD: Duration = Duration::from_secs(20);
const WIRES: [Wire; 2] = [Wire::Json, Wire::Postcard];

fn after(now: Instant, millis: u32) -> Instant {
    now + Duration::from_millis(millis)
}

fn reply(wire: Wire, seq: u64, re: Option<u64>, screen: CardScreen, welcome: Option<Welcome>) -> Vec<u8> {
    let mut outbox = Outbox::<1024>::new(wire);
    let screens = [Screen::Card(screen)].into_iter().collect();
    outbox.reply(&Reply { seq, re, screens, welcome }).unwrap();
    outbox.output().to_vec()
}

fn welcome(wire: Wire, seq: u64, attempt: u32, screen: CardScreen) -> Vec<u8> {
    reply(wire, seq, None, screen, Some(Welcome { ledger: Some(LEDGER), start: 1, attempt }))
}

fn notice(wire: Wire, notice: Notice) -> Vec<u8> {
    let mut outbox = Outbox::<1024>::new(wire);
    outbox.notice(notice, None).unwrap();
    outbox.output().to_vec()
}

/// Takes the output: what a driver sends.
fn sent(terminal: &mut TestTerminal) -> Vec<u8> {
    let bytes = terminal.output().to_vec();
    terminal.consume(bytes.len());
    bytes
}

/// The hello that this terminal would send without resume, under this attempt.
fn hello(wire: Wire, attempt: u32, memory: Memory, capabilities: Capabilities) -> Vec<u8> {
    let version =
        if capabilities == Capabilities::NONE { crate::message::VERSION } else { crate::message::EXTENDED };
    let Memory { ledger, shown, pending } = memory;
    let terminal = Some("a".parse().unwrap());
    let hello =
        Hello { version, terminal, start: 1, attempt, ledger, shown, pending, capabilities, ..Hello::EMPTY };
    let mut outbox = Outbox::<OUT>::new(wire);
    outbox.hello(&hello).unwrap();
    outbox.output().to_vec()
}

/// A terminal that has shown the card prompt, 7, at that time.
fn at_card(wire: Wire, link: LinkKind) -> (TestTerminal, Instant) {
    let now = Instant::from_millis(5000);
    let mut terminal = TestTerminal::new(config(wire, link, Some("a"), Memory::default()), now);
    sent(&mut terminal);
    let shown = only(feed(&mut terminal, &welcome(wire, 7, 1, CardScreen::CardPrompt), now));
    assert!(shown.text().contains("the number of your card"), "{shown:?}");
    (terminal, now)
}

/// A terminal that has shown the PIN prompt, 8, at that time.
fn at_pin(wire: Wire, link: LinkKind) -> (TestTerminal, Instant) {
    let (mut terminal, now) = at_card(wire, link);
    terminal.answer(Some(7), "4111111111111111", now).unwrap();
    sent(&mut terminal);
    only(feed(&mut terminal, &reply(wire, 8, Some(7), CardScreen::PinPrompt, None), now));
    (terminal, now)
}

#[test]
fn a_session_by_card_ends_at_its_idle_time_whatever_comes() {
    for wire in WIRES {
        for link in [LinkKind::Connection, LinkKind::Serial] {
            let (mut terminal, now) = at_card(wire, link);
            assert_eq!(terminal.deadline(), None, "there is nothing of a card yet");
            terminal.answer(Some(7), "4111111111111111", now).unwrap();
            sent(&mut terminal);
            let prompt = reply(wire, 8, Some(7), CardScreen::PinPrompt, None);
            only(feed(&mut terminal, &prompt, now));
            for millis in (1_000..30_000).step_by(1_000) {
                let now = after(now, millis);
                for bytes in [&prompt, &notice(wire, Notice::Working { re: Some(7) })] {
                    assert_eq!(feed(&mut terminal, bytes, now), []);
                }
                feed(&mut terminal, &notice(wire, Notice::Fault(Fault::NotOpen)), now);
                assert!(terminal.deadline() <= Some(after(now, 30_000)), "{wire} {link:?} {millis}");
            }
            terminal.tick(after(now, 29_999));
            sent(&mut terminal);
            assert_eq!((drain(&mut terminal, now), terminal.prompt()), (vec![], Some(Some(8))));
            let end = now + IDLE;
            terminal.tick(end);
            assert_eq!(drain(&mut terminal, end), [Shown::Idle]);
            assert_eq!(terminal.answer(Some(8), PIN, end), Err(AnswerError::NotOpen));
            let memory = Memory { ledger: Some(LEDGER), shown: 8, pending: None };
            assert_eq!(sent(&mut terminal), hello(wire, 2, memory, Capabilities::NONE));
            let shown = only(feed(&mut terminal, &welcome(wire, 600, 2, CardScreen::CardPrompt), end));
            assert!(shown.text().contains("the number of your card"), "{shown:?}");
            assert_eq!(terminal.deadline(), None, "the next person has not come");
        }
    }
}

#[test]
fn an_answer_starts_the_idle_time_anew_and_a_resumed_prompt_does_not() {
    for wire in WIRES {
        let (mut terminal, now) = at_pin(wire, LinkKind::Connection);
        let now = after(now, 20_000);
        terminal.answer(Some(8), PIN, now).unwrap();
        sent(&mut terminal);
        only(feed(&mut terminal, &reply(wire, 9, Some(8), CardScreen::Menu, None), now));
        assert_eq!(terminal.deadline(), Some(now + IDLE));
        for attempt in 2..4 {
            terminal.reconnect(after(now, 10_000));
            sent(&mut terminal);
            let resumed =
                feed(&mut terminal, &welcome(wire, 9, attempt, CardScreen::Menu), after(now, 20_000));
            assert_eq!((resumed, terminal.prompt()), (vec![], Some(Some(9))));
            assert_eq!(terminal.deadline(), Some(now + IDLE), "{wire}");
        }
        // Nor does a link that stays down.
        terminal.reconnect(after(now, 25_000));
        terminal.tick(now + IDLE);
        assert_eq!(drain(&mut terminal, now + IDLE), [Shown::Idle]);
        terminal.reconnect(now + IDLE);
        let memory = Memory { ledger: Some(LEDGER), shown: 9, pending: None };
        assert_eq!(sent(&mut terminal), hello(wire, 6, memory, Capabilities::NONE));
    }
}

#[test]
fn without_a_secret_prompt_or_an_idle_time_no_timer_runs() {
    for wire in WIRES {
        let (mut open, now) = at_card(wire, LinkKind::Connection);
        open.answer(Some(7), "1", now).unwrap();
        only(feed(&mut open, &reply(wire, 8, Some(7), CardScreen::DepositPrompt, None), now));
        let (mut endless, _) = at_card(wire, LinkKind::Connection);
        endless.config.idle_timeout = None;
        endless.answer(Some(7), "4111111111111111", now).unwrap();
        only(feed(&mut endless, &reply(wire, 8, Some(7), CardScreen::PinPrompt, None), now));
        for mut terminal in [open, endless] {
            assert_eq!(terminal.deadline(), None);
            terminal.tick(now + Duration::from_secs(1_000_000));
            assert_eq!(terminal.prompt(), Some(Some(8)));
        }
    }
}

/// Rule 12: an answer is retransmitted for a shorter time than idle, and then only its outcome is asked for.
#[test]
fn an_answer_by_card_is_held_for_two_thirds_of_the_idle_time() {
    for wire in WIRES {
        for link in [LinkKind::Connection, LinkKind::Serial] {
            let (mut terminal, now) = at_pin(wire, link);
            terminal.answer(Some(8), PIN, now).unwrap();
            let answer = sent(&mut terminal);
            let mut retransmissions = vec![];
            while let Some(due) = terminal.deadline().filter(|due| *due < now + HELD) {
                terminal.tick(due);
                drain(&mut terminal, due);
                // At one of the deadlines the link counts as down.
                retransmissions.extend(Some(sent(&mut terminal)).filter(|sent| !sent.is_empty()));
            }
            assert_eq!(retransmissions.len() > 5, link == LinkKind::Serial, "only there it is retransmitted");
            assert!(retransmissions.iter().all(|sent| *sent == answer));
            assert!(terminal.answer.is_some());
            terminal.tick(now + HELD);
            assert_eq!(terminal.answer, None, "{wire} {link:?}");
            let memory = Memory { ledger: Some(LEDGER), shown: 8, pending: Some(8) };
            assert_eq!(sent(&mut terminal), hello(wire, 2, memory, Capabilities::NONE));
            // A host that has lost the session may open the same prompt: no answer goes out.
            feed(&mut terminal, &welcome(wire, 8, 2, CardScreen::PinPrompt), now + HELD);
            assert!(sent(&mut terminal).is_empty());
        }
    }
}

#[test]
fn an_answer_that_was_not_sent_in_time_is_never_sent() {
    for (wire, sent_before, is_dropped) in
        [(Wire::Json, 0, true), (Wire::Json, 1, false), (Wire::Postcard, 0, true), (Wire::Postcard, 1, true)]
    {
        let (mut terminal, now) = at_pin(wire, LinkKind::Serial);
        terminal.answer(Some(8), PIN, now).unwrap();
        let answer = terminal.output().to_vec();
        terminal.consume(sent_before);
        terminal.tick(now + HELD);
        let memory = Memory { ledger: Some(LEDGER), shown: 8, pending: Some(8) };
        let hello = hello(wire, 2, memory, Capabilities::NONE);
        let first = if is_dropped { hello } else { answer[sent_before..].to_vec() };
        assert_eq!(terminal.output(), first, "{wire} {sent_before}");
    }
}

#[test]
fn the_end_of_a_session_wipes_the_answer() {
    for wire in WIRES {
        let (mut terminal, now) = at_pin(wire, LinkKind::Connection);
        terminal.answer(Some(8), PIN, now).unwrap();
        sent(&mut terminal);
        feed(&mut terminal, &notice(wire, Notice::TakenOver { start: 1, attempt: 1 }), now);
        assert!(terminal.is_over() && terminal.answer.is_none() && terminal.deadline().is_none());
        assert_eq!(terminal.memory().pending, Some(8), "its outcome is asked for at the next start");
    }
}

#[test]
fn a_terminal_says_that_it_hides_secrets_where_it_is_asked_to() {
    for wire in WIRES {
        let now = Instant::default();
        let offers = Capabilities::SECRET_PROMPTS;
        let refusal = notice(wire, Notice::Fault(Fault::ByCard));
        let mut terminal = TestTerminal::new(
            Config { offers, ..config(wire, LinkKind::Connection, Some("a"), Memory::default()) },
            now,
        );
        assert_eq!(sent(&mut terminal), hello(wire, 1, Memory::default(), Capabilities::NONE));
        assert_eq!(feed(&mut terminal, &refusal, now), []);
        assert_eq!(sent(&mut terminal), hello(wire, 2, Memory::default(), offers));
        let mut welcomed = terminal.clone();
        assert_eq!(feed(&mut terminal, &refusal, now).len(), 1, "once");
        assert!(terminal.is_over());
        only(feed(&mut welcomed, &welcome(wire, 7, 2, CardScreen::CardPrompt), now));
        welcomed.reconnect(now);
        let sent = sent(&mut welcomed);
        assert!(
            sent.len() > hello(wire, 3, welcomed.memory(), Capabilities::NONE).len(),
            "it goes on to say so"
        );
    }
}
