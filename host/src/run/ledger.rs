//! What `atm ledger` does.
use crate::cli::ledger::{Format, Ledger};
use anyhow::{Context, Result};
use atm_core::ledger::LedgerId;
use atm_host::ledger::{
    backup,
    disk::Folder,
    error::{Error, Fault},
    source::{Source, Wanted},
    tell,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, BufWriter, ErrorKind, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a command may take before it shows how far it is.
const SHORT: Duration = Duration::from_millis(500);

pub(super) fn run(command: &Ledger) -> Result<ExitCode> {
    match command {
        Ledger::Verify { place } => verify(&place.data),
        Ledger::Export { place, format } => {
            let mut source = Source::open(&place.data, Wanted::All)?;
            let (format, mut progress) = (form(*format), Progress::of(&source));
            print(&place.data, |out| tell::export(&mut source, format, out, |number| progress.at(number)))
        }
        Ledger::Show { place, last, terminals } => {
            let mut source = Source::open(&place.data, Wanted::Last(*last))?;
            print(&place.data, |out| tell::show(&mut source, *terminals, out))
        }
        Ledger::Backup { file, place } => {
            let mut source = Source::open(&place.data, Wanted::All)?;
            let mut progress = Progress::of(&source);
            let entries = backup::backup(&mut source, file, |number| progress.at(number))?;
            drop(progress);
            say(&format!("{}: a backup of {}", file.display(), counted(entries, "entry", "entries")))
        }
        Ledger::Restore { file, place } => restore(file, &place.data),
    }
}

fn form(format: Format) -> tell::Format {
    match format {
        Format::Json => tell::Format::Json,
        Format::Csv => tell::Format::Csv,
    }
}

/// Writes to standard output.
fn print(folder: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), Fault>) -> Result<ExitCode> {
    let mut out = Output { out: BufWriter::with_capacity(1 << 16, io::stdout().lock()), failed: false };
    match write(&mut out).and_then(|()| Ok(out.flush()?)) {
        Err(Fault::Io(error)) if out.failed => unwritten(error),
        Err(fault) => Err(Error { path: folder.to_owned(), fault }.into()),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// Standard output takes no more. Its reader may have seen enough, and does not want to hear of it.
fn unwritten(error: io::Error) -> Result<ExitCode> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(ExitCode::FAILURE),
        _ => Err(error).context("standard output cannot be written"),
    }
}

/// Standard output, whose errors are told from those of the books.
struct Output<W: Write> {
    out: W,
    failed: bool,
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).inspect_err(|_| self.failed = true)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(|_| self.failed = true)
    }
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

fn say(line: &str) -> Result<ExitCode> {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => unwritten(error),
    }
}

fn verify(folder: &Path) -> Result<ExitCode> {
    let report = Source::open(folder, Wanted::All).and_then(|mut source| {
        let mut progress = Progress::of(&source);
        let report = tell::verify(&mut source, |number| progress.at(number));
        report.map_err(|fault| Error { path: folder.to_owned(), fault })
    })?;
    if !report.faults.is_empty() {
        say(&format!("{}\nthe books do not fit", report.faults.join("\n")))?;
        return Ok(ExitCode::FAILURE);
    }
    let (books, head) = (&report.books, report.books.head());
    say(&format!(
        "ok: {} and {} of the ledger {}, the balance is {}; the last hash is {}",
        counted(head.number, "entry", "entries"),
        counted(books.tills().count() as u64, "terminal", "terminals"),
        books.ledger(),
        books.balance(),
        head.hash
    ))
}

fn restore(file: &Path, folder: &Path) -> Result<ExitCode> {
    let fresh = LedgerId(getrandom::u64().context("there is no random number for an identity")?);
    let mut disk = Folder::take(folder, Arc::default())?;
    let mut progress = Progress::new(None);
    let books = backup::restore(file, &mut disk, fresh, |number| progress.at(number))?;
    drop(progress);
    say(&format!(
        "{}: {} restored as the ledger {}, the balance is {}",
        folder.display(),
        counted(books.head().number, "entry", "entries"),
        books.ledger(),
        books.balance()
    ))
}

/// How far a command is: shown on a terminal, where it takes long.
struct Progress {
    bar: ProgressBar,
    began: Instant,
    shown: bool,
}

impl Progress {
    fn of(source: &Source) -> Self {
        Self::new(source.stored.get("head").ok())
    }

    fn new(entries: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(entries, ProgressDrawTarget::hidden());
        let style = match entries {
            Some(_) => "{wide_bar} {human_pos} of {human_len} entries, {eta} left",
            None => "{spinner} {human_pos} entries",
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self { bar, began: Instant::now(), shown: false }
    }

    fn at(&mut self, number: u64) {
        // The clock is asked now and then.
        if !number.is_multiple_of(1024) {
            return;
        }
        if !self.shown && self.began.elapsed() > SHORT {
            self.shown = true;
            // Nothing is shown where that is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(number);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
