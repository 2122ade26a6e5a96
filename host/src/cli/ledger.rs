//! Command line of `atm ledger`.
use atm_core::ledger::Name;
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};

/// Where a ledger is.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The folder of `atm serve --data`; the server may be running
    #[cfg_attr(
        feature = "postgres",
        arg(long, value_name = "DIR", required_unless_present = "database", conflicts_with = "database")
    )]
    #[cfg_attr(not(feature = "postgres"), arg(long, value_name = "DIR", required = true))]
    data: Option<PathBuf>,
    #[cfg(feature = "postgres")]
    #[command(flatten)]
    pub(crate) database: super::database::Database,
}

impl Source {
    /// The folder of a ledger; no path if it is in a shared database.
    pub(crate) fn folder(&self) -> &Path {
        self.data.as_deref().unwrap_or_else(|| Path::new(""))
    }

    /// What a message calls it.
    pub(crate) fn place(&self) -> String {
        #[cfg(feature = "postgres")]
        if let Some(address) = &self.database.database {
            return address.clone();
        }
        self.folder().display().to_string()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Show the balances, the journals and the newest entries
    Show {
        #[command(flatten)]
        source: Source,
        /// Show this account instead
        #[arg(long, value_name = "NUMBER", conflicts_with_all = ["terminal", "last"])]
        account: Option<u32>,
        /// Show this terminal instead: its last operation and its numbers
        #[arg(long, value_name = "NAME", conflicts_with = "last")]
        terminal: Option<Name>,
        /// Number of the newest entries to show
        #[arg(long, value_name = "N", default_value_t = 10)]
        last: u64,
    },
    /// Derive everything again from the entries, and print the last entry of each journal; exit code 1 if anything
    /// differs
    Verify {
        #[command(flatten)]
        source: Source,
        /// What `verify` or `show` printed earlier, kept elsewhere: the journals must be the same, and go on from there
        #[arg(long, value_name = "FILE")]
        expect: Option<PathBuf>,
    },
    /// Write all entries as text
    Export {
        /// The file to create; `-` is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
        #[command(flatten)]
        source: Source,
        /// One array of objects (json), or one line per entry (csv)
        #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
        format: ExportFormat,
    },
    /// Copy the ledger to a new file, a database, from which it can be restored
    Backup {
        /// The file to create
        file: PathBuf,
        #[command(flatten)]
        source: Source,
    },
    /// Restore a ledger from a backup, into a folder without one
    ///
    /// It gets a new identity: to a terminal with a request out it is another ledger, and the outcome is
    /// unknown.
    Restore {
        /// The backup
        file: PathBuf,
        /// The folder of the new ledger, created if missing
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Move a ledger from a folder to a shared database without tables; the server must not be running
    ///
    /// Its identity stays, so that terminals learn their outcomes. From the first row on no server opens the ledger in the folder; after a failure the same
    /// command goes on. The folder, with its mark, is that of the first host from then on: serve it with --host-name host.
    #[cfg(feature = "postgres")]
    Move {
        /// The folder of the ledger
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        database: super::database::Database,
    },
    /// Make the tables of a ledger in a shared database, or check that they are those of this version
    #[cfg(feature = "postgres")]
    Migrate {
        #[command(flatten)]
        database: super::database::Database,
        /// The balance of a new ledger, in whole units or with two digits of cents
        #[arg(long, value_name = "AMOUNT", default_value = "100")]
        balance: atm_core::money::Amount,
    },
}

/// Format of exported entries.
#[derive(Clone, Copy, Debug, ValueEnum, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    Json,
    Csv,
}
