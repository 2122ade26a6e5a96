//! Command line of `atm ledger`.
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The folder of the ledger.
#[derive(Debug, Args)]
pub(crate) struct DataFolder {
    /// The folder of `atm serve --data`; the server may be running
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Derive every balance, id and hash again from the first entry; exit code 1 if anything differs
    Verify {
        #[command(flatten)]
        folder: DataFolder,
    },
    /// Write all entries to standard output
    Export {
        #[command(flatten)]
        folder: DataFolder,
        /// One array of objects (json), or one line per entry (csv)
        #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
        format: ExportFormat,
    },
    /// Show the balances and the last entries
    Show {
        #[command(flatten)]
        folder: DataFolder,
        /// Number of the last entries to show
        #[arg(long, value_name = "N", default_value_t = 10)]
        last: u64,
        /// Number of terminals to show the cash of
        #[arg(long, value_name = "N", default_value_t = 20)]
        terminals: usize,
    },
    /// Write all entries to a new file, from which the ledger can be restored
    Backup {
        /// The file to create
        file: PathBuf,
        #[command(flatten)]
        folder: DataFolder,
    },
    /// Restore a ledger from a backup, into a folder without one
    ///
    /// It gets a new identity: to a terminal with a request out it is another ledger, and the outcome is
    /// unknown.
    Restore {
        /// The backup to read
        file: PathBuf,
        #[command(flatten)]
        folder: DataFolder,
    },
}

/// Format of exported entries.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ExportFormat {
    Json,
    Csv,
}
