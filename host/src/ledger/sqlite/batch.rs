//! Batches: loaded from the tables, and saved.
use super::{HOST_JOURNAL, Head, StoreFault, Turn, accounts, cards, enrolments, rows};
use crate::ledger::{
    batch::{Batch, Cards, DECOY, MAX_NAMES},
    cells::AccountRow,
};
use atm_core::ledger::{
    AccountNumber, Command, Operation, Request,
    card::{Card, CardRequest, Touched},
};
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};

/// The first card that was issued: no row is ever deleted.
const FIRST_CARD: u64 = 1;

/// Loads the rows that these requests touch, in a transaction that has begun.
pub(super) fn load(
    connection: &Connection,
    requests: &mut dyn Iterator<Item = &Request>,
) -> Result<Batch, StoreFault> {
    let (head, turn) = rows::journal(connection, HOST_JOURNAL)?;
    let (mut terminals, mut cards) = (BTreeMap::new(), Cards::default());
    for request in requests {
        if let Some(name) = request.origin.terminal()
            && !terminals.contains_key(name)
            && let Some(terminal) = rows::terminal(connection, name)?
        {
            terminals.insert(name.clone(), (terminal, false));
        }
        if let Command::Card { request: asked, .. } = &request.command {
            load_cards(connection, asked, request.command.touched(), &mut cards)?;
        }
    }
    Ok(Batch {
        ledger: rows::identity(connection)?,
        journal: HOST_JOURNAL,
        head,
        turn,
        account: (rows::account(connection, AccountNumber::OPEN)?, false),
        cards,
        limits: None,
        terminals,
        names: rows::count_terminals(connection)?,
        max_names: MAX_NAMES,
        closed: BTreeSet::new(),
        entries: Vec::new(),
        duplicates: 0,
    })
}

/// Loads the rows that a card's request touches, of those that were not loaded before.
fn load_cards(
    connection: &Connection,
    request: &CardRequest,
    Touched { card, account, payee }: Touched,
    cards: &mut Cards,
) -> Result<(), StoreFault> {
    // The decoy is loaded for every card, so that the same is read for a known card and an unknown one.
    if !cards.has_card(DECOY) {
        cards.add_card(DECOY, cards::read(connection, DECOY)?.unwrap_or(Card::DECOY));
    }
    if let Some(claim) = card.filter(|claim| cards.number(claim) == DECOY) {
        match cards::find(connection, &claim)? {
            Some((number, card)) => cards.add_card(number, card),
            // In the place of the row that is not there another one is read, which takes as long.
            None => drop(std::hint::black_box(cards::read(connection, FIRST_CARD)?)),
        }
    }
    let has_statement = request.operation() == Operation::Statement;
    for number in [account, payee].into_iter().flatten() {
        if (has_statement || !cards.has_account(number))
            && let Some(mut row) = accounts::read(connection, number)?.and_then(AccountRow::for_cards)
        {
            if has_statement {
                row.statement = accounts::statement(connection, number)?;
            }
            cards.add_account(row);
        }
    }
    Ok(())
}

/// Saves what has changed, if the journal still stands where it was loaded.
pub(super) fn write(connection: &Connection, before: &(Head, Turn), batch: &Batch) -> Result<(), StoreFault> {
    let mut update = connection.prepare_cached(
        "UPDATE journals SET epoch = ?, owner = ?, batches = ?, number = ?, hash = ?
         WHERE journal = ? AND epoch = ? AND owner = ? AND batches = ?",
    )?;
    let (Batch { head, turn, account, cards, terminals, closed, entries, .. }, (stood, former)) =
        (batch, before);
    let updated = update.execute(params![
        turn.epoch,
        rows::owner(turn.owner),
        head.batches,
        head.number,
        head.hash.as_str(),
        HOST_JOURNAL,
        former.epoch,
        rows::owner(former.owner),
        stood.batches,
    ])?;
    if updated != 1 {
        return Err(StoreFault::Fenced(None));
    }
    if let (account, true) = account {
        rows::save_account(connection, account)?;
    }
    for (name, (terminal, has_changed)) in terminals {
        if *has_changed {
            rows::save_terminal(connection, name, terminal)?;
        }
    }
    let (changed_cards, changed_accounts) = cards.changed();
    for (number, card) in changed_cards {
        cards::save(connection, number, card)?;
    }
    for row in changed_accounts {
        rows::save_account(connection, &row.account)?;
    }
    closed.iter().try_for_each(|name| enrolments::close(connection, name))?;
    rows::append(connection, entries)
}
