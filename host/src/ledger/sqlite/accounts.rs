//! Accounts: their rows, and the statement of one, from the entries of cards' sessions.
use super::{StoreFault, rows};
use crate::ledger::{
    cells::{self, AccountRow},
    words,
};
use atm_core::ledger::{
    Account, AccountNumber,
    card::{MOVEMENTS, Owner, Statement, StatementLine},
};
use rusqlite::{Connection, params};

type Result<T> = std::result::Result<T, StoreFault>;

const COLUMNS: &str = "account, balance, version, owner, state";

/// An account, if it has a row.
pub(crate) fn read(connection: &Connection, number: AccountNumber) -> Result<Option<AccountRow>> {
    let mut select =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM accounts WHERE account = ?"))?;
    select.query_and_then([number.0], |row| cells::account(row))?.next().transpose()
}

/// The first number for an account that is opened without one.
pub(crate) const FIRST_NUMBER: u32 = 1000;

/// The first number from [`FIRST_NUMBER`] on that no account has. It may be above that of any account.
pub(crate) fn first_free(connection: &Connection) -> Result<AccountNumber> {
    let mut select = connection.prepare_cached(
        "SELECT min(number) FROM (SELECT ?1 AS number UNION ALL SELECT account + 1 FROM accounts WHERE account >= ?1)
         WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE account = number)",
    )?;
    Ok(AccountNumber(select.query_row([FIRST_NUMBER], |row| row.get(0))?))
}

/// Reads all accounts, by their numbers, in [ranges](rows::in_ranges).
pub(crate) fn for_each<E: From<StoreFault>>(
    connection: &Connection,
    see: impl FnMut(AccountRow) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let select = format!("SELECT {COLUMNS} FROM accounts WHERE account >= ? ORDER BY account LIMIT ?");
    let number = |row: &AccountRow| row.account.number.0.into();
    rows::in_ranges(connection, &select, |row| cells::account(row), number, see)
}

/// The numbers of all accounts, in their order.
pub(crate) fn numbers(connection: &Connection) -> Result<Vec<u32>> {
    let mut select = connection.prepare("SELECT account FROM accounts ORDER BY account")?;
    Ok(select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Saves a whole row, which may be new.
pub(crate) fn save(connection: &Connection, row: &AccountRow) -> Result<()> {
    let mut save = connection.prepare_cached(&format!(
        "INSERT INTO accounts ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (account) DO UPDATE SET ({COLUMNS}) = (?1, ?2, ?3, ?4, ?5)"
    ))?;
    let AccountRow { account: Account { number, balance, version }, owner, state } = row;
    let owner = owner.as_ref().map(Owner::as_str);
    save.execute(params![number.0, balance.minor(), version, owner, words::state_word(*state)])?;
    Ok(())
}

/// The last movements of an account (`?1`), at most `?2`. Each branch is the end of an index; both count the account's version.
pub(crate) const STATEMENT: &str = "
    SELECT time, debit, credit, amount, balance, version FROM (
        SELECT time, debit, credit, amount, balance, version FROM entries
        WHERE account = ?1 AND card IS NOT NULL AND debit IS NOT NULL ORDER BY version DESC LIMIT ?2)
    UNION ALL
    SELECT time, debit, credit, amount, payee_balance, payee_version FROM (
        SELECT time, debit, credit, amount, payee_balance, payee_version FROM entries
        WHERE payee = ?1 AND payee_version IS NOT NULL ORDER BY payee_version DESC LIMIT ?2)
    ORDER BY 6 DESC LIMIT ?2";

/// The last movements of an account by cards' sessions.
pub(crate) fn statement(connection: &Connection, number: AccountNumber) -> Result<Statement> {
    let mut select = connection.prepare_cached(STATEMENT)?;
    let mut lines = select
        .query_and_then(params![number.0, MOVEMENTS as u32], |row| cells::statement_line(row, number))?
        .collect::<Result<Vec<StatementLine>>>()?;
    let mut statement = Statement::default();
    lines.drain(..).rev().for_each(|line| statement.push(line));
    Ok(statement)
}
