//! `atm ledger` on the command line.
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The ledger to read.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The folder that `atm serve --data` keeps it in; the server may be running
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Derive every balance, id and hash again from the first entry; exit code 1 where anything does not fit
    Verify {
        #[command(flatten)]
        place: Where,
    },
    /// Write all entries to standard output
    Export {
        #[command(flatten)]
        place: Where,
        /// One array of objects (json), or a line an entry (csv)
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
    },
    /// Show the balances and the last entries
    Show {
        #[command(flatten)]
        place: Where,
        /// How many of the last entries
        #[arg(long, value_name = "N", default_value_t = 10)]
        last: u64,
        /// The cash of how many terminals
        #[arg(long, value_name = "N", default_value_t = 20)]
        terminals: usize,
    },
    /// Write all entries to a new file, from which the ledger can be restored
    Backup {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        place: Where,
    },
    /// Make a ledger of a backup, in a folder where there is none
    ///
    /// It has a new identity: to terminals with a request out it is another ledger, and what became of that is unknown.
    Restore {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        place: Where,
    },
}

/// How entries are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Json,
    Csv,
}
