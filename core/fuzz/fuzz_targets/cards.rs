//! Fuzzes `decide` with any history of requests of cards: money moves only by a session that stands, within the limits and
//! from one account to one other; tries are counted; the same request again changes nothing.
#![no_main]
use arbitrary::Arbitrary;
use atm_core::{
    ledger::{
        AccountNumber, Command, Epoch, HelloClaim, Ledger, Operation, Origin, Outcome, Receipt, Refusal, Request, Response,
        Ticket,
        card::{Access, AccountState, CardRequest, TRIES},
    },
    money::Amount,
    time::UnixTime,
};
use atm_core_fuzz::cards::{ACCOUNTS, LIMITS, PINS, SmallLedger, ledger, typed};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Step {
    Verify { terminal: bool, card: u8, pin: u8 },
    /// With a session that was opened, or something changed in it.
    Operate { terminal: bool, session: u8, change: u8, operation: u8, amount: u32 },
    ChangePin { session: u8, old: u8, new: u8 },
    /// The last request again.
    Repeat,
    Hello { terminal: bool },
    Block { card: bool },
    Unblock { card: bool },
    State { account: u8, state: u8 },
    Clock(i32),
}

struct World {
    ledger: SmallLedger,
    now: u64,
    /// The turn of each terminal, its starts, and the first number that it has not used.
    terminals: [(u32, u64, u64); 2],
    sessions: Vec<Access>,
    last: Option<(Request, Response)>,
    /// The PIN of each card, and its wrong PINs.
    pins: [usize; 2],
    wrong: [u8; 2],
    /// The sum of all balances, in minor units.
    money: u64,
}

impl World {
    fn new() -> Self {
        let ledger = ledger();
        let money = ledger.total();
        let mut world = Self {
            ledger,
            now: 1_790_000_000_000,
            terminals: [(0, 0, 0); 2],
            sessions: Vec::new(),
            last: None,
            pins: [0, 1],
            wrong: [0; 2],
            money,
        };
        world.hello(0);
        world.hello(1);
        world
    }

    fn apply(&mut self, request: &Request) -> Response {
        self.ledger.set_time(UnixTime::from_millis(self.now));
        self.ledger.apply(request).expect("a commit in memory cannot fail")
    }

    fn hello(&mut self, at: usize) {
        let (turn, start, _) = &mut self.terminals[at];
        *start += 1;
        let claim = HelloClaim { epoch: Epoch::clear(*start, 1), admit_equal: false, ledger: None, seen: 0 };
        let origin = Origin::Terminal(["a", "b"][at].parse().expect("it is a name"));
        let request = Request { ticket: Ticket::default(), origin, turn: *turn, command: Command::Hello(claim) };
        let Response::Admitted(mut admission) = self.apply(&request) else { panic!("it was not admitted") };
        self.terminals[at].0 = admission.turn;
        self.terminals[at].2 = admission.numbers.take().expect("a block was reserved");
    }

    fn request(&mut self, at: usize, request: CardRequest) -> Outcome {
        if self.terminals[at].2 % 256 == 255 {
            self.hello(at);
        }
        let (turn, _, id) = self.terminals[at];
        self.terminals[at].2 += 1;
        let origin = Origin::Terminal(["a", "b"][at].parse().expect("it is a name"));
        let request = Request { ticket: Ticket::default(), origin, turn, command: Command::Card { id, request } };
        let response = self.apply(&request);
        self.last = Some((request, response));
        match response {
            Response::Settled { outcome, .. } => outcome,
            Response::Statement { .. } => Outcome::Done(Receipt::Balance { balance: Amount::ZERO }),
            other => panic!("{other:?}"),
        }
    }

    /// A PIN was judged, unless there was a delay; whether it is right.
    fn judge(&mut self, card: usize, pin: usize, outcome: Outcome) -> bool {
        let Some(row) = self.ledger.card(typed(card, PINS[0]).0.newest()) else {
            assert!(matches!(outcome, Outcome::Refused(Refusal::NotVerified | Refusal::Delayed { .. })), "{outcome:?}");
            return false;
        };
        match outcome {
            Outcome::Done(_) => {
                assert!(pin == self.pins[card] && !row.is_blocked && row.tries == 0);
                self.wrong[card] = 0;
                return true;
            }
            Outcome::Refused(Refusal::NotVerified) => {
                self.wrong[card] = (self.wrong[card] + 1).min(TRIES);
                assert!(pin != self.pins[card] || row.is_blocked);
            }
            Outcome::Refused(Refusal::Delayed { seconds }) => assert!((1..=60).contains(&seconds)),
            other => panic!("{other:?}"),
        }
        false
    }

    fn operate(&mut self, at: usize, access: Access, operation: Operation) {
        let before = self.ledger.clone();
        let row = before.card(access.token).copied();
        let stands = row.is_some_and(|row| {
            row.version == access.version && !row.is_blocked && row.accounts.contains(access.account)
        });
        let outcome = self.request(at, CardRequest::Operate { access, operation });
        assert_eq!(stands, outcome != Outcome::Refused(Refusal::NoAccess), "{outcome:?}");
        let balance = |ledger: &SmallLedger, account| {
            ledger.account(account).map_or(0, |row| row.account.balance.minor())
        };
        let changed = ACCOUNTS.iter().filter(|account| balance(&before, **account) != balance(&self.ledger, **account));
        let count = changed.count();
        match outcome {
            Outcome::Done(Receipt::Deposited { amount, .. }) => self.money += amount.minor(),
            Outcome::Done(Receipt::Withdrawn { amount, .. }) => {
                assert!(amount.minor() <= LIMITS.0 * 100);
                assert!(amount.cents() == 0 || operation != Operation::WithdrawAll);
                self.money -= amount.minor();
            }
            Outcome::Done(Receipt::Transferred { amount, .. }) => assert_eq!(count, if amount.is_zero() { 0 } else { 2 }),
            _ => assert_eq!(count, 0, "{outcome:?}"),
        }
        let state = |ledger: &SmallLedger, account| ledger.account(account).map(|row: &_| row.state);
        assert!(count == 0 || state(&before, access.account) == Some(AccountState::Open));
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Verify { terminal, card, pin } => {
                let (card, pin) = (usize::from(card % 3), usize::from(pin % 3));
                let (claim, proof) = typed(card, PINS[pin]);
                let outcome = self.request(terminal.into(), CardRequest::Verify { claim, proof });
                if self.judge(card, pin, outcome)
                    && let Outcome::Done(Receipt::Verified { version, accounts }) = outcome
                {
                    let access = |account| Access { token: claim.newest(), version, account };
                    self.sessions.extend(accounts.iter().map(access));
                }
            }
            Step::Operate { terminal, session, change, operation, amount } => {
                let Some(mut access) = self.session(session) else { return };
                match change {
                    0 => access.version = access.version.wrapping_add(1),
                    1 => access.version = access.version.wrapping_sub(1),
                    2 => access.account = ACCOUNTS[usize::from(session % 3)],
                    3 => access.token = typed(usize::from(session % 3), PINS[0]).0.newest(),
                    _ => {}
                }
                let amount = Amount::from_minor(u64::from(amount) % 60_000).expect("it is small");
                let payee = [&ACCOUNTS[..], &[AccountNumber(10)]].concat()[usize::from(session % 4)];
                let operation = match operation % 7 {
                    0 => Operation::Inquiry,
                    1 => Operation::Deposit(amount),
                    2 => Operation::Withdraw(amount),
                    3 => Operation::WithdrawAll,
                    4 => Operation::Transfer { payee, amount },
                    5 => Operation::LookUp { payee },
                    _ => Operation::Statement,
                };
                self.operate(terminal.into(), access, operation);
            }
            Step::ChangePin { session, old, new } => {
                let Some(access) = self.session(session) else { return };
                let card = (0..2).find(|card| typed(*card, PINS[0]).0.newest() == access.token);
                let (card, old, new) = (card.expect("it was issued"), usize::from(old % 3), usize::from(new % 3));
                let [old_proof, new_proof] = [old, new].map(|pin| typed(card, PINS[pin]).1);
                let request = CardRequest::ChangePin { access, old: old_proof, new: new_proof.newest() };
                let outcome = self.request(0, request);
                if outcome != Outcome::Refused(Refusal::NoAccess) && self.judge(card, old, outcome) {
                    self.pins[card] = new;
                }
            }
            Step::Repeat => {
                let Some((request, response)) = self.last.clone() else { return };
                let before = self.ledger.clone();
                let again = self.apply(&request);
                let Command::Card { request: CardRequest::Operate { operation, .. }, .. } = request.command else {
                    assert!(again == response || again == Response::Fenced || is_unknown(again));
                    return assert_eq!(unclocked(&self.ledger), unclocked(&before));
                };
                assert!(operation.is_report() || again == response || again == Response::Fenced || is_unknown(again));
                assert_eq!(unclocked(&self.ledger), unclocked(&before));
            }
            Step::Hello { terminal } => self.hello(terminal.into()),
            Step::Block { card } => self.order(card, |row| row.block()),
            Step::Unblock { card } => {
                self.order(card, |row| row.unblock());
                self.wrong[usize::from(card)] = 0;
            }
            Step::State { account, state } => {
                let states = [AccountState::Open, AccountState::Frozen, AccountState::Closed];
                let row = self.ledger.account_mut(ACCOUNTS[usize::from(account % 3)]).expect("it was opened");
                row.state = states[usize::from(state % 3)];
            }
            Step::Clock(millis) => self.now = self.now.saturating_add_signed(millis.into()),
        }
        assert_eq!(self.ledger.total(), self.money, "money is made or lost");
        for card in 0..2 {
            let row = self.ledger.card(typed(card, PINS[0]).0.newest()).expect("it was issued");
            assert_eq!(row.tries, self.wrong[card]);
            assert!(row.is_blocked || row.tries < TRIES);
            assert!(row.withdrawn.minor() <= LIMITS.1 * 100);
        }
    }

    fn session(&self, at: u8) -> Option<Access> {
        self.sessions.get(usize::from(at) % self.sessions.len().max(1)).copied()
    }

    fn order(&mut self, card: bool, order: impl FnOnce(&mut atm_core::ledger::card::Card)) {
        let (claim, _) = typed(card.into(), PINS[0]);
        order(self.ledger.card_mut(claim.newest()).expect("it was issued"));
    }
}

fn is_unknown(response: Response) -> bool {
    matches!(response, Response::Settled { outcome: Outcome::Unknown, .. })
}

/// A ledger at one time, so that only its rows are compared.
fn unclocked(ledger: &SmallLedger) -> SmallLedger {
    let mut ledger = ledger.clone();
    ledger.set_time(UnixTime::from_millis(0));
    ledger
}

fuzz_target!(|steps: Vec<Step>| {
    let mut world = World::new();
    steps.iter().for_each(|step| world.step(step));
});
