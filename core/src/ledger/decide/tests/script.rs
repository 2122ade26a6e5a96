//! A random script of requests: `decide` serves it, and the model judges every decision. The fuzz target `decide`
//! includes this file and the model.
//!
//! A script has three terminals, a session without a name, copies of the store that come back at any time (with the
//! same identity: the ledger was set back; with a new one: it was restored), hellos with wrong claims, requests of
//! former turns, a store without room, and a clock that jumps.
use super::{
    ledger::{
        Account, AccountNumber, Admission, Command, Decision, Epoch, HelloClaim, LedgerId, Numbers,
        Operation, Origin, Rejection, Request, Response, Rows, SessionId, Side, Terminal, Ticket, decide,
    },
    model::{History, Life, START},
    money::Amount,
    time::UnixTime,
};
use std::{collections::BTreeMap, vec::Vec};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The rows of a store.
#[derive(Clone)]
struct Store {
    account: Account,
    terminals: BTreeMap<usize, Terminal>,
}

/// A terminal as it sees itself. Its claims are true.
#[derive(Clone, Copy)]
struct Kiosk {
    start: u64,
    ledger: Option<LedgerId>,
    seen: u64,
    turn: u32,
    numbers: Numbers,
}

impl Kiosk {
    /// Shows the next number of the conversation, and gives it back.
    fn show(&mut self) -> u64 {
        if let Some(number) = self.numbers.take() {
            assert!(number > self.seen, "{number} was shown before: {}", self.seen);
            self.seen = number;
        }
        self.seen
    }
}

struct World {
    store: Store,
    history: History,
    copies: Vec<(Store, History)>,
    kiosks: [Kiosk; 3],
    now: Option<UnixTime>,
    has_room: bool,
}

/// Runs a script, four bytes a step.
pub(super) fn run(script: &[u8]) {
    let balance = Amount::from_minor(START).expect("it is small");
    let account = Account { number: AccountNumber::OPEN, balance, version: 0 };
    let kiosk = Kiosk { start: 0, ledger: None, seen: 0, turn: 0, numbers: Numbers::NONE };
    let mut world = World {
        store: Store { account, terminals: BTreeMap::new() },
        history: History::new(),
        copies: Vec::new(),
        kiosks: [kiosk; 3],
        now: Some(UnixTime::from_millis(1_000_000)),
        has_room: true,
    };
    for &[kind, who, a, b] in script.as_chunks().0 {
        world.step(kind % 16, usize::from(who % 3), a, b);
    }
}

impl World {
    fn step(&mut self, kind: u8, who: usize, a: u8, b: u8) {
        let Kiosk { turn, .. } = self.kiosks[who];
        match kind {
            0 | 1 => self.hello(who, a),
            2 => self.claim(who, a, b),
            3 => self.reserve(who),
            // An operation under a new prompt's number.
            4..7 => {
                let id = self.kiosks[who].show();
                self.request(Some(who), turn, Command::Operate { id, operation: operation(a, b) });
            }
            7 | 8 => {
                let id = self.id(who, a);
                self.request(Some(who), turn, Command::Operate { id, operation: operation(a / 16, b) });
            }
            9 => {
                self.request(Some(who), turn, Command::Settle { id: self.id(who, a) });
            }
            10 => {
                let turn = turn.wrapping_sub(u32::from(b % 3)).wrapping_add(u32::from(b / 128));
                let id = self.id(who, a);
                self.request(Some(who), turn, Command::Operate { id, operation: operation(a, b) });
            }
            11 => {
                self.request(None, 0, Command::Operate { id: 1, operation: operation(a, b) });
            }
            12 => self.copies.push((self.store.clone(), self.history.clone())),
            13 => {
                if let Some((store, history)) = self.copies.get(usize::from(a) % self.copies.len().max(1)) {
                    let identity = if b.is_multiple_of(8) {
                        LedgerId(self.history.identity.0 + 1)
                    } else {
                        history.identity
                    };
                    self.store = store.clone();
                    self.history = History { identity, ..history.clone() };
                }
            }
            14 => {
                let now = self.now.map_or(0, UnixTime::millis);
                self.now = match a % 8 {
                    0 => None,
                    1 => Some(UnixTime::from_millis(u64::from(b) * 1000)),
                    2 => Some(UnixTime::from_millis(now + 59_999)),
                    _ => Some(UnixTime::from_millis(now + 60_000)),
                };
            }
            _ => self.has_room = !b.is_multiple_of(4),
        }
    }

    /// A true hello.
    fn hello(&mut self, who: usize, shown: u8) {
        for _ in 0..shown % 4 {
            self.kiosks[who].show();
        }
        let Kiosk { start, ledger, seen, .. } = &mut self.kiosks[who];
        *start += 1;
        let epoch = Epoch::clear(*start, 1);
        let claim = HelloClaim { epoch, admit_equal: shown.is_multiple_of(2), ledger: *ledger, seen: *seen };
        let response = self.request(Some(who), 0, Command::Hello(claim));
        assert_ne!(response, Response::Rejected(Rejection::InUse), "each start is new");
        let kiosk = &mut self.kiosks[who];
        if let Response::Admitted(Admission { ledger, turn, numbers, .. }) = response {
            let seen = if kiosk.ledger == Some(ledger) { kiosk.seen } else { 0 };
            *kiosk = Kiosk { ledger: Some(ledger), seen, turn, numbers, ..*kiosk };
        }
    }

    /// Another peer's hello under the terminal's name, with any claim.
    fn claim(&mut self, who: usize, a: u8, b: u8) {
        let unused = self.history.lives.get(&who).map_or(1, Life::unused);
        let seen = [0, unused - 1, unused, unused + 5, unused + (1 << 24), unused + (1 << 24) + 1, u64::MAX];
        let start = self.kiosks[who].start;
        let epoch = [Epoch::clear(start, 1), Epoch::clear(start, 2), Epoch::PLAIN][usize::from(b % 3)];
        let ledger = [None, Some(self.history.identity), Some(self.history.identity), Some(LedgerId(0))];
        let claim = HelloClaim {
            epoch,
            admit_equal: b & 64 != 0,
            ledger: ledger[usize::from(b / 4 % 4)],
            seen: seen[usize::from(a) % seen.len()],
        };
        self.request(Some(who), 0, Command::Hello(claim));
    }

    fn reserve(&mut self, who: usize) {
        let Kiosk { turn, seen, .. } = self.kiosks[who];
        if let Response::Reserved(mut numbers) = self.request(Some(who), turn, Command::Reserve) {
            // A lower block: the store was set back under the conversation. The terminal shows no number twice, and says
            // hello.
            let block = numbers;
            let rises = numbers.take().is_some_and(|first| first > seen);
            self.kiosks[who].numbers = if rises { block } else { Numbers::NONE };
        }
    }

    /// An id that a terminal may name, near the edges of what it may use.
    fn id(&self, who: usize, choice: u8) -> u64 {
        let life = self.history.lives.get(&who).cloned().unwrap_or_default();
        let (gap, unused, seen) = (life.gap(), life.unused(), self.kiosks[who].seen);
        let last = life.last().map_or(0, |last| last.id);
        let (below, between) = (gap.start.saturating_sub(1), gap.start.midpoint(gap.end));
        let ids = [
            last,
            last + 1,
            seen,
            seen + 1,
            below,
            gap.start,
            between,
            gap.end,
            unused - 1,
            unused,
            u64::MAX,
        ];
        ids[usize::from(choice) % ids.len()]
    }

    /// Decides a request, judges the decision and saves it.
    fn request(&mut self, who: Option<usize>, turn: u32, command: Command) -> Response {
        let origin = match who {
            Some(who) => Origin::Terminal(NAMES[who].parse().expect("it is a name")),
            None => Origin::Session(SessionId::new(9)),
        };
        let request = Request { ticket: Ticket::default(), origin, turn, command };
        let terminal = who.and_then(|who| self.store.terminals.get(&who));
        let Store { account, .. } = &self.store;
        let (ledger, has_room) = (self.history.identity, self.has_room);
        let decision = decide(&request, &Rows::open(ledger, account, terminal, has_room), self.now);
        let before = self.history.clone();
        let response = self.history.respond(who, &request, has_room, self.now);
        assert_eq!(decision.response, response, "{request:?}");
        self.judge(&before, who, &decision);
        response
    }

    /// What a decision saves must be what it added to the history, and nothing else.
    fn judge(&mut self, before: &History, who: Option<usize>, decision: &Decision) {
        let after = &self.history;
        let Store { account, terminals } = &mut self.store;
        let number = account.number;
        let moved = after.movements.get(before.movements.len());
        let version = after.movements.len() as u64;
        let changed = moved.map(|_| Account { number, balance: after.balance(), version });
        assert_eq!(decision.changes.account, changed);
        let (old, new) = (who.and_then(|who| before.row(who)), who.and_then(|who| after.row(who)));
        assert_eq!(decision.changes.terminal, new.filter(|_| old != new));
        *account = changed.unwrap_or(*account);
        terminals.extend(who.zip(new));

        let recorded =
            new.and_then(|new| new.last).filter(|last| old.and_then(|old| old.last) != Some(*last));
        match decision.entry {
            Some(entry) => {
                assert!(recorded == Some(entry.record) || (who.is_none() && moved.is_some()));
                let change = entry.movement.map(|movement| {
                    let amount = i128::from(movement.amount.minor());
                    match (movement.debit, movement.credit) {
                        (Side::Cash, Side::Account(to)) if to == number => amount,
                        (Side::Account(from), Side::Cash) if from == number => -amount,
                        sides => panic!("money moves between the account and cash: {sides:?}"),
                    }
                });
                assert_eq!(change, moved.copied());
                let outcome = entry.record.outcome;
                assert_eq!(decision.response, Response::Settled { id: entry.record.id, outcome });
            }
            None => assert_eq!((recorded, moved), (None, None)),
        }
    }
}

/// An operation, mostly of a small amount.
fn operation(kind: u8, amount: u8) -> Operation {
    let amount = match amount {
        255 => Amount::MAX,
        amount => Amount::from_minor(u64::from(amount)).expect("it is small"),
    };
    match kind % 8 {
        0 => Operation::Inquiry,
        1 => Operation::WithdrawAll,
        2..5 => Operation::Deposit(amount),
        _ => Operation::Withdraw(amount),
    }
}
