//! A random script: a ledger's responses must be those of `decide` over plain rows.
use super::*;
use crate::ledger::{Account, AccountNumber, Decision, Record, Rows, Terminal, decide};

/// Requests in a script, and how often the power fails. Under Miri a request to a ledger on a medium takes seconds.
const REQUESTS: u32 = if cfg!(miri) { 20 } else { 200 };
const LOSS_OF_POWER: u32 = if cfg!(miri) { 10 } else { 40 };

/// A pseudo-random sequence (xorshift, <https://doi.org/10.18637/jss.v008.i14>).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.checked_rem(limit).unwrap_or(0)
    }
}

/// What a terminal knows, and its row in the reference.
#[derive(Clone, Copy)]
struct Kiosk {
    name: &'static str,
    row: Option<Terminal>,
    /// The numbers of its conversation that no operation has used.
    next: u64,
    /// It has proved a set-back: another proof may come too soon.
    set_back: bool,
    /// The power failed since its last hello.
    was_reopened: bool,
    /// The power failed, or the other terminal said hello, since its last hello.
    was_away: bool,
    /// The last record that moved money.
    moved: Option<Record>,
}

struct Reference {
    ledger: Option<LedgerId>,
    account: Account,
    a: Kiosk,
    b: Kiosk,
}

pub(super) fn run<S: Store>(store: &mut S, seed: u64) -> Result<(), Broken> {
    let mut books = Books::create(store);
    let mut random = Random::new(seed);
    let kiosk = |name| Kiosk {
        name,
        row: None,
        next: 0,
        set_back: false,
        was_reopened: false,
        was_away: false,
        moved: None,
    };
    let account = Account { number: AccountNumber::OPEN, balance: START, version: 0 };
    let mut reference = Reference { ledger: None, account, a: kiosk("a"), b: kiosk("b") };
    for number in 1..=REQUESTS {
        if number.is_multiple_of(LOSS_OF_POWER) {
            books = books.reopen(store);
            for kiosk in [&mut reference.a, &mut reference.b] {
                (kiosk.was_reopened, kiosk.was_away) = (true, true);
            }
        }
        reference.step(&mut books, &mut random)?;
    }
    books.has(reference.account.balance)
}

impl Reference {
    fn step(&mut self, books: &mut Books<dyn Ledger>, random: &mut Random) -> Result<(), Broken> {
        let Self { ledger, a, b, .. } = *self;
        let kiosk = if random.below(2) == 0 { a } else { b };
        let turn = kiosk.row.map_or(0, |row| row.turn);
        let is_current = books.current.is_some_and(|(current, _)| current == kiosk.name);
        let kind = random.below(16);
        if kind == 0 {
            let command = Command::Operate { id: 1, operation: operation(random) };
            return self.request(books, None, 0, command);
        }
        if kind == 1 || kiosk.row.is_none() || (!books.keeps_rows && !is_current) {
            let seen = kiosk.row.map_or(0, |row| row.next_number.saturating_sub(1));
            let claim = HelloClaim { ledger, seen, ..books.new_claim() };
            return self.request(books, Some(kiosk), 0, Command::Hello(claim));
        }
        let row = kiosk.row.unwrap_or(Terminal::NEW);
        match kind {
            2 => {
                let epoch = row.epoch.unwrap_or_default();
                let claim = HelloClaim { epoch, admit_equal: random.below(2) == 0, ..books.claim() };
                self.request(books, Some(kiosk), 0, Command::Hello(claim))
            }
            3 => {
                let LedgerId(bits) = ledger.unwrap_or(LedgerId(0));
                let (ledger, seen) = match random.below(3) {
                    0 if !kiosk.set_back => (ledger, books.highest.saturating_add(SET_BACK)),
                    1 => (Some(LedgerId(!bits)), FAR),
                    _ => (ledger, FAR),
                };
                let claim = HelloClaim { ledger, seen, ..books.new_claim() };
                self.request(books, Some(kiosk), 0, Command::Hello(claim))
            }
            4 => self.request(books, Some(kiosk), turn, Command::Reserve),
            _ => {
                let last = row.last.map_or(0, |last| last.id);
                // Whether a low id without a record is voided is the choice of a store without rows.
                let lowest = if !books.keeps_rows && last == 0 { 3 } else { 0 };
                let id = match random.below(8).max(lowest) {
                    0 => last.max(1),
                    1 => last.saturating_sub(1).max(1),
                    2 => row.gap.start.midpoint(row.gap.end).max(1),
                    3 if books.keeps_rows => row.next_number,
                    3 => FAR,
                    _ if kiosk.next >= row.next_number => {
                        return self.request(books, Some(kiosk), turn, Command::Reserve);
                    }
                    _ => kiosk.next,
                };
                // The turn before, or the present one.
                let turn = turn.saturating_sub(u32::from(random.below(16) == 0));
                let command = match kind {
                    5 | 6 => Command::Settle { id },
                    _ => Command::Operate { id, operation: operation(random) },
                };
                self.request(books, Some(kiosk), turn, command)
            }
        }
    }

    /// Compares the ledger's response to a request with that of the reference, and saves what the request changes.
    fn request(
        &mut self,
        books: &mut Books<dyn Ledger>,
        kiosk: Option<Kiosk>,
        turn: u32,
        command: Command,
    ) -> Result<(), Broken> {
        let session = Origin::Session(SessionId::new(4));
        let origin = kiosk.map_or(Ok(session), |kiosk| named(kiosk.name))?;
        let found = books.ask(origin.clone(), turn, command)?;
        if let Response::Admitted(admission) = found {
            self.ledger.get_or_insert(admission.ledger);
        }
        let ledger = self.ledger.unwrap_or(LedgerId(0));
        let terminal = kiosk.and_then(|kiosk| kiosk.row);
        let rows = Rows::open(ledger, &self.account, terminal.as_ref(), true);
        let request = Request { ticket: Ticket::default(), origin, turn, command };
        let Decision { response: expected, changes, .. } = decide(&request, &rows, None);
        self.account = changes.account.unwrap_or(self.account);
        let mut row = changes.terminal.or(terminal);
        let same = match (&mut row, found, expected) {
            (Some(row), Response::Admitted(found), Response::Admitted(expected)) if !books.keeps_rows => {
                kiosk.is_some_and(|kiosk| kiosk.admits(row, found, expected))
            }
            (Some(row), Response::Reserved(found), Response::Reserved(expected)) if !books.keeps_rows => {
                reserves(row, found, expected)
            }
            _ => found == expected,
        };
        hold(same, "a response is that of decide for the rows as the requests before it left them")?;
        let Some(mut kiosk) = kiosk else { return Ok(()) };
        kiosk.row = row;
        kiosk.moved = row.and_then(|row| row.last).filter(has_moved).or(kiosk.moved);
        match found {
            Response::Admitted(Admission { numbers, set_back, turn, .. }) => {
                books.current = Some((kiosk.name, turn));
                kiosk.set_back |= set_back.is_some();
                kiosk.receive(books, numbers);
                (kiosk.was_reopened, kiosk.was_away) = (false, false);
                let other = if kiosk.name == "a" { &mut self.b } else { &mut self.a };
                other.was_away = true;
            }
            Response::Reserved(numbers) => kiosk.receive(books, numbers),
            Response::Settled { id, .. } if id == kiosk.next => kiosk.next = id.saturating_add(1),
            _ => {}
        }
        *(if kiosk.name == "a" { &mut self.a } else { &mut self.b }) = kiosk;
        Ok(())
    }
}

impl Kiosk {
    fn receive(&mut self, books: &mut Books<dyn Ledger>, numbers: Numbers) {
        let (first, last) = ends(numbers).unwrap_or_default();
        self.next = first;
        books.highest = books.highest.max(last);
    }

    /// An admission by a store that keeps no rows ([`Store::KEEPS_ROWS`]): the row takes over what such a store may
    /// choose.
    fn admits(&self, row: &mut Terminal, found: Admission, expected: Admission) -> bool {
        let set_back = match (found.set_back, expected.set_back) {
            (Some(found), Some(expected)) => {
                row.gap = found;
                found.contains(expected.end.saturating_sub(1))
            }
            // A wider gap has more numbers that a terminal has seen.
            (Some(_), None) => true,
            (None, expected) => expected.is_none(),
        };
        (row.turn, row.last) = (found.turn, found.last);
        set_back
            && reserves(row, found.numbers, expected.numbers)
            && (found.former.is_none() || found.former == expected.former)
            && (self.was_reopened || found.turn >= expected.turn)
            && found.ledger == expected.ledger
            && self.remembers(found.last, expected.last)
    }

    /// Whether a record is the last one, or an earlier one that moved money or came after the last that did: what came
    /// after it was lost with the power or by the other terminal's hello.
    fn remembers(&self, found: Option<Record>, expected: Option<Record>) -> bool {
        let id = |record: Option<Record>| record.map_or(0, |record| record.id);
        let is_between = id(self.moved) < id(found)
            && id(found) < id(expected)
            && !found.is_some_and(|found| has_moved(&found));
        found == expected || self.was_away && (found == self.moved || is_between)
    }
}

/// Whether money was moved: an inquiry is not recorded.
fn has_moved(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Done(_))
}

/// A block of such a store: it may begin higher.
fn reserves(row: &mut Terminal, found: Numbers, expected: Numbers) -> bool {
    let (Some((first, last)), Some((lowest, _))) = (ends(found), ends(expected)) else { return false };
    row.next_number = last.saturating_add(1);
    first >= lowest
}

/// An operation, mostly of a small amount.
fn operation(random: &mut Random) -> Operation {
    let amount = units(random.below(60));
    match random.below(16) {
        0 => Operation::WithdrawAll,
        1 => Operation::Deposit(Amount::MAX),
        2 => Operation::Inquiry,
        3..9 => Operation::Deposit(amount),
        _ => Operation::Withdraw(amount),
    }
}
