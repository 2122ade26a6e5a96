//! `atm ledger`: verifies, exports, shows, backs up and restores a ledger, with a progress bar where that
//! takes long.
use crate::cli::ledger::{ExportFormat, Ledger};
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

/// How long a command runs before it shows its progress.
const PROGRESS_DELAY: Duration = Duration::from_millis(500);

pub(super) fn run(command: &Ledger) -> Result<ExitCode> {
    match command {
        Ledger::Verify { folder } => verify(&folder.data),
        Ledger::Export { folder, format } => {
            let mut source = Source::open(&folder.data, Wanted::All)?;
            let (format, mut progress) = (export_format(*format), CommandProgress::of(&source));
            write_output(&folder.data, |out| {
                tell::export(&mut source, format, out, |number| progress.update(number))
            })
        }
        Ledger::Show { folder, last, terminals } => {
            let mut source = Source::open(&folder.data, Wanted::Last(*last))?;
            write_output(&folder.data, |out| tell::show(&mut source, *terminals, out))
        }
        Ledger::Backup { file, folder } => {
            let mut source = Source::open(&folder.data, Wanted::All)?;
            let mut progress = CommandProgress::of(&source);
            let entries = backup::backup(&mut source, file, |number| progress.update(number))?;
            drop(progress);
            print_line(&format!("{}: a backup of {}", file.display(), count_of(entries, "entry", "entries")))
        }
        Ledger::Restore { file, folder } => restore(file, &folder.data),
    }
}

fn export_format(format: ExportFormat) -> tell::Format {
    match format {
        ExportFormat::Json => tell::Format::Json,
        ExportFormat::Csv => tell::Format::Csv,
    }
}

/// Writes to standard output, and attributes an error to it or to the ledger.
fn write_output(folder: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), Fault>) -> Result<ExitCode> {
    let mut out =
        TrackedOutput { out: BufWriter::with_capacity(1 << 16, io::stdout().lock()), failed: false };
    match write(&mut out).and_then(|()| Ok(out.flush()?)) {
        Err(Fault::Io(error)) if out.failed => output_error(error),
        Err(fault) => Err(Error { path: folder.to_owned(), fault }.into()),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// The result after an error of standard output. For a closed pipe no error is printed.
fn output_error(error: io::Error) -> Result<ExitCode> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(ExitCode::FAILURE),
        _ => Err(error).context("standard output cannot be written"),
    }
}

/// Standard output, which remembers that an error is its own and not the ledger's.
struct TrackedOutput<W: Write> {
    out: W,
    failed: bool,
}

impl<W: Write> Write for TrackedOutput<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).inspect_err(|_| self.failed = true)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(|_| self.failed = true)
    }
}

fn count_of(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

fn print_line(line: &str) -> Result<ExitCode> {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => output_error(error),
    }
}

fn verify(folder: &Path) -> Result<ExitCode> {
    let report = Source::open(folder, Wanted::All).and_then(|mut source| {
        let mut progress = CommandProgress::of(&source);
        let report = tell::verify(&mut source, |number| progress.update(number));
        report.map_err(|fault| Error { path: folder.to_owned(), fault })
    })?;
    if !report.faults.is_empty() {
        print_line(&format!("{}\nthe ledger is inconsistent", report.faults.join("\n")))?;
        return Ok(ExitCode::FAILURE);
    }
    let (books, head) = (&report.books, report.books.head());
    print_line(&format!(
        "ok: {} and {} of the ledger {}, the balance is {}; the last hash is {}",
        count_of(head.number, "entry", "entries"),
        count_of(books.tills().count() as u64, "terminal", "terminals"),
        books.ledger(),
        books.balance(),
        head.hash
    ))
}

fn restore(file: &Path, folder: &Path) -> Result<ExitCode> {
    let fresh = LedgerId(getrandom::u64().context("there is no random number for an identity")?);
    let mut disk = Folder::take(folder, Arc::default())?;
    let mut progress = CommandProgress::new(None);
    let books = backup::restore(file, &mut disk, fresh, |number| progress.update(number))?;
    drop(progress);
    print_line(&format!(
        "{}: {} restored as the ledger {}, the balance is {}",
        folder.display(),
        count_of(books.head().number, "entry", "entries"),
        books.ledger(),
        books.balance()
    ))
}

/// Progress bar on standard error, shown once a command takes longer than [`PROGRESS_DELAY`].
struct CommandProgress {
    bar: ProgressBar,
    began: Instant,
    shown: bool,
}

impl CommandProgress {
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

    fn update(&mut self, number: u64) {
        // The clock is read only now and then.
        if !number.is_multiple_of(1024) {
            return;
        }
        if !self.shown && self.began.elapsed() > PROGRESS_DELAY {
            self.shown = true;
            // Draws nothing where standard error is not a terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(number);
    }
}

impl Drop for CommandProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
