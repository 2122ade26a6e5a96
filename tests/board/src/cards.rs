//! Access by card at the console of the terminal's image: no digit of a number or PIN is kept, wrong PINs block the card, and
//! after a power cut the next session begins before the card.
use crate::{
    Board, CORTEX_M3, TerminalConsole,
    card_host::{CardHost, NUMBER, PIN},
    image_in, provision, terminal_key,
};
use fastrand::Rng;
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

const CARD_PROMPT: &str = "Please type the number of your card. (exit ends the session)";
const PIN_PROMPT: &str = "Please type your PIN. (or back)";
const MENU: &str = "What would you like to do?";
const NOT_ACCEPTED: &str = "The card and the PIN were not accepted.";
const DONE: &str = "Amount withdrawn: $7. Your balance is $";
const BRIEFLY_DONE: &str = "An earlier request at this terminal was done.";
const IN_FULL: &str = "About your earlier request:";

/// A run with a terminal's board, a host on the desktop, and one card.
pub struct CardRun {
    rng: Rng,
    folder: PathBuf,
    host: CardHost,
    /// Withdrawals that were acknowledged before the power was cut.
    pub acknowledged: u64,
    /// Withdrawals that were done, and whose reply was not shown before the cut.
    pub done: u64,
    /// Withdrawals that were not done.
    pub not_done: u64,
}

impl CardRun {
    /// A new terminal, whose files are in `folder`.
    pub fn new(folder: PathBuf, seed: u64) -> Self {
        provision(&terminal_key(), &folder);
        let host = CardHost::start(&folder);
        Self { rng: Rng::with_seed(seed), folder, host, acknowledged: 0, done: 0, not_done: 0 }
    }

    /// Switches the terminal on. Its session begins before the card.
    pub(crate) fn start(&self) -> (Board, TerminalConsole, String) {
        let image = image_in("firmware-cards", CORTEX_M3, "terminal");
        let board = Board::start_connected_to(&self.host.peer(), &image, &self.folder);
        let mut console = TerminalConsole::of(&board);
        let shown = console.wait_for(CARD_PROMPT).to_owned();
        (board, console, shown)
    }

    /// Cuts the power. Neither the console nor the EEPROM has had a digit of the PIN.
    fn cut_power(&self, board: Board, console: TerminalConsole) -> String {
        board.cut_power();
        let transcript = console.into_transcript();
        assert_without_pin("console", transcript.as_bytes());
        self.check_eeprom();
        transcript
    }

    fn check_eeprom(&self) {
        let eeprom = fs::read(self.folder.join("eeprom")).unwrap();
        assert_without_pin("EEPROM", &eeprom);
        assert_without_number("EEPROM", &eeprom);
    }

    /// A session with everything that a card can do; then neither the RAM nor the EEPROM has a digit of the number or a PIN.
    pub fn session(&self) {
        let (board, mut console, _) = self.start();
        self.check_session(&board, &mut console);
        self.cut_power(board, console);
    }

    /// The same at a console; it ends at the end of the session.
    pub(crate) fn check_session(&self, board: &Board, console: &mut TerminalConsole) {
        let before = self.host.balances();
        insert_card(console);
        let shown = console.type_in(&format!("{PIN}\r"), MENU);
        assert!(shown.starts_with("************\r\n"), "stars for the PIN: {shown:?}");
        check_ram(board);
        let keys = [
            ("withdraw 40\r", "Amount withdrawn: $40."),
            ("deposit 12.34\r", "Amount deposited: $12.34."),
            ("4\r", "To which account"),
            ("8\r", "Account 8 belongs to B*** B***."),
            ("1.50\r", "Transfer $1.50 to account 8 of B*** B***?"),
            ("yes\r", "Amount transferred: $1.50 to account 8."),
            ("statement\r", "(no date) transfer out $1.50"),
            ("pin\r", "Please type your present PIN."),
            (&format!("{PIN}\r"), "Please type the new PIN"),
            (&format!("{PIN}\r"), "Please type the new PIN again."),
            (&format!("{PIN}\r"), "Your PIN is changed."),
            ("withdraw 201\r", "That is over the limit of $200 for one withdrawal."),
        ];
        for (keys, shown) in keys {
            console.type_in(keys, shown);
        }
        check_ram(board);
        self.check_eeprom();
        console.type_in("exit\r", "Press Enter to begin.");
        let [own, other] = self.host.balances();
        assert_eq!([own, other], [before[0] - 4_000 + 1_234 - 150, before[1] + 150]);
    }

    /// Three wrong PINs block the card, also with the power cut after each; then the right one is refused like a wrong one.
    pub fn wrong_pins(&self) {
        for attempt in 1..=3 {
            let (board, mut console, shown) = self.start();
            assert!(!shown.contains(NOT_ACCEPTED) && !shown.contains(BRIEFLY_DONE), "{shown:?}");
            assert!(!self.host.is_blocked(), "before attempt {attempt}");
            insert_card(&mut console);
            console.type_in("000000000001\r", NOT_ACCEPTED);
            self.cut_power(board, console);
        }
        assert!(self.host.is_blocked());
        let (board, mut console, _) = self.start();
        insert_card(&mut console);
        let shown = console.type_in(&format!("{PIN}\r"), NOT_ACCEPTED);
        assert!(!shown.contains(MENU), "{shown:?}");
        self.cut_power(board, console);
        self.host.unblock();
    }

    /// The power is cut at the prompt for the PIN, of which a part was typed.
    pub fn cut_at_pin(&self) {
        let (board, mut console, _) = self.start();
        insert_card(&mut console);
        let (half, rest) = PIN.split_at(8);
        console.send(half);
        console.wait_until(|shown| shown == "********");
        assert!(has_digits(&board.ram(), half, 4), "what is being typed is found in the RAM");
        self.cut_power(board, console);
        let (board, mut console, shown) = self.start();
        assert!(!shown.contains("request"), "nothing was asked for: {shown:?}");
        insert_card(&mut console);
        let shown = console.type_in(&format!("{rest}\r"), NOT_ACCEPTED);
        assert!(!shown.contains(MENU), "{shown:?}");
        // The next right PIN clears the try.
        insert_card(&mut console);
        console.type_in(&format!("{PIN}\r"), MENU);
        self.cut_power(board, console);
    }

    /// The power is cut at a random time after the answer that withdraws: the next start shows in brief what was done, and in
    /// full to the same card alone.
    pub fn cut_at_withdrawal(&mut self) {
        let before = self.host.balances()[0];
        let (board, mut console, _) = self.start();
        insert_card(&mut console);
        console.type_in(&format!("{PIN}\r"), MENU);
        console.send("withdraw 7\r");
        // A busy machine takes longer.
        let longest = if self.rng.bool() { 8_000 } else { 60_000 };
        let until = Instant::now() + Duration::from_micros(self.rng.u64(..longest));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        let transcript = self.cut_power(board, console);
        let (board, mut console, shown) = self.start();
        let is_done = before - self.host.balances()[0] == 700;
        assert!(is_done || self.host.balances()[0] == before, "once or not at all");
        let is_shown = transcript.contains(DONE);
        assert!(is_done || !is_shown, "{transcript:?}");
        for secret in ["$7", "balance is"] {
            assert!(!shown.contains(secret), "the next person learns no amount: {shown:?}");
        }
        let is_reported = shown.contains(BRIEFLY_DONE);
        assert!(if is_done { is_reported || is_shown } else { !is_reported }, "{shown:?}");
        insert_card(&mut console);
        let shown = console.type_in(&format!("{PIN}\r"), MENU);
        assert_eq!(shown.contains(IN_FULL) && shown.contains(DONE), is_reported, "{shown:?}");
        self.cut_power(board, console);
        assert_eq!(before - self.host.balances()[0], if is_done { 700 } else { 0 }, "nothing moves later");
        match (is_done, is_shown) {
            (true, true) => self.acknowledged += 1,
            (true, false) => self.done += 1,
            (false, _) => self.not_done += 1,
        }
    }
}

/// Types the card's number at its prompt.
pub(crate) fn insert_card(console: &mut TerminalConsole) {
    console.type_in(&format!("{NUMBER}\r"), PIN_PROMPT);
}

/// Whether `length` digits of a secret in a row are anywhere in some bytes.
fn has_digits(bytes: &[u8], secret: &str, length: usize) -> bool {
    let parts: Vec<_> = secret.as_bytes().windows(length).collect();
    bytes.windows(length).any(|window| parts.contains(&window))
}

fn check_ram(board: &Board) {
    let ram = board.ram();
    assert_without_pin("RAM", &ram);
    assert_without_number("RAM", &ram);
}

fn assert_without_pin(place: &str, bytes: &[u8]) {
    assert!(!has_digits(bytes, PIN, 4), "the {place} has digits of the PIN");
}

fn assert_without_number(place: &str, bytes: &[u8]) {
    assert!(!has_digits(bytes, NUMBER, 6), "the {place} has digits of the card's number");
}
