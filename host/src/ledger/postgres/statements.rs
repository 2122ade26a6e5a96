//! Statements of a batch, prepared once a session; those of a load, and those of a save, are sent without waiting in between.
use super::{
    arrays::{insert, update},
    session::Session,
};
use crate::ledger::{
    cells::{self, BALANCE, CARD, Cell, Cells, Column, Kind, TERMINAL, names},
    entry::{COLUMNS, Entry, TEXTS},
    store::StoreFault,
};
use atm_core::ledger::{
    AccountNumber,
    card::{MOVEMENTS, Statement as Movements},
};
use futures_util::future::{join_all, try_join_all};
use tokio_postgres::{Client, Error, Row, Statement, types::ToSql};

/// The prepared statements of a session.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) begin: Statement,
    pub(super) journal: Statement,
    /// Inserts the names that have no row; returns them.
    pub(super) place: Statement,
    pub(super) terminals: Statement,
    pub(super) cards: Statement,
    pub(super) accounts: Statement,
    count: Statement,
    movements: Statement,
    pub(super) enrolment: Statement,
    /// Takes the parameters of the journal's update, and then the arrays of terminals, cards, accounts and entries.
    pub(super) save: Statement,
    pub(super) close: Statement,
    pub(super) remove: Statement,
    pub(super) commit: Statement,
    pub(super) rollback: Statement,
}

/// The columns of an entry's row.
pub(super) fn entry_columns() -> Vec<Column> {
    let kind = |name| if TEXTS.contains(&name) { Kind::Text } else { Kind::Integer };
    COLUMNS.split(',').map(|name| (name, kind(name))).chain([("hash", Kind::Text)]).collect()
}

/// The cells of an entry's row: those of its line after the format, and the hash.
///
/// # Errors
/// [`StoreFault::Rejected`].
pub(super) fn of_entry(entry: &Entry) -> Result<Vec<Cell>, StoreFault> {
    let cell = |(text, (name, kind)): (&str, Column)| match kind {
        Kind::Text => Ok(Cell::Text((!text.is_empty()).then(|| text.to_owned()))),
        Kind::Integer if text.is_empty() => Ok(Cell::Integer(None)),
        Kind::Integer => match text.parse() {
            Ok(number) => Ok(Cell::Integer(Some(number))),
            Err(error) => Err(StoreFault::Rejected(format!("{name} {text}: {error}"))),
        },
    };
    let texts = entry.line.split(',').skip(1).chain([entry.hash.as_str()]);
    texts.zip(entry_columns()).map(cell).collect()
}

/// Parameters of the journal's update.
const JOURNAL: usize = 9;

/// A statement is planned once a session, for tables that may grow from nothing to millions of rows meanwhile: by its index
/// whatever the size. An engine that has other settings plans as it does.
const PLANNING: &str = "SELECT set_config(name, CASE name WHEN 'plan_cache_mode' THEN 'force_generic_plan' ELSE 'off' END, false)
     FROM pg_settings WHERE name IN ('plan_cache_mode', 'enable_seqscan', 'enable_hashjoin', 'enable_mergejoin')";

impl Statements {
    /// Prepares them, in one round trip.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(super) fn prepare(session: &Session) -> Result<Self, StoreFault> {
        session.run(session.client().batch_execute(PLANNING))?;
        let terminal = names(&TERMINAL);
        let texts = [
            "BEGIN".to_owned(),
            "COMMIT".to_owned(),
            "ROLLBACK".to_owned(),
            "SELECT epoch, owner, batches, number, hash FROM journals WHERE journal = $1 FOR UPDATE".to_owned(),
            "INSERT INTO terminals (terminal, turn, next_number, gap_start, gap_end)
                 SELECT new.terminal, 0, 1, 0, 0 FROM unnest($1::text[]) WITH ORDINALITY AS new (terminal, place) ORDER BY place
                 ON CONFLICT (terminal) DO NOTHING RETURNING terminal".to_owned(),
            format!(
                "SELECT {terminal} FROM terminals WHERE terminal = ANY ($1::text[]) ORDER BY terminal FOR UPDATE"
            ),
            // The decoy's row is found for every card, and locked in the place of a row that is not there: hosts whose cards are known do
            // not wait for each other, and the refusal of an unknown card reads and locks as many rows as that of a known one.
            format!(
                "SELECT {} FROM cards WHERE token = ANY ($1::text[] || $2::text[]) OR (card = 0 AND EXISTS
                     (SELECT FROM unnest($1::text[], $2::text[]) AS claim (newest, older)
                      WHERE NOT EXISTS (SELECT FROM cards WHERE token = newest)
                          AND NOT EXISTS (SELECT FROM cards WHERE token = older)))
                 ORDER BY card FOR UPDATE",
                names(&CARD)
            ),
            "SELECT account, balance, version, owner, state FROM accounts WHERE account = ANY ($1::bigint[])
                 ORDER BY account FOR UPDATE".to_owned(),
            "SELECT count(*) FROM terminals".to_owned(),
            format!(
                "(SELECT time, debit, credit, amount, balance, version FROM entries
                  WHERE account = $1 AND card IS NOT NULL AND debit IS NOT NULL ORDER BY version DESC LIMIT {MOVEMENTS})
                 UNION ALL
                 (SELECT time, debit, credit, amount, payee_balance, payee_version FROM entries
                  WHERE payee = $1 AND payee_version IS NOT NULL ORDER BY payee_version DESC LIMIT {MOVEMENTS})
                 ORDER BY 6 DESC LIMIT {MOVEMENTS}"
            ),
            format!(
                "SELECT {terminal}, series, tls, closed FROM terminals WHERE terminal = $1"
            ),
            // Each reply costs the database and the host a system call and a wake-up, so this is one statement.
            format!(
                "WITH journal AS (UPDATE journals SET owner = $2, batches = $3, number = $4, hash = $5,
                     epoch = $1::bigint / (CASE WHEN epoch = $7 AND owner = $8 AND batches = $9 THEN 1 ELSE 0 END)
                     WHERE journal = $6),
                 new_terminals AS ({}), new_cards AS ({}), new_accounts AS ({}) {}",
                update("terminals", &TERMINAL, JOURNAL + 1),
                update("cards", &CARD, JOURNAL + TERMINAL.len() + 1),
                update("accounts", &BALANCE, JOURNAL + TERMINAL.len() + CARD.len() + 1),
                insert("entries", &entry_columns(), JOURNAL + TERMINAL.len() + CARD.len() + BALANCE.len() + 1)
            ),
            "UPDATE terminals SET closed = 1 WHERE terminal = ANY ($1::text[]) AND series > 0".to_owned(),
            "DELETE FROM terminals WHERE terminal = ANY ($1::text[])".to_owned(),
        ];
        let client = session.client();
        let prepared = session.run(try_join_all(texts.iter().map(|text| client.prepare(text))))?;
        let mut prepared = prepared.into_iter();
        let failed = || StoreFault::Failed("the database has prepared fewer statements".to_owned());
        let mut next = || prepared.next().ok_or_else(failed);
        // In the order of the texts.
        Ok(Self {
            begin: next()?,
            commit: next()?,
            rollback: next()?,
            journal: next()?,
            place: next()?,
            terminals: next()?,
            cards: next()?,
            accounts: next()?,
            count: next()?,
            movements: next()?,
            enrolment: next()?,
            save: next()?,
            close: next()?,
            remove: next()?,
        })
    }

    /// The last movements of an account by cards' sessions.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(super) fn movements(
        &self,
        session: &Session,
        account: AccountNumber,
    ) -> Result<Movements, StoreFault> {
        let number = i64::from(account.0);
        let rows = session.run(session.client().query(&self.movements, &[&number]))?;
        let mut movements = Movements::default();
        for row in rows.iter().rev() {
            movements.push(cells::statement_line(row, account)?);
        }
        Ok(movements)
    }

    /// Whether the decoy has a row.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(super) fn has_decoy(session: &Session) -> Result<bool, StoreFault> {
        let rows = session.run(session.client().query("SELECT card FROM cards WHERE card = 0", &[]))?;
        Ok(!rows.is_empty())
    }

    /// The terminals that have a row.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(super) fn count(&self, session: &Session) -> Result<u64, StoreFault> {
        let row = session.run(session.client().query_one(&self.count, &[]))?;
        Ok(row.integer(0)?.and_then(|count| count.try_into().ok()).unwrap_or_default())
    }
}

/// A statement with its parameters; `None` where it has nothing to do, which saves its reply.
pub(super) type Step<'a> = Option<(&'a Statement, Vec<&'a (dyn ToSql + Sync)>)>;

/// Sends all statements in this order without waiting in between, and returns their rows, none for a step that is left out. An
/// error is that of the first statement that failed; those after it were not carried out, as they are of one transaction.
pub(super) async fn exchange(client: &Client, steps: &[Step<'_>]) -> Result<Vec<Vec<Row>>, Error> {
    // Each is sent when it is polled first, which happens in this order.
    let sent = steps.iter().map(async |step| match step {
        Some((statement, parameters)) => client.query(*statement, parameters).await,
        None => Ok(Vec::new()),
    });
    join_all(sent).await.into_iter().collect()
}
