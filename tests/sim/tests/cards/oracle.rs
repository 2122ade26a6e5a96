//! No oracle: a wrong PIN, an unknown card and a blocked card have the same replies, lengths on a sealed link and rows that are
//! written, and so have two answers to a secret prompt.
use crate::counter::{Counter, LINKS, NUMBERS, PINS, keys, ledger};
use atm_core::{
    ledger::{
        Account, AccountNumber, Changes, Command, Decision, LedgerId, Origin, Outcome, Refusal, Request,
        Response, Rows, Terminal, Ticket,
        card::{Card, CardRequest, CardRows, Delay, LONGEST_DELAY, Limits, Pin},
        decide,
    },
    money::Amount,
    time::UnixTime,
};
use proptest::prelude::*;

/// A wrong PIN of the first card, the right one of the blocked card, and any of no card.
const REFUSED: [(usize, &str); 3] = [(0, "8642"), (1, PINS[1]), (2, PINS[2])];

#[test]
fn a_wrong_pin_an_unknown_and_a_blocked_card_get_the_same_bytes() {
    for link in LINKS {
        let sent = REFUSED.map(|(card, pin)| {
            let mut counter = Counter::new(link);
            let mut sent = vec![counter.types(NUMBERS[card])];
            for _ in 0..5 {
                // Judged, then delayed.
                sent.push(counter.types(pin));
                sent.push(counter.types(pin));
                counter.wall += LONGEST_DELAY;
            }
            sent.push(counter.types("back"));
            sent
        });
        assert_eq!(sent[0], sent[1], "{link:?}: a blocked card");
        assert_eq!(sent[0], sent[2], "{link:?}: an unknown card");
    }
}

#[test]
fn on_a_sealed_link_a_right_pin_has_the_length_of_a_wrong_one() {
    let link = LINKS[2];
    let lengths = |pin: &str| {
        let mut counter = Counter::new(link);
        [counter.types(NUMBERS[0]).len(), counter.types(pin).len()]
    };
    assert!(link.sealed);
    assert_eq!(lengths(PINS[0]), lengths("8642"));
}

/// The rows of a refused verification of a card, with so many wrong PINs and refusals before it.
fn refuse(
    card: usize,
    pin: &str,
    (tries, refusals): (u8, u64),
    delay: Delay,
    now: Option<UnixTime>,
) -> Decision {
    let ledger = ledger();
    let claim = keys().claim(&NUMBERS[card].parse().unwrap());
    let proof = keys().proof(&claim, &pin.parse().unwrap());
    let mut row = ledger.card(claim.newest()).copied().unwrap_or(Card::DECOY);
    row.refusals = refusals;
    if !row.is_blocked {
        row.tries = tries;
    }
    let account = Account { number: AccountNumber::OPEN, balance: Amount::ZERO, version: 0 };
    let terminal = Terminal { turn: 1, next_number: 257, delay, ..Terminal::NEW };
    let limits = Limits { withdrawal: Amount::ZERO, day: Amount::ZERO };
    let cards = CardRows { card: &row, account: None, payee: None, limits };
    let rows = Rows { cards: Some(cards), ..Rows::open(LedgerId(7), &account, Some(&terminal), true) };
    let command = Command::Card { id: 9, request: CardRequest::Verify { claim, proof } };
    let origin = Origin::Terminal("kiosk-1".parse().unwrap());
    let decision = decide(&Request { ticket: Ticket::default(), origin, turn: 1, command }, &rows, now);
    // The row is another one, and differs from what it was.
    assert!(decision.changes.card.is_none_or(|changed| changed.token == row.token && changed != row));
    decision
}

/// A decision without what is of its card.
fn without_card(mut decision: Decision) -> (Response, Changes, bool) {
    decision.changes.card = decision.changes.card.map(|_| Card::DECOY);
    if let Some(last) = decision.changes.terminal.as_mut().and_then(|terminal| terminal.last.as_mut()) {
        last.card = None;
    }
    let has_entry = decision.entry.take().is_some_and(|entry| entry.movement.is_none());
    (decision.response, decision.changes, has_entry)
}

fn a_pin() -> impl Strategy<Value = String> {
    "[0-9]{4,12}"
        .prop_filter("it is chosen", |text| Pin::chosen(text).is_ok() && !PINS.contains(&text.as_str()))
}

proptest! {
    #[test]
    fn the_same_rows_are_written(
        pin in a_pin(),
        before in (0u8..3, 0u64..9),
        until in 0u64..100_000,
        length in prop::sample::select(vec![0, 1_000, 8_000, 60_000]),
        now in prop::option::of(0u64..200_000),
    ) {
        let delay = Delay { until: UnixTime::from_millis(until), length };
        let now = now.map(UnixTime::from_millis);
        let wrong = refuse(0, &pin, before, delay, now);
        let is_delayed = matches!(wrong.response, Response::Settled { outcome: Outcome::Refused(Refusal::Delayed { .. }), .. });
        prop_assert_eq!(wrong.changes.card.is_some(), !is_delayed);
        prop_assert!(wrong.changes.terminal.is_some() && wrong.entry.is_some());
        for (card, pin) in [(1, pin.as_str()), (1, PINS[1]), (2, pin.as_str())] {
            let other = refuse(card, pin, before, delay, now);
            prop_assert_eq!(without_card(other), without_card(wrong), "card {}", card);
        }
    }

    /// A duplicate, a conflict and a guess are one and the same, while the answer is judged and after it.
    #[test]
    fn another_answer_to_a_secret_prompt_tells_nothing(
        typed in a_pin(),
        guess in prop_oneof![Just(PINS[0].to_owned()), "[0-9]{0,14}", "[a-z]{0,8}"],
        is_right: bool,
        link in prop::sample::select(LINKS[..2].to_vec()),
    ) {
        let mut counter = Counter::new(link);
        counter.types(NUMBERS[0]);
        let (prompt, text) = (counter.open(), if is_right { PINS[0] } else { typed.as_str() });
        counter.holds = Some(Vec::new());
        counter.types(text);
        prop_assert_eq!(counter.inject(prompt, &guess), counter.inject(prompt, text), "while it is judged");
        let reply = counter.release();
        let rows = counter.ledger.clone();
        prop_assert_eq!(counter.inject(prompt, &guess), reply, "after it");
        prop_assert!(rows == counter.ledger, "nothing is judged again");
    }

    #[test]
    fn another_answer_at_a_change_of_pin_tells_nothing(
        new in a_pin(),
        guess in prop_oneof![Just(PINS[0].to_owned()), a_pin(), "[a-z]{0,8}"],
        wrong_old: bool,
        link in prop::sample::select(LINKS[..2].to_vec()),
    ) {
        let mut counter = Counter::new(link);
        counter.types(NUMBERS[0]);
        counter.types(PINS[0]);
        counter.types("6");
        let old = if wrong_old { PINS[2] } else { PINS[0] };
        for text in [old, new.as_str(), new.as_str()] {
            let prompt = counter.open();
            let reply = counter.types(text);
            let rows = counter.ledger.clone();
            prop_assert_eq!(counter.inject(prompt, &guess), reply);
            prop_assert!(rows == counter.ledger);
        }
    }
}
