//! Bounds on what the peer on the line costs: wear of the kiosk's EEPROM by one that moves no money, as README.md states it; wear of a
//! terminal's by a host that asks for hellos, and what a host makes it print.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use atm_core::{
    host::{Config, IN, OUT},
    kiosk::{HELLO_COMMIT_INTERVAL, HELLO_COMMITS},
    ledger::{Ledger, LedgerId, StoredLedger},
    money::Amount,
    terminal::{self, Profile},
    time::{Duration, Instant},
    wire::Wire,
};
use firmware_sim::{Kiosk, console_terminal::ConsoleTerminal, sizes::EEPROM};

mod part;
mod sealed;
use part::{Port, WornEeprom};

/// The write cycles that a page endures (Microchip DS20001754, "Endurance").
const CYCLES: u32 = 1_000_000;

/// A message with its length.
fn frame(json: &str) -> Vec<u8> {
    [&u32::try_from(json.len()).unwrap().to_be_bytes(), json.as_bytes()].concat()
}

/// A peer on a new kiosk's line.
struct Peer {
    kiosk: Kiosk<StoredLedger<WornEeprom>, IN, OUT>,
    port: Port,
    now: Instant,
    /// Counts the hellos.
    attempt: u32,
    /// The number of the last reply.
    seq: u64,
}

impl Peer {
    fn new() -> Self {
        let eeprom = WornEeprom::new(EEPROM);
        let ledger = StoredLedger::open(eeprom, || (LedgerId(7), Amount::ZERO)).unwrap();
        let now = Instant::default();
        let config = Config::for_serial(Wire::Json, 115_200);
        Self { kiosk: Kiosk::new(config, Some(ledger), now), port: Port::default(), now, attempt: 0, seq: 0 }
    }

    /// Sends a message and returns the replies.
    fn send(&mut self, json: &str) -> String {
        self.port.incoming.extend(frame(json));
        self.wait(Duration::ZERO)
    }

    /// Lets time pass.
    fn wait(&mut self, span: Duration) -> String {
        self.now = self.now + span;
        while self.kiosk.turn(&mut self.port, self.now).unwrap() {}
        let sent = String::from_utf8_lossy(&std::mem::take(&mut self.port.sent)).into_owned();
        if let Some((_, rest)) = sent.rsplit_once(r#""seq":"#) {
            let digits = rest.split(|other: char| !other.is_ascii_digit()).next();
            self.seq = digits.unwrap().parse().unwrap();
        }
        sent
    }

    /// A new hello with more fields.
    fn hello(&mut self, terminal: &str, fields: &str) -> String {
        self.attempt += 1;
        let attempt = self.attempt;
        self.send(&format!(
            r#"{{"hello":1,"terminal":"{terminal}","start":1,"attempt":{attempt},"ledger":"0000000000000007"{fields}}}"#
        ))
    }

    fn answer(&mut self, text: &str) -> String {
        self.send(&format!(r#"{{"re":{},"data":"{text}"}}"#, self.seq))
    }

    fn commits(&self) -> u64 {
        self.kiosk.ledger().map_or(0, Ledger::commits)
    }

    /// The write cycles of the page that has the most.
    fn cycles(&self) -> u32 {
        let eeprom = self.kiosk.ledger().unwrap().storage();
        eeprom.cycles.iter().copied().max().unwrap()
    }
}

#[test]
fn hellos_cost_a_commit_in_129_and_refusals_none() {
    let mut peer = Peer::new();
    let new = peer.commits();
    for _ in 0..1_600 {
        let sent = peer.hello("kiosk-7", "");
        assert!(sent.contains("Welcome to the ATM."), "hello {}: {sent}", peer.attempt);
    }
    assert_eq!(peer.commits() - new, 13);
    let before = peer.commits();
    for _ in 0..50 {
        let sent = peer.answer("withdraw 9999");
        assert!(sent.contains(r#""outcome":"refused""#), "{sent}");
    }
    assert_eq!(peer.commits(), before, "the numbers that it takes are reserved");
}

/// What a peer sends over and over, to cost the kiosk commits and to move no money.
type Attack = fn(&mut Peer, u32);

const ATTACKS: [(&str, Attack); 6] = [
    ("hellos", |peer, _| {
        peer.hello("a", "");
    }),
    ("answers that are refused", |peer, round| {
        if round == 0 {
            peer.hello("a", "");
        }
        for _ in 0..10 {
            peer.answer("withdraw 9999");
        }
    }),
    ("hellos that ask for an outcome that is not known, and so void it", |peer, _| {
        let pending = peer.seq;
        peer.hello("a", &format!(r#","shown":{pending},"pending":{pending}"#));
    }),
    ("two names, so that each makes the kiosk forget the other's refusal", |peer, round| {
        let name = if round % 2 == 0 { "a" } else { "b" };
        peer.hello(name, "");
        peer.answer("withdraw 9999");
    }),
    ("many names", |peer, round| {
        peer.hello(&format!("name-{}", round % 40), "");
        peer.answer("withdraw 9999");
    }),
    ("two names that prove over and over that the ledger was set back", |peer, round| {
        let name = if round % 2 == 0 { "a" } else { "b" };
        let shown = peer.seq + 100_000;
        peer.hello(name, &format!(r#","shown":{shown}"#));
    }),
];

/// Write cycles of a page that a day allows.
const OF_A_DAY: u32 = HELLO_COMMITS + 86_400_000 / HELLO_COMMIT_INTERVAL.millis();
/// That of a new ledger.
const ONCE: u32 = 1;

#[test]
fn a_peer_that_moves_no_money_wears_a_page_by_few_cycles_a_day() {
    for (name, attack) in ATTACKS {
        let mut peer = Peer::new();
        for round in 0..86_400 / 20 {
            attack(&mut peer, round);
            peer.wait(Duration::from_secs(20));
        }
        assert!(peer.cycles() <= OF_A_DAY + ONCE, "{name}: {} cycles", peer.cycles());
        // Another terminal is served as soon as a commit is allowed again.
        peer.wait(HELLO_COMMIT_INTERVAL);
        let sent = peer.hello("kiosk-7", "");
        assert!(sent.contains("Welcome to the ATM."), "{name}: {sent}");
    }
}

#[test]
fn the_bound_holds_against_a_peer_that_would_cost_more() {
    let mut peer = Peer::new();
    let new = peer.commits();
    for round in 0..u32::from(u8::MAX) {
        ATTACKS[5].1(&mut peer, round);
    }
    assert_eq!(peer.commits() - new, HELLO_COMMITS.into(), "at once");
    for hour in 1..=5 {
        for round in 0..3600 {
            peer.wait(Duration::from_secs(1));
            ATTACKS[5].1(&mut peer, round);
        }
        assert_eq!(peer.commits() - new, (HELLO_COMMITS + 6 * hour).into(), "after {hour} hours");
    }
}

/// A peer whose last hello has cost the last commit: 128 blocks of 16 numbers are left.
fn spent() -> Peer {
    let mut peer = Peer::new();
    for _ in 0..=(HELLO_COMMITS - 1) * 129 {
        assert!(peer.hello("kiosk-7", "").contains("Welcome to the ATM."), "hello {}", peer.attempt);
    }
    peer
}

const BUSY: &str = r#""notice":"busy""#;

#[test]
fn a_hello_beyond_the_bound_gets_busy_and_one_without_a_name_is_served() {
    let mut peer = spent();
    let far = format!(r#","shown":{}"#, peer.seq + 100_000);
    assert!(peer.hello("b", &far).contains(BUSY), "it proves a set-back, which costs a commit");
    for terminal in ["b", "kiosk-7"].repeat(64) {
        assert!(peer.hello(terminal, "").contains("Welcome to the ATM."), "its numbers are reserved");
    }
    let unnamed = r#"{"hello":1,"start":1,"attempt":1}"#;
    for _ in 0..2 {
        for terminal in ["kiosk-7", "b"] {
            let sent = peer.hello(terminal, "");
            assert!(sent.contains(BUSY), "{sent}");
            // Its duplicate, as a terminal retransmits it.
            peer.attempt -= 1;
            let sent = peer.hello(terminal, "");
            assert!(sent.contains(BUSY), "{sent}");
        }
        assert!(peer.send(unnamed).contains("Welcome to the ATM."));
        assert!(peer.answer("deposit 1").contains(r#""outcome":"done""#));
    }
    peer.wait(Duration::from_secs(599));
    assert!(peer.hello("b", "").contains(BUSY));
    peer.wait(Duration::from_secs(1));
    assert!(peer.hello("b", "").contains("Welcome to the ATM."));
}

#[test]
fn an_outcome_without_a_number_beyond_the_bound_is_kept_for_the_next_hello() {
    let mut peer = spent();
    let mut deposits = 0;
    let sent = loop {
        deposits += 1;
        let sent = peer.answer("deposit 1");
        if !sent.contains(r#""outcome":"done""#) {
            break sent;
        }
    };
    assert!(sent.contains(BUSY) && deposits >= 2048, "{deposits}: {sent}");
    let pending = peer.seq;
    let fields = format!(r#","shown":{pending},"pending":{pending}"#);
    assert!(peer.hello("kiosk-7", &fields).contains(BUSY));
    peer.wait(HELLO_COMMIT_INTERVAL);
    let sent = peer.hello("kiosk-7", &fields);
    let outcome =
        format!(r#""outcome":"done","operation":"deposit","amount":100,"balance":{}"#, deposits * 100);
    assert!(sent.contains(&outcome), "{sent}");
}

#[test]
fn a_host_that_asks_a_terminal_for_hellos_wears_no_page() {
    let eeprom = WornEeprom::new(EEPROM);
    let profile = Some(Profile { name: "kiosk-7".parse().ok(), ..Profile::default() });
    let config = terminal::Config { profile, ..terminal::Config::for_serial(Wire::Json, 115_200) };
    let (mut link, mut console, now) = (Port::default(), Port::default(), Instant::default());
    let mut terminal = ConsoleTerminal::<_, 1024, { terminal::OUT }>::new(config, eeprom, now).unwrap();
    let mut turns = |link: &mut Port, console: &mut Port| {
        while terminal.turn(link, console, now).unwrap() {}
        (String::from_utf8_lossy(&std::mem::take(&mut link.sent)).into_owned(), terminal.stored())
    };
    let (_, started) = turns(&mut link, &mut console);
    assert_eq!(started, 1, "the start is counted");
    let prompt = |welcome: &str, seq: u32| format!(r#"{{{welcome}"seq":{seq},"input":true,"data":"?"}}"#);
    for attempt in 1..=200 {
        let welcome = format!(r#""hello":1,"ledger":"{attempt:016x}","start":1,"attempt":{attempt},"#);
        link.incoming = frame(&prompt(&welcome, attempt));
        assert_eq!(turns(&mut link, &mut console), (String::new(), 1), "attempt {attempt}");
        if attempt < 200 {
            link.incoming = frame(r#"{"input":false,"data":"","notice":"who"}"#);
            let (sent, stored) = turns(&mut link, &mut console);
            assert!(sent.contains(&format!(r#""attempt":{},"#, attempt + 1)) && stored == 1, "{sent}");
        }
    }
    assert_eq!(String::from_utf8_lossy(&console.sent).matches('?').count(), 200, "each was shown");
    // All of it is stored before the first answer is sent.
    console.incoming = b"3\r".to_vec();
    let (sent, stored) = turns(&mut link, &mut console);
    assert!(sent.contains(r#""re":200"#) && stored == 2, "{sent}");
}

#[test]
fn a_host_that_sends_invalid_messages_without_end_gets_one_line_on_a_terminals_console() {
    let eeprom = WornEeprom::new(EEPROM);
    let config = terminal::Config::for_serial(Wire::Json, 115_200);
    let (mut link, mut console, now) = (Port::default(), Port::default(), Instant::default());
    let mut terminal = ConsoleTerminal::<_, 1024, { terminal::OUT }>::new(config, eeprom, now).unwrap();
    let (invalid, notice) = (frame("no JSON").repeat(1_000), frame(r#"{"input":false,"data":"Soon."}"#));
    link.incoming = [&*invalid, &*notice, &*invalid].concat();
    while terminal.turn(&mut link, &mut console, now).unwrap() {}
    let fault = "The message is not a JSON object.\r\n";
    assert_eq!(String::from_utf8_lossy(&console.sent), format!("{fault}Soon.\r\n{fault}"));
}

#[test]
fn the_readme_states_the_bound() {
    let an_hour = 3_600_000 / HELLO_COMMIT_INTERVAL.millis();
    let years = CYCLES / (an_hour * 24 * 365);
    let readme = include_str!("../../README.md");
    for row in [
        format!(
            "| write cycles of a page an hour, by a peer that moves no money | {an_hour}, and {HELLO_COMMITS} at once |"
        ),
        format!("| EEPROM life then, at 1,000,000 write cycles a page | {years} years |"),
    ] {
        assert!(readme.contains(&row), "{row}");
    }
}
