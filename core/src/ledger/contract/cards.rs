//! The contract of a ledger of cards: a random script whose responses must be those of a [`CardLedger`], over any loss of power.
use super::{Broken, hold, named, script::Random, units};
use crate::{
    ledger::{
        AccountNumber, Admission, Command, Epoch, HelloClaim, Ledger, LedgerId, Operation, Outcome, Receipt,
        Request, Response, Ticket,
        card::{
            Access, AccountState, Accounts, Card, CardAccount, CardKeys, CardLedger, CardRequest, Claim,
            KeyId, Limits, Proof,
        },
    },
    money::Amount,
    time::UnixTime,
};
use heapless::Vec;

/// What keeps a ledger of cards, so that the ledger can be opened again as after a loss of power.
pub trait CardStore {
    /// The ledger.
    type Ledger: Ledger;

    /// A ledger that was never used, with these limits, accounts and cards. It has room for two terminals.
    fn create(&mut self, limits: Limits, accounts: &[CardAccount], cards: &[Card]) -> Self::Ledger;

    /// The same ledger again, from what `old` had committed.
    fn reopen(&mut self, old: Self::Ledger) -> Self::Ledger;

    /// Sets the wall clock that the next decisions see.
    fn set_time(ledger: &mut Self::Ledger, now: UnixTime);
}

/// Requests in a script, and how often the power fails.
const REQUESTS: u32 = if cfg!(miri) { 20 } else { 200 };
const LOSS_OF_POWER: u32 = 10;

/// Card numbers, the last of which has no card, and the PINs that are typed.
const NUMBERS: [&str; 3] = ["4111111111111111", "5500000000000004", "340000000000009"];
const PINS: [&str; 2] = ["2580", "1379"];
/// The last one is frozen, and there is one more that no card has.
const ACCOUNTS: [u32; 4] = [7, 8, 9, 10];
const LIMITS: Limits = Limits { withdrawal: units(200), day: units(300) };

/// Runs a ledger of cards through the contract.
///
/// # Errors
/// The clause that it breaks.
pub fn check_cards<S: CardStore>(store: &mut S) -> Result<(), Broken> {
    (1..=20).try_for_each(|seed| {
        let mut script = Script::create(store, seed)?;
        for number in 1..=REQUESTS {
            if number.is_multiple_of(LOSS_OF_POWER) {
                script.ledger = store.reopen(script.ledger);
                S::set_time(&mut script.ledger, UnixTime::from_millis(script.now));
            }
            script.step()?;
        }
        Ok(())
    })
}

struct Script<S: CardStore> {
    ledger: S::Ledger,
    reference: CardLedger<2, 2, 4>,
    keys: CardKeys,
    random: Random,
    now: u64,
    starts: u64,
    /// Each terminal's turn, and the number that it uses next.
    terminals: [(u32, u64); 2],
    /// What the last verification of each card returned, for one of its accounts.
    accesses: [Option<Access>; 2],
    /// The PIN of each card.
    right: [usize; 2],
}

impl<S: CardStore> Script<S> {
    fn create(store: &mut S, seed: u64) -> Result<Self, Broken> {
        let invalid = |_| "the suite's accounts and cards are valid";
        let keys = keys();
        let mut reference = CardLedger::new(LedgerId(1), LIMITS);
        let (mut accounts, mut cards) = (Vec::<_, 4>::new(), Vec::<_, 2>::new());
        for number in ACCOUNTS {
            let owner = "Ada Lovelace".parse().map_err(|_| "the suite's owner has a name")?;
            let mut account = CardAccount::new(AccountNumber(number), units(500), owner);
            if number == 10 {
                account.state = AccountState::Frozen;
            }
            reference.open_account(account.clone()).map_err(invalid)?;
            accounts.push(account).map_err(|_| "there are four accounts")?;
        }
        for (card, own) in [(0, [7, 9]), (1, [8, 10])] {
            let claim = claim(&keys, card)?;
            let proof = typed(&keys, claim, card)?;
            let own = Accounts::new(&own.map(AccountNumber)).ok_or("a card has two accounts")?;
            let card = Card::new(&claim, &proof, *b"1111", own);
            reference.issue(card).map_err(invalid)?;
            cards.push(card).map_err(|_| "there are two cards")?;
        }
        let ledger = store.create(LIMITS, &accounts, &cards);
        let mut script = Self {
            ledger,
            reference,
            keys,
            random: Random::new(seed),
            now: 1_790_000_000_000,
            starts: 0,
            terminals: [(0, 0); 2],
            accesses: [None; 2],
            right: [0, 1],
        };
        script.pass(0);
        script.hello(0)?;
        script.hello(1)?;
        Ok(script)
    }

    /// Time passes.
    fn pass(&mut self, millis: u64) {
        self.now = self.now.saturating_add(millis);
        let now = UnixTime::from_millis(self.now);
        self.reference.set_time(now);
        S::set_time(&mut self.ledger, now);
    }

    fn hello(&mut self, terminal: usize) -> Result<(), Broken> {
        self.starts = self.starts.saturating_add(1);
        let epoch = Epoch::clear(self.starts, 1);
        let claim = HelloClaim { epoch, admit_equal: false, ledger: None, seen: 0 };
        self.request(terminal, Command::Hello(claim)).map(drop)
    }

    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.random.below(limit)).unwrap_or(0)
    }

    fn step(&mut self) -> Result<(), Broken> {
        let wait = [0, 1_000, 5_000, 3_000_000].get(self.below(4)).copied();
        self.pass(wait.unwrap_or(0));
        let (terminal, card) = (self.below(2), self.below(3));
        // Mostly the right PIN: a card is not blocked at once.
        let right = self.right.get(card).copied().unwrap_or(0);
        let pin = if self.below(3) == 0 { 1 - right.min(1) } else { right };
        let (_, next) = self.terminals.get(terminal).copied().unwrap_or_default();
        // Mostly a new id, now and then the last one again.
        let id = next.saturating_sub(u64::from(self.below(6) == 0)).max(1);
        let other = self.below(2);
        let access = self.accesses.get(card).copied().flatten();
        let request = match (self.below(12), access) {
            (0, _) => return self.hello(terminal),
            (1, _) => return self.request(terminal, Command::Settle { id }).map(drop),
            (2, _) => {
                let command = Command::Operate { id, operation: Operation::Deposit(units(1)) };
                return self.request(terminal, command).map(drop);
            }
            (3, Some(access)) => {
                let claim = Claim::of(access.token);
                let (old, new) = (typed(&self.keys, claim, pin)?, typed(&self.keys, claim, other)?);
                CardRequest::ChangePin { access, old, new: new.newest() }
            }
            (5.., Some(access)) => {
                // Now and then another's account, or the version before.
                let account = if self.below(8) == 0 { AccountNumber(8) } else { access.account };
                let version = access.version.wrapping_sub(u32::from(self.below(8) == 0));
                let access = Access { account, version, ..access };
                CardRequest::Operate { access, operation: self.operation() }
            }
            _ => {
                let claim = claim(&self.keys, card)?;
                CardRequest::Verify { claim, proof: typed(&self.keys, claim, pin)? }
            }
        };
        let response = self.request(terminal, Command::Card { id, request })?;
        let known = self.accesses.get_mut(card);
        match (response, known, request.claim().newest()) {
            (
                Response::Settled { outcome: Outcome::Done(Receipt::Verified { version, accounts }), .. },
                Some(known),
                token,
            ) => {
                let chosen = accounts.iter().nth(other).ok_or("a card has two accounts")?;
                *known = Some(Access { token, version, account: chosen });
            }
            (Response::Settled { outcome: Outcome::Done(Receipt::PinChanged), .. }, Some(Some(known)), _) => {
                known.version = known.version.wrapping_add(1);
                if let Some(right) = self.right.get_mut(card) {
                    *right = other;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn operation(&mut self) -> Operation {
        let amount = Amount::from_minor(self.random.below(25_000)).unwrap_or(Amount::ZERO);
        let payee = AccountNumber(self.random.below(5).saturating_add(7).try_into().unwrap_or(7));
        match self.below(8) {
            0 => Operation::Inquiry,
            1 => Operation::Statement,
            2 => Operation::LookUp { payee },
            3 => Operation::WithdrawAll,
            4 => Operation::Deposit(amount),
            5 => Operation::Withdraw(units(amount.units())),
            _ => Operation::Transfer { payee, amount },
        }
    }

    /// Compares the ledger's response to a request with that of the reference.
    fn request(&mut self, terminal: usize, command: Command) -> Result<Response, Broken> {
        let (turn, next) = self.terminals.get_mut(terminal).ok_or("there are two terminals")?;
        let origin = named(if terminal == 0 { "a" } else { "b" })?;
        let request = Request { ticket: Ticket::default(), origin, turn: *turn, command };
        let in_doubt = |_| "a request without a fault of the store is answered";
        let found = self.ledger.apply(&request).map_err(in_doubt)?;
        let mut expected = self.reference.apply(&request).map_err(in_doubt)?;
        if let (Response::Admitted(Admission { ledger, .. }), Response::Admitted(expected)) =
            (&found, &mut expected)
        {
            expected.ledger = *ledger;
        }
        hold(
            found == expected,
            "a response is that of decide for the rows as the requests before it left them",
        )?;
        match found {
            Response::Admitted(Admission { turn: new, mut numbers, .. }) => {
                (*turn, *next) = (new, numbers.take().unwrap_or(0));
            }
            Response::Settled { id, .. } | Response::Statement { id, .. } => {
                *next = id.saturating_add(1).max(*next)
            }
            _ => {}
        }
        Ok(found)
    }
}

fn keys() -> CardKeys {
    let key = |byte| (KeyId(1), [byte; 32].into());
    CardKeys::new(key(1), None, key(2), None)
}

/// The tokens of a card of the suite.
fn claim(keys: &CardKeys, card: usize) -> Result<Claim, Broken> {
    let number = NUMBERS.get(card).and_then(|number| number.parse().ok());
    Ok(keys.claim(&number.ok_or("the suite's numbers are those of cards")?))
}

/// The verifiers of a PIN of the suite.
fn typed(keys: &CardKeys, claim: Claim, pin: usize) -> Result<Proof, Broken> {
    let pin = PINS.get(pin).and_then(|pin| pin.parse().ok());
    Ok(keys.proof(&claim, &pin.ok_or("the suite's PINs are PINs")?))
}

#[cfg(test)]
mod tests;
