//! The cards of a ledger on a faulty disk: made and changed by an operator's writes, through connections of their own.
use crate::{
    auditor::Order,
    bank::{Bank, OWNERS},
    faulty_disk::Machine,
};
use atm_core::{
    ledger::card::{Card, Claim},
    time::UnixTime,
};
use atm_host::ledger::{committer::GroupCommitter, sqlite::Sqlite, store::StoreFault, words};
use rusqlite::{Connection, params, types::Type};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

type Read<T> = rusqlite::Result<T>;

/// The bank of a run, and the clock that its host reads.
pub(super) struct DurableCards {
    pub(super) bank: Bank,
    clock: Arc<AtomicU64>,
}

fn damaged(at: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(at, "not what the ledger writes".to_owned(), Type::Text)
}

impl DurableCards {
    pub(super) fn new(bank: Bank) -> Self {
        Self { bank, clock: Arc::default() }
    }

    /// Starts a process that serves cards, and reads the clock.
    pub(super) fn start(&self, machine: &Machine, owner: u64) -> Result<GroupCommitter<Sqlite>, StoreFault> {
        let clock = Arc::clone(&self.clock);
        let clock = move || UnixTime::from_millis(clock.load(Ordering::Relaxed));
        let mut committer = machine.start_with_clock(owner, Box::new(clock))?;
        committer.set_limits(self.bank.limits);
        Ok(committer)
    }

    /// The host's clock says this.
    pub(super) fn set_time(&self, wall: UnixTime) {
        self.clock.store(wall.millis(), Ordering::Relaxed);
    }

    /// Opens the accounts and issues the cards, numbered from 1.
    pub(super) fn create(&self, connection: &Connection) -> Read<()> {
        for ((number, balance), owner) in self.bank.accounts.iter().zip(OWNERS) {
            let owner = format!("Owner {owner}");
            let insert = "INSERT INTO accounts (account, balance, version, owner) VALUES (?, ?, 1, ?)";
            connection.execute(insert, params![number, balance, owner])?;
        }
        for (place, card) in self.bank.rows().into_iter().enumerate() {
            let Card { token, verifier, last_four, accounts, .. } = card;
            let insert = "INSERT INTO cards VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0)";
            connection.execute(
                insert,
                params![
                    place + 1,
                    words::token_text(&token),
                    words::verifier_text(&verifier),
                    String::from_utf8_lossy(&last_four),
                    words::accounts_text(&accounts).to_string()
                ],
            )?;
        }
        Ok(())
    }

    /// An operator gives an order about a card.
    pub(super) fn order(&self, connection: &Connection, card: usize, order: &Order) -> Read<()> {
        let number = card + 1;
        let update = match order {
            Order::Block => "UPDATE cards SET version = version + 1 - blocked, blocked = 1 WHERE card = ?",
            Order::Unblock => {
                "UPDATE cards SET version = version + blocked, blocked = 0, tries = 0 WHERE card = ?"
            }
            Order::SetPin(pin) => {
                let select = "SELECT token FROM cards WHERE card = ?";
                let text: String = connection.query_row(select, [number], |row| row.get(0))?;
                let token = words::token(&text).ok_or_else(|| damaged(0))?;
                let verifier = Bank::verifier(&Claim::of(token), pin);
                let update = "UPDATE cards SET verifier = ?2, version = version + 1 WHERE card = ?1";
                return connection
                    .execute(update, params![number, words::verifier_text(&verifier)])
                    .map(|_| ());
            }
        };
        connection.execute(update, [number]).map(|_| ())
    }

    /// An operator freezes an account, or thaws it.
    pub(super) fn freeze(&self, connection: &Connection, account: usize, is_frozen: bool) -> Read<()> {
        let state = if is_frozen { "frozen" } else { "open" };
        let update = "UPDATE accounts SET state = ? WHERE account = ?";
        connection.execute(update, params![state, self.bank.accounts[account].0]).map(|_| ())
    }
}
