//! Options of a ledger in a database that several hosts share.
use atm_host::ledger::postgres::{AddressError, Database as Address};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Database {
    /// The address of the ledger's database, in PostgreSQL's protocol: postgres://USER@HOST[:PORT][,HOST[:PORT]]/NAME. Of several servers the one
    /// that takes writes is used. The password comes from PGPASSFILE or PGPASSWORD
    #[arg(long, help_heading = "Shared database (experimental)", value_name = "URL")]
    pub(crate) database: Option<String>,
    /// The certificates of the authorities of the database's certificate (PEM): with it every connection uses TLS
    #[arg(long, help_heading = "Shared database (experimental)", value_name = "FILE", requires = "database")]
    pub(crate) database_ca: Option<PathBuf>,
    /// Use an engine, or a version of it, that was not tested
    #[arg(long, help_heading = "Shared database (experimental)", requires = "database")]
    pub(crate) untested_engine: bool,
}

impl Database {
    /// The address, if one is given.
    pub(crate) fn address(&self) -> Result<Option<Address>, AddressError> {
        let new = |text: &String| Address::new(text, self.database_ca.as_deref(), self.untested_engine);
        self.database.as_ref().map(new).transpose()
    }
}
