//! A terminal, a host and a ledger of cards on a link without faults, in clear or sealed; every byte of the host is kept.
use atm_core::{
    codec::{json, postcard},
    frame::cobs,
    host::{Config, Event, Host, IN, LinkKind, OUT},
    ledger::{
        AccountNumber, Ledger, LedgerId, Request, SessionId,
        card::{Accounts, Card, CardAccount, CardKeys, CardLedger, CardNumber, KeyId, Limits},
    },
    message::Capabilities,
    money::Amount,
    seal::{Key, TerminalKey},
    terminal::{self, Profile, Terminal},
    time::{Instant, UnixTime},
    wire::Wire,
};

/// Two cards that were issued, the second of which is blocked, and one that was not.
pub(crate) const NUMBERS: [&str; 3] = ["4111111111111111", "5500000000000004", "340000000000009"];
pub(crate) const PINS: [&str; 3] = ["2580", "1379", "8642"];
const START: u64 = 1_790_000_000_000;

/// A link, and whether it is sealed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) wire: Wire,
    pub(crate) sealed: bool,
}

pub(crate) const LINKS: [Link; 3] = [
    Link { wire: Wire::Json, sealed: false },
    Link { wire: Wire::Postcard, sealed: false },
    Link { wire: Wire::Postcard, sealed: true },
];

pub(crate) type SmallLedger = CardLedger<1, 2, 2>;

pub(crate) fn keys() -> CardKeys {
    CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(2), [2; 32].into()), None)
}

pub(crate) fn ledger() -> SmallLedger {
    let units = |units| Amount::from_units(units).unwrap();
    let mut ledger = SmallLedger::new(LedgerId(7), Limits { withdrawal: units(200), day: units(300) });
    for card in 0..2 {
        let account = AccountNumber(7 + card as u32);
        ledger.open_account(CardAccount::new(account, units(100), "Ada Lovelace".parse().unwrap())).unwrap();
        let number: CardNumber = NUMBERS[card].parse().unwrap();
        let claim = keys().claim(&number);
        let proof = keys().proof(&claim, &PINS[card].parse().unwrap());
        let mut row = Card::new(&claim, &proof, number.last_four(), Accounts::new(&[account]).unwrap());
        if card == 1 {
            row.block();
        }
        ledger.issue(row).unwrap();
    }
    ledger
}

pub(crate) struct Counter {
    pub(crate) link: Link,
    pub(crate) ledger: SmallLedger,
    host: Host<IN, OUT>,
    terminal: Terminal<1024, { terminal::OUT }>,
    pub(crate) wall: u64,
    /// Requests are held back.
    pub(crate) holds: Option<Vec<Request>>,
}

impl Counter {
    /// A terminal at the card prompt.
    pub(crate) fn new(link: Link) -> Self {
        let (now, name) = (Instant::default(), "kiosk-1");
        let key = TerminalKey::derive(&Key::from([9; 32]), 1.try_into().unwrap(), &name.parse().unwrap());
        let config = Config { sealed_only: link.sealed, ..Config::new(link.wire, LinkKind::Connection) };
        let mut host = Host::new(config, SessionId::new(1), now);
        host.serve_cards(keys());
        let profile = Profile {
            name: Some(name.parse().unwrap()),
            start: 1,
            capabilities: Capabilities::SECRET_PROMPTS,
            key: link.sealed.then(|| key.clone()),
            ..Profile::default()
        };
        let config = terminal::Config {
            profile: Some(profile),
            ..terminal::Config::new(link.wire, LinkKind::Connection)
        };
        let terminal = Terminal::new(config, now);
        let mut counter = Self { link, ledger: ledger(), host, terminal, wall: START, holds: None };
        counter.exchange(&[], &key);
        counter
    }

    /// Carries bytes and requests until nothing moves, with these to the host first; returns what the host has sent.
    fn exchange(&mut self, injected: &[u8], key: &TerminalKey) -> Vec<u8> {
        let now = Instant::default();
        let (mut sent, mut injected) = (Vec::new(), injected.to_vec());
        self.ledger.set_time(UnixTime::from_millis(self.wall));
        for _ in 0..50 {
            let mut input = std::mem::take(&mut injected);
            input.extend_from_slice(self.terminal.output());
            self.terminal.consume(self.terminal.output().len());
            let taken = self.host.feed(&input, now);
            injected = input.split_off(taken);
            match (self.host.poll_event(), &mut self.holds) {
                (Some(Event::Request(request)), Some(held)) => held.push(request),
                (Some(Event::Request(request)), None) => {
                    let response = self.ledger.apply(&request).unwrap();
                    assert!(self.host.complete(request.ticket, response, now));
                }
                (Some(Event::Hello(_)), _) => self.host.admit_new(now),
                (Some(Event::Key(_)), _) => self.host.provide_key(Some(key), now),
                (Some(Event::Quit), _) => panic!("quit"),
                (None, _) => {}
            }
            let output = self.host.output().to_vec();
            self.host.consume(output.len(), now);
            sent.extend_from_slice(&output);
            let mut rest = &output[..];
            loop {
                let taken = self.terminal.feed(rest, now);
                rest = &rest[taken..];
                while self.terminal.poll_event(now).is_some() {}
                if rest.is_empty() {
                    break;
                }
            }
        }
        assert!(injected.is_empty(), "the host has read everything");
        sent
    }

    fn carry(&mut self, injected: &[u8]) -> Vec<u8> {
        let name = "kiosk-1".parse().unwrap();
        let key = TerminalKey::derive(&Key::from([9; 32]), 1.try_into().unwrap(), &name);
        self.exchange(injected, &key)
    }

    /// The number of the open prompt.
    pub(crate) fn open(&self) -> u64 {
        self.terminal.prompt().flatten().expect("a prompt is open")
    }

    /// The person types at the open prompt; what the host sends.
    pub(crate) fn types(&mut self, text: &str) -> Vec<u8> {
        let prompt = self.open();
        self.terminal.answer(Some(prompt), text, Instant::default()).unwrap();
        self.carry(&[])
    }

    /// An answer reaches the host that the terminal has not sent; what the host sends. In clear.
    pub(crate) fn inject(&mut self, re: u64, text: &str) -> Vec<u8> {
        let mut body = [0; 512];
        let frame = match self.link.wire {
            Wire::Json => {
                let length = json::write_answer(Some(re), text, &mut body).unwrap();
                [&(length as u32).to_be_bytes()[..], &body[..length]].concat()
            }
            _ => {
                let length =
                    cobs::encode(&mut body, |out| postcard::write_answer(Some(re), text, out)).unwrap();
                body[..length].to_vec()
            }
        };
        self.carry(&frame)
    }

    /// The requests that were held back are answered.
    pub(crate) fn release(&mut self) -> Vec<u8> {
        for request in self.holds.take().unwrap_or_default() {
            let response = self.ledger.apply(&request).unwrap();
            assert!(self.host.complete(request.ticket, response, Instant::default()));
        }
        self.carry(&[])
    }
}
