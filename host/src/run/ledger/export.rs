//! Export: all entries as text, in the order of their commits.
//!
//! CSV ends with a line of kind `head` for each journal with the number and the hash of its last entry; without those the
//! text is not whole. JSON is one array of objects, an object a line, in which an empty column is left out.
use crate::cli::ledger::ExportFormat;
use anyhow::{Result, ensure};
use atm_host::ledger::{
    entry::{COLUMNS, Entry, FORMAT, TEXTS},
    reader::{Journal, Reader},
};
use std::io::Write;

/// Writes the entries that are there now; `progress` gets the count of the entries so far.
pub(super) fn export(
    reader: &Reader,
    format: ExportFormat,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let overview = reader.overview()?;
    match format {
        ExportFormat::Json => write!(out, "[")?,
        ExportFormat::Csv => writeln!(out, "format,{COLUMNS},hash")?,
    }
    let mut last = 0;
    // No transaction is open while `out` is written, which may take any time.
    while let Some((row, entries)) = reader.range(last, overview.entries)? {
        for (nth, Entry { line, hash }) in entries.iter().enumerate() {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b",.:_- %".contains(&byte);
            ensure!(line.bytes().all(is_plain), "atm has not written this entry: {line}");
            if format == ExportFormat::Csv {
                writeln!(out, "{line},{hash}")?;
                continue;
            }
            let comma = if last == 0 && nth == 0 { "" } else { "," };
            write!(out, "{comma}\n{{\"format\":{FORMAT}")?;
            for (name, value) in COLUMNS.split(',').zip(line.split(',').skip(1)) {
                let quote = if TEXTS.contains(&name) { "\"" } else { "" };
                if !value.is_empty() {
                    write!(out, ",\"{name}\":{quote}{value}{quote}")?;
                }
            }
            write!(out, ",\"hash\":\"{hash}\"}}")?;
        }
        last = row;
        progress(row);
    }
    match format {
        ExportFormat::Json => writeln!(out, "\n]")?,
        ExportFormat::Csv => {
            // Columns after the kind, and the hash.
            let rest = ",".repeat(COLUMNS.split(',').count() - 3);
            for Journal { journal, head, .. } in &overview.journals {
                writeln!(out, "{FORMAT},{journal},{},,head{rest}{}", head.number, head.hash)?;
            }
        }
    }
    Ok(out.flush()?)
}
