//! Fills a ledger through the host's own committer: every row and hash is what a server would have written.
use atm_core::{
    ledger::{Command, Epoch, HelloClaim, LedgerId, Operation, Origin, Outcome, Request, Response, Ticket},
    money::Amount,
};
use atm_e2e::Rng;
use atm_host::{
    clock::unix_time,
    ledger::{committer::GroupCommitter, folder::Folder, sqlite::Beginning},
};
use std::path::Path;

/// Requests of a commit: as many as the committer takes at most.
const BATCH: usize = 4096;

/// Operations of a terminal, at most: its one hello reserves 256 numbers.
pub(crate) const MAX_ROUNDS: u64 = 250;

/// The name of a terminal.
pub(crate) fn name(number: u32) -> String {
    format!("kiosk-{number:07}")
}

/// A ledger that is being filled, in rounds: each terminal has an operation in each. A batch has terminals whose rows are
/// neighbours, or each operation would write a page of its own, and filling would take an hour; the batches are in another
/// random order in each round.
pub(crate) struct Filler<'a> {
    folder: &'a Path,
    rng: Rng,
    /// The terminals in the order of their rows, which is not that of their names.
    terminals: Vec<u32>,
    /// The order of the terminals in this round.
    order: Vec<u32>,
    /// Operations so far.
    operations: u64,
}

impl<'a> Filler<'a> {
    /// Makes a ledger in which so many terminals have said hello.
    pub(crate) fn new(folder: &'a Path, terminals: u32, mut rng: Rng) -> Self {
        let mut terminals: Vec<u32> = (0..terminals).collect();
        rng.shuffle(&mut terminals);
        let epoch = Epoch::clear(1, 1);
        let hello = Command::Hello(HelloClaim { epoch, admit_equal: false, ledger: None, seen: 0 });
        commit(folder, &mut rng.fork(), terminals.iter().map(|terminal| request(*terminal, 0, hello)));
        Self { folder, rng, terminals, order: Vec::new(), operations: 0 }
    }

    /// Commits operations until the ledger has so many entries, of which the first is no operation.
    pub(crate) fn fill(&mut self, entries: u64) {
        let Self { folder, rng, terminals, order, operations } = self;
        let (mut owner, count) = (rng.fork(), terminals.len() as u64);
        let requests = (*operations..entries - 1).map(|number| {
            let (round, at) = (number / count, number % count);
            if at == 0 {
                let mut batches: Vec<&[u32]> = terminals.chunks(BATCH).collect();
                rng.shuffle(&mut batches);
                *order = batches.concat();
            }
            let amount = Amount::from_units(rng.u64(1..200)).unwrap();
            let is_deposit = rng.u8(..5) < 3;
            let operation = if is_deposit { Operation::Deposit(amount) } else { Operation::Withdraw(amount) };
            request(order[at as usize], 1, Command::Operate { id: round + 1, operation })
        });
        commit(folder, &mut owner, requests);
        *operations = entries - 1;
    }
}

fn request(terminal: u32, turn: u32, command: Command) -> Request {
    let origin = Origin::Terminal(name(terminal).parse().unwrap());
    Request { ticket: Ticket::default(), origin, turn, command }
}

/// Commits requests in batches; each must be admitted, done or refused.
fn commit(folder: &Path, rng: &mut Rng, mut requests: impl Iterator<Item = Request>) {
    let locked = Folder::lock(folder).unwrap();
    let balance = Amount::from_units(100).unwrap();
    let new = Beginning { identity: LedgerId(rng.u64(..)), balance, time: unix_time() };
    let store = locked.open(new, false).unwrap();
    let metrics = Default::default();
    let mut committer = GroupCommitter::open(store, rng.u64(..), Box::new(unix_time), metrics).unwrap();
    loop {
        let count = requests.by_ref().take(BATCH).map(|request| committer.submit(request).unwrap()).count();
        if count == 0 {
            break;
        }
        committer.commit();
        let answered = committer.responses().unwrap();
        assert_eq!(answered.len(), count, "the ledger is in doubt");
        for (request, response) in answered {
            let is_expected = match response {
                Response::Admitted(admission) => admission.turn == 1,
                Response::Settled { outcome, .. } => {
                    matches!(outcome, Outcome::Done(_) | Outcome::Refused(_))
                }
                _ => false,
            };
            assert!(is_expected, "{request:?}: {response:?}");
        }
    }
    assert!(committer.close());
}
