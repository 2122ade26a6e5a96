//! The contract of [`Ledger`] as a suite that any ledger can be run through: clauses with names, and a random script
//! whose responses must be those of [`decide`](super::decide()) over plain rows.
use super::{
    Admission, Command, Epoch, HelloClaim, Ledger, LedgerId, Name, Numbers, Operation, Origin, Outcome,
    Receipt, Refusal, Rejection, Request, Response, SessionId, Ticket,
};
use crate::money::Amount;

#[cfg(feature = "cards")]
mod cards;
mod hello;
mod operations;
mod script;
#[cfg(feature = "cards")]
pub use cards::{CardStore, check_cards};

/// The clause of the contract that a ledger broke.
pub type Broken = &'static str;

/// A clause of the contract.
type Clause = fn(&mut Books<dyn Ledger>) -> Result<(), Broken>;

/// What keeps a ledger's store, so that the ledger can be opened again as after a loss of power.
pub trait Store {
    /// The ledger.
    type Ledger: Ledger + 'static;

    /// Whether the store keeps a row for each terminal, with its epoch, its turn and its numbers. Then every response is
    /// that of [`decide`](super::decide()) exactly, over any loss of power.
    ///
    /// A store for one process or one line may keep less: it reserves numbers for all terminals at once, so that a block
    /// may begin higher, and a gap may be wider, than the terminal's own row would have it; epochs and turns are lost
    /// with the power, and a hello of one terminal may fence the others. A record that moved no money may be lost with
    /// the power too, or by a hello of another terminal, if no operation is done under its id any more: then it is not done.
    /// The suite lets a terminal say hello after each loss of power, and whenever it speaks after another one.
    const KEEPS_ROWS: bool = true;

    /// How many terminals there is room for, at least two; `None` if only the medium limits them.
    const TERMINALS: Option<u32> = None;

    /// A ledger that was never used, with this balance.
    fn create(&mut self, balance: Amount) -> Self::Ledger;

    /// The same ledger again, from what `old` had committed.
    fn reopen(&mut self, old: Self::Ledger) -> Self::Ledger;
}

/// Runs a ledger through the contract.
///
/// # Errors
/// The first clause that it breaks.
pub fn check<S: Store>(store: &mut S) -> Result<(), Broken> {
    for clause in operations::CLAUSES.iter().chain(hello::CLAUSES) {
        clause(&mut Books::create(store))?;
    }
    operations::survive_a_loss_of_power(store)?;
    operations::refusal_over_a_loss_of_power(store)?;
    hello::no_number_twice(store)?;
    hello::set_back(store)?;
    if S::KEEPS_ROWS {
        hello::rows_survive_a_loss_of_power(store)?;
    }
    if let Some(terminals) = S::TERMINALS {
        hello::full(store, terminals)?;
    }
    (1..=4).try_for_each(|seed| script::run(store, seed))
}

/// The balance that every clause starts from.
const START: Amount = units(100);

/// So far above all numbers that were given is a claim that proves a set-back. It is more than a store reserves ahead.
const SET_BACK: u64 = 1 << 20;

/// A number that no ledger has reserved yet.
const FAR: u64 = 1 << 52;

const fn units(units: u64) -> Amount {
    match Amount::from_units(units) {
        Some(amount) => amount,
        None => Amount::MAX,
    }
}

/// A ledger, and what its terminals know of it.
struct Books<L: Ledger + ?Sized> {
    keeps_rows: bool,
    /// Counts the hellos: each is of a new start.
    starts: u64,
    /// The terminal that said hello last, and its turn.
    current: Option<(&'static str, u32)>,
    /// The first number of `a` and of `b`: the ids of the clauses count from there.
    firsts: [Option<u64>; 2],
    /// The highest number of any terminal.
    highest: u64,
    ledger: L,
}

impl<L: Ledger> Books<L> {
    /// A ledger that was never used.
    fn create<S: Store<Ledger = L>>(store: &mut S) -> Self {
        let ledger = store.create(START);
        Self { keeps_rows: S::KEEPS_ROWS, starts: 0, current: None, firsts: [None; 2], highest: 0, ledger }
    }

    /// The ledger after a loss of power.
    fn reopen<S: Store<Ledger = L>>(self, store: &mut S) -> Self {
        Self { current: None, ledger: store.reopen(self.ledger), ..self }
    }
}

impl<L: Ledger + ?Sized> Books<L> {
    fn ask(&mut self, origin: Origin, turn: u32, command: Command) -> Result<Response, Broken> {
        // Any ticket: the ledger does not read it.
        let ticket = Ticket { link: 9, number: 7 };
        let request = Request { ticket, origin, turn, command };
        self.ledger.apply(&request).map_err(|_| "a request without a fault of the store is answered")
    }

    fn outcome(&mut self, origin: Origin, turn: u32, command: Command) -> Result<Outcome, Broken> {
        match (self.ask(origin, turn, command)?, command) {
            (
                Response::Settled { id, outcome },
                Command::Operate { id: asked, .. } | Command::Settle { id: asked },
            ) if id == asked => Ok(outcome),
            _ => Err("an operation is answered with its outcome under its id"),
        }
    }

    /// The epoch of the last hello.
    fn epoch(&self) -> Epoch {
        Epoch::clear(self.starts, 1)
    }

    /// The claim of a new start, which knows no ledger.
    fn new_claim(&mut self) -> HelloClaim {
        self.starts = self.starts.saturating_add(1);
        self.claim()
    }

    /// A claim of the last hello's epoch, which knows no ledger.
    fn claim(&self) -> HelloClaim {
        HelloClaim { epoch: self.epoch(), admit_equal: false, ledger: None, seen: 0 }
    }

    /// A hello of any claim.
    fn claims(
        &mut self,
        terminal: &'static str,
        claim: HelloClaim,
    ) -> Result<Result<Admission, Rejection>, Broken> {
        let admission = match self.ask(named(terminal)?, 0, Command::Hello(claim))? {
            Response::Admitted(admission) => admission,
            Response::Rejected(rejection) => return Ok(Err(rejection)),
            _ => return Err("a hello is admitted or rejected"),
        };
        let (first, last) = ends(admission.numbers).ok_or("an admission has a number at least")?;
        self.highest = self.highest.max(last);
        self.current = Some((terminal, admission.turn));
        self.first(terminal).get_or_insert(first);
        Ok(Ok(admission))
    }

    /// The first number of `a` or of `b`.
    fn first(&mut self, terminal: &str) -> &mut Option<u64> {
        let [a, b] = &mut self.firsts;
        if terminal == "a" { a } else { b }
    }

    /// A hello of a new start, which knows no ledger.
    fn hello(&mut self, terminal: &'static str) -> Result<Admission, Broken> {
        let claim = self.new_claim();
        self.claims(terminal, claim)?.map_err(|_| "a hello of a new start is admitted")
    }

    /// The turn of a terminal. It says hello, unless it did so last.
    fn turn(&mut self, terminal: &'static str) -> Result<u32, Broken> {
        match self.current {
            Some((current, turn)) if current == terminal => Ok(turn),
            _ => Ok(self.hello(terminal)?.turn),
        }
    }

    /// The id of an operation: `id` above the terminal's first number.
    fn id(&mut self, terminal: &'static str, id: u64) -> Result<u64, Broken> {
        self.turn(terminal)?;
        Ok(self.first(terminal).unwrap_or(0).saturating_add(id))
    }

    fn operate(&mut self, terminal: &'static str, id: u64, operation: Operation) -> Result<Outcome, Broken> {
        let (id, turn) = (self.id(terminal, id)?, self.turn(terminal)?);
        self.outcome(named(terminal)?, turn, Command::Operate { id, operation })
    }

    fn settle(&mut self, terminal: &'static str, id: u64) -> Result<Outcome, Broken> {
        let (id, turn) = (self.id(terminal, id)?, self.turn(terminal)?);
        self.outcome(named(terminal)?, turn, Command::Settle { id })
    }

    /// Whether neither an operation under this very number nor its outcome is known.
    fn is_unknown(&mut self, terminal: &'static str, turn: u32, id: u64) -> Result<bool, Broken> {
        let operation = Operation::Deposit(units(1));
        for command in [Command::Settle { id }, Command::Operate { id, operation }, Command::Settle { id }] {
            if self.outcome(named(terminal)?, turn, command)? != Outcome::Unknown {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn unnamed(&mut self, operation: Operation) -> Result<Outcome, Broken> {
        let session = Origin::Session(SessionId { host: 3, number: 9 });
        self.outcome(session, 0, Command::Operate { id: 1, operation })
    }

    fn has(&mut self, balance: Amount) -> Result<(), Broken> {
        match self.unnamed(Operation::Inquiry)? {
            Outcome::Done(Receipt::Balance { balance: found }) => {
                hold(found == balance, "the balance is the sum of what was done")
            }
            _ => Err("an inquiry reports the balance"),
        }
    }
}

fn named(terminal: &str) -> Result<Origin, Broken> {
    terminal.parse::<Name>().map(Origin::Terminal).map_err(|_| "the suite's names are names")
}

/// The first and the last of a block of numbers.
fn ends(mut numbers: Numbers) -> Option<(u64, u64)> {
    let first = numbers.take()?;
    Some((first, core::iter::from_fn(|| numbers.take()).last().unwrap_or(first)))
}

fn hold(held: bool, clause: Broken) -> Result<(), Broken> {
    if held { Ok(()) } else { Err(clause) }
}

#[cfg(test)]
mod tests;
