//! Cards: their rows, and that of the decoy.
use super::{
    StoreFault,
    rows::{self, upsert},
};
use crate::ledger::{
    cells::{self, CARD, names},
    words,
};
use atm_core::ledger::card::{Card, CardKeys, Claim};
use rusqlite::{Connection, params_from_iter};
use std::sync::LazyLock;

type Result<T> = std::result::Result<T, StoreFault>;

/// A card and its number in the table, which is shown to operators.
pub(crate) type Numbered = (u64, Card);

static COLUMNS: LazyLock<String> = LazyLock::new(|| names(&CARD));
static SAVE: LazyLock<String> = LazyLock::new(|| upsert("cards", &CARD));

/// The card of one of these tokens, if there is one.
pub(crate) fn find(connection: &Connection, claim: &Claim) -> Result<Option<Numbered>> {
    let mut select =
        connection.prepare_cached(&format!("SELECT {} FROM cards WHERE token IN (?, ?)", *COLUMNS))?;
    select
        .query_and_then(claim.tokens().each_ref().map(words::token_text), |row| cells::card(row))?
        .next()
        .transpose()
}

/// The card of this number, if there is one.
pub(crate) fn read(connection: &Connection, number: u64) -> Result<Option<Card>> {
    let mut select = connection.prepare_cached(&format!("SELECT {} FROM cards WHERE card = ?", *COLUMNS))?;
    let found = select.query_and_then([number], |row| cells::card(row))?.next().transpose()?;
    Ok(found.map(|(_, card)| card))
}

/// Reads the decoy and all cards, by their numbers, in [ranges](rows::in_ranges).
pub(crate) fn for_each<E: From<StoreFault>>(
    connection: &Connection,
    see: impl FnMut(Numbered) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let select = format!("SELECT {} FROM cards WHERE card >= ? ORDER BY card LIMIT ?", *COLUMNS);
    rows::in_ranges(connection, &select, |row| cells::card(row), |(number, _)| *number, see)
}

/// The number of the next card: no row is ever deleted.
pub(crate) fn next(connection: &Connection) -> Result<u64> {
    Ok(connection.query_row("SELECT max(card) + 1 FROM cards", [], |row| row.get(0))?)
}

/// Whether there are cards that are not blocked, and no card has a token under one of these keys.
pub(crate) fn are_of_other_keys(connection: &Connection, claim: &Claim) -> Result<bool> {
    // A key's tokens are a range of the index: the character after the colon is the semicolon.
    let select = "SELECT EXISTS (SELECT 1 FROM cards WHERE blocked = 0)
                  AND NOT EXISTS (SELECT 1 FROM cards WHERE token > ?1 || ':' AND token < ?1 || ';')
                  AND NOT EXISTS (SELECT 1 FROM cards WHERE token > ?2 || ':' AND token < ?2 || ';')";
    let keys = claim.tokens().each_ref().map(|token| words::key_text(token.key));
    Ok(connection.query_row(select, keys, |row| row.get(0))?)
}

/// Saves a whole row, which may be new.
pub(crate) fn save(connection: &Connection, number: u64, card: &Card) -> Result<()> {
    rows::save(connection, &SAVE, &cells::of_card(number, card)?)
}

/// How many cards in use have PINs that cannot be judged with these keys, and the numbers of the first.
pub(crate) fn of_other_keys(connection: &Connection, keys: &CardKeys) -> Result<(u64, Vec<u64>)> {
    let keys = cells::key_parameters(keys);
    let (condition, named) = (cells::OTHER_KEYS, cells::NAMED);
    let count = connection.query_row(
        &format!("SELECT count(*) FROM cards WHERE {condition}"),
        params_from_iter(&keys),
        |row| row.get(0),
    )?;
    let select = format!("SELECT card FROM cards WHERE {condition} ORDER BY card LIMIT {named}");
    let numbers = connection
        .prepare(&select)?
        .query_map(params_from_iter(&keys), |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    Ok((count, numbers))
}
