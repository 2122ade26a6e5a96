//! Replay: derives the rows of accounts and terminals again from the entries, by the rules that made them.
//!
//! The derived terminals are in a temporary database, so that memory does not grow with their number.
use super::{
    card_order::{AccountOrder, CardOrder, ISSUED, OPENED},
    enrol::Order,
    entry::{Entry, Touched, created, enrolment, line, restored, set_back, settled},
    sqlite::{enrolments, rows, tables::SCHEMA},
    store::{Head, StoreFault},
    words::{Figures, operation},
};
use atm_core::{
    ledger::{
        Account, AccountNumber, Command, Decision, Gap, LedgerId, Name, Numbers, Origin, Request, Rows,
        SessionId, Terminal, Ticket, decide,
    },
    money::Amount,
    time::UnixTime,
};
use rusqlite::Connection;
use std::{
    array,
    collections::{BTreeMap, HashMap},
    str::FromStr,
};

mod cards;

pub(super) use cards::derived as derived_card;
use cards::{Asked, Cards, Loaded};

/// Rows of a kind that are held in memory, some hundred bytes each, before they are saved.
const CACHED: usize = 20_000;

/// Pages of derived rows in memory, of 4 KiB.
const CACHE_PAGES: u32 = 8192;

/// What the entries so far say.
#[derive(Debug)]
pub(super) struct Replay {
    /// The derived terminals, cards and accounts. Entries do not say which numbers were reserved for terminals.
    pub(super) database: Connection,
    /// Terminals to be saved.
    cached: HashMap<Name, Terminal>,
    /// Cards and accounts to be saved.
    cards: Cards,
    /// The identity and the account of open access.
    pub(super) ledger: Option<(LedgerId, Account)>,
    /// The journals' last numbers and hashes.
    pub(super) heads: BTreeMap<u32, Head>,
}

impl Replay {
    /// Nothing, before the first entry.
    pub(super) fn new() -> Result<Self, StoreFault> {
        let database = Connection::open("")?;
        database.pragma_update(None, "cache_size", CACHE_PAGES)?;
        database.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;")?;
        database.execute_batch(SCHEMA)?;
        Ok(Self {
            database,
            cached: HashMap::new(),
            cards: Cards::default(),
            ledger: None,
            heads: BTreeMap::new(),
        })
    }

    /// Saves the rows that are in memory.
    pub(super) fn save(&mut self) -> Result<(), StoreFault> {
        self.cards.save(&self.database)?;
        for (name, terminal) in self.cached.drain() {
            rows::save_terminal(&self.database, &name, &terminal)?;
        }
        Ok(())
    }

    /// Takes the next entry: its number, its hash and every column must be those that follow from the entries before it.
    pub(super) fn post(&mut self, entry: &Entry) -> Result<(), StoreFault> {
        self.check(entry).map_err(|fault| match fault {
            StoreFault::Damaged(what) => StoreFault::Damaged(format!("this entry {what}: {}", entry.line)),
            fault => fault,
        })
    }

    fn check(&mut self, entry: &Entry) -> Result<(), StoreFault> {
        let mut columns = entry.line.split(',').skip(1);
        let mut next = |_| columns.next().unwrap_or_default();
        let [journal, number, time, kind, ledger, terminal, id, numbers] = array::from_fn(&mut next);
        let [word, reason, account, _, _, amount, balance, version] = array::from_fn(&mut next);
        let [series, uid, card, accounts, owner, payee, _, _, detail, digest] = array::from_fn(&mut next);
        let (journal, number, time) = (parse(journal)?, parse(number)?, UnixTime::from_millis(parse(time)?));
        let head = self.heads.entry(journal).or_default();
        ensure(number == head.number.saturating_add(1), "does not have its journal's next number")?;
        ensure(entry.hash == head.hash.next(&entry.line), "does not have the hash that follows")?;
        (head.number, head.hash) = (number, entry.hash);
        let money = |text| Amount::from_minor(parse(text)?).ok_or_else(|| misfit("has an amount too large"));
        let fact = match (kind, self.ledger) {
            ("created", None) => {
                let number = AccountNumber(parse(account)?);
                let account = Account { number, balance: money(balance)?, version: parse(version)? };
                let ledger = parse(ledger)?;
                self.ledger = Some((ledger, account));
                created(ledger, &account).to_string()
            }
            ("restored", Some((before, account))) => {
                let ledger = parse(ledger)?;
                ensure(ledger != before, "has the identity that the ledger had before")?;
                self.ledger = Some((ledger, account));
                enrolments::close_all(&self.database)?;
                restored(ledger).to_string()
            }
            ("set-back", Some(_)) => {
                let (name, gap) = (parse(terminal)?, Gap { start: parse(id)?, end: parse(numbers)? });
                let before = self.terminal(&name)?;
                let is_longer = gap != before.gap && gap.start < gap.end;
                let extends = is_longer && gap == before.gap.extended(gap.start, gap.end);
                ensure(extends, "does not extend the terminal's gap")?;
                self.keep(&name, Terminal { gap, set_back_at: Some(time), ..before })?;
                if before.epoch.is_some_and(|epoch| epoch.series > 0) {
                    enrolments::close(&self.database, &name)?;
                }
                set_back(&name, gap).to_string()
            }
            ("confirmed", Some(_)) if terminal.is_empty() => {
                enrolments::confirm_all(&self.database)?;
                enrolment(kind, None, None, parse_some(uid)?).to_string()
            }
            ("enrolled" | "rotated" | "revoked" | "confirmed", Some(_)) => {
                let order = Order::of(kind, !series.is_empty()).ok_or_else(|| misfit("has no series"))?;
                let name = parse(terminal)?;
                let series = self.enrol(&name, order)?;
                enrolment(kind, Some(&name), series, parse_some(uid)?).to_string()
            }
            (OPENED, Some(_)) => {
                let (number, balance) = (AccountNumber(parse(account)?), money(balance)?);
                self.cards.open(&self.database, number, balance, owner, parse_some(uid)?)?
            }
            (ISSUED, Some(_)) => {
                self.cards.issue(&self.database, parse(card)?, accounts, parse(digest)?, parse_some(uid)?)?
            }
            (kind, Some(_)) if let Some(order) = AccountOrder::of(kind) => self.cards.order_account(
                &self.database,
                AccountNumber(parse(account)?),
                order,
                parse_some(uid)?,
            )?,
            (kind, Some(_)) if let Some(order) = CardOrder::of(kind, cards::RIGHT) => {
                let (card, digest) = (parse(card)?, parse_some(digest)?);
                self.cards.order_card(&self.database, card, order, digest, parse_some(uid)?)?
            }
            ("done" | "refused" | "void", Some((ledger, open))) => {
                let (origin, id) = match terminal {
                    "" => (Origin::Session(SessionId::default()), 0),
                    name => (Origin::Terminal(parse(name)?), parse(id)?),
                };
                // "withdrawal-all" names no amount.
                let payee = parse_some(payee)?.map(AccountNumber);
                let named = Figures { amount: money(amount).ok(), payee, ..Figures::default() };
                let operation = match (word, operation(word, &named)) {
                    ("", _) => None,
                    (_, Some(operation)) => Some(operation),
                    (_, None) => return Err(misfit("has no operation")),
                };
                let cards = match operation {
                    // Nothing is refused for this reason where access is open.
                    Some(operation) if !card.is_empty() || reason == "no-access" => {
                        let (card, account) = (parse_some(card)?, parse_some(account)?.map(AccountNumber));
                        let (detail, digest) = (parse_some(detail)?, parse_some(digest)?);
                        let asked = Asked { id, operation, card, account, reason, detail, digest, time };
                        Some(self.cards.load(&self.database, &asked)?)
                    }
                    _ => None,
                };
                let command = match (&cards, operation) {
                    (Some(loaded), _) => loaded.command,
                    (None, Some(operation)) => Command::Operate { id, operation },
                    (None, None) => Command::Settle { id },
                };
                let request = Request { ticket: Ticket::default(), origin, turn: 0, command };
                self.settle((ledger, open), cards, &request, time)?
            }
            _ => return Err(misfit("cannot come here")),
        };
        ensure(entry.line == line(journal, number, time, &fact), "is not the one that its request gives")
    }

    /// Carries out an operator's order on a terminal; returns the series that its entry should have.
    fn enrol(&mut self, name: &Name, order: Order) -> Result<Option<u32>, StoreFault> {
        let mut terminal = self.terminal(name)?;
        let stored = enrolments::read(&self.database, name)?;
        let mut enrolment = stored.map(|(_, enrolment)| enrolment).unwrap_or_default();
        enrolment.epoch = terminal.epoch;
        order
            .apply(&mut terminal, &mut enrolment)
            .map_err(|_| misfit("is not for a terminal in this state"))?;
        // The requests of the entries are in no turn.
        terminal.turn = 0;
        enrolments::save(&self.database, name, &terminal, &enrolment)?;
        self.keep(name, terminal)?;
        Ok(order.series(&enrolment))
    }

    /// Decides the request of an entry, with the rows of cards if there are any; returns the fact that it should say.
    fn settle(
        &mut self,
        (ledger, open): (LedgerId, Account),
        mut cards: Option<Loaded>,
        request: &Request,
        time: UnixTime,
    ) -> Result<String, StoreFault> {
        let name = request.origin.terminal();
        let terminal = name.map(|name| self.terminal(name)).transpose()?;
        let rows = Rows {
            cards: cards.as_ref().map(Loaded::rows),
            ..Rows::open(ledger, &open, terminal.as_ref(), true)
        };
        let Decision { changes, entry, .. } = decide(request, &rows, Some(time));
        let entry = entry.ok_or_else(|| misfit("has an id that is in use, or unknown"))?;
        if let (Some(name), Some(changed)) = (name, changes.terminal) {
            self.keep(name, changed)?;
        }
        if let Some(loaded) = &mut cards {
            self.cards.keep(&self.database, loaded, &changes)?;
            return Ok(settled(name, &entry, loaded.touched(&entry.record)?).to_string());
        }
        let account = changes.account.unwrap_or(open);
        self.ledger = Some((ledger, account));
        let touched = Touched { account: Some(&account), ..Touched::default() };
        Ok(settled(name, &entry, touched).to_string())
    }

    /// The terminal as its entries so far have left it.
    fn terminal(&self, name: &Name) -> Result<Terminal, StoreFault> {
        if let Some(cached) = self.cached.get(name) {
            return Ok(*cached);
        }
        let saved = rows::terminal(&self.database, name)?;
        Ok(saved.unwrap_or(Terminal { next_number: Numbers::MAX, ..Terminal::NEW }))
    }

    fn keep(&mut self, name: &Name, terminal: Terminal) -> Result<(), StoreFault> {
        self.cached.insert(name.clone(), terminal);
        if self.cached.len() > CACHED { self.save() } else { Ok(()) }
    }
}

fn ensure(holds: bool, what: &str) -> Result<(), StoreFault> {
    if holds { Ok(()) } else { Err(misfit(what)) }
}

fn misfit(what: &str) -> StoreFault {
    StoreFault::Damaged(what.to_owned())
}

fn parse_some<T: FromStr>(text: &str) -> Result<Option<T>, StoreFault> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

fn parse<T: FromStr>(text: &str) -> Result<T, StoreFault> {
    text.parse().map_err(|_| misfit("has a column that cannot be read"))
}
