//! Callers of the ledger: what terminals and sessions request, which outcomes they received, and whether the tables agree.
use atm_core::{
    ledger::{Command, Epoch, HelloClaim, Operation, Origin, Outcome, Request, Response, SessionId, Ticket},
    money::Amount,
};
use atm_sim::{
    faulty_disk::{BALANCE, IDENTITY},
    tables::{Tables, moved},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A terminal, as it remembers itself.
#[derive(Clone, Debug, Default)]
struct Terminal {
    turn: u32,
    /// The next id, and the end of the numbers that were reserved for it.
    next: u64,
    end: u64,
    /// The highest number that it has seen in whatever history.
    seen: u64,
    /// Its last operation.
    last: Option<(u64, Operation)>,
}

/// What is requested.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    Hello(&'static str),
    /// A hello of a terminal that has seen numbers of a lost history.
    SetBack(&'static str),
    Reserve(&'static str),
    /// An operation under a new id.
    New(&'static str, Operation),
    /// The last one again.
    Duplicate(&'static str),
    /// The last one again, in an earlier turn.
    Stale(&'static str),
    /// The outcome of the last one.
    Settle(&'static str),
    /// The outcome of an operation that was never sent.
    Void(&'static str),
    /// The same command again, in the present turn.
    Again(&'static str, Command),
    /// An operation of a session without a name.
    Unnamed(Operation),
}

/// All callers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Callers {
    terminals: BTreeMap<&'static str, Terminal>,
    tickets: u32,
    starts: u64,
    received: HashMap<(String, u64), Outcome>,
    /// The operations of sessions without a name, by ticket.
    unnamed: BTreeMap<u32, (Operation, Option<Outcome>)>,
    /// Tickets of requests that a ledger must fence.
    stale: HashSet<u32>,
}

impl Callers {
    pub(crate) fn request(&mut self, ask: Ask) -> Request {
        self.tickets += 1;
        let number = self.tickets;
        let ticket = Ticket { link: 0, number };
        let name = match ask {
            Ask::Unnamed(operation) => {
                self.unnamed.insert(number, (operation, None));
                let origin = Origin::Session(SessionId::new(number.into()));
                let command = Command::Operate { id: number.into(), operation };
                return Request { ticket, origin, turn: 0, command };
            }
            Ask::Hello(name) | Ask::SetBack(name) | Ask::Reserve(name) | Ask::New(name, _) => name,
            Ask::Duplicate(name)
            | Ask::Stale(name)
            | Ask::Settle(name)
            | Ask::Void(name)
            | Ask::Again(name, _) => name,
        };
        let terminal = self.terminals.entry(name).or_default();
        let mut turn = terminal.turn;
        let mut id = || {
            terminal.next += 1;
            assert!(terminal.next <= terminal.end, "{name} has numbers");
            terminal.next - 1
        };
        let command = match ask {
            Ask::Hello(_) | Ask::SetBack(_) => {
                if matches!(ask, Ask::SetBack(_)) {
                    terminal.seen = terminal.end + 20;
                }
                self.starts += 1;
                let epoch = Epoch::clear(self.starts, 1);
                let seen = terminal.seen;
                Command::Hello(HelloClaim { epoch, admit_equal: false, ledger: Some(IDENTITY), seen })
            }
            Ask::Reserve(_) => Command::Reserve,
            Ask::New(_, operation) => {
                let id = id();
                if operation != Operation::Inquiry {
                    terminal.last = Some((id, operation));
                }
                Command::Operate { id, operation }
            }
            Ask::Duplicate(_) | Ask::Stale(_) => {
                if matches!(ask, Ask::Stale(_)) {
                    turn -= 1;
                    self.stale.insert(number);
                }
                let (id, operation) = terminal.last.unwrap();
                Command::Operate { id, operation }
            }
            Ask::Settle(_) => Command::Settle { id: terminal.last.unwrap().0 },
            Ask::Again(_, command) => command,
            Ask::Void(_) | Ask::Unnamed(_) => Command::Settle { id: id() },
        };
        Request { ticket, origin: Origin::Terminal(name.parse().unwrap()), turn, command }
    }

    /// What to ask after a start of the ledger, if these requests were not answered: a hello of each terminal, then the
    /// outcomes of the operations, by the same commands again or by inquiries.
    pub(crate) fn after_start(&self, in_flight: &[Request], again: bool) -> [Vec<Ask>; 2] {
        let hellos = self.terminals.keys().map(|name| Ask::Hello(name)).collect();
        let asks = in_flight.iter().filter_map(|request| {
            let asker = request.origin.terminal()?.as_str();
            let name = self.terminals.keys().find(|name| **name == asker)?;
            match request.command {
                Command::Operate { operation: Operation::Inquiry, .. } => None,
                Command::Operate { id, .. } if !again => Some(Ask::Again(name, Command::Settle { id })),
                command @ (Command::Operate { .. } | Command::Settle { .. }) => {
                    Some(Ask::Again(name, command))
                }
                Command::Hello(_) | Command::Reserve | Command::Card { .. } => None,
            }
        });
        [hellos, asks.collect()]
    }

    /// Hears a response.
    ///
    /// # Panics
    /// It contradicts an earlier one, or cannot be.
    pub(crate) fn hear(&mut self, request: &Request, response: &Response) {
        let Request { ticket, origin, .. } = request;
        // Where its batch did not stand, it is settled like the others.
        if self.stale.contains(&ticket.number) && *response == Response::Fenced {
            return;
        }
        let Origin::Terminal(name) = origin else {
            let Response::Settled { outcome, .. } = *response else { panic!("{request:?}: {response:?}") };
            let (_, received) = self.unnamed.get_mut(&ticket.number).unwrap();
            return assert_eq!(received.replace(outcome), None, "{request:?}");
        };
        let terminal = self.terminals.get_mut(name.as_str()).unwrap();
        let mut reserved = |mut numbers: atm_core::ledger::Numbers| {
            let first = numbers.take().unwrap();
            assert!(first >= terminal.end, "{request:?}: number {first} was reserved before");
            (terminal.next, terminal.end) = (first, numbers.end());
        };
        match *response {
            Response::Reserved(numbers) => reserved(numbers),
            Response::Admitted(admission) => {
                reserved(admission.numbers);
                assert!(admission.turn > terminal.turn, "{request:?}: {admission:?}");
                assert_eq!(admission.ledger, IDENTITY);
                terminal.turn = admission.turn;
                let received = self.received.iter().filter(|((of, _), _)| of == name.as_str());
                let last = received.max_by_key(|((_, id), _)| *id).map(|((_, id), outcome)| (*id, *outcome));
                let recorded = admission.last.map(|last| (last.id, last.outcome));
                match (last, recorded) {
                    (Some((received, _)), Some((id, _))) if id > received => {}
                    (None, _) => {}
                    _ => assert_eq!(last, recorded, "{request:?}: {admission:?}"),
                }
                if let Some((id, outcome)) = recorded {
                    self.received.insert((name.to_string(), id), outcome);
                }
            }
            Response::Settled { id, outcome } => {
                if matches!(request.command, Command::Operate { operation: Operation::Inquiry, .. }) {
                    return;
                }
                assert_ne!(outcome, Outcome::Unknown, "{request:?}");
                let received = self.received.insert((name.to_string(), id), outcome);
                assert!(
                    received.is_none_or(|received| received == outcome),
                    "{request:?}: {outcome:?}, before {received:?}"
                );
            }
            other => panic!("{request:?}: {other:?}"),
        }
    }

    /// Compares the tables with what was acknowledged: all of it is there, once, and nothing else but what was in flight.
    ///
    /// # Panics
    /// They differ.
    pub(crate) fn check(&self, tables: &Tables, in_flight: &[Request]) {
        assert_eq!(tables.faults, [""; 0]);
        let in_flight: HashSet<_> = in_flight
            .iter()
            .filter_map(|request| match (&request.origin, request.command) {
                (Origin::Terminal(name), Command::Operate { id, .. } | Command::Settle { id }) => {
                    Some((name.to_string(), id))
                }
                _ => None,
            })
            .collect();
        let mut received = self.received.clone();
        let mut unnamed: Vec<_> = self.unnamed.values().copied().collect();
        let mut sum = i128::from(BALANCE) * 100;
        for settled in &tables.settled {
            sum += settled.moved();
            let Some(key) = &settled.key else {
                // One that received this, or one that received nothing: its operation is in doubt for ever.
                let fits = |outcome: Option<Outcome>| match outcome {
                    Some(outcome) => outcome == settled.outcome,
                    None => true,
                };
                let found = unnamed
                    .iter()
                    .position(|(operation, outcome)| Some(*operation) == settled.operation && fits(*outcome));
                unnamed
                    .swap_remove(found.unwrap_or_else(|| panic!("{settled:?} was requested by no caller")));
                continue;
            };
            match received.remove(key) {
                Some(outcome) => assert_eq!(outcome, settled.outcome, "{settled:?}"),
                None => assert!(in_flight.contains(key), "{settled:?} was acknowledged to no caller"),
            }
        }
        assert!(received.is_empty(), "acknowledged and lost: {received:?}");
        let lost = unnamed.iter().find(|(_, outcome)| outcome.is_some_and(|received| moved(received) != 0));
        assert_eq!(lost, None, "acknowledged and lost");
        assert_eq!(i128::from(tables.balance), sum);
        for (name, terminal) in &self.terminals {
            let reserved = tables.terminals.get(*name).copied().unwrap_or(0);
            assert!(reserved >= terminal.end, "{name}: a block of numbers was acknowledged and lost");
        }
    }
}

pub(crate) fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}
