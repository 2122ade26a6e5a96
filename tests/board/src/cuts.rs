//! Power cuts: cuts a kiosk's power in the middle of operations, corrupts EEPROM pages, and audits every
//! outcome and balance.
use super::{Board, KioskMessage, LinkFaults, TerminalDriver};
use atm_core::{
    ledger::{Outcome, Receipt, Refusal},
    money::Amount,
    wire::Wire,
};
use fastrand::Rng;
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Bytes of a page, and of one copy: half of the EEPROM.
const PAGE: u64 = 128;
const HALF: u64 = 4_096;

/// The terminals that connect to the kiosk.
const NAMES: [&str; 3] = ["kiosk-1", "kiosk-2", "service"];

/// A run of power cuts, with its counts.
pub struct PowerCutRun {
    rng: Rng,
    folder: PathBuf,
    image: PathBuf,
    driver: TerminalDriver,
    /// The balance that follows from all acknowledged outcomes, in cents.
    balance: u64,
    /// Movements of money acknowledged in the reply to their answer.
    pub acknowledged: u64,
    /// Movements of money that a hello after a cut reported as done.
    pub done: u64,
    /// Operations that it reported as not done.
    pub not_done: u64,
    /// Pages that were corrupted.
    pub torn: u64,
}

impl PowerCutRun {
    /// A run with a new kiosk, whose files are in `folder`.
    pub fn new(image: PathBuf, wire: Wire, faults: LinkFaults, folder: PathBuf) -> Self {
        let driver = TerminalDriver::new(wire, faults);
        let rng = Rng::with_seed(faults.seed);
        Self { rng, folder, image, driver, balance: 0, acknowledged: 0, done: 0, not_done: 0, torn: 0 }
    }

    fn eeprom(&self) -> PathBuf {
        self.folder.join("eeprom")
    }

    fn start(&self) -> Board {
        Board::start(&self.image, &self.folder, &[])
    }

    /// Cuts the power `cuts` times.
    pub fn run(mut self, cuts: u64) -> Self {
        let mut name = NAMES[0];
        let mut board = self.start();
        self.driver.connect(name, board.serial_port());
        self.driver.wait_for_prompt();
        for cut in 0..cuts {
            for _ in 0..self.rng.u32(0..3) {
                let input = self.random_input();
                let reply = self.driver.answer(&input);
                self.acknowledged += u64::from(self.check_outcome(&reply));
                if matches!(reply.outcome, Some(Outcome::Refused(_))) {
                    // The kiosk asks for another amount.
                    self.driver.answer("back");
                }
            }
            // Sometimes another terminal connects.
            if self.rng.u32(0..4) == 0 {
                name = NAMES[self.rng.usize(..NAMES.len())];
                self.driver.connect(name, board.serial_port());
                let messages = self.driver.wait_for_prompt();
                self.assert_no_outcome(cut, &messages);
            }
            let outstanding = self.cut_power(board);
            let torn = self.tear_page();
            board = self.start();
            // In half of the cases the terminal loses its power, too.
            if self.rng.bool() {
                self.driver.connect(name, board.serial_port());
            } else {
                self.driver.reconnect(board.serial_port());
            }
            let messages = self.driver.wait_for_prompt();
            if outstanding {
                self.check_recovered_outcome(cut, &messages);
            } else {
                self.assert_no_outcome(cut, &messages);
            }
            if torn {
                self.assert_copies_equal(cut);
            }
        }
        let reply = self.driver.answer("3");
        self.check_outcome(&reply);
        self
    }

    /// A random input that moves money.
    fn random_input(&mut self) -> String {
        let amount = self.rng.u32(1..100);
        if self.rng.bool() { format!("deposit {amount}") } else { format!("withdraw {amount}") }
    }

    /// Cuts the power at a random point; returns whether an answer was outstanding.
    fn cut_power(&mut self, board: Board) -> bool {
        let input = self.random_input();
        match self.rng.u32(0..8) {
            // While the kiosk is idle.
            0 => {
                board.cut_power();
                return false;
            }
            // As soon as the answer is sent.
            1 => self.driver.send_answer(&input),
            // At the first byte of the reply.
            2 => {
                self.driver.send_answer(&input);
                self.driver.wait_for_byte(Duration::from_millis(100));
            }
            // At a random time in between.
            _ => {
                self.driver.send_answer(&input);
                let until = Instant::now() + Duration::from_micros(self.rng.u64(..3_000));
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
        }
        board.cut_power();
        true
    }

    /// Corrupts a page of one copy in half of the cases, as an interrupted write does; returns whether it
    /// did.
    fn tear_page(&mut self) -> bool {
        if self.rng.bool() {
            return false;
        }
        let file = OpenOptions::new().read(true).write(true).open(self.eeprom()).unwrap();
        // Mostly one of the first slots, which are in use.
        let slot = if self.rng.bool() { self.rng.u64(..4) } else { self.rng.u64(..HALF / PAGE) };
        let page = self.rng.u64(..2) * HALF + slot * PAGE;
        let mut bytes = [0; PAGE as usize];
        file.read_exact_at(&mut bytes, page).unwrap();
        let from = self.rng.usize(..bytes.len());
        match self.rng.u32(0..3) {
            0 => bytes[from..].fill(0xff),
            1 => self.rng.fill(&mut bytes[from..]),
            _ => bytes[from] ^= 1 << self.rng.u32(0..8),
        }
        file.write_all_at(&bytes, page).unwrap();
        self.torn += 1;
        true
    }

    /// Adds an outcome's movement to the expected balance and compares it with the reported one; returns
    /// whether money has moved.
    fn check_outcome(&mut self, message: &KioskMessage) -> bool {
        let (moved, balance) = match message.outcome.unwrap_or_else(|| panic!("no outcome: {message:?}")) {
            Outcome::Done(Receipt::Balance { balance }) => (0, balance),
            Outcome::Done(Receipt::Deposited { amount, balance }) => (signed(amount), balance),
            Outcome::Done(Receipt::Withdrawn { amount, balance }) => (-signed(amount), balance),
            Outcome::Refused(Refusal::Insufficient { balance }) => (0, balance),
            other => panic!("unexpected outcome {other:?}"),
        };
        self.balance = self.balance.checked_add_signed(moved).expect("the balance is never below zero");
        assert_eq!(balance.minor(), self.balance, "{message:?}");
        moved != 0
    }

    /// Checks the messages after a cut with an answer outstanding: exactly one has its outcome, and that is
    /// known.
    fn check_recovered_outcome(&mut self, cut: u64, messages: &[KioskMessage]) {
        let outcomes: Vec<&KioskMessage> =
            messages.iter().filter(|message| message.outcome.is_some()).collect();
        let [message] = outcomes[..] else { panic!("after cut {cut}: {messages:?}") };
        match message.outcome {
            Some(Outcome::NotDone) => self.not_done += 1,
            Some(Outcome::Unknown) | None => panic!("after cut {cut}: {messages:?}"),
            _ => self.done += u64::from(self.check_outcome(message)),
        }
    }

    /// An outcome that was acknowledged before is not sent again.
    fn assert_no_outcome(&self, cut: u64, messages: &[KioskMessage]) {
        assert!(messages.iter().all(|message| message.outcome.is_none()), "after cut {cut}: {messages:?}");
    }

    /// The kiosk has repaired the torn page at its start: both copies are equal again.
    fn assert_copies_equal(&self, cut: u64) {
        let bytes = fs::read(self.eeprom()).unwrap();
        let pages: Vec<&[u8]> = bytes.chunks(PAGE as usize).collect();
        let slots = (HALF / PAGE) as usize;
        // The first slot, those of the terminals and the last one, each up to its checksum.
        for slot in (0..=terminals(pages[0])).chain([slots - 1]) {
            let [first, second] =
                [pages[slot], pages[slots + slot]].map(|page| &page[..6 + usize::from(page[1])]);
            assert_eq!(first, second, "slot {slot} after cut {cut}");
        }
    }
}

/// The number of terminals in the first slot. It is behind the commit's number, the ledger's identity, the
/// balance and the first free number, all of them varints.
fn terminals(page: &[u8]) -> usize {
    let body = &page[2..];
    let mut ends = body.iter().enumerate().filter(|(_, byte)| **byte < 0x80);
    let (fourth, _) = ends.nth(3).unwrap();
    body[fourth + 1].into()
}

fn signed(amount: Amount) -> i64 {
    i64::try_from(amount.minor()).unwrap()
}
