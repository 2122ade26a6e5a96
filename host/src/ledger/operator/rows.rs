//! Rows of orders: what an operator's order reads and writes, in any database, in one transaction.
use crate::{
    access::Enrolment,
    ledger::{
        entry::Entry,
        reader::AccountRow,
        sqlite::{OPERATOR_JOURNAL, accounts, cards, enrolments, rows},
        store::{Head, StoreFault, Turn},
    },
};
use atm_core::ledger::{
    AccountNumber, Name, Terminal,
    card::{Card, Claim},
};
use rusqlite::{Connection, params};
use std::fmt::Debug;

type Result<T> = std::result::Result<T, StoreFault>;

/// The rows that orders change. Between [`begin`](Self::begin) and the end of its transaction no other order is carried out.
pub(in crate::ledger) trait OrderRows: Debug + Send {
    fn begin(&self) -> Result<()>;
    fn commit(&self) -> Result<()>;
    /// Takes the transaction back, or closes the connection, which does it too.
    fn roll_back(&self);

    /// The operator's journal.
    fn journal(&self) -> Result<(Head, Turn)>;
    /// Saves the journal with its next entry.
    fn append(&self, head: &Head, turn: &Turn, entry: Entry) -> Result<()>;

    fn terminal(&self, name: &Name) -> Result<Option<(Terminal, Enrolment)>>;
    /// How many terminals have a row.
    fn count_terminals(&self) -> Result<u64>;
    fn save_terminal(&self, name: &Name, terminal: &Terminal, enrolment: &Enrolment) -> Result<()>;
    /// Opens every closed terminal again; returns how many were closed.
    fn confirm_all(&self) -> Result<usize>;

    fn account(&self, number: AccountNumber) -> Result<Option<AccountRow>>;
    /// The first number from [`FIRST_NUMBER`](accounts::FIRST_NUMBER) on that no account has.
    fn first_free_account(&self) -> Result<AccountNumber>;
    fn save_account(&self, row: &AccountRow) -> Result<()>;

    fn find_card(&self, claim: &Claim) -> Result<Option<(u64, Card)>>;
    fn card(&self, number: u64) -> Result<Option<Card>>;
    /// Whether there are cards that are not blocked, and no card has a token under one of these keys.
    fn are_cards_of_other_keys(&self, claim: &Claim) -> Result<bool>;
    /// The number of a new card.
    fn next_card(&self) -> Result<u64>;
    fn save_card(&self, number: u64, card: &Card) -> Result<()>;
}

impl OrderRows for Connection {
    fn begin(&self) -> Result<()> {
        Ok(self.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn commit(&self) -> Result<()> {
        Ok(self.execute_batch("COMMIT")?)
    }

    fn roll_back(&self) {
        // Where it fails, closing the connection takes it back.
        let _ = self.execute_batch("ROLLBACK");
    }

    fn journal(&self) -> Result<(Head, Turn)> {
        rows::journal(self, OPERATOR_JOURNAL)
    }

    fn append(&self, head: &Head, turn: &Turn, entry: Entry) -> Result<()> {
        rows::append(self, &[entry])?;
        let update =
            "UPDATE journals SET epoch = ?, owner = ?, batches = ?, number = ?, hash = ? WHERE journal = ?";
        let Head { batches, number, hash } = head;
        let values =
            params![turn.epoch, rows::owner(turn.owner), batches, number, hash.as_str(), OPERATOR_JOURNAL];
        self.execute(update, values)?;
        Ok(())
    }

    fn terminal(&self, name: &Name) -> Result<Option<(Terminal, Enrolment)>> {
        enrolments::read(self, name)
    }

    fn count_terminals(&self) -> Result<u64> {
        rows::count_terminals(self)
    }

    fn save_terminal(&self, name: &Name, terminal: &Terminal, enrolment: &Enrolment) -> Result<()> {
        enrolments::save(self, name, terminal, enrolment)
    }

    fn confirm_all(&self) -> Result<usize> {
        enrolments::confirm_all(self)
    }

    fn account(&self, number: AccountNumber) -> Result<Option<AccountRow>> {
        accounts::read(self, number)
    }

    fn first_free_account(&self) -> Result<AccountNumber> {
        accounts::first_free(self)
    }

    fn save_account(&self, row: &AccountRow) -> Result<()> {
        accounts::save(self, row)
    }

    fn find_card(&self, claim: &Claim) -> Result<Option<(u64, Card)>> {
        cards::find(self, claim)
    }

    fn card(&self, number: u64) -> Result<Option<Card>> {
        cards::read(self, number)
    }

    fn are_cards_of_other_keys(&self, claim: &Claim) -> Result<bool> {
        cards::are_of_other_keys(self, claim)
    }

    fn next_card(&self) -> Result<u64> {
        cards::next(self)
    }

    fn save_card(&self, number: u64, card: &Card) -> Result<()> {
        cards::save(self, number, card)
    }
}
