//! Sealed links with access by card: every message of the host has one length, and the terminal knows what to hide.
use crate::world::{LEDGER, body, frames, key, profile};
use atm_core::{
    host::{self, Event, Host, LinkKind},
    ledger::{
        AccountNumber, Ledger, SessionId,
        card::{Accounts, Card, CardAccount, CardKeys, CardLedger, KeyId, Limits},
    },
    message::Capabilities,
    money::Amount,
    seal::{TAG, WIDE_BUCKET},
    terminal::{self, Terminal},
    time::Instant,
    wire::Wire,
};

const NUMBER: &str = "4111111111111111";
const PIN: &str = "2580";

struct Counter {
    host: Host<{ host::POSTCARD_IN }, { host::POSTCARD_OUT }>,
    terminal: Terminal<{ host::POSTCARD_OUT }, { host::POSTCARD_IN }>,
    ledger: CardLedger<1, 1, 2>,
    down: Vec<Vec<u8>>,
    /// The last text, and whether its prompt is secret.
    shown: (String, bool),
}

impl Counter {
    fn new() -> Self {
        let units = |units| Amount::from_units(units).unwrap();
        let keys = CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(1), [2; 32].into()), None);
        let mut ledger = CardLedger::new(LEDGER, Limits { withdrawal: units(200), day: units(300) });
        for (account, owner) in [(7, "Ada Lovelace"), (8, "Bob Bower")] {
            let account = CardAccount::new(AccountNumber(account), units(100), owner.parse().unwrap());
            ledger.open_account(account).unwrap();
        }
        let claim = keys.claim(&NUMBER.parse().unwrap());
        let proof = keys.proof(&claim, &PIN.parse().unwrap());
        ledger
            .issue(Card::new(&claim, &proof, *b"1111", Accounts::new(&[AccountNumber(7)]).unwrap()))
            .unwrap();
        let now = Instant::from_millis(5000);
        let config = host::Config::new(Wire::Postcard, LinkKind::Connection);
        let config = host::Config { sealed_only: true, salt: 3, ..config };
        let mut host = Host::new(config, SessionId::new(1), now);
        host.serve_cards(keys);
        let profile = terminal::Profile { capabilities: Capabilities::SECRET_PROMPTS, ..profile("a", 1, 11) };
        let config = terminal::Config::new(Wire::Postcard, LinkKind::Connection);
        let terminal = Terminal::new(terminal::Config { profile: Some(profile), ..config }, now);
        let mut counter = Self { host, terminal, ledger, down: vec![], shown: Default::default() };
        counter.run();
        counter
    }

    /// Carries everything until nothing moves.
    fn run(&mut self) {
        let now = Instant::from_millis(5000);
        for _ in 0..20 {
            let taken = self.host.feed(self.terminal.output(), now);
            self.terminal.consume(taken);
            while let Some(event) = self.host.poll_event() {
                match event {
                    Event::Request(request) => {
                        let response = self.ledger.apply(&request).unwrap();
                        self.host.complete(request.ticket, response, now);
                    }
                    Event::Hello(_) => self.host.admit_new(now),
                    Event::Key(_) => self.host.provide_key(Some(&key("a", 1)), now),
                    Event::Quit => panic!("nobody stops the host"),
                }
            }
            let sent = self.host.output().to_vec();
            self.host.consume(sent.len(), now);
            self.down.extend(frames(&sent));
            let mut rest = &sent[..];
            while !rest.is_empty() {
                rest = &rest[self.terminal.feed(rest, now)..];
                while let Some(event) = self.terminal.poll_event(now) {
                    if let terminal::Event::Message(message) = event {
                        self.shown = (message.text.to_string(), message.secret);
                    }
                }
            }
            while self.terminal.poll_event(now).is_some() {}
        }
    }

    fn types(&mut self, text: &str) -> &str {
        let prompt = self.terminal.prompt().unwrap();
        self.terminal.answer(prompt, text, Instant::from_millis(5000)).unwrap();
        self.run();
        &self.shown.0
    }
}

#[test]
fn every_message_of_the_host_has_one_length() {
    let mut counter = Counter::new();
    let answers = [
        NUMBER,
        PIN,
        "deposit 12.34",
        "withdraw 5",
        "deposit 1",
        "deposit 2",
        "4",
        "8",
        "1.50",
        "yes",
        "5",
        "exit",
    ];
    for answer in answers {
        counter.types(answer);
    }
    assert!(counter.terminal.is_over());
    let bodies: Vec<_> = counter.down.iter().map(|frame| body(frame)).collect();
    assert_eq!(bodies.len(), answers.len() + 1);
    assert_eq!(bodies[0].len(), 1 + 16 + TAG + WIDE_BUCKET);
    assert!(bodies[1..].iter().all(|body| body.len() == 1 + TAG + WIDE_BUCKET), "{bodies:?}");
}

#[test]
fn a_terminal_hides_a_pin_and_shows_a_statement() {
    let mut counter = Counter::new();
    assert!(!counter.shown.1, "{:?}", counter.shown);
    counter.types(NUMBER);
    assert!(counter.shown.1, "{:?}", counter.shown);
    counter.types(PIN);
    assert!(!counter.shown.1 && counter.shown.0.starts_with("What would you like to do?"));
    assert!(counter.types("withdraw 40").starts_with("Amount withdrawn: $40. Your balance is $60."));
    assert!(counter.types("statement").starts_with("(no date) withdrawal $40, balance $60"));
    // Neither end keeps a digit: as text, or as a list of bytes.
    counter.types("pin");
    counter.types(PIN);
    let debug = format!("{:?} {:?}", counter.host, counter.terminal);
    assert!(!debug.contains(PIN) && !debug.contains("50, 53, 56, 48"));
}
