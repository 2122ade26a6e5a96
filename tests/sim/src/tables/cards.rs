//! Cards, and owners and states of accounts: derived from the entries by rules of its own, and compared with the tables.
use super::{Tables, get};
use atm_core::ledger::{AccountNumber, Outcome, Receipt, Refusal, card::Accounts};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// The card's row, apart from what only the cards' keys give.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    /// The numbers of its accounts.
    pub accounts: String,
    /// Wrong PINs since the last right one.
    pub tries: u64,
    /// Refused verifications in all.
    pub refusals: u64,
    /// Whether it is blocked.
    pub blocked: bool,
    /// Raised by each change of PIN, block and unblock.
    pub version: u64,
    /// The day of the last withdrawal.
    pub day: u64,
    /// The sum of that day, in minor units.
    pub withdrawn: u64,
}

impl Card {
    fn block(&mut self) {
        self.version += u64::from(!self.blocked);
        self.blocked = true;
    }

    fn unblock(&mut self) {
        self.version += u64::from(self.blocked);
        (self.blocked, self.tries) = (false, 0);
    }
}

/// What the entries so far say.
pub(super) struct Bank {
    cards: BTreeMap<u64, Card>,
    /// Owner and state of each account.
    accounts: BTreeMap<u64, (Option<String>, String)>,
}

impl Default for Bank {
    /// The decoy and the account of open access.
    fn default() -> Self {
        let decoy = Card { blocked: true, ..Card::default() };
        Self { cards: [(0, decoy)].into(), accounts: [(1, (None, "open".to_owned()))].into() }
    }
}

impl Bank {
    pub(super) fn open(&mut self, account: u64, owner: &str) -> Result<(), &'static str> {
        let row = (Some(decoded(owner)?), "open".to_owned());
        if self.accounts.insert(account, row).is_none() { Ok(()) } else { Err("an account is opened twice") }
    }

    pub(super) fn order(&mut self, kind: &str, account: u64) -> Result<(), &'static str> {
        let (_, state) = self.accounts.get_mut(&account).ok_or("an order about no account")?;
        let (before, after) = match kind {
            "frozen" => (&["open"][..], "frozen"),
            "unfrozen" => (&["frozen"][..], "open"),
            _ => (&["open", "frozen"][..], "closed"),
        };
        if !before.contains(&state.as_str()) {
            return Err("an order about an account in another state");
        }
        *state = after.to_owned();
        Ok(())
    }

    pub(super) fn order_card(&mut self, kind: &str, number: u64, accounts: &str) -> Result<(), &'static str> {
        if kind == "issued" {
            let new = Card { accounts: accounts.to_owned(), ..Card::default() };
            return match self.cards.insert(number, new) {
                None => Ok(()),
                Some(_) => Err("a card is issued twice"),
            };
        }
        let card = self.cards.get_mut(&number).filter(|_| number > 0).ok_or("an order about no card")?;
        match kind {
            "blocked" => card.block(),
            "unblocked" => card.unblock(),
            _ => card.version += 1,
        }
        Ok(())
    }

    /// The accounts of a card.
    pub(super) fn accounts_of(&self, number: Option<u64>) -> Result<Accounts, &'static str> {
        let Some(number) = number else { return Ok(Accounts::NONE) };
        let card = self.cards.get(&number).ok_or("a card that was not issued")?;
        let numbers: Result<Vec<_>, _> = card.accounts.split_whitespace().map(str::parse).collect();
        let numbers: Vec<_> =
            numbers.map_err(|_| "a number expected")?.into_iter().map(AccountNumber).collect();
        Accounts::new(&numbers).ok_or("a card has four accounts at most")
    }

    /// An operation by this card.
    pub(super) fn settle(&mut self, number: u64, outcome: Outcome, time: u64) -> Result<(), &'static str> {
        let card = self.cards.get_mut(&number).ok_or("a card that was not issued")?;
        match outcome {
            Outcome::Refused(Refusal::NotVerified) => {
                card.tries = (card.tries + 1).min(3);
                card.refusals += 1;
                if card.tries == 3 {
                    card.block();
                }
            }
            Outcome::Done(_) if card.blocked => return Err("done with a blocked card"),
            Outcome::Done(receipt) => match receipt {
                Receipt::Verified { version, .. } if card.version != u64::from(version) => {
                    return Err("another version of the card expected");
                }
                Receipt::Verified { .. } => card.tries = 0,
                Receipt::PinChanged => (card.tries, card.version) = (0, card.version + 1),
                Receipt::Withdrawn { amount, .. } => {
                    let day = card.day.max(time / 86_400_000);
                    let before = if day == card.day { card.withdrawn } else { 0 };
                    (card.day, card.withdrawn) = (day, before + amount.minor());
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// Compares the tables.
    pub(super) fn compare(self, connection: &Connection, tables: &mut Tables) -> rusqlite::Result<()> {
        let mut select = connection.prepare("SELECT account, owner, state FROM accounts")?;
        let rows = select.query_map([], |row| Ok((get(row, 0)?, (row.get(1)?, row.get(2)?))))?;
        let found: BTreeMap<_, (Option<String>, String)> = rows.collect::<rusqlite::Result<_>>()?;
        if found != self.accounts {
            tables.faults.push(format!("the accounts are {found:?}, the entries say {:?}", self.accounts));
        }
        let mut select = connection
            .prepare("SELECT card, accounts, tries, refusals, blocked, version, day, withdrawn FROM cards")?;
        let rows = select.query_map([], |row| {
            let card = Card {
                accounts: row.get(1)?,
                tries: get(row, 2)?,
                refusals: get(row, 3)?,
                blocked: row.get(4)?,
                version: get(row, 5)?,
                day: get(row, 6)?,
                withdrawn: get(row, 7)?,
            };
            Ok((get(row, 0)?, card))
        })?;
        tables.cards = rows.collect::<rusqlite::Result<_>>()?;
        if tables.cards != self.cards {
            tables.faults.push(format!("the cards are {:?}, the entries say {:?}", tables.cards, self.cards));
        }
        Ok(())
    }
}

/// The owner of an entry, in which some bytes are `%XX`.
fn decoded(text: &str) -> Result<String, &'static str> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or("a byte expected")?;
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| "a byte expected")?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| "a name expected")
}
