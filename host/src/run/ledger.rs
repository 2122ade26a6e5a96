//! `atm ledger`: shows, verifies, exports, backs up and restores a ledger, with a progress bar where that
//! takes long.
use super::{print, signals::remove_drafts_on_signals, write_output};
use crate::cli::ledger::{Ledger, Source};
use anyhow::{Context, Result};
use atm_core::{
    ledger::{AccountNumber, LedgerId},
    money::{Amount, SignedAmount},
};
use atm_host::{
    clock::unix_time,
    exit::Exit,
    ledger::{
        backup::{new_file, restore},
        reader::{Overview, Reader},
        sqlite::{Beginning, FILE},
        store::StoreFault,
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{fs, io::BufWriter, path::Path, time::Duration};

mod export;
mod heads;
mod show;

use export::export;

/// How long a command runs before it shows its progress.
const PROGRESS_DELAY: Duration = Duration::from_millis(500);

pub(super) fn run(command: &Ledger) -> Result<Exit> {
    // First: a reader may have to copy the ledger.
    remove_drafts_on_signals()?;
    match command {
        Ledger::Show { source, account, terminal, last } => {
            let reader = reader(source)?;
            write_output(|out| match (account, terminal) {
                (Some(account), _) => show::account(&reader, AccountNumber(*account), out),
                (None, Some(name)) => show::terminal(&reader, name, out),
                (None, None) => show::ledger(&reader, *last, out),
            })
        }
        Ledger::Verify { source, expect } => verify(source, expect.as_deref()),
        Ledger::Export { file, source, format } => {
            let reader = reader(source)?;
            let mut progress = progress(reader.overview().ok());
            if file.as_os_str() == "-" {
                return write_output(|out| export(&reader, *format, out, &mut progress));
            }
            new_file(file, |draft| {
                let mut out = BufWriter::with_capacity(1 << 16, draft.as_file());
                export(&reader, *format, &mut out, &mut progress)
                    .with_context(|| file.display().to_string())?;
                Ok(Exit::Done)
            })
        }
        Ledger::Backup { file, source } => {
            let reader = reader(source)?;
            let _progress = progress(None);
            let entries = reader.backup(file)?;
            print(&format!("{}: a backup of {entries} entries", file.display()))
        }
        Ledger::Restore { file, data } => {
            let identity = LedgerId(getrandom::u64().context("there is no random number for an identity")?);
            let new = Beginning { identity, balance: Amount::ZERO, time: unix_time() };
            let restored = restore(file, data, new, &mut progress(None))?;
            print(&format!("{}: restored\n{}", data.display(), summary(&restored)))
        }
        #[cfg(feature = "postgres")]
        Ledger::Move { data, database } => {
            use atm_host::ledger::{folder::Folder, postgres::copy::fill};
            let database = database.address()?.context("--database URL is needed")?;
            let name = database.display().to_string();
            let folder = Folder::lock(data).with_context(|| data.display().to_string())?;
            let reader = folder.open_to_move().with_context(|| data.display().to_string())?;
            let is_new =
                fill(&reader, &database, || folder.note_move(&reader, &name)).context(name.clone())?;
            let done = if is_new { "moved" } else { "it was moved before" };
            print(&format!("{name}: {done}\n{}", summary(&reader.overview()?)))
        }
        #[cfg(feature = "postgres")]
        Ledger::Migrate { database, balance } => {
            use atm_host::ledger::postgres::tables::migrate;
            let database = database.address()?.context("--database URL is needed")?;
            let identity = LedgerId(getrandom::u64().context("there is no random number for an identity")?);
            let new = Beginning { identity, balance: *balance, time: unix_time() };
            let is_new = migrate(&database, new).with_context(|| database.display().to_string())?;
            let done = if is_new { "a new ledger" } else { "the tables are those of this version" };
            print(&format!("{}: {done}", database.display()))
        }
    }
}

/// Opens a ledger for reading: that in a folder, or a snapshot of one in a shared database.
pub(super) fn reader(source: &Source) -> Result<Reader> {
    #[cfg(feature = "postgres")]
    if let Some(database) = source.database.address()? {
        return atm_host::ledger::postgres::copy::snapshot(&database)
            .with_context(|| database.display().to_string());
    }
    let folder = source.folder();
    Reader::open(folder).with_context(|| folder.join(FILE).display().to_string())
}

fn verify(source: &Source, expect: Option<&Path>) -> Result<Exit> {
    let expected = expect.map(|file| {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        heads::parse(&text)
            .with_context(|| format!("{}: no journals are in it as `verify` prints them", file.display()))
    });
    let expected = expected.transpose()?;
    let reader = reader(source)?;
    let verified = || {
        let mut report = reader.verify(&mut progress(reader.overview().ok()))?;
        if let (Some(overview), Some(expected)) = (&report.overview, &expected) {
            report.faults.extend(reader.compare_heads(&overview.journals, expected)?);
        }
        Ok::<_, StoreFault>(report)
    };
    let report = verified().with_context(|| source.place())?;
    if let (Some(overview), []) = (&report.overview, report.faults.as_slice()) {
        return print(&format!("ok\n{}", summary(overview)));
    }
    print(&format!("{}\nthe ledger is inconsistent", report.faults.join("\n")))?;
    Ok(Exit::Error)
}

fn summary(overview: &Overview) -> String {
    let Overview { ledger, entries, terminals, accounts, journals, .. } = overview;
    let mut text = format!("ledger     {ledger}\nentries    {entries}\nterminals  {terminals}");
    let sum = SignedAmount(accounts.balance);
    text.push_str(&match accounts.count {
        1 => format!("\nbalance    {sum}"),
        many => format!("\naccounts   {many}, {sum} in all"),
    });
    for journal in journals {
        text.push_str(&format!("\n{}", heads::line(journal)));
    }
    text
}

/// Shows progress on standard error, if that is a terminal and the command takes longer than [`PROGRESS_DELAY`]. The bar
/// is cleared when this is dropped.
fn progress(ledger: Option<Overview>) -> impl FnMut(u64) {
    let entries = ledger.map(|ledger| ledger.entries);
    let bar = ProgressBar::with_draw_target(entries, ProgressDrawTarget::hidden());
    let style = match entries {
        Some(_) => "{wide_bar} {human_pos} of {human_len} entries, {eta} left",
        None => "{spinner} {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let bar = bar.with_finish(indicatif::ProgressFinish::AndClear);
    if entries.is_none() {
        // A copy by SQLite says nothing of its progress.
        bar.set_draw_target(ProgressDrawTarget::stderr());
        bar.enable_steady_tick(PROGRESS_DELAY);
    }
    let began = std::time::Instant::now();
    move |count| {
        if bar.is_hidden() && began.elapsed() > PROGRESS_DELAY {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_position(count);
    }
}
