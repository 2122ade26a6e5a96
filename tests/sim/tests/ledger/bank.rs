//! Crashes of the machine at each write and sync of a day with cards: tries are counted in the commit that judges a PIN, and never
//! given; money moves for the right PIN alone, and none is lost.
use atm_core::{
    ledger::{
        Account, AccountNumber, Command, Epoch, HelloClaim, Operation, Origin, Outcome, Receipt, Refusal,
        Request, Response, Ticket,
        card::{Access, Accounts, Card, CardKeys, CardRequest, Claim, KeyId, Limits, Proof},
    },
    money::Amount,
    time::UnixTime,
};
use atm_faulty_vfs::{Cut, Fault, Operation as Call, When};
use atm_host::ledger::{
    committer::{Clock, GroupCommitter},
    entry::{COLUMNS, CardDigest, Hash, Head, card_order, opened},
    sqlite::Sqlite,
    words,
};
use atm_sim::{
    faulty_disk::{IDENTITY, Machine, WAL},
    tables,
};
use rusqlite::{Connection, params};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

const NUMBERS: [&str; 3] = ["4111111111111111", "5500000000000004", "340000000000009"];
const RIGHT: &str = "2580";
const WRONG: &str = "9034";
const OTHER: &str = "1379";
/// What each account begins with, in minor units.
const OPENING: u64 = 100_000;
/// Attempts of a process to settle a batch: more than the faults of a test.
const ATTEMPTS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Verify(usize, &'static str),
    ChangePin(&'static str, &'static str),
    Operate(Operation),
}

/// What each terminal does, in this order. The last card has no row.
fn asks(terminal: usize) -> Vec<Ask> {
    use Ask::{ChangePin, Operate, Verify};
    let units = |units| Amount::from_units(units).unwrap();
    let transfer = |payee, amount| {
        Operate(Operation::Transfer {
            payee: AccountNumber(payee),
            amount: Amount::from_minor(amount).unwrap(),
        })
    };
    match terminal {
        0 => vec![
            Verify(0, RIGHT),
            transfer(8, 123),
            Operate(Operation::Withdraw(units(20))),
            Verify(0, WRONG),
            transfer(8, 77),
            Verify(0, WRONG),
            Operate(Operation::Statement),
            Verify(0, WRONG),
            // The card is blocked.
            transfer(8, 1),
            Verify(0, RIGHT),
        ],
        1 => vec![
            Verify(1, RIGHT),
            transfer(7, 41),
            Verify(1, WRONG),
            ChangePin(WRONG, OTHER),
            ChangePin(RIGHT, OTHER),
            Verify(1, RIGHT),
            Verify(1, OTHER),
            Operate(Operation::Deposit(units(3))),
            transfer(7, 5_000_000),
            transfer(7, 500),
        ],
        _ => vec![Verify(2, WRONG), Verify(2, RIGHT), Verify(2, OTHER), Verify(2, WRONG)],
    }
}

#[derive(Clone, Default)]
struct Terminal {
    asks: Vec<Ask>,
    done: usize,
    turn: u32,
    next: u64,
    access: Option<Access>,
    /// A request without an outcome.
    in_flight: Option<(u64, Ask)>,
}

#[derive(Clone)]
struct Day {
    terminals: [Terminal; 3],
    starts: u64,
    /// The outcomes, by terminal and id.
    outcomes: BTreeMap<(usize, u64), (Ask, Outcome)>,
    /// Answers that were sent that a PIN is wrong.
    wrong: u64,
}

/// The machine has stopped.
#[derive(Debug)]
struct Stopped;

fn keys() -> CardKeys {
    let key = |byte| (KeyId(1), [byte; 32].into());
    CardKeys::new(key(1), None, key(2), None)
}

fn claim(card: usize) -> Claim {
    keys().claim(&NUMBERS[card].parse().unwrap())
}

fn proof(claim: &Claim, pin: &str) -> Proof {
    keys().proof(claim, &pin.parse().unwrap())
}

/// Each process begins later than the one before, and each commit is later than any delay.
fn clock(start: u64) -> Clock {
    let asked = AtomicU64::new(start * 1000);
    Box::new(move || {
        UnixTime::from_millis(1_795_550_400_000 + asked.fetch_add(1, Ordering::Relaxed) * 200_000)
    })
}

/// A machine whose ledger has two accounts, a card for each.
fn machine() -> Machine {
    let machine = Machine::first();
    drop(machine.start_with_clock(1, clock(0)).unwrap());
    let connection = machine.connect().unwrap();
    let mut head = Head::default();
    for (number, card) in [(7, 1), (8, 2)] {
        let account = Account {
            number: AccountNumber(number),
            balance: Amount::from_minor(OPENING).unwrap(),
            version: 1,
        };
        let owner = "Ada Lovelace".parse().unwrap();
        let insert = "INSERT INTO accounts VALUES (?, ?, 1, 'Ada Lovelace', 'open')";
        connection.execute(insert, params![number, OPENING]).unwrap();
        post(&connection, &mut head, &opened(&account, &owner, None).to_string());
        let own = Accounts::new(&[account.number]).unwrap();
        let claim = claim(card - 1);
        let row = Card::new(&claim, &proof(&claim, RIGHT), *b"1111", own);
        let insert = "INSERT INTO cards VALUES (?, ?, ?, '1111', ?, 0, 0, 0, 0, 0, 0)";
        let (token, verifier) = (words::token_text(&row.token), words::verifier_text(&row.verifier));
        connection.execute(insert, params![card, token, verifier, number.to_string()]).unwrap();
        post(
            &connection,
            &mut head,
            &card_order("issued", card as u64, Some(&own), Some(CardDigest::of(&row)), None).to_string(),
        );
    }
    drop(connection);
    machine.disk.take_log();
    machine
}

fn post(connection: &Connection, head: &mut Head, fact: &String) {
    let entry = head.append(2, UnixTime::from_millis(1), fact);
    let values = entry
        .line
        .split(',')
        .skip(1)
        .map(|text| if text.is_empty() { "NULL".to_owned() } else { format!("'{text}'") });
    let values: Vec<_> = values.collect();
    let insert =
        format!("INSERT INTO entries ({COLUMNS}, hash) VALUES ({}, '{}')", values.join(","), entry.hash);
    connection.execute_batch(&insert).unwrap();
    let Head { number, hash, .. } = *head;
    let update = "UPDATE journals SET batches = batches + 1, number = ?, hash = ? WHERE journal = 2";
    connection.execute(update, params![number, Hash::as_str(&hash)]).unwrap();
}

impl Day {
    fn new() -> Self {
        let terminals = [0, 1, 2].map(|at| Terminal { asks: asks(at), ..Terminal::default() });
        Self { terminals, starts: 0, outcomes: BTreeMap::new(), wrong: 0 }
    }

    /// A process starts, says hello for each terminal, asks for the outcome of what was in flight, and goes on.
    fn run(&mut self, machine: &Machine) -> Result<(), Stopped> {
        self.starts += 1;
        let mut committer =
            machine.start_with_clock(self.starts + 1, clock(self.starts)).map_err(|_| Stopped)?;
        let limit = Amount::from_units(1000).unwrap();
        committer.set_limits(Limits { withdrawal: limit, day: limit });
        let epoch = Epoch::clear(self.starts, 1);
        let hello = Command::Hello(HelloClaim { epoch, admit_equal: false, ledger: Some(IDENTITY), seen: 0 });
        let hellos = [0, 1, 2].map(|at| (at, self.request(at, hello)));
        for (at, response) in exchange(&mut committer, hellos.into())? {
            let Response::Admitted(mut admission) = response else { panic!("{response:?}") };
            let terminal = &mut self.terminals[at];
            (terminal.turn, terminal.next) = (admission.turn, admission.numbers.take().unwrap());
        }
        let in_flight = |at: usize| self.terminals[at].in_flight.map(|(id, _)| (at, Command::Settle { id }));
        let settles: Vec<_> = (0..3).filter_map(in_flight).collect();
        let settles = settles.into_iter().map(|(at, command)| (at, self.request(at, command))).collect();
        for (at, response) in exchange(&mut committer, settles)? {
            self.answered(at, response);
        }
        while self.terminals.iter().any(|terminal| terminal.done < terminal.asks.len()) {
            let requests =
                (0..3).filter_map(|at| self.next(at).map(|command| (at, self.request(at, command))));
            let requests: Vec<_> = requests.collect();
            for (at, response) in exchange(&mut committer, requests)? {
                self.answered(at, response);
            }
        }
        if committer.close() { Ok(()) } else { Err(Stopped) }
    }

    fn request(&self, at: usize, command: Command) -> Request {
        let turn = if matches!(command, Command::Hello(_)) { 0 } else { self.terminals[at].turn };
        let origin = Origin::Terminal(["a", "b", "c"][at].parse().unwrap());
        Request { ticket: Ticket::default(), origin, turn, command }
    }

    /// What a terminal asks for next.
    fn next(&mut self, at: usize) -> Option<Command> {
        let terminal = &mut self.terminals[at];
        let ask = *terminal.asks.get(terminal.done)?;
        let id = terminal.next;
        terminal.next += 1;
        terminal.in_flight = Some((id, ask));
        // A session that was not begun, as its card is not known, has no access.
        let access = terminal.access.unwrap_or(Access {
            token: claim(2).newest(),
            version: 0,
            account: AccountNumber(7),
        });
        let own = Claim::of(access.token);
        let request = match ask {
            Ask::Verify(card, pin) => {
                CardRequest::Verify { claim: claim(card), proof: proof(&claim(card), pin) }
            }
            Ask::ChangePin(old, new) => {
                CardRequest::ChangePin { access, old: proof(&own, old), new: proof(&own, new).newest() }
            }
            Ask::Operate(operation) => CardRequest::Operate { access, operation },
        };
        Some(Command::Card { id, request })
    }

    /// Takes the outcome of what is in flight.
    fn answered(&mut self, at: usize, response: Response) {
        let terminal = &mut self.terminals[at];
        let (id, ask) = terminal.in_flight.take().unwrap();
        let outcome = match response {
            Response::Settled { id: settled, outcome } if settled == id => outcome,
            Response::Statement { id: settled, .. } if settled == id => {
                terminal.done += 1;
                return;
            }
            other => panic!("{ask:?} {other:?}"),
        };
        assert_eq!(self.outcomes.insert((at, id), (ask, outcome)), None);
        // What is not done is done again, under another id.
        terminal.done += usize::from(outcome != Outcome::NotDone);
        self.wrong += u64::from(outcome == Outcome::Refused(Refusal::NotVerified));
        match (ask, outcome) {
            (Ask::Verify(card, _), Outcome::Done(Receipt::Verified { version, accounts })) => {
                let account = accounts.iter().next().unwrap();
                terminal.access = Some(Access { token: claim(card).newest(), version, account });
            }
            (_, Outcome::Done(Receipt::PinChanged)) => {
                let access = terminal.access.as_mut().unwrap();
                access.version += 1;
            }
            _ => {}
        }
    }

    /// Compares the tables with what was answered; `is_over` says that nothing is in flight.
    fn check(&self, machine: &Machine, is_over: bool) {
        let tables = tables::audit(&machine.connect().unwrap()).unwrap();
        assert_eq!(tables.faults, [""; 0]);
        let refusals: u64 = tables.cards.values().map(|card| card.refusals).sum();
        let in_flight = self.terminals.iter().filter(|terminal| terminal.in_flight.is_some()).count() as u64;
        // Never fewer than wrong answers, and at most one more for each that was in flight.
        assert!((self.wrong..=self.wrong + in_flight).contains(&refusals), "{refusals} {}", self.wrong);
        if !is_over {
            return;
        }
        let mut balances = BTreeMap::from([(7, i128::from(OPENING)), (8, i128::from(OPENING))]);
        for ((at, _), (_, outcome)) in &self.outcomes {
            let own = 7 + *at as u64;
            *balances.entry(own).or_default() += tables::moved(*outcome);
            if let Outcome::Done(Receipt::Transferred { payee, amount, .. }) = outcome {
                *balances.entry(payee.0.into()).or_default() += i128::from(amount.minor());
            }
        }
        for account in [7, 8] {
            assert_eq!(i128::from(tables.accounts[&account]), balances[&account], "{:?}", self.outcomes);
        }
        // The third wrong one has blocked the first card, whatever lost its power between them.
        assert!(tables.cards[&1].blocked && tables.cards[&1].tries == 3, "{:?}", tables.cards);
        assert!(!tables.cards[&2].blocked && tables.cards[&2].version == 1, "{:?}", tables.cards);
        let last = self.outcomes.iter().filter(|((at, _), _)| *at == 0).map(|(_, (_, outcome))| *outcome);
        let last: Vec<_> = last.filter(|outcome| *outcome != Outcome::NotDone).collect();
        let [.., transfer, verify] = last[..] else { panic!() };
        assert_eq!(
            (transfer, verify),
            (Outcome::Refused(Refusal::NoAccess), Outcome::Refused(Refusal::NotVerified))
        );
    }
}

/// Commits requests as one batch; returns each terminal's response.
fn exchange(
    committer: &mut GroupCommitter<Sqlite>,
    requests: Vec<(usize, Request)>,
) -> Result<Vec<(usize, Response)>, Stopped> {
    for (_, request) in &requests {
        committer.submit(request.clone()).map_err(|_| Stopped)?;
    }
    let mut found = Vec::new();
    for _ in 0..ATTEMPTS {
        committer.commit();
        found.extend(committer.responses().map_err(|_| Stopped)?);
        if found.len() == requests.len() {
            let place = |asked: &Request| requests.iter().find(|(_, request)| request == asked).unwrap().0;
            return Ok(found.iter().map(|(request, response)| (place(request), *response)).collect());
        }
    }
    Err(Stopped)
}

/// The calls of a day without a fault that change the disk, and those that sync the log.
fn calls() -> (Vec<u64>, Vec<u64>) {
    let machine = machine();
    let before = machine.disk.calls();
    let mut day = Day::new();
    day.run(&machine).unwrap();
    day.check(&machine, true);
    assert_eq!(day.wrong, 11, "{:?}", day.outcomes);
    let log: Vec<_> = (before..).zip(machine.disk.take_log()).collect();
    let changes = log.iter().filter(|(_, call)| call.is_change()).map(|(number, _)| *number).collect();
    let syncs = log.iter().filter(|(_, call)| call.operation == Call::Sync && &*call.file == WAL);
    (changes, syncs.map(|(number, _)| *number).collect())
}

#[test]
fn a_crash_at_each_write_and_sync_gives_no_try_and_loses_no_money() {
    let (changes, _) = calls();
    let mut restarts = 0;
    for call in changes {
        let machine = machine();
        machine.disk.inject(When::Call(call), Fault::Stop);
        let mut day = Day::new();
        if day.run(&machine).is_ok() {
            continue;
        }
        for cut in [Cut::Lost, Cut::Kept, Cut::Random(call)] {
            let machine = machine.power_cut(cut);
            let mut day = day.clone();
            day.check(&machine, false);
            day.run(&machine).unwrap();
            day.check(&machine.power_cut(Cut::Lost), true);
            restarts += 1;
        }
    }
    println!("{restarts} restarts");
    assert!(restarts > 200, "{restarts}");
}

#[test]
fn a_sync_that_fails_gives_no_try_and_loses_no_money() {
    let (_, syncs) = calls();
    assert!(syncs.len() > 8, "{syncs:?}");
    for sync in syncs {
        for cut in [Cut::Lost, Cut::Kept, Cut::Random(sync)] {
            let machine = machine();
            machine.disk.inject(When::Call(sync), Fault::FailedSync(cut));
            let mut day = Day::new();
            if day.run(&machine).is_err() {
                // The first sync is that of the start.
                day.run(&machine).unwrap();
            }
            day.check(&machine.power_cut(Cut::Lost), true);
        }
    }
}
