//! Cards of other keys than those of the secrets file, counted by the database.
use super::Postgres;
use crate::ledger::{
    cells::{self, Cells},
    store::StoreFault,
};
use atm_core::ledger::card::CardKeys;
use tokio_postgres::{Row, types::ToSql};

impl Postgres {
    /// How many cards in use have PINs that cannot be judged with these keys, and the numbers of the first.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn cards_of_other_keys(&self, keys: &CardKeys) -> Result<(u64, Vec<u64>), StoreFault> {
        let (session, ..) = self.session()?;
        let (condition, named, keys) = (cells::OTHER_KEYS, cells::NAMED, cells::key_parameters(keys));
        let keys = keys.each_ref().map(|key| -> &(dyn ToSql + Sync) { key });
        let numbers = |select: String| -> Result<Vec<u64>, StoreFault> {
            let rows = session.run(session.client().query(&select, &keys))?;
            let number =
                |row: &Row| Ok(row.integer(0)?.and_then(|number| number.try_into().ok()).unwrap_or_default());
            rows.iter().map(number).collect()
        };
        let count = numbers(format!("SELECT count(*) FROM cards WHERE {condition}"))?;
        let first = numbers(format!("SELECT card FROM cards WHERE {condition} ORDER BY card LIMIT {named}"))?;
        Ok((count.first().copied().unwrap_or_default(), first))
    }
}
