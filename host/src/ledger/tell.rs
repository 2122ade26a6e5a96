//! What `atm ledger` tells of the books: that they fit, all entries, or what stands in them.
use super::{
    entry::{COLUMNS, Entry},
    error::Fault,
    source::Source,
    verify::{Report, verify_read},
};
use atm_core::{ledger::LedgerId, money::Amount};
use std::{fmt, io::Write};

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One array of objects, one object a line; a column that says nothing is left out.
    Json,
    /// A line of names, then one line an entry.
    Csv,
}

/// Columns that are numbers in JSON.
const NUMBERS: [&str; 6] = ["format", "number", "numbers", "id", "account", "amount"];

/// Derives everything again from the first entry; `progress` is told the number of each entry.
///
/// # Errors
/// The books cannot be read.
pub fn verify(source: &mut Source, progress: impl FnMut(u64)) -> Result<Report, Fault> {
    let stored = source.stored.clone();
    verify_read(&stored, &mut |see| source.entries(see), progress)
}

/// Writes all entries, with their hashes.
///
/// # Errors
/// What is wrong with the books, or with `out`.
pub fn export(
    source: &mut Source,
    format: Format,
    out: &mut dyn Write,
    mut progress: impl FnMut(u64),
) -> Result<(), Fault> {
    match format {
        Format::Json => writeln!(out, "[")?,
        Format::Csv => writeln!(out, "{},hash", COLUMNS.join(","))?,
    }
    let mut first = true;
    source.entries(&mut |head, line| {
        progress(head.number);
        // Whoever reads it must not be given what no host has written.
        if Entry::parse(line).is_none() {
            return Err(Fault::Damaged(format!("entry {} is none: {line}", head.number)));
        }
        match format {
            Format::Csv => writeln!(out, "{line},{}", head.hash)?,
            Format::Json => {
                let comma = if first { "" } else { ",\n" };
                write!(out, "{comma}{{{}\"hash\":\"{}\"}}", Fields(line), head.hash)?;
            }
        }
        first = false;
        Ok(())
    })?;
    if format == Format::Json {
        writeln!(out, "\n]")?;
    }
    Ok(out.flush()?)
}

/// The columns of a line as fields in JSON, each with a comma behind it. Nothing in a line needs an escape.
struct Fields<'a>(&'a str);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in COLUMNS.iter().zip(self.0.split(',')).filter(|(_, value)| !value.is_empty()) {
            if NUMBERS.contains(name) || *name == "balance" {
                write!(f, "\"{name}\":{value},")?;
            } else {
                write!(f, "\"{name}\":\"{value}\",")?;
            }
        }
        Ok(())
    }
}

/// Shows what stands in the books, for a person: balances, the cash of `terminals` terminals, and the entries that the
/// source gives.
///
/// # Errors
/// What is wrong with the books, or with `out`.
pub fn show(source: &mut Source, terminals: usize, out: &mut dyn Write) -> Result<(), Fault> {
    let stored = &source.stored;
    writeln!(out, "ledger   {}", LedgerId(stored.get("ledger")?))?;
    writeln!(out, "entries  {}", stored.get("head")?)?;
    writeln!(out, "\nBalances")?;
    for (number, balance) in &stored.accounts {
        writeln!(out, "  {:<36}{:>24}", format!("account:{number}"), money(i128::from(*balance)))?;
    }
    writeln!(out, "  {:<36}{:>24}", "opening", money(i128::from(stored.get("opening")?)))?;
    writeln!(out, "\nCash, what came in less what went out")?;
    for (name, (_, cash)) in stored.terminals.iter().take(terminals) {
        let name = if name.is_empty() { "cash".to_owned() } else { format!("cash:{name}") };
        writeln!(out, "  {name:<36}{:>24}", money(*cash))?;
    }
    if stored.terminals.len() > terminals {
        let more = stored.terminals.len().saturating_sub(terminals);
        writeln!(out, "  and {more} more (--terminals N shows them)")?;
    }
    let sum: i128 = stored.terminals.values().fold(0, |sum: i128, (_, cash)| sum.saturating_add(*cash));
    writeln!(out, "  {:<36}{:>24}", "all of it", money(sum))?;
    writeln!(out, "\nThe last entries")?;
    writeln!(
        out,
        "  {:>9}  {:<24}  {:<8}  {:<32}  {:<12}  {:>16}  {:>16}",
        "number", "time", "kind", "terminal", "operation", "amount", "balance"
    )?;
    let mut last = None;
    source.entries(&mut |head, line| {
        last = Some(head.hash);
        let columns: Vec<&str> = line.split(',').collect();
        let column = |name: &str| {
            let at = COLUMNS.iter().position(|column| *column == name);
            at.and_then(|at| columns.get(at)).copied().unwrap_or_default()
        };
        let amount = |name| column(name).parse().map_or_else(|_| String::new(), money);
        Ok(writeln!(
            out,
            "  {:>9}  {:<24}  {:<8}  {:<32}  {:<12}  {:>16}  {:>16}",
            head.number,
            column("time"),
            column("kind"),
            column("terminal"),
            column("operation"),
            amount("amount"),
            amount("balance")
        )?)
    })?;
    if let Some(hash) = last {
        writeln!(out, "\nThe last hash, which stands for all of it: {hash}")?;
    }
    Ok(out.flush()?)
}

/// Minor units as money, with a sign where they are owed.
fn money(minor: i128) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    match u64::try_from(minor.unsigned_abs()).ok().and_then(Amount::from_minor) {
        Some(amount) => format!("{sign}{amount}"),
        // More than a balance can be; a till may have seen more than that.
        None => format!("{sign}{} minor units", minor.unsigned_abs()),
    }
}
