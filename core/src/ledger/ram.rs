//! A ledger in memory: it is lost at exit, and its identity with it.
use super::{
    Account, AccountNumber, BLOCK, InDoubt, Ledger, LedgerId, Name, Request, Response, Terminal,
    decide::RowsMut,
};
use crate::{money::Amount, time::UnixTime};
use heapless::Vec;

/// A [`Ledger`] in memory, for at most `TERMINALS` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RamLedger<const TERMINALS: usize> {
    identity: LedgerId,
    account: Account,
    terminals: Vec<(Name, Terminal), TERMINALS>,
    now: Option<UnixTime>,
}

impl<const TERMINALS: usize> RamLedger<TERMINALS> {
    /// A ledger that starts with `balance`. `identity` must be new for every start: random bits, or a counter kept
    /// in non-volatile memory.
    pub fn new(identity: LedgerId, balance: Amount) -> Self {
        let account = Account { number: AccountNumber::OPEN, balance, version: 0 };
        Self { identity, account, terminals: Vec::new(), now: None }
    }

    /// The balance.
    pub fn balance(&self) -> Amount {
        self.account.balance
    }

    /// The ledger's identity.
    pub fn identity(&self) -> LedgerId {
        self.identity
    }

    /// How many names it has.
    pub fn terminals(&self) -> u64 {
        u64::try_from(self.terminals.len()).unwrap_or(u64::MAX)
    }

    /// Whether a terminal of this name was admitted.
    pub fn knows(&self, name: &Name) -> bool {
        self.terminals.iter().any(|(known, _)| known == name)
    }

    /// Sets the wall clock that the next decisions see. Without one, they see none.
    pub fn set_time(&mut self, now: UnixTime) {
        self.now = Some(now);
    }
}

impl<const TERMINALS: usize> Ledger for RamLedger<TERMINALS> {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let name = request.origin.terminal();
        let place = self.terminals.iter().position(|(known, _)| Some(known) == name);
        let is_full = self.terminals.is_full();
        let known = place.and_then(|place| self.terminals.get_mut(place));
        let is_known = known.is_some();
        let mut new = None;
        let terminal = match known {
            Some((_, terminal)) => terminal,
            None => new.insert(Terminal::starting_at(1)),
        };
        let mut rows = RowsMut {
            ledger: self.identity,
            account: &mut self.account,
            terminal,
            is_known,
            has_room: is_known || !is_full,
            block: BLOCK,
            floor: 0,
            #[cfg(feature = "cards")]
            cards: None,
        };
        let mut response = Response::Fenced;
        rows.decide(request, self.now, &mut response);
        if let (Response::Admitted(_), Some(new), Some(name)) = (&response, new, name) {
            // There is room, or it had not been admitted.
            drop(self.terminals.push((name.clone(), new)));
        }
        Ok(response)
    }
}
