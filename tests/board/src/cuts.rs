//! A kiosk whose power is cut again and again, and an audit of what it remembers.
use super::{Board, Lie, Person, Told};
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

/// Bytes of a page, and of a half of the EEPROM.
const PAGE: u64 = 128;
const HALF: u64 = 4_096;

/// The terminals that come to it.
const NAMES: [&str; 3] = ["kiosk-1", "kiosk-2", "service"];

/// A run, and what it has come to.
pub struct Day {
    rng: Rng,
    folder: PathBuf,
    image: PathBuf,
    person: Person,
    /// What everything that was told adds up to, in cents.
    balance: u64,
    /// Operations whose outcome was told at once.
    pub told: u64,
    /// Operations that a hello after a cut found done, or refused.
    pub done: u64,
    /// Operations that it found not done.
    pub undone: u64,
    /// Pages that were spoilt.
    pub torn: u64,
}

impl Day {
    /// A kiosk that was never used, in a folder for its files.
    pub fn new(image: PathBuf, wire: Wire, lie: Lie, folder: PathBuf) -> Self {
        let person = Person::new(wire, lie);
        let seed = lie.seed;
        let rng = Rng::with_seed(seed);
        Self { rng, folder, image, person, balance: 0, told: 0, done: 0, undone: 0, torn: 0 }
    }

    fn eeprom(&self) -> PathBuf {
        self.folder.join("eeprom")
    }

    fn start(&self) -> Board {
        Board::start(&self.image, &self.folder, &[])
    }

    /// Cuts its power so often.
    pub fn run(mut self, cuts: u64) -> Self {
        let mut name = NAMES[0];
        let mut board = self.start();
        self.person.come(name, board.line());
        self.person.settle();
        for cut in 0..cuts {
            for _ in 0..self.rng.u32(0..3) {
                let wish = self.wish();
                let told = self.person.answer(&wish);
                self.told += u64::from(self.book(&told));
                if matches!(told.outcome, Some(Outcome::Refused(_))) {
                    // It asks how much instead.
                    self.person.answer("back");
                }
            }
            // Somebody else, at times.
            if self.rng.u32(0..4) == 0 {
                name = NAMES[self.rng.usize(..NAMES.len())];
                self.person.come(name, board.line());
                let said = self.person.settle();
                self.nothing_is_told(cut, &said);
            }
            let out = self.cut(board);
            let torn = self.tear();
            board = self.start();
            // The terminal may have lost its power, too.
            if self.rng.bool() {
                self.person.come(name, board.line());
            } else {
                self.person.reconnect(board.line());
            }
            let said = self.person.settle();
            if out {
                self.outcome_is_told(cut, &said);
            } else {
                self.nothing_is_told(cut, &said);
            }
            if torn {
                self.is_mended(cut);
            }
        }
        let told = self.person.answer("3");
        self.book(&told);
        self
    }

    /// An answer that moves money.
    fn wish(&mut self) -> String {
        let amount = self.rng.u32(1..100);
        if self.rng.bool() { format!("deposit {amount}") } else { format!("withdraw {amount}") }
    }

    /// Cuts the power, at a chosen point or at any; says whether an answer was out.
    fn cut(&mut self, board: Board) -> bool {
        let wish = self.wish();
        match self.rng.u32(0..8) {
            // With nothing to do.
            0 => {
                board.cut();
                return false;
            }
            // As soon as the answer was sent.
            1 => self.person.type_in(&wish),
            // As the reply comes.
            2 => {
                self.person.type_in(&wish);
                self.person.hear_a_byte(Duration::from_millis(100));
            }
            // At any time between.
            _ => {
                self.person.type_in(&wish);
                let until = Instant::now() + Duration::from_micros(self.rng.u64(..3_000));
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
        }
        board.cut();
        true
    }

    /// Spoils a page of one copy, as a write does that was cut off; true where it did.
    fn tear(&mut self) -> bool {
        if self.rng.bool() {
            return false;
        }
        let file = OpenOptions::new().read(true).write(true).open(self.eeprom()).unwrap();
        // Mostly of what is used.
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

    /// Books what was told, and holds the balance that was told against the sum; true where money has moved.
    fn book(&mut self, told: &Told) -> bool {
        let (moved, balance) = match told.outcome.unwrap_or_else(|| panic!("no outcome was told: {told:?}")) {
            Outcome::Done(Receipt::Balance { balance }) => (0, balance),
            Outcome::Done(Receipt::Deposited { amount, balance }) => (signed(amount), balance),
            Outcome::Done(Receipt::Withdrawn { amount, balance }) => (-signed(amount), balance),
            Outcome::Refused(Refusal::Insufficient { balance }) => (0, balance),
            other => panic!("{other:?} was told"),
        };
        self.balance = self.balance.checked_add_signed(moved).expect("the balance is never below zero");
        assert_eq!(balance.minor(), self.balance, "what was told adds up: {told:?}");
        moved != 0
    }

    /// After a cut with an answer out: its outcome is told, once.
    fn outcome_is_told(&mut self, cut: u64, said: &[Told]) {
        let outcomes: Vec<&Told> = said.iter().filter(|told| told.outcome.is_some()).collect();
        let [told] = outcomes[..] else { panic!("after cut {cut}: {said:?}") };
        match told.outcome {
            Some(Outcome::NotDone) => self.undone += 1,
            Some(Outcome::Unknown) | None => panic!("after cut {cut}: {said:?}"),
            _ => self.done += u64::from(self.book(told)),
        }
    }

    /// What was told before is not told again.
    fn nothing_is_told(&self, cut: u64, said: &[Told]) {
        assert!(said.iter().all(|told| told.outcome.is_none()), "after cut {cut}: {said:?}");
    }

    /// Both copies are the same again, before anything else was asked of it.
    fn is_mended(&self, cut: u64) {
        let bytes = fs::read(self.eeprom()).unwrap();
        let pages: Vec<&[u8]> = bytes.chunks(PAGE as usize).collect();
        let slots = (HALF / PAGE) as usize;
        // The first slot, the terminals' and the last one, each without what stands behind its check sum.
        for slot in (0..=terminals(pages[0])).chain([slots - 1]) {
            let [first, second] =
                [pages[slot], pages[slots + slot]].map(|page| &page[..6 + usize::from(page[1])]);
            assert_eq!(first, second, "slot {slot} after cut {cut}");
        }
    }
}

/// How many terminals the first slot counts: behind the commit's number, the identity, the balance and the first number that is
/// free, all of them varints.
fn terminals(page: &[u8]) -> usize {
    let body = &page[2..];
    let mut ends = body.iter().enumerate().filter(|(_, byte)| **byte < 0x80);
    let (fourth, _) = ends.nth(3).unwrap();
    body[fourth + 1].into()
}

fn signed(amount: Amount) -> i64 {
    i64::try_from(amount.minor()).unwrap()
}
