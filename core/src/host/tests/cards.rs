//! Access by card: who is served, what a secret prompt answers, and what the next person learns.
use super::*;
use crate::{
    ledger::{
        AccountNumber, Refusal,
        card::{Accounts, Card, CardAccount, CardKeys, CardLedger, CardNumber, KeyId, LONGEST_DELAY, Limits},
    },
    message::{Capabilities, EXTENDED},
    time::UnixTime,
};
use std::format;

const NUMBERS: [&str; 2] = ["4111111111111111", "5500000000000004"];
const PINS: [&str; 2] = ["2580", "1379"];
const START: u64 = 1_790_000_000_000;

fn keys() -> CardKeys {
    CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(1), [2; 32].into()), None)
}

/// A host with access by card, its ledger, and a link that a test may cut.
struct Counter {
    wire: Wire,
    host: Host<IN, OUT>,
    ledger: CardLedger<2, 2, 2>,
    /// Requests are held back.
    holds: bool,
    held: Vec<Request>,
    parked: Option<Conversation>,
    links: u64,
}

impl Counter {
    fn new(wire: Wire) -> Self {
        let mut ledger = CardLedger::new(LEDGER, Limits { withdrawal: units(200), day: units(300) });
        for (card, owner) in ["Ada Lovelace", "Bob Bower"].into_iter().enumerate() {
            let account = AccountNumber(7 + card as u32);
            ledger.open_account(CardAccount::new(account, units(100), owner.parse().unwrap())).unwrap();
            let number: CardNumber = NUMBERS[card].parse().unwrap();
            let claim = keys().claim(&number);
            let proof = keys().proof(&claim, &PINS[card].parse().unwrap());
            let accounts = Accounts::new(&[account]).unwrap();
            ledger.issue(Card::new(&claim, &proof, number.last_four(), accounts)).unwrap();
        }
        ledger.set_time(UnixTime::from_millis(START));
        let host = Self::host(wire, 1);
        Self { wire, host, ledger, holds: false, held: vec![], parked: None, links: 1 }
    }

    fn host(wire: Wire, link: u64) -> Host<IN, OUT> {
        let config = Config::new(wire, LinkKind::Connection);
        let mut host = Host::new(config, SessionId::new(link), Instant::default());
        host.serve_cards(keys());
        host
    }

    fn send(&mut self, bytes: &[u8]) -> Vec<DecodedMessage> {
        let (now, mut fed, mut sent) = (Instant::default(), 0, vec![]);
        for _ in 0..50 {
            while let Some(event) = self.host.poll_event() {
                match event {
                    Event::Request(request) if self.holds => self.held.push(request),
                    Event::Request(request) => {
                        let response = self.ledger.apply(&request).unwrap();
                        assert!(self.host.complete(request.ticket, response, now));
                    }
                    Event::Hello(_) => self.host.admit(self.parked.take(), now),
                    other => panic!("{other:?}"),
                }
            }
            sent.extend_from_slice(self.host.output());
            self.host.consume(self.host.output().len(), now);
            fed += self.host.feed(&bytes[fed..], now);
        }
        decode(self.wire, &sent)
    }

    fn hello(&mut self, hello: &Hello) -> Vec<DecodedMessage> {
        let bytes = frame(self.wire, |out| out.hello(hello));
        self.send(&bytes)
    }

    fn answer(&mut self, re: u64, text: &str) -> DecodedMessage {
        let bytes = answer(self.wire, re, text);
        only(self.send(&bytes))
    }

    /// Answers one prompt after the other; the last message.
    fn answers(&mut self, mut open: u64, texts: &[&str]) -> DecodedMessage {
        let mut last = None;
        for text in texts {
            let message = self.answer(open, text);
            open = message.seq.unwrap();
            last = Some(message);
        }
        last.unwrap()
    }

    /// A terminal at the card prompt, the number of which is returned.
    fn at_card(wire: Wire) -> (Self, u64) {
        let mut counter = Self::new(wire);
        let welcome = only(counter.hello(&able(hello("a", 1, 1))));
        (counter, welcome.seq.unwrap())
    }

    /// At the menu with a card.
    fn at_menu(wire: Wire, card: usize) -> (Self, u64) {
        let (mut counter, open) = Self::at_card(wire);
        let menu = counter.answers(open, &[NUMBERS[card], PINS[card]]);
        assert!(menu.text.starts_with("What would you like to do?"), "{menu:?}");
        (counter, menu.seq.unwrap())
    }

    /// The link is lost, and its conversation is parked or lost too.
    fn cut(&mut self, parks: bool) {
        self.links += 1;
        self.parked = self.host.park().filter(|_| parks);
        self.host = Self::host(self.wire, self.links);
    }

    fn card(&self, card: usize) -> &Card {
        let token = keys().claim(&NUMBERS[card].parse().unwrap()).newest();
        self.ledger.card(token).unwrap()
    }
}

/// The hello of a terminal that hides what is typed at a secret prompt.
fn able(hello: Hello) -> Hello {
    Hello { version: EXTENDED, capabilities: Capabilities::SECRET_PROMPTS, ..hello }
}

const WIRES: [Wire; 2] = [Wire::Json, Wire::Postcard];

#[test]
fn only_named_terminals_that_hide_secrets_are_served() {
    for wire in WIRES {
        let mut counter = Counter::new(wire);
        assert_eq!(counter.send(&[]), [], "there is no greeting");
        assert_eq!(counter.answer(1, "3").notice, Some(Notice::Who));
        for refused in [
            hello("a", 1, 1),
            hello("", 1, 1),
            Hello { version: EXTENDED, ..hello("a", 1, 1) },
            Hello { capabilities: Capabilities::DISPENSER, ..able(hello("a", 1, 1)) },
            able(hello("", 1, 1)),
        ] {
            let reply = only(counter.hello(&refused));
            assert_eq!(reply.notice, Some(Notice::Fault(Fault::ByCard)));
            assert_eq!(reply.text, Fault::ByCard.text());
        }
        let welcome = only(counter.hello(&able(hello("a", 1, 1))));
        assert!(welcome.prompt && welcome.text.ends_with("the number of your card. (exit ends the session)"));
    }
}

#[test]
fn a_card_and_a_pin_lead_to_the_menu_and_money_moves() {
    for wire in WIRES {
        let (mut counter, menu) = Counter::at_menu(wire, 0);
        let done = counter.answer(menu, "withdraw 40");
        assert_eq!(
            done.outcome,
            Some(Outcome::Done(Receipt::Withdrawn { amount: units(40), balance: units(60) }))
        );
        let confirm = counter.answers(done.seq.unwrap(), &["4", "8", "12.34"]);
        assert_eq!(confirm.text, "Transfer $12.34 to account 8 of B*** B***? (yes, or back)");
        let done = counter.answer(confirm.seq.unwrap(), "yes");
        assert!(done.text.starts_with("Amount transferred: $12.34 to account 8. Your balance is $47.66."));
        let statement = counter.answer(done.seq.unwrap(), "5").text;
        let lines: Vec<_> = statement.split("\n\n").take(2).collect();
        assert_eq!(
            lines,
            ["2026-09-21 withdrawal $40, balance $60", "2026-09-21 transfer out $12.34, balance $47.66"]
        );
        assert_eq!(counter.ledger.total(), units(160).minor());
    }
}

#[test]
fn any_answer_to_the_last_secret_prompt_gets_its_reply_again_and_is_not_judged() {
    for wire in WIRES {
        let (mut counter, card) = Counter::at_card(wire);
        let pin = counter.answer(card, NUMBERS[0]).seq.unwrap();
        counter.holds = true;
        let bytes = answer(wire, pin, "1111");
        assert_eq!(counter.send(&bytes), []);
        for text in ["1111", PINS[0], "x", ""] {
            assert_eq!(counter.answer(pin, text).notice, Some(Notice::Working { re: Some(pin) }), "{text}");
        }
        counter.holds = false;
        let request = counter.held.pop().unwrap();
        let response = counter.ledger.apply(&request).unwrap();
        counter.host.complete(request.ticket, response, Instant::default());
        let refused = only(counter.send(&[]));
        assert_eq!((refused.re, refused.outcome), (Some(pin), Some(Outcome::Refused(Refusal::NotVerified))));
        for text in ["1111", PINS[0], "x", ""] {
            assert_eq!(counter.answer(pin, text), refused, "{text}");
        }
        assert_eq!((counter.card(0).tries, counter.card(0).refusals), (1, 1));
        // An answer to another prompt is compared.
        let (mut counter, menu) = Counter::at_menu(wire, 0);
        counter.answer(menu, "deposit 1");
        let fault = |messages: Vec<DecodedMessage>| messages[0].notice;
        let bytes = answer(wire, menu, "deposit 2");
        assert_eq!(fault(counter.send(&bytes)), Some(Notice::Fault(Fault::Conflict)));
    }
}

#[test]
fn a_blocked_card_loses_its_session() {
    let (mut counter, menu) = Counter::at_menu(Wire::Json, 0);
    let token = counter.card(0).token;
    counter.ledger.card_mut(token).unwrap().block();
    let over = counter.answer(menu, "withdraw 40");
    assert_eq!(over.outcome, Some(Outcome::Refused(Refusal::NoAccess)));
    assert!(over.text.contains("Please type the number of your card."), "{over:?}");
    assert_eq!(counter.ledger.total(), units(200).minor());
}

/// The reply to a withdrawal is lost, and the terminal starts again.
#[test]
fn the_next_person_learns_no_amount_and_the_same_card_learns_all() {
    for wire in WIRES {
        for card in [0, 1] {
            let (mut counter, menu) = Counter::at_menu(wire, 0);
            counter.answer(menu, "withdraw 40");
            counter.cut(false);
            let hello = Hello { ledger: Some(LEDGER), shown: menu, pending: Some(menu), ..hello("a", 2, 1) };
            let brief = only(counter.hello(&able(hello)));
            assert_eq!((brief.re, brief.outcome), (Some(menu), None));
            assert!(brief.text.starts_with("An earlier request at this terminal was done."), "{brief:?}");
            assert!(!brief.text.contains('$'), "{brief:?}");
            let menu = counter.answers(brief.seq.unwrap(), &[NUMBERS[card], PINS[card]]);
            let in_full = "About your earlier request:\n\nAmount withdrawn: $40. Your balance is $60.\n\n";
            assert_eq!(menu.text.starts_with(in_full), card == 0, "{menu:?}");
            assert_eq!((menu.text.contains('$'), menu.outcome), (card == 0, None), "{menu:?}");
        }
    }
}

/// The reply to a verification is lost, and the terminal starts again.
#[test]
fn an_outcome_learned_through_a_hello_opens_no_session() {
    let (mut counter, card) = Counter::at_card(Wire::Json);
    let pin = counter.answer(card, NUMBERS[0]).seq.unwrap();
    counter.answer(pin, PINS[0]);
    counter.cut(false);
    let hello = Hello { ledger: Some(LEDGER), shown: pin, pending: Some(pin), ..hello("a", 2, 1) };
    let first = only(counter.hello(&able(hello)));
    assert!(first.text.starts_with("Welcome to the ATM. Please type the number of your card."), "{first:?}");
    assert_eq!((first.re, first.outcome), (Some(pin), None));
}

#[test]
fn a_session_is_resumed_and_a_change_of_pin_begins_anew() {
    let (mut counter, menu) = Counter::at_menu(Wire::Json, 0);
    let new = counter.answers(menu, &["6", PINS[0]]).seq.unwrap();
    counter.cut(true);
    let resumed = Hello { ledger: Some(LEDGER), shown: new, resume: true, ..hello("a", 1, 2) };
    let again = only(counter.hello(&able(resumed)));
    assert_eq!(again.seq, Some(new));
    let old = counter.answer(new, "8642");
    assert!(old.text.starts_with("The connection was lost: please begin again."), "{old:?}");
    let changed = counter.answers(old.seq.unwrap(), &[PINS[0], "8642", "8642"]);
    assert!(changed.text.starts_with("Your PIN is changed."), "{changed:?}");
    // The session goes on.
    assert!(counter.answer(changed.seq.unwrap(), "3").text.starts_with("Your balance is $100."));
}

#[test]
fn only_prompts_for_a_pin_are_marked_as_secret() {
    let (mut counter, card) = Counter::at_card(Wire::Json);
    let mut raw = |re, text: &str| {
        let mut sent = vec![];
        counter.host.feed(&answer(Wire::Json, re, text), Instant::default());
        while let Some(event) = counter.host.poll_event() {
            let Event::Request(request) = event else { panic!("{event:?}") };
            let response = counter.ledger.apply(&request).unwrap();
            counter.host.complete(request.ticket, response, Instant::default());
        }
        sent.extend_from_slice(counter.host.output());
        counter.host.consume(sent.len(), Instant::default());
        (String::from_utf8_lossy(&sent).into_owned(), last_seq(&counter.host))
    };
    let (text, pin) = raw(card, NUMBERS[0]);
    assert!(
        text.ends_with(r#""input":true,"data":"Please type your PIN. (or back)","secret":true}"#),
        "{text}"
    );
    let (text, menu) = raw(pin, PINS[0]);
    assert!(!text.contains("secret"), "{text}");
    let (text, _) = raw(menu, "pin");
    assert!(text.contains(r#","secret":true"#), "{text}");
}

#[test]
fn a_host_keeps_no_digit_of_a_number_or_a_pin() {
    for wire in WIRES {
        let (mut counter, menu) = Counter::at_menu(wire, 0);
        let old = counter.answer(menu, "6").seq.unwrap();
        let new = counter.answer(old, PINS[0]).seq.unwrap();
        counter.answer(new, "864297");
        let shown = format!("{:?} {:?}", counter.host, counter.ledger);
        // As text, and as a list of the bytes.
        for secret in ["2580", "864297", "4111", "50, 53, 56, 48", "56, 54, 52, 50", "52, 49, 49, 49"] {
            assert!(!shown.contains(secret), "{wire}: {secret}");
        }
    }
}

#[test]
fn refused_pins_delay_the_terminal_and_block_the_card() {
    let (mut counter, card) = Counter::at_card(Wire::Json);
    let mut open = counter.answer(card, NUMBERS[0]).seq.unwrap();
    for tries in 1..=3 {
        let refused = counter.answer(open, "1111");
        assert!(refused.text.starts_with("The card and the PIN were not accepted."), "{refused:?}");
        let delayed = counter.answer(refused.seq.unwrap(), PINS[0]);
        assert!(delayed.text.contains("please try again in "), "{delayed:?}");
        assert_eq!((counter.card(0).tries, counter.card(0).is_blocked), (tries, tries == 3));
        open = delayed.seq.unwrap();
        counter.ledger.set_time(UnixTime::from_millis(START + u64::from(tries) * LONGEST_DELAY));
    }
    let refused = counter.answer(open, PINS[0]);
    assert!(refused.text.starts_with("The card and the PIN were not accepted."), "{refused:?}");
}
