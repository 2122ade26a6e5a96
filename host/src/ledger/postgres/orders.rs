//! Operators' orders in PostgreSQL: the lock of the operator's journal makes them take turns, and each row is locked as it is read.
use super::{
    Database,
    arrays::{Arrays, update},
    session::Session,
    statements::{entry_columns, of_entry},
    tables,
};
use crate::{
    access::Enrolment,
    ledger::{
        cells::{self, BALANCE, CARD, Cell, Cells, Column, Kind, TERMINAL, names},
        entry::Entry,
        operator::OrderRows,
        reader::AccountRow,
        sqlite::{OPERATOR_JOURNAL, accounts::FIRST_NUMBER, rows::owner},
        store::{Head, StoreFault, Turn},
        words,
    },
};
use atm_core::ledger::{
    AccountNumber, Name, Terminal,
    card::{Card, Claim, Owner},
};
use tokio_postgres::{Row, types::ToSql};

type Result<T> = std::result::Result<T, StoreFault>;

/// The columns of a terminal's enrolment, and those of an account that an operator changes.
const ENROLMENT: [Column; 4] =
    [("terminal", Kind::Text), ("series", Kind::Integer), ("tls", Kind::Integer), ("closed", Kind::Integer)];
const OWNED: [Column; 3] = [("account", Kind::Integer), ("owner", Kind::Text), ("state", Kind::Text)];

/// A session for orders.
#[derive(Debug)]
pub(in crate::ledger) struct Orders(Session);

impl Orders {
    /// Connects.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(in crate::ledger) fn open(database: &Database) -> Result<Self> {
        let session = Session::connect(database, 0)?;
        tables::check(&session, database)?;
        Ok(Self(session))
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.0.run(self.0.client().batch_execute(sql))
    }

    fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.0.run(self.0.client().query(sql, parameters))
    }

    /// The number in the one row of an answer.
    fn number(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        let rows = self.rows(sql, parameters)?;
        let number = rows.first().map(|row| row.integer(0)).transpose()?.flatten();
        number.and_then(|number| number.try_into().ok()).ok_or_else(|| cells::damaged("a number"))
    }

    /// Updates a row by its first column.
    fn save(&self, table: &str, columns: &[Column], row: Vec<Cell>) -> Result<()> {
        let row = Arrays::new(columns, [Ok(row)].into_iter())?;
        self.rows(&update(table, columns, 1), &row.parameters())?;
        Ok(())
    }
}

impl OrderRows for Orders {
    fn begin(&self) -> Result<()> {
        self.run(&format!(
            "BEGIN; SELECT journal FROM journals WHERE journal = {OPERATOR_JOURNAL} FOR UPDATE"
        ))
    }

    fn commit(&self) -> Result<()> {
        self.0.take_warning();
        self.run("COMMIT")?;
        self.0.check_warning()
    }

    fn roll_back(&self) {
        // Where it fails, the end of the session takes it back.
        let _ = self.run("ROLLBACK");
    }

    fn journal(&self) -> Result<(Head, Turn)> {
        let journal = i64::from(OPERATOR_JOURNAL);
        let select = "SELECT epoch, owner, batches, number, hash FROM journals WHERE journal = $1";
        tables::read_journal(&self.rows(select, &[&journal])?)
    }

    fn append(&self, head: &Head, turn: &Turn, entry: Entry) -> Result<()> {
        let columns = entry_columns();
        let entries = Arrays::new(&columns, [of_entry(&entry)].into_iter())?;
        self.rows(&super::arrays::insert("entries", &columns, 1), &entries.parameters())?;
        let column = tables::to_column;
        let values: [&(dyn ToSql + Sync); 6] = [
            &column(turn.epoch)?,
            &owner(turn.owner),
            &column(head.batches)?,
            &column(head.number)?,
            &head.hash.as_str(),
            &i64::from(OPERATOR_JOURNAL),
        ];
        let update = "UPDATE journals SET epoch = $1, owner = $2, batches = $3, number = $4, hash = $5 WHERE journal = $6";
        self.rows(update, &values)?;
        Ok(())
    }

    fn terminal(&self, name: &Name) -> Result<Option<(Terminal, Enrolment)>> {
        let terminal = names(&TERMINAL);
        let select =
            format!("SELECT {terminal}, series, tls, closed FROM terminals WHERE terminal = $1 FOR UPDATE");
        let rows = self.rows(&select, &[&name.as_str()])?;
        let read = |row: &Row| {
            let (_, terminal) = cells::terminal(row)?;
            Ok((terminal, cells::enrolment(row, TERMINAL.len(), terminal.epoch)?))
        };
        rows.first().map(read).transpose()
    }

    fn count_terminals(&self) -> Result<u64> {
        self.number("SELECT count(*) FROM terminals", &[])
    }

    fn save_terminal(&self, name: &Name, terminal: &Terminal, enrolment: &Enrolment) -> Result<()> {
        let place =
            "INSERT INTO terminals (terminal, turn, next_number, gap_start, gap_end) VALUES ($1, 0, 1, 0, 0)
                     ON CONFLICT (terminal) DO NOTHING";
        self.rows(place, &[&name.as_str()])?;
        self.save("terminals", &TERMINAL, cells::of_terminal(name, terminal)?)?;
        let Enrolment { series, tls, closed, .. } = *enrolment;
        let number = |number| Cell::Integer(Some(number));
        let enrolment = [number(series.into()), number(tls.into()), number(closed.into())];
        let name = Cell::Text(Some(name.to_string()));
        self.save("terminals", &ENROLMENT, [name].into_iter().chain(enrolment).collect())
    }

    fn confirm_all(&self) -> Result<usize> {
        let rows = self.rows("UPDATE terminals SET closed = 0 WHERE closed = 1 RETURNING terminal", &[])?;
        Ok(rows.len())
    }

    fn account(&self, number: AccountNumber) -> Result<Option<AccountRow>> {
        let select =
            "SELECT account, balance, version, owner, state FROM accounts WHERE account = $1 FOR UPDATE";
        self.rows(select, &[&i64::from(number.0)])?.first().map(cells::account).transpose()
    }

    fn first_free_account(&self) -> Result<AccountNumber> {
        let select = "SELECT min(number) FROM (SELECT $1::bigint AS number UNION ALL
                          SELECT account + 1 FROM accounts WHERE account >= $1) AS numbers
                      WHERE NOT EXISTS (SELECT FROM accounts WHERE account = number)";
        let number = self.number(select, &[&i64::from(FIRST_NUMBER)])?;
        Ok(AccountNumber(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    fn save_account(&self, row: &AccountRow) -> Result<()> {
        let number = i64::from(row.account.number.0);
        let place = "INSERT INTO accounts (account, balance, version) VALUES ($1, 0, 0) ON CONFLICT (account) DO NOTHING";
        self.rows(place, &[&number])?;
        self.save("accounts", &BALANCE, cells::of_balance(&row.account)?)?;
        let owner = row.owner.as_ref().map(Owner::as_str).map(str::to_owned);
        let state = words::state_word(row.state).to_owned();
        self.save(
            "accounts",
            &OWNED,
            vec![Cell::Integer(Some(number)), Cell::Text(owner), Cell::Text(Some(state))],
        )
    }

    fn find_card(&self, claim: &Claim) -> Result<Option<(u64, Card)>> {
        let tokens: Vec<_> =
            claim.tokens().iter().map(|token| words::token_text(token).to_string()).collect();
        let select = format!("SELECT {} FROM cards WHERE token = ANY ($1::text[]) FOR UPDATE", names(&CARD));
        self.rows(&select, &[&tokens])?.first().map(cells::card).transpose()
    }

    fn card(&self, number: u64) -> Result<Option<Card>> {
        let select = format!("SELECT {} FROM cards WHERE card = $1 FOR UPDATE", names(&CARD));
        let rows = self.rows(&select, &[&tables::to_column(number)?])?;
        Ok(rows.first().map(cells::card).transpose()?.map(|(_, card)| card))
    }

    fn are_cards_of_other_keys(&self, claim: &Claim) -> Result<bool> {
        let keys: Vec<_> =
            claim.tokens().iter().map(|token| words::key_text(token.key).to_string()).collect();
        let select = "SELECT CAST(EXISTS (SELECT FROM cards WHERE blocked = 0)
                          AND NOT EXISTS (SELECT FROM cards WHERE split_part(token, ':', 1) = ANY ($1::text[])) AS int)::bigint";
        Ok(self.number(select, &[&keys])? == 1)
    }

    fn next_card(&self) -> Result<u64> {
        self.number("SELECT max(card) + 1 FROM cards", &[])
    }

    fn save_card(&self, number: u64, card: &Card) -> Result<()> {
        let place = "INSERT INTO cards (card, accounts, tries, refusals, blocked, version, day, withdrawn)
                     VALUES ($1, '', 0, 0, 0, 0, 0, 0) ON CONFLICT (card) DO NOTHING";
        self.rows(place, &[&tables::to_column(number)?])?;
        self.save("cards", &CARD, cells::of_card(number, card)?)
    }
}
