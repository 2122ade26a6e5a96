//! Options of a ledger in a database that several hosts share.
use super::Serve;
use atm_core::ledger::Name;
use atm_host::ledger::postgres::{AddressError, Database as Address};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Database {
    /// The address of the ledger's database, in PostgreSQL's protocol: `postgres://USER@HOST[:PORT][,HOST[:PORT]]/NAME`. Of several servers the one
    /// that takes writes is used. The password comes from PGPASSFILE or PGPASSWORD
    #[arg(long, help_heading = "Shared database (experimental)", value_name = "URL")]
    pub(crate) database: Option<String>,
    /// The certificates of the authorities of the database's certificate (PEM): with it every connection uses TLS 1.3
    #[arg(long, help_heading = "Shared database (experimental)", value_name = "FILE", requires = "database")]
    pub(crate) database_ca: Option<PathBuf>,
    /// Use an engine, or a version of it, that was not tested
    #[arg(long, help_heading = "Shared database (experimental)", requires = "database")]
    pub(crate) untested_engine: bool,
}

fn host_name(text: &str) -> Result<Name, &'static str> {
    text.parse().map_err(|_| "a host's name is 1 to 32 of A-Z a-z 0-9 . _ -")
}

/// A host of a shared database.
#[derive(Debug, Args)]
pub(crate) struct Shared {
    #[command(flatten)]
    pub(crate) database: Database,
    /// The name of this host, which no other host of the database has: another process under it ends this one. --data has the mark of what this
    /// host has acknowledged
    #[arg(
        long,
        help_heading = "Shared database (experimental)",
        value_name = "NAME",
        default_value = "host",
        value_parser = host_name,
        requires = "database"
    )]
    pub(crate) host_name: Name,
}

impl Shared {
    /// What the options of `atm serve` lack, or contradict.
    pub(crate) fn check(&self, serve: &Serve) -> Result<(), &'static str> {
        if self.database.database.is_none() {
            Ok(())
        } else if serve.data.is_none() {
            Err("--database needs --data, for the mark of what this host has acknowledged")
        } else if serve.accept_loss {
            Err(
                "--accept-loss is for a ledger in a folder: a database that has lost commits is served to other names of hosts",
            )
        } else {
            Ok(())
        }
    }
}

impl Database {
    /// The address, if one is given.
    pub(crate) fn address(&self) -> Result<Option<Address>, AddressError> {
        let new = |text: &String| Address::new(text, self.database_ca.as_deref(), self.untested_engine);
        self.database.as_ref().map(new).transpose()
    }
}
