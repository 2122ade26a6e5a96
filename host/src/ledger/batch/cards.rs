//! The cards and accounts of a batch: found by token and number, and changed by one request after the other.
use super::{
    Row,
    entry::{self, CardDigest},
};
use atm_core::{
    ledger::{
        AccountNumber, Changes, Entry, Request,
        card::{Card, CardAccount, CardRows, Claim, Limits, StatementLine, Token, Touched},
    },
    time::UnixTime,
};
use std::collections::BTreeMap;

/// The decoy's number among the cards.
pub const DECOY: u64 = 0;

/// The rows of cards and accounts.
#[derive(Clone, Debug, Default)]
pub struct Cards {
    /// By their numbers.
    cards: BTreeMap<u64, Row<Card>>,
    /// The numbers of the cards that have these tokens.
    tokens: BTreeMap<Token, u64>,
    accounts: BTreeMap<AccountNumber, Row<CardAccount>>,
    blocked: u64,
}

impl Cards {
    /// Adds a card, or the decoy, as it was loaded.
    pub fn add_card(&mut self, number: u64, card: Card) {
        if number != DECOY {
            self.tokens.insert(card.token, number);
        }
        self.cards.insert(number, (card, false));
    }

    /// Adds an account as it was loaded, with its movements if a request asks for its statement.
    pub fn add_account(&mut self, row: CardAccount) {
        self.accounts.insert(row.account.number, (row, false));
    }

    /// Whether the card of this number was added.
    pub fn has_card(&self, number: u64) -> bool {
        self.cards.contains_key(&number)
    }

    /// Whether this account was added.
    pub fn has_account(&self, number: AccountNumber) -> bool {
        self.accounts.contains_key(&number)
    }

    /// The number of the card with one of these tokens; that of the decoy if there is none.
    pub fn number(&self, claim: &Claim) -> u64 {
        claim.tokens().iter().find_map(|token| self.tokens.get(token)).copied().unwrap_or(DECOY)
    }

    /// The cards and accounts that have changed.
    pub fn changed(&self) -> (impl Iterator<Item = (u64, &Card)>, impl Iterator<Item = &CardAccount>) {
        let cards = self.cards.iter().filter(|(_, (_, has_changed))| *has_changed);
        let accounts = self.accounts.values().filter(|(_, has_changed)| *has_changed);
        (cards.map(|(number, (card, _))| (*number, card)), accounts.map(|(row, _)| row))
    }

    /// How many cards these requests have blocked, by wrong PINs.
    pub fn blocked(&self) -> u64 {
        self.blocked
    }

    /// The rows that a request touches.
    pub(super) fn rows(&self, touched: &Touched, limits: Limits) -> CardRows<'_> {
        let account = |number| self.accounts.get(&number).map(|(row, _)| row);
        let card = touched.card.and_then(|claim| self.cards.get(&self.number(&claim)));
        CardRows {
            card: card.map_or(&Card::DECOY, |(card, _)| card),
            account: touched.account.and_then(account),
            payee: touched.payee.and_then(account),
            limits,
        }
    }

    /// Keeps what a decision has changed.
    pub(super) fn change(
        &mut self,
        request: &Request,
        changes: &Changes,
        entry: Option<&Entry>,
        time: UnixTime,
    ) {
        if let (Some(card), Some(claim)) = (changes.card, request.command.touched().card) {
            let number = self.number(&claim);
            let before = self.cards.insert(number, (card, true));
            let was_blocked = before.as_ref().is_none_or(|(before, _)| before.is_blocked);
            self.blocked += u64::from(card.is_blocked && !was_blocked);
            if let Some((before, _)) = before.filter(|(before, _)| before.token != card.token) {
                self.tokens.remove(&before.token);
                self.tokens.insert(card.token, number);
            }
        }
        let movement = entry.and_then(|entry| entry.movement);
        for account in changes.account.into_iter().chain(changes.payee) {
            if let (Some((row, has_changed)), Some(movement)) =
                (self.accounts.get_mut(&account.number), &movement)
            {
                row.account = account;
                row.statement.push(StatementLine::new(movement, &account, Some(time)));
                *has_changed = true;
            }
        }
    }

    /// What the entry of a decided request says of these rows; `is_right` says that a PIN was judged, and is right.
    pub(super) fn touched<'a>(
        &'a self,
        request: &Request,
        changes: &'a Changes,
        is_right: bool,
    ) -> entry::Touched<'a> {
        let Touched { card, account, .. } = request.command.touched();
        let account = account.and_then(|number| self.accounts.get(&number));
        let judged = card.filter(|_| is_right).and_then(|claim| self.cards.get(&self.number(&claim)));
        entry::Touched {
            account: account.map(|(row, _)| &row.account),
            card: card.map(|claim| self.number(&claim)),
            payee: changes.payee.as_ref(),
            digest: judged.map(|(card, _)| CardDigest::of(card)),
        }
    }
}
