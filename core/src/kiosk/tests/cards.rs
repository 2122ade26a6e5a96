//! Access by card on the kiosk's loop, with a ledger that is in doubt while a test sets it so.
use super::*;
use crate::{
    ledger::{
        AccountNumber,
        card::{Accounts, Card, CardAccount, CardKeys, CardLedger, KeyId, Limits},
    },
    message::{Capabilities, EXTENDED},
};

const NUMBER: &str = "4111111111111111";
const PIN: &str = "2580";
const IDLE: Duration = Duration::from_secs(30);

struct FailingCards {
    ledger: CardLedger<1, 1, 1>,
    fails: bool,
}

impl Ledger for FailingCards {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        if self.fails { Err(InDoubt) } else { self.ledger.apply(request) }
    }
}

/// A kiosk with a card, its port, and the time.
struct Counter {
    kiosk: Kiosk<FailingCards, IN, OUT>,
    port: Port,
    now: Instant,
    /// The number of the open prompt.
    open: u64,
}

impl Counter {
    /// At the prompt for a card's number.
    fn new() -> Self {
        let keys = CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(1), [2; 32].into()), None);
        let mut ledger = CardLedger::new(LedgerId(7), Limits { withdrawal: units(200), day: units(300) });
        let account = AccountNumber(7);
        ledger.open_account(CardAccount::new(account, units(100), "Ada Lovelace".parse().unwrap())).unwrap();
        let claim = keys.claim(&NUMBER.parse().unwrap());
        let proof = keys.proof(&claim, &PIN.parse().unwrap());
        ledger.issue(Card::new(&claim, &proof, *b"1111", Accounts::new(&[account]).unwrap())).unwrap();
        let config = Config { idle_timeout: IDLE, ..Config::new(Wire::Json, LinkKind::Serial) };
        let mut kiosk = Kiosk::new(config, Some(FailingCards { ledger, fails: false }), NOW);
        kiosk.serve_cards(keys);
        let port = Port { takes: usize::MAX, ..Port::default() };
        let mut counter = Self { kiosk, port, now: NOW, open: 0 };
        let sent = counter.hello(1);
        assert!(sent.contains("the number of your card"), "{sent}");
        counter
    }

    fn turns(&mut self) -> String {
        while self.kiosk.turn(&mut self.port, self.now).unwrap_or(false) {}
        let sent = String::from_utf8_lossy(&std::mem::take(&mut self.port.sent)).to_string();
        if let Some((_, rest)) = sent.rsplit_once(r#""seq":"#) {
            let digits = rest.split(|other: char| !other.is_ascii_digit()).next();
            self.open = digits.unwrap().parse().unwrap();
        }
        sent
    }

    fn hello(&mut self, attempt: u32) -> String {
        let mut out = Outbox::<512>::new(Wire::Json);
        out.hello(&Hello {
            version: EXTENDED,
            capabilities: Capabilities::SECRET_PROMPTS,
            terminal: Some("a".parse().unwrap()),
            start: 1,
            attempt,
            ..Hello::EMPTY
        })
        .unwrap();
        self.port.incoming = out.output().to_vec();
        self.turns()
    }

    fn types(&mut self, text: &str) -> String {
        self.port.incoming = answer(self.open, text);
        self.turns()
    }

    /// At the menu.
    fn verified() -> Self {
        let mut counter = Self::new();
        let sent = counter.types(NUMBER);
        assert!(sent.contains(r#""secret":true"#), "{sent}");
        let sent = counter.types(PIN);
        assert!(sent.contains("What would you like to do?"), "{sent}");
        counter
    }

    fn balance(&self) -> u64 {
        self.kiosk.ledger().unwrap().ledger.total()
    }
}

#[test]
fn a_card_withdraws_over_the_port() {
    let mut counter = Counter::verified();
    let sent = counter.types("withdraw 40");
    assert!(
        sent.contains(r#""outcome":"done","operation":"withdrawal","amount":4000,"balance":6000"#),
        "{sent}"
    );
    assert_eq!(counter.balance(), 6000);
}

#[test]
fn a_session_ends_at_the_end_of_its_idle_time_whatever_is_sent_again() {
    let mut counter = Counter::verified();
    let open = counter.open;
    let end = counter.now + IDLE;
    assert_eq!(counter.kiosk.deadline(), Some(end));
    // A duplicate of the PIN, and noise, a millisecond before the end.
    counter.now = Instant::from_millis(end.millis() - 1);
    counter.port.incoming = answer(open - 1, "0000");
    let sent = counter.turns();
    assert!(sent.contains("What would you like to do?"), "the reply again: {sent}");
    assert_eq!(counter.kiosk.deadline(), Some(end));
    counter.now = end;
    let sent = counter.turns();
    assert!(sent.contains(r#""notice":"idle""#), "{sent}");
    counter.open = open;
    let sent = counter.types("withdraw 40");
    assert!(sent.contains(r#""notice":"who""#), "{sent}");
    assert_eq!(counter.balance(), 10_000);
    let sent = counter.hello(2);
    assert!(sent.contains("the number of your card"), "{sent}");
}

#[test]
fn a_withdrawal_in_doubt_is_done_once() {
    let mut counter = Counter::verified();
    counter.kiosk.ledger_mut().unwrap().fails = true;
    assert_eq!(counter.types("withdraw 40"), "", "no outcome before the ledger is sure");
    counter.kiosk.ledger_mut().unwrap().fails = false;
    counter.now = counter.now + RETRY_AFTER;
    let sent = counter.turns();
    assert!(sent.contains(r#""outcome":"done""#), "{sent}");
    assert_eq!(counter.balance(), 6000);
}

#[test]
fn wrong_pins_block_a_card() {
    let mut counter = Counter::new();
    for attempt in 1..=3 {
        let _ = counter.types(NUMBER);
        let sent = counter.types("0000");
        assert!(sent.contains(r#""outcome":"refused""#), "{attempt}: {sent}");
    }
    let _ = counter.types(NUMBER);
    let sent = counter.types(PIN);
    assert!(sent.contains(r#""outcome":"refused""#), "the right PIN, too late: {sent}");
}
