//! A terminal's console where access is by card: what is typed at a secret prompt is never shown, and is dropped with its prompt.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use atm_core::{
    host::{Config, LinkKind, POSTCARD_IN, POSTCARD_OUT},
    ledger::{
        AccountNumber, LedgerId,
        card::{Accounts, Card, CardAccount, CardKeys, CardLedger, KeyId, Limits},
    },
    message::Capabilities,
    money::Amount,
    terminal::{self, Profile},
    time::{Duration, Instant},
    wire::Wire,
};
use firmware_sim::{Kiosk, console_terminal::ConsoleTerminal, sizes::EEPROM};

#[path = "../wear/part.rs"]
#[allow(dead_code, reason = "the tests of wear read more of it")]
mod part;
use part::{Port, WornEeprom};

const NUMBER: &str = "4111111111111111";
const PIN: &str = "2580";
const IDLE: Duration = Duration::from_secs(30);
const BLANK: &str = "\u{1b}[2J\u{1b}[3J\u{1b}[H";

/// A terminal with its console, and a kiosk at the other end of its line.
struct Counter {
    kiosk: Kiosk<CardLedger<1, 1, 1>, POSTCARD_IN, POSTCARD_OUT>,
    terminal: ConsoleTerminal<WornEeprom, POSTCARD_OUT, POSTCARD_IN>,
    up: Port,
    down: Port,
    console: Port,
    now: Instant,
    /// The line carries nothing.
    is_cut: bool,
}

impl Counter {
    /// At the prompt for a card's number.
    fn new() -> Self {
        let keys = CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(1), [2; 32].into()), None);
        let units = |units| Amount::from_units(units).unwrap();
        let mut ledger = CardLedger::new(LedgerId(7), Limits { withdrawal: units(200), day: units(300) });
        let account = AccountNumber(7);
        ledger.open_account(CardAccount::new(account, units(100), "Ada Lovelace".parse().unwrap())).unwrap();
        let claim = keys.claim(&NUMBER.parse().unwrap());
        let proof = keys.proof(&claim, &PIN.parse().unwrap());
        ledger.issue(Card::new(&claim, &proof, *b"1111", Accounts::new(&[account]).unwrap())).unwrap();
        let now = Instant::default();
        let config = Config { idle_timeout: IDLE, ..Config::for_serial(Wire::Postcard, 115_200) };
        let mut kiosk = Kiosk::new(config, Some(ledger), now);
        kiosk.serve_cards(keys);
        let profile = Profile {
            name: "kiosk-7".parse().ok(),
            capabilities: Capabilities::SECRET_PROMPTS,
            ..Profile::default()
        };
        let config = terminal::Config {
            profile: Some(profile),
            retransmit: None,
            ..terminal::Config::new(Wire::Postcard, LinkKind::Serial)
        };
        let terminal = ConsoleTerminal::new(config, WornEeprom::new(EEPROM), now).unwrap();
        let (up, down, console) = Default::default();
        let mut counter = Self { kiosk, terminal, up, down, console, now, is_cut: false };
        let shown = counter.types("");
        assert!(shown.ends_with("(exit ends the session)\r\n> "), "{shown:?}");
        counter
    }

    /// Types keys; what the console shows until nothing moves.
    fn types(&mut self, keys: &str) -> String {
        self.console.incoming.extend(keys.bytes());
        loop {
            let mut moved = self.terminal.turn(&mut self.down, &mut self.console, self.now).unwrap();
            if !self.is_cut {
                self.up.incoming.append(&mut self.down.sent);
                moved |= self.kiosk.turn(&mut self.up, self.now).unwrap();
                self.down.incoming.append(&mut self.up.sent);
            }
            if !moved {
                return String::from_utf8(std::mem::take(&mut self.console.sent)).unwrap();
            }
        }
    }

    /// At the prompt for the PIN.
    fn at_pin() -> Self {
        let mut counter = Self::new();
        let shown = counter.types(&format!("{NUMBER}\r"));
        assert_eq!(shown, format!("{NUMBER}\r\nPlease type your PIN. (or back)\r\n> "));
        counter
    }
}

#[test]
fn a_pin_is_shown_as_stars_and_corrected_by_backspace() {
    let mut counter = Counter::at_pin();
    assert_eq!(counter.types("25"), "**");
    assert_eq!(counter.types("99\u{8}\u{7f}"), "**\u{8} \u{8}\u{8} \u{8}");
    assert_eq!(counter.types("80"), "**");
    let shown = counter.types("\r");
    assert!(shown.starts_with("\r\nWhat would you like to do?"), "{shown:?}");
    // No other prompt hides what is typed.
    let shown = counter.types("withdraw 40\r");
    assert!(shown.starts_with("withdraw 40\r\nAmount withdrawn: $40. Your balance is $60."), "{shown:?}");
    // A change of PIN has three more secret prompts.
    let mut shown = counter.types("pin\r");
    for pin in [PIN, "2846", "2846"] {
        shown += &counter.types(&format!("{pin}\r"));
    }
    assert!(shown.contains("Your PIN is changed."), "{shown:?}");
    assert_eq!(shown.matches("****\r\n").count(), 3, "{shown:?}");
    assert!(!shown.contains(PIN) && !shown.contains("2846"), "{shown:?}");
}

#[test]
fn keys_before_the_prompt_are_refused_and_not_shown() {
    let mut counter = Counter::new();
    counter.is_cut = true;
    let shown = counter.types(&format!("{NUMBER}\r{PIN}\r"));
    assert_eq!(shown, format!("{NUMBER}\r\n\u{7}\u{7}\u{7}\u{7}\r\n"));
    counter.is_cut = false;
    let shown = counter.types("");
    assert_eq!(shown, "Please type your PIN. (or back)\r\n> ", "and are no answer to it");
}

#[test]
fn what_was_begun_at_a_secret_prompt_is_dropped_with_it_and_the_screen_is_blank() {
    // The terminal has a timer of its own.
    for is_cut in [false, true] {
        let mut counter = Counter::at_pin();
        assert_eq!(counter.types("258"), "***");
        counter.is_cut = is_cut;
        counter.now = counter.now + IDLE;
        let shown = counter.types("");
        assert!(shown.starts_with(BLANK), "{shown:?}");
        counter.is_cut = false;
        counter.types("");
        // The next person begins, and the screen is blank again.
        let shown = counter.types("0\r");
        assert!(shown.contains(BLANK) && !shown.contains('0'), "{shown:?}");
        let shown = counter.types(&format!("{NUMBER}\r0\r"));
        assert!(shown.contains("*\r\nThat is not a PIN"), "the three digits are gone: {shown:?}");
    }
}
