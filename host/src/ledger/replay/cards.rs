//! Replay of cards: derives the rows of cards and accounts again from the entries.
//!
//! Tokens and verifiers cannot be derived, and the keys of cards are not there. So a derived card has a token of its number and its digest, and
//! a verifier that is right for all, and each entry is decided with a proof, a version and limits for which its outcome can come.
use super::{CACHED, ensure, misfit};
use crate::ledger::{
    batch::DECOY,
    card_order::{self, AccountOrder, CardOrder, ISSUED},
    cells::AccountRow,
    entry::{self, CardDigest, Touched, opened},
    sqlite::{accounts, cards},
    store::StoreFault,
    words,
};
use atm_core::{
    ledger::{
        Account, AccountNumber, Changes, Command, Operation, Record,
        card::{
            Access, Card, CardAccount, CardRequest, CardRows, Claim, KeyId, Limits, Proof, SECRET, Token,
            Verifier,
        },
    },
    money::Amount,
    time::UnixTime,
};
use rusqlite::Connection;
use std::collections::HashMap;

/// The verifier of the right PIN, and that of a wrong one.
pub(super) const RIGHT: Verifier = Verifier { token_key: KeyId(0), key: KeyId(0), value: [0; SECRET] };
const WRONG: Verifier = Verifier { value: [1; SECRET], ..RIGHT };

/// Limits that no withdrawal reaches.
const NO_LIMITS: Limits = Limits { withdrawal: Amount::MAX, day: Amount::MAX };

/// The rows so far; those that are in memory are to be saved.
#[derive(Debug, Default)]
pub(super) struct Cards {
    cards: HashMap<u64, Card>,
    accounts: HashMap<AccountNumber, CardAccount>,
    /// Cards that were issued.
    issued: u64,
}

/// What an entry says of an operation where there are cards.
pub(super) struct Asked<'a> {
    pub(super) id: u64,
    pub(super) operation: Operation,
    /// `None` for a request without a card, which is refused.
    pub(super) card: Option<u64>,
    pub(super) account: Option<AccountNumber>,
    /// Why it was refused; empty if it was done.
    pub(super) reason: &'a str,
    pub(super) detail: Option<u64>,
    /// Of the card, where its PIN was right.
    pub(super) digest: Option<CardDigest>,
    pub(super) time: UnixTime,
}

/// The request of an entry, and the rows that it touches.
pub(super) struct Loaded {
    pub(super) command: Command,
    number: Option<u64>,
    card: Card,
    account: Option<CardAccount>,
    payee: Option<CardAccount>,
    /// The payee, if money went there.
    paid: Option<Account>,
    limits: Limits,
    digest: Option<CardDigest>,
}

impl Loaded {
    pub(super) fn rows(&self) -> CardRows<'_> {
        let Self { card, account, payee, limits, .. } = self;
        CardRows { card, account: account.as_ref(), payee: payee.as_ref(), limits: *limits }
    }

    fn is_new_pin(&self) -> bool {
        matches!(self.command, Command::Card { request: CardRequest::ChangePin { .. }, .. })
    }

    /// What the entry should say of them.
    pub(super) fn touched(&self, record: &Record) -> Result<Touched<'_>, StoreFault> {
        let account = self.account.as_ref().map(|row| &row.account);
        let is_right = entry::is_right_pin(record);
        ensure(is_right == self.digest.is_some(), "has no digest where a PIN was right, or one elsewhere")?;
        Ok(Touched { account, card: self.number, payee: self.paid.as_ref(), digest: self.digest })
    }
}

impl Cards {
    /// Saves the rows that are in memory.
    pub(super) fn save(&mut self, database: &Connection) -> Result<(), StoreFault> {
        for (number, card) in self.cards.drain() {
            cards::save(database, number, &card)?;
        }
        for (_, CardAccount { account, state, owner, .. }) in self.accounts.drain() {
            accounts::save(database, &AccountRow { account, owner: Some(owner), state })?;
        }
        Ok(())
    }

    /// Opens an account; returns the fact that its entry should say.
    pub(super) fn open(
        &mut self,
        database: &Connection,
        number: AccountNumber,
        balance: Amount,
        owner: &str,
        uid: Option<u32>,
    ) -> Result<String, StoreFault> {
        let owner = words::owner(owner).ok_or_else(|| misfit("has no owner"))?;
        let is_taken = number == AccountNumber::OPEN || self.account(database, number)?.is_some();
        let row = card_order::open(number, balance, owner, is_taken).map_err(unfit)?;
        let fact = opened(&row.account, &row.owner, uid).to_string();
        self.keep_account(database, row)?;
        Ok(fact)
    }

    /// Issues a card; returns the fact that its entry should say.
    pub(super) fn issue(
        &mut self,
        database: &Connection,
        number: u64,
        numbers: &str,
        digest: CardDigest,
        uid: Option<u32>,
    ) -> Result<String, StoreFault> {
        self.issued += 1;
        ensure(number == self.issued, "does not have the next card's number")?;
        let accounts = words::accounts(numbers).ok_or_else(|| misfit("has no accounts"))?;
        let accounts = card_order::accounts(&Vec::from_iter(accounts.iter())).map_err(unfit)?;
        for number in accounts.iter() {
            card_order::admit(number, self.account(database, number)?.map(|row| row.state)).map_err(unfit)?;
        }
        let claim = Claim::of(token(number, digest));
        self.keep_card(database, number, Card::new(&claim, &Proof::of(RIGHT), [b'0'; 4], accounts))?;
        Ok(entry::card_order(ISSUED, number, Some(&accounts), Some(digest), uid).to_string())
    }

    /// Carries an order out on an account; returns the fact that its entry should say.
    pub(super) fn order_account(
        &mut self,
        database: &Connection,
        number: AccountNumber,
        order: AccountOrder,
        uid: Option<u32>,
    ) -> Result<String, StoreFault> {
        let row = self.account(database, number)?.ok_or_else(|| misfit("is for no account"))?;
        let state = order.apply(&row.account, row.state).map_err(unfit)?;
        self.keep_account(database, CardAccount { state, ..row })?;
        Ok(entry::account_order(order.word(), number, uid).to_string())
    }

    /// Carries an order out on a card; returns the fact that its entry should say.
    pub(super) fn order_card(
        &mut self,
        database: &Connection,
        number: u64,
        order: CardOrder,
        digest: Option<CardDigest>,
        uid: Option<u32>,
    ) -> Result<String, StoreFault> {
        ensure(number != DECOY, "is for no card")?;
        let mut card = self.card(database, number)?;
        order.apply(&mut card).map_err(unfit)?;
        ensure(digest.is_some() == order.is_new_pin(), "has no digest of a new PIN, or one without it")?;
        if let Some(digest) = digest {
            card.token = token(number, digest);
        }
        self.keep_card(database, number, card)?;
        Ok(entry::card_order(order.word(), number, None, digest, uid).to_string())
    }

    /// The request of an entry and its rows.
    pub(super) fn load(&self, database: &Connection, asked: &Asked<'_>) -> Result<Loaded, StoreFault> {
        let Asked { id, operation, card: number, account, reason, detail, digest, time } = *asked;
        let card = self.card(database, number.unwrap_or(DECOY))?;
        let claim = Claim::of(card.token);
        let proof = Proof::of(if reason.is_empty() { RIGHT } else { WRONG });
        // The account of the decoy's access is none.
        let account = account.unwrap_or(AccountNumber(0));
        let version = card.version.wrapping_sub(u32::from(reason == "no-access"));
        let access = Access { token: card.token, version, account };
        let command = match operation {
            _ if number.is_none() => Command::Operate { id, operation },
            Operation::Verify => Command::Card { id, request: CardRequest::Verify { claim, proof } },
            Operation::ChangePin => {
                Command::Card { id, request: CardRequest::ChangePin { access, old: proof, new: RIGHT } }
            }
            operation => Command::Card { id, request: CardRequest::Operate { access, operation } },
        };
        let limits = match (reason, detail.and_then(Amount::from_minor)) {
            ("withdrawal-limit", Some(withdrawal)) => Limits { withdrawal, ..NO_LIMITS },
            ("day-limit", Some(left)) => {
                let mut today = card;
                // Nothing is above the limits: the card counts what was withdrawn on that day.
                let counted = today.withdraw(Amount::ZERO, &NO_LIMITS, Some(time)).map(|()| today.withdrawn);
                let day = counted.ok().and_then(|counted| counted.checked_add(left));
                Limits { day: day.unwrap_or(Amount::MAX), ..NO_LIMITS }
            }
            _ => NO_LIMITS,
        };
        let payee = command.touched().payee;
        Ok(Loaded {
            command,
            number,
            card,
            account: self.account(database, account)?,
            payee: payee.map(|payee| self.account(database, payee)).transpose()?.flatten(),
            paid: None,
            limits,
            digest,
        })
    }

    /// Keeps what a decision has changed, also in the loaded rows.
    pub(super) fn keep(
        &mut self,
        database: &Connection,
        loaded: &mut Loaded,
        changes: &Changes,
    ) -> Result<(), StoreFault> {
        if let Some(number) = loaded.number {
            let mut card = changes.card.unwrap_or(loaded.card);
            if let Some(digest) = loaded.digest {
                card.token = token(number, digest);
                // A right PIN moves the row to newer keys, and changes nothing else of it.
                let is_moved = digest.is_of_other_keys(loaded.card.token.value);
                let is_allowed = loaded.is_new_pin() || is_moved || card.token == loaded.card.token;
                ensure(is_allowed, "has the token or the verifier of another card or PIN")?;
            }
            if card != loaded.card {
                self.keep_card(database, number, card)?;
            }
        }
        loaded.paid = changes.payee;
        for (row, changed) in [(&mut loaded.account, changes.account), (&mut loaded.payee, changes.payee)] {
            if let (Some(row), Some(account)) = (row, changed) {
                row.account = account;
                self.keep_account(database, row.clone())?;
            }
        }
        Ok(())
    }

    fn card(&self, database: &Connection, number: u64) -> Result<Card, StoreFault> {
        if let Some(card) = self.cards.get(&number) {
            return Ok(*card);
        }
        cards::read(database, number)?.ok_or_else(|| misfit("has a card that was not issued"))
    }

    fn account(
        &self,
        database: &Connection,
        number: AccountNumber,
    ) -> Result<Option<CardAccount>, StoreFault> {
        if let Some(row) = self.accounts.get(&number) {
            return Ok(Some(row.clone()));
        }
        Ok(accounts::read(database, number)?.and_then(AccountRow::for_cards))
    }

    fn keep_card(&mut self, database: &Connection, number: u64, card: Card) -> Result<(), StoreFault> {
        self.cards.insert(number, card);
        if self.cards.len() > CACHED { self.save(database) } else { Ok(()) }
    }

    fn keep_account(&mut self, database: &Connection, row: CardAccount) -> Result<(), StoreFault> {
        self.accounts.insert(row.account.number, row);
        if self.accounts.len() > CACHED { self.save(database) } else { Ok(()) }
    }
}

/// The token of a derived card: its number, and its digest as its entries say.
fn token(number: u64, digest: CardDigest) -> Token {
    let mut value = [0; SECRET];
    let bytes = number.to_be_bytes().into_iter().chain(digest.bytes());
    value.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    Token { key: KeyId(0), value }
}

/// A card of the tables as it would be derived: what does not follow from entries is compared by its digest.
pub(in crate::ledger) fn derived(number: u64, card: Card) -> Card {
    if number == DECOY {
        return card;
    }
    Card { token: token(number, CardDigest::of(&card)), verifier: RIGHT, last_four: [b'0'; 4], ..card }
}

fn unfit(_: card_order::Refused) -> StoreFault {
    misfit("is for an account or a card in another state")
}
