//! Linearizability: the ledger answers concurrent requests as if each took effect alone, at one moment between the request
//! and its response, also where a fault of the disk delays its batch.
use atm_core::{
    ledger::{
        Command, Epoch, HelloClaim, Ledger, Operation, Origin, Outcome, RamLedger, Receipt, Refusal, Request,
        Response, SessionId, Ticket,
    },
    money::Amount,
};
use atm_faulty_vfs::{Cut, Fault, When};
use atm_host::ledger::{committer::GroupCommitter, sqlite::Sqlite};
use atm_sim::{
    faulty_disk::{BALANCE, IDENTITY, Machine, WAL},
    tables,
};
use proptest::{prelude::*, sample::Index};
use rusqlite::ffi;

const SESSIONS: usize = 4;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A session that waits for nothing asks for this.
    Ask(Index, Operation),
    /// The queue is committed, or the batch in doubt settled.
    Commit,
    /// The responses are taken.
    Take,
    /// The call of the disk with this number from here on fails.
    Fail(u64),
    /// The next sync of the log fails and leaves what this seed says.
    FailSync(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amount = (1..200u64).prop_map(|units| Amount::from_units(units).unwrap());
    let operation = prop_oneof![
        amount.clone().prop_map(Operation::Deposit),
        amount.prop_map(Operation::Withdraw),
        Just(Operation::WithdrawAll),
        Just(Operation::Inquiry),
    ];
    let step = prop_oneof![
        8 => (any::<Index>(), operation).prop_map(|(who, operation)| Step::Ask(who, operation)),
        4 => Just(Step::Commit),
        4 => Just(Step::Take),
        1 => (0..60u64).prop_map(Step::Fail),
        1 => any::<u64>().prop_map(Step::FailSync),
    ];
    prop::collection::vec(step, 1..80)
}

/// An operation: when it was asked and answered, counted in steps.
#[derive(Clone, Debug)]
struct Call {
    session: usize,
    request: Request,
    asked: usize,
    answered: usize,
    outcome: Option<Outcome>,
}

/// Half of the sessions have names.
fn origin(session: usize) -> Origin {
    if session.is_multiple_of(2) {
        Origin::Terminal(format!("kiosk-{session}").parse().unwrap())
    } else {
        Origin::Session(SessionId::new(u64::try_from(session).unwrap()))
    }
}

/// A request; a terminal is in its first turn.
fn request(origin: Origin, command: Command) -> Request {
    let turn = u32::from(origin.terminal().is_some());
    Request { ticket: Ticket::default(), origin, turn, command }
}

fn hellos() -> Vec<Request> {
    let claim = HelloClaim { epoch: Epoch::PLAIN, admit_equal: false, ledger: None, seen: 0 };
    let named = (0..SESSIONS).map(origin).filter(|origin| origin.terminal().is_some());
    named.map(|origin| request(origin, Command::Hello(claim))).collect()
}

struct Run {
    committer: GroupCommitter<Sqlite>,
    calls: Vec<Call>,
    /// The call that each session waits for.
    out: [Option<usize>; SESSIONS],
    step: usize,
}

impl Run {
    fn ask(&mut self, session: usize, operation: Operation) {
        if self.out[session].is_some() {
            return;
        }
        let id = u64::try_from(self.calls.len()).unwrap() + 1;
        // No two are for the same amount, so that each is known by it.
        let cents = |amount: Amount| Amount::from_minor(amount.minor() + id).unwrap();
        let operation = match operation {
            Operation::Deposit(amount) => Operation::Deposit(cents(amount)),
            Operation::Withdraw(amount) => Operation::Withdraw(cents(amount)),
            other => other,
        };
        let request = request(origin(session), Command::Operate { id, operation });
        self.out[session] = Some(self.calls.len());
        self.committer.submit(request.clone()).unwrap();
        self.calls.push(Call { session, request, asked: self.step, answered: usize::MAX, outcome: None });
    }

    fn take(&mut self) {
        for (request, response) in self.committer.responses().unwrap() {
            let Response::Settled { outcome, .. } = response else { panic!("{response:?}") };
            let call = self.calls.iter_mut().find(|call| call.request == request).unwrap();
            assert_eq!(call.outcome.replace(outcome), None, "one answer each");
            call.answered = self.step;
            self.out[call.session] = None;
        }
    }
}

/// Is this an outcome that the balance alone explains, without an entry?
fn told_by(balance: Amount, operation: Operation, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Done(Receipt::Balance { balance: told }) => {
            operation == Operation::Inquiry && told == balance
        }
        Outcome::Refused(Refusal::Insufficient { balance: told }) => match operation {
            Operation::Withdraw(amount) => told == balance && amount > balance,
            Operation::WithdrawAll => told == balance && balance.is_zero(),
            _ => false,
        },
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn there_is_an_order_that_explains_every_answer(steps in steps()) {
        let machine = Machine::first();
        let mut committer = machine.start(1).unwrap();
        for hello in hellos() {
            committer.submit(hello).unwrap();
        }
        committer.commit();
        assert_eq!(committer.responses().unwrap().len(), hellos().len());
        let mut run = Run { committer, calls: Vec::new(), out: [None; SESSIONS], step: 0 };
        for step in steps {
            run.step += 1;
            match step {
                Step::Ask(who, operation) => run.ask(who.index(SESSIONS), operation),
                Step::Commit => run.committer.commit(),
                Step::Take => run.take(),
                Step::Fail(call) => {
                    let at = machine.disk.calls() + call;
                    machine.disk.inject(When::Call(at), Fault::Error(ffi::SQLITE_IOERR));
                }
                Step::FailSync(seed) => {
                    let fault = Fault::FailedSync(Cut::Random(seed));
                    machine.disk.inject(When::Next(atm_faulty_vfs::Operation::Sync, WAL, 0), fault);
                }
            }
        }
        run.step += 1;
        machine.disk.cancel();
        for _ in 0..2 {
            run.committer.commit();
        }
        run.take();
        prop_assert!(run.out.iter().all(Option::is_none), "all are answered");
        let calls = run.calls;

        // The order is that of the entries; alone, one after the other, each has the same outcome in the ledger in memory.
        let entries = tables::audit(&machine.power_cut(Cut::Lost).connect().unwrap()).unwrap();
        prop_assert_eq!(entries.faults, [""; 0]);
        let mut alone = RamLedger::<SESSIONS>::new(IDENTITY, Amount::from_units(BALANCE).unwrap());
        for hello in hellos() {
            alone.apply(&hello).unwrap();
        }
        let mut balances = vec![alone.balance()];
        let mut place = vec![None; calls.len()];
        for (number, entry) in (1..).zip(&entries.settled) {
            let id = entry.key.as_ref().map_or(0, |(_, id)| *id);
            let origin = match &entry.key {
                Some((name, _)) => Origin::Terminal(name.parse().unwrap()),
                None => Origin::Session(SessionId::default()),
            };
            let command = match entry.operation {
                Some(operation) => Command::Operate { id, operation },
                None => Command::Settle { id },
            };
            let response = Response::Settled { id, outcome: entry.outcome };
            prop_assert_eq!(alone.apply(&request(origin.clone(), command)), Ok(response));
            balances.push(alone.balance());
            // Whose it is: a terminal's by its id; a session's is any that got this outcome and has no place yet.
            let call = calls.iter().enumerate().position(|(at, call)| {
                let Request { origin: asker, command: Command::Operate { id: asked, operation }, .. } =
                    &call.request
                else {
                    return false;
                };
                let is_same = match entry.key {
                    Some(_) => id == *asked && *asker == origin,
                    None => matches!(asker, Origin::Session(_)) && Some(*operation) == entry.operation,
                };
                is_same && place[at].is_none() && call.outcome == Some(entry.outcome)
            });
            prop_assert!(call.is_some(), "{:?} is no caller's outcome", entry);
            place[call.unwrap()] = Some(number);
        }
        // What has no entry had its moment between two that have.
        for (at, call) in calls.iter().enumerate() {
            let Command::Operate { operation, .. } = call.request.command else { panic!("{call:?}") };
            let others = || calls.iter().zip(&place).filter_map(|(call, place)| Some((call, (*place)?)));
            let after = others().filter(|(other, _)| other.answered < call.asked).map(|(_, place)| place).max();
            let before = others().filter(|(other, _)| other.asked > call.answered).map(|(_, place)| place).min();
            let (after, before) = (after.unwrap_or(0), before.unwrap_or(balances.len()));
            let outcome = call.outcome.unwrap();
            match (place[at], &call.request.origin) {
                (Some(place), _) => prop_assert!(after < place && place < before, "{:?} out of order", call),
                // Its batch did not stand.
                (None, Origin::Session(_)) if outcome == Outcome::Unknown => {}
                (None, _) => prop_assert!(
                    balances[after..before].iter().any(|balance| told_by(*balance, operation, outcome)),
                    "{:?}: no moment explains it: {:?}", call, &balances[after..before]
                ),
            }
        }
    }
}
