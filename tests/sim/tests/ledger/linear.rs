//! Linearizability: the ledger on disk answers concurrent requests as if each took effect alone, at one moment
//! between the request and its response.

use atm_core::{
    ledger::{
        Command, Epoch, HelloClaim, Ledger, LedgerId, Operation, Origin, Outcome, RamLedger, Receipt,
        Refusal, Request, Response, SessionId, Ticket,
    },
    money::Amount,
};
use atm_e2e::TIMEOUT;
use atm_host::ledger::{
    entry::{Entry, Fact, Time},
    error::Fault,
    keeper::Keeper,
    teller::Teller,
};
use atm_sim::faulty_disk::FaultyDisk;
use proptest::{prelude::*, sample::Index};
use std::{
    sync::mpsc::{Receiver, channel},
    time::Instant,
};

const SESSIONS: usize = 4;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A session that waits for nothing asks for this.
    Ask(Index, Operation),
    /// What was asked goes to the ledger.
    Send,
    /// The answers that have come, or the first one that comes, are taken.
    Take { wait: bool },
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
        4 => (any::<Index>(), operation).prop_map(|(who, operation)| Step::Ask(who, operation)),
        2 => Just(Step::Send),
        1 => Just(Step::Take { wait: false }),
        1 => Just(Step::Take { wait: true }),
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
    teller: Teller,
    woken: Receiver<()>,
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
        self.teller.ask(request.clone());
        self.calls.push(Call { session, request, asked: self.step, answered: usize::MAX, outcome: None });
    }

    fn take(&mut self, wait: bool) {
        let until = Instant::now() + TIMEOUT;
        loop {
            for (request, response) in self.teller.answers().unwrap() {
                let Response::Settled { outcome, .. } = response else { panic!("{response:?}") };
                let call = self.calls.iter_mut().find(|call| call.request == request).unwrap();
                assert_eq!(call.outcome.replace(outcome), None, "one answer each");
                call.answered = self.step;
                self.out[call.session] = None;
            }
            if !wait || self.out.iter().all(Option::is_none) {
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            self.woken.recv_timeout(left).expect("the ledger answers");
        }
    }
}

/// The operations that the ledger wrote down, in their order.
fn written(disk: &FaultyDisk) -> Vec<(Origin, Option<u64>, Operation, Outcome)> {
    let keeper = open(disk);
    let mut written = Vec::new();
    let view = keeper.store().unwrap().view().unwrap();
    view.entries(1, |_, line| {
        if let Fact::Settled { key, operation: Some(operation), outcome, .. } =
            Entry::parse(line).unwrap().fact
        {
            let id = key.as_ref().map(|(_, id)| *id);
            let origin =
                key.map_or(Origin::Session(SessionId::default()), |(name, _)| Origin::Terminal(name));
            written.push((origin, id, operation, outcome));
        }
        Ok::<(), Fault>(())
    })
    .unwrap();
    written
}

fn open(disk: &FaultyDisk) -> Keeper {
    let time = Box::new(|| Time::from_millis(0));
    let balance = Amount::from_units(100).unwrap();
    Keeper::open(Box::new(disk.clone()), balance, || LedgerId(7), time, Default::default()).unwrap()
}

/// Is this an outcome that the balance alone explains, and that nobody writes down?
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
        let disk = FaultyDisk::new(1);
        let (wake, woken) = channel();
        let mut keeper = open(&disk);
        keeper.serve(hellos()).unwrap();
        let teller = Teller::on_disk(keeper, move || {
            let _ = wake.send(());
        });
        let mut run = Run { teller, woken, calls: Vec::new(), out: [None; SESSIONS], step: 0 };
        for step in steps {
            run.step += 1;
            match step {
                Step::Ask(who, operation) => run.ask(who.index(SESSIONS), operation),
                Step::Send => run.teller.send(),
                Step::Take { wait } => {
                    // Whoever waits has sent.
                    run.teller.send();
                    run.take(wait);
                }
            }
        }
        run.teller.send();
        run.step += 1;
        run.take(true);
        let Run { teller, calls, .. } = run;
        drop(teller);

        // The order is the one in which the ledger has written them down; alone, one after the other, each comes to the
        // same in the ledger in memory.
        let written = written(&disk);
        let mut alone = RamLedger::<SESSIONS>::new(LedgerId(7), Amount::from_units(100).unwrap());
        for hello in hellos() {
            alone.apply(&hello).unwrap();
        }
        let mut balances = vec![alone.balance()];
        let mut place = vec![None; calls.len()];
        for (number, (origin, id, operation, outcome)) in written.iter().enumerate() {
            let command = Command::Operate { id: id.unwrap_or(0), operation: *operation };
            let request = request(origin.clone(), command);
            let response = Response::Settled { id: id.unwrap_or(0), outcome: *outcome };
            prop_assert_eq!(alone.apply(&request), Ok(response));
            balances.push(alone.balance());
            // Whose it is: a terminal's by its id; a session's is any that was told this and has no place yet.
            let call = calls.iter().enumerate().position(|(at, call)| {
                let Request { origin: asker, command: Command::Operate { id: asked, operation: what }, .. } =
                    &call.request
                else {
                    return false;
                };
                let same = match id {
                    Some(id) => id == asked && asker == origin,
                    None => matches!(asker, Origin::Session(_)) && what == operation,
                };
                same && place[at].is_none() && call.outcome == Some(*outcome)
            });
            prop_assert!(call.is_some(), "{:?} was told to nobody", written[number]);
            place[call.unwrap()] = Some(number + 1);
        }
        // What was not written down had its moment between two that were.
        for (at, call) in calls.iter().enumerate() {
            let Command::Operate { operation, .. } = call.request.command else { panic!("{call:?}") };
            let others = || calls.iter().zip(&place).filter_map(|(call, place)| Some((call, (*place)?)));
            let after = others().filter(|(other, _)| other.answered < call.asked).map(|(_, place)| place).max();
            let before = others().filter(|(other, _)| other.asked > call.answered).map(|(_, place)| place).min();
            let (after, before) = (after.unwrap_or(0), before.unwrap_or(balances.len()));
            let outcome = call.outcome.unwrap();
            match place[at] {
                Some(place) => prop_assert!(after < place && place < before, "{:?} out of order", call),
                None => prop_assert!(
                    balances[after..before].iter().any(|balance| told_by(*balance, operation, outcome)),
                    "{:?}: no moment explains it: {:?}", call, &balances[after..before]
                ),
            }
        }
    }
}
