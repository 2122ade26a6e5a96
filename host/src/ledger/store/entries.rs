//! The table of entries: many in one value, which takes the tree a tenth of the time that each of them would.
use super::{damaged, fault};
use crate::ledger::{
    books::{Head, Row},
    error::Fault,
    packed::{pack, size, unpack},
};
use redb::{Range, ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");

/// The longest value of more than one entry, in bytes: it is alone in 32 KiB of redb's then, with what that needs itself.
/// The longer it is, the fewer writes bring a journal into the tree, and the longer it takes to find one entry in it.
const LONGEST: usize = 32_000;

/// Writes entries behind those that are there.
pub(super) fn write(transaction: &WriteTransaction, rows: &[Row]) -> Result<(), Fault> {
    let mut entries = transaction.open_table(ENTRIES).map_err(fault)?;
    let mut value = Vec::with_capacity(LONGEST);
    let mut rows = rows.iter().peekable();
    while let Some(first) = rows.next() {
        value.clear();
        pack(first, &mut value)?;
        while let Some(row) = rows.next_if(|row| value.len().saturating_add(size(row)) <= LONGEST) {
            pack(row, &mut value)?;
        }
        entries.insert(first.head.number, value.as_slice()).map_err(fault)?;
    }
    Ok(())
}

/// The entries of a table, to look at.
pub(super) struct Entries(redb::ReadOnlyTable<u64, &'static [u8]>);

impl Entries {
    pub(super) fn of(transaction: &ReadTransaction) -> Result<Self, Fault> {
        match transaction.open_table(ENTRIES) {
            Err(TableError::TableDoesNotExist(_)) => Err(Fault::Foreign),
            result => Ok(Self(result.map_err(fault)?)),
        }
    }

    /// The last one.
    pub(super) fn last(&self) -> Result<Head, Fault> {
        let Some((first, value)) = self.0.last().map_err(fault)? else { return Ok(Head::default()) };
        match unpack(value.value(), first.value()).last() {
            Some(Some((head, _))) => Ok(head),
            _ => Err(damaged("its last entry is not text")),
        }
    }

    /// Those from the one with the number `first` on.
    pub(super) fn from(&self, first: u64) -> Result<Values, Fault> {
        let mut before = self.0.range(..=first).map_err(fault)?;
        let begin = match before.next_back() {
            None => first,
            Some(item) => item.map_err(fault)?.0.value(),
        };
        Ok(Values { range: self.0.range(begin..).map_err(fault)?, first })
    }

    /// One of them.
    pub(super) fn find(&self, number: u64) -> Result<Option<(Head, String)>, Fault> {
        let mut found = None;
        self.from(number)?.next(|head, line| {
            if head.number == number {
                found = Some((head, line.to_owned()));
            }
        })?;
        Ok(found)
    }

    /// One that must be there.
    pub(super) fn get(&self, number: u64) -> Result<(Head, String), Fault> {
        self.find(number)?.ok_or_else(|| damaged(format!("there is no entry {number}")))
    }
}

/// Values of the table, one after the other.
pub(super) struct Values {
    range: Range<'static, u64, &'static [u8]>,
    /// The entries before this one are not asked for.
    first: u64,
}

impl Values {
    /// Shows the entries of the next value; false where there is none.
    pub(super) fn next(&mut self, mut see: impl FnMut(Head, &str)) -> Result<bool, Fault> {
        let Some(item) = self.range.next() else { return Ok(false) };
        let (number, value) = item.map_err(fault)?;
        let mut next = number.value();
        for entry in unpack(value.value(), number.value()) {
            let (head, line) = entry.ok_or_else(|| damaged(format!("entry {next} is not text")))?;
            next = next.saturating_add(1);
            if head.number >= self.first {
                see(head, line);
            }
        }
        Ok(true)
    }
}
