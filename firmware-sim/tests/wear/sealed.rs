//! Bounds on the wear of a kiosk's EEPROM by a peer on a sealed line: without the key it writes no page, and with the key it
//! makes the kiosk store a step as seldom as a commit that moves no money.
use super::part::{Port, WornEeprom};
use atm_core::{
    host::{Config, POSTCARD_IN, POSTCARD_OUT},
    kiosk::{HELLO_COMMIT_INTERVAL, HELLO_COMMITS, Kiosk},
    ledger::{LedgerId, Name, StoredLedger},
    money::Amount,
    seal::{Key, KeyStore, TerminalKey},
    terminal::{self, Event, Memory, Profile, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};
use firmware_sim::sizes::EEPROM;
use std::num::NonZeroU32;

fn name() -> Name {
    "kiosk-7".parse().unwrap()
}

fn first_key() -> TerminalKey {
    TerminalKey::derive(&Key::from([9; 32]), NonZeroU32::MIN, &name())
}

/// A kiosk with its ledger and its key in EEPROM, and the image's loop.
struct Part {
    kiosk: Kiosk<StoredLedger<WornEeprom>, POSTCARD_IN, POSTCARD_OUT>,
    keys: KeyStore<WornEeprom>,
    port: Port,
    now: Instant,
    /// Writes of pages before the first message.
    at_first: (u32, u32),
}

impl Part {
    fn new() -> Self {
        let ledger = StoredLedger::open(WornEeprom::new(EEPROM), || (LedgerId(7), Amount::ZERO)).unwrap();
        let mut keys = KeyStore::new(WornEeprom::new(KeyStore::<WornEeprom>::SIZE)).unwrap();
        assert_eq!(keys.load(), Ok(None));
        keys.save(&name(), &first_key()).unwrap();
        let now = Instant::default();
        let config = Config { sealed_only: true, ..Config::for_serial(Wire::Postcard, 115_200) };
        let mut kiosk = Kiosk::new(config, Some(ledger), now);
        let (terminal, key) = keys.load().unwrap().unwrap();
        kiosk.set_key(terminal, key);
        let mut part = Self { kiosk, keys, port: Port::default(), now, at_first: (0, 0) };
        part.at_first = part.cycles();
        part
    }

    /// The write cycles of the ledger's page that has the most, and of the key's.
    fn cycles(&self) -> (u32, u32) {
        (self.kiosk.ledger().unwrap().storage().most(), self.keys.medium().most())
    }

    /// Carries bytes to the kiosk; returns what it sends.
    fn carry(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.port.incoming.extend(bytes);
        loop {
            let moved = self.kiosk.turn(&mut self.port, self.now).unwrap();
            if let Some((terminal, key)) = self.kiosk.key_to_store() {
                self.keys.save(terminal, key).unwrap();
                self.kiosk.key_stored();
            } else if !moved {
                return std::mem::take(&mut self.port.sent);
            }
        }
    }

    /// A session of a terminal with this key, from its hello to the menu; whether it was served.
    fn serve(&mut self, terminal: &mut Person) -> bool {
        loop {
            let sent = terminal.endpoint.output().to_vec();
            terminal.endpoint.consume(sent.len());
            let received = self.carry(&sent);
            let mut rest = &received[..];
            while !rest.is_empty() {
                rest = &rest[terminal.endpoint.feed(rest, self.now)..];
                while let Some(event) = terminal.endpoint.poll_event(self.now) {
                    if matches!(event, Event::Message(message) if message.prompt) {
                        return true;
                    }
                }
            }
            if received.is_empty() {
                return false;
            }
        }
    }
}

/// A terminal at its start.
struct Person {
    endpoint: Terminal<1024, { terminal::OUT }>,
}

impl Person {
    fn new(key: &TerminalKey, start: u64, now: Instant) -> Self {
        let profile = Profile {
            name: Some(name()),
            key: Some(key.clone()),
            start,
            salt: start,
            memory: Memory::default(),
            ..Profile::default()
        };
        let config = terminal::Config {
            profile: Some(profile),
            retransmit: None,
            ..terminal::Config::for_serial(Wire::Postcard, 115_200)
        };
        Self { endpoint: Terminal::new(config, now) }
    }
}

/// The seconds of a night, in which a peer sends a hello each.
const NIGHT: u32 = 8 * 3600;

#[test]
fn a_night_of_forged_hellos_writes_no_page() {
    let mut part = Part::new();
    assert!(part.serve(&mut Person::new(&first_key(), 1, part.now)));
    let cycles = part.cycles();
    let thief = TerminalKey::derive(&Key::from([8; 32]), NonZeroU32::MIN, &name());
    let frames = part.kiosk.host().counters();
    let mut sent = 0;
    for second in 0..NIGHT {
        part.now = part.now + Duration::from_secs(1);
        let key = thief.forward(second % 12, 12).unwrap();
        let forged = Person::new(&key, u64::from(second) + 2, part.now);
        sent += u32::from(!part.carry(forged.endpoint.output()).is_empty());
    }
    assert_eq!(sent, 1, "no hello is answered; the idle session ends with a notice");
    assert_eq!(part.cycles(), cycles);
    assert_eq!(part.kiosk.host().counters().unauthentic - frames.unauthentic, NIGHT);
    assert!(part.serve(&mut Person::new(&first_key().next().unwrap(), 2, part.now)), "as before");
}

#[test]
fn a_night_of_replayed_hellos_writes_few_pages_and_no_key() {
    let mut part = Part::new();
    let mut recorded = Vec::new();
    for start in 1..4 {
        let key = first_key().forward(start - 1, 3).unwrap();
        let mut terminal = Person::new(&key, start.into(), part.now);
        recorded.push(terminal.endpoint.output().to_vec());
        assert!(part.serve(&mut terminal));
    }
    let (ledger, key) = part.cycles();
    for second in 0..NIGHT {
        part.now = part.now + Duration::from_secs(1);
        part.carry(&recorded[second as usize % 3]);
    }
    let (ledger_after, key_after) = part.cycles();
    assert_eq!(key_after, key);
    let bound = HELLO_COMMITS + NIGHT * 1000 / HELLO_COMMIT_INTERVAL.millis();
    assert!(ledger_after - ledger <= bound, "{ledger} to {ledger_after}");
    // The time of a step, and of a commit for numbers.
    part.now = part.now + HELLO_COMMIT_INTERVAL + HELLO_COMMIT_INTERVAL;
    assert!(part.serve(&mut Person::new(&first_key().forward(3, 3).unwrap(), 4, part.now)));
}

#[test]
fn a_terminal_that_restarts_without_end_makes_the_kiosk_store_few_steps() {
    let mut part = Part::new();
    let (ledger, before) = part.cycles();
    let (mut key, mut served) = (first_key(), 0);
    // Each life is served at once, and steps the key before the next one.
    for start in 1..200 {
        if !part.serve(&mut Person::new(&key, start, part.now)) {
            break;
        }
        (key, served) = (key.next().unwrap(), served + 1);
    }
    let steps = part.keys.medium().most() - before;
    assert!(steps > 4 && steps <= HELLO_COMMITS, "{steps} steps were stored");
    let commits = part.kiosk.ledger().unwrap().storage().most() - ledger;
    assert!(steps + commits <= HELLO_COMMITS, "{steps} and {commits}");
    // Seven steps ahead of the stored key it is served, and eight steps ahead only when the kiosk may store one.
    assert_eq!(served, u64::from(steps) + 8);
    assert!(!part.serve(&mut Person::new(&key, 300, part.now)));
    assert_eq!(part.keys.medium().most(), before + steps);
    for life in 0..3 {
        // The time of a step, and of a commit for numbers.
        part.now = part.now + HELLO_COMMIT_INTERVAL + HELLO_COMMIT_INTERVAL;
        assert!(part.serve(&mut Person::new(&key, 301 + life, part.now)), "{life}");
        key = key.next().unwrap();
    }
    assert_eq!(part.keys.medium().most(), before + steps + 3);
}
