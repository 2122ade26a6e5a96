//! A ledger of cards in memory: it is lost at exit, and its identity with it.
use super::{Card, CardAccount, CardRows, Claim, Limits, StatementLine, Token};
use crate::{
    ledger::{
        Account, AccountNumber, Decision, InDoubt, Ledger, LedgerId, Name, Request, Response, Rows, Terminal,
        decide,
    },
    money::Amount,
    time::UnixTime,
};
use heapless::Vec;

/// A [`Ledger`] of cards in memory, for at most so many names, cards and accounts.
///
/// ```
/// use atm_core::{ledger::*, ledger::card::*, money::Amount, seal::Key};
///
/// let keys = CardKeys::new((KeyId(1), Key::from([1; 32])), None, (KeyId(1), Key::from([2; 32])), None);
/// let number: CardNumber = "4111 1111 1111 1111".parse()?;
/// let claim = keys.claim(&number);
/// let card = Card::new(
///     &claim,
///     &keys.proof(&claim, &"2580".parse()?),
///     number.last_four(),
///     Accounts::new(&[AccountNumber(7)]).unwrap(),
/// );
/// let limits = Limits { withdrawal: Amount::parse_units("500")?, day: Amount::parse_units("1000")? };
/// let mut ledger = CardLedger::<1, 1, 1>::new(LedgerId(7), limits);
/// let account = CardAccount::new(AccountNumber(7), Amount::parse_units("100")?, "Ada Lovelace".parse()?);
/// ledger.open_account(account).unwrap();
/// ledger.issue(card).unwrap();
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CardLedger<const TERMINALS: usize, const CARDS: usize, const ACCOUNTS: usize> {
    identity: LedgerId,
    limits: Limits,
    terminals: Vec<(Name, Terminal), TERMINALS>,
    cards: Vec<Card, CARDS>,
    accounts: Vec<CardAccount, ACCOUNTS>,
    decoy: Card,
    now: Option<UnixTime>,
}

/// There is no room for it, or another has the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NotAdded;

impl core::fmt::Display for NotAdded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("there is no room for it, or another has the same number")
    }
}

impl core::error::Error for NotAdded {}

impl<const TERMINALS: usize, const CARDS: usize, const ACCOUNTS: usize>
    CardLedger<TERMINALS, CARDS, ACCOUNTS>
{
    /// A ledger without cards and accounts. `identity` must be new for every start.
    pub fn new(identity: LedgerId, limits: Limits) -> Self {
        let (terminals, cards, accounts) = (Vec::new(), Vec::new(), Vec::new());
        Self { identity, limits, terminals, cards, accounts, decoy: Card::DECOY, now: None }
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`NotAdded`].
    pub fn open_account(&mut self, account: CardAccount) -> Result<(), NotAdded> {
        if self.account(account.account.number).is_some() {
            return Err(NotAdded);
        }
        self.accounts.push(account).map_err(|_| NotAdded)
    }

    /// Adds a card.
    ///
    /// # Errors
    /// [`NotAdded`].
    pub fn issue(&mut self, card: Card) -> Result<(), NotAdded> {
        if self.card(card.token).is_some() {
            return Err(NotAdded);
        }
        self.cards.push(card).map_err(|_| NotAdded)
    }

    /// The account of this number.
    pub fn account(&self, number: AccountNumber) -> Option<&CardAccount> {
        self.accounts.iter().find(|row| row.account.number == number)
    }

    /// The same, to freeze or close it.
    pub fn account_mut(&mut self, number: AccountNumber) -> Option<&mut CardAccount> {
        self.accounts.iter_mut().find(|row| row.account.number == number)
    }

    /// The card with this token.
    pub fn card(&self, token: Token) -> Option<&Card> {
        self.cards.iter().find(|card| card.token == token)
    }

    /// The same, to block it or to give it another PIN.
    pub fn card_mut(&mut self, token: Token) -> Option<&mut Card> {
        self.cards.iter_mut().find(|card| card.token == token)
    }

    /// The sum of all balances, in minor units.
    pub fn total(&self) -> u64 {
        self.accounts.iter().map(|row| row.account.balance.minor()).fold(0, u64::saturating_add)
    }

    /// Sets the wall clock that the next decisions see. Without one there is neither a limit of a day nor a delay.
    pub fn set_time(&mut self, now: UnixTime) {
        self.now = Some(now);
    }

    /// The place of the card of a request; none for the decoy.
    fn place(&self, claim: Option<Claim>) -> Option<usize> {
        let claim = claim?;
        self.cards.iter().position(|card| claim.tokens().contains(&card.token))
    }

    /// What a request does to the rows that it touches.
    pub(super) fn decide(&self, request: &Request) -> Decision {
        let name = request.origin.terminal();
        let terminal = self.terminals.iter().find(|(known, _)| Some(known) == name).map(|(_, row)| row);
        let touched = request.command.touched();
        // Not read: access is by card.
        let open = Account { number: AccountNumber::OPEN, balance: Amount::ZERO, version: 0 };
        let cards = CardRows {
            card: self.place(touched.card).and_then(|place| self.cards.get(place)).unwrap_or(&self.decoy),
            account: touched.account.and_then(|number| self.account(number)),
            payee: touched.payee.and_then(|number| self.account(number)),
            limits: self.limits,
        };
        let has_room = terminal.is_some() || !self.terminals.is_full();
        let rows = Rows { cards: Some(cards), ..Rows::open(self.identity, &open, terminal, has_room) };
        decide(request, &rows, self.now)
    }
}

impl<const TERMINALS: usize, const CARDS: usize, const ACCOUNTS: usize> Ledger
    for CardLedger<TERMINALS, CARDS, ACCOUNTS>
{
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        let Decision { response, changes, entry } = self.decide(request);
        if let (Some(changed), Some(name)) = (changes.terminal, request.origin.terminal()) {
            match self.terminals.iter_mut().find(|(known, _)| known == name) {
                Some((_, row)) => *row = changed,
                // There is room, or it would not have been admitted.
                None => drop(self.terminals.push((name.clone(), changed))),
            }
        }
        if let Some(card) = changes.card {
            let place = self.place(request.command.touched().card);
            *place.and_then(|place| self.cards.get_mut(place)).unwrap_or(&mut self.decoy) = card;
        }
        let (movement, now) = (entry.and_then(|entry| entry.movement), self.now);
        for changed in changes.account.into_iter().chain(changes.payee) {
            if let (Some(row), Some(movement)) = (self.account_mut(changed.number), movement) {
                row.account = changed;
                row.statement.push(StatementLine::new(&movement, &changed, now));
            }
        }
        Ok(response)
    }
}
