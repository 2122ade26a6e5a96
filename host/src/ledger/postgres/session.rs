//! A session with a PostgreSQL server: each exchange of statements is one round trip and has a deadline.
//!
//! An exchange that passes its deadline, and one whose connection fails, ends the session: its socket is closed, and the
//! transaction is in doubt. Nothing is cancelled: a `COMMIT` whose wait for a standby is cancelled is reported as done, with
//! a warning, although the standby does not have it.
use super::{Database, address};
use crate::ledger::store::StoreFault;
use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Error, NoTls, Socket,
    error::{Severity, SqlState},
    tls::TlsStream,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long an exchange may take, a `COMMIT` that waits for a standby included.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// How long each of several servers has to answer a new connection, and each address of a server's name to accept it, if there is no `connect_timeout`.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// What each session sets. The server ends a transaction that this process has left open, and no lock is waited for longer
/// than the exchange lasts.
fn settings(deadline: Duration) -> String {
    let (idle, lock) = (deadline.as_millis(), (deadline / 2).as_millis());
    format!(
        "SET idle_in_transaction_session_timeout = {idle}; SET lock_timeout = {lock}; \
         SET default_transaction_isolation = 'read committed'; SET synchronous_commit = on; \
         SET client_min_messages = warning; SET timezone = 'UTC'; SET search_path = public"
    )
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    runtime: Runtime,
    client: Client,
    deadline: Duration,
    /// The server has sent a warning since it was asked last.
    warned: Arc<AtomicBool>,
    server: usize,
}

impl Session {
    /// Connects to the first server that takes writes, from the one at this place in the address on, and sets what holds for each
    /// transaction.
    ///
    /// # Errors
    /// [`StoreFault::Failed`], with the fault of each server.
    pub(super) fn connect(database: &Database, first: usize) -> Result<Self, StoreFault> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let warned = Arc::new(AtomicBool::new(false));
        let servers = database.servers.iter().enumerate();
        let count = database.servers.len();
        let mut faults = Vec::new();
        for (server, config) in servers.cycle().skip(first % count.max(1)).take(count) {
            let usual = if count > 1 { CONNECT_DEADLINE } else { database.deadline };
            let deadline = config.get_connect_timeout().copied().unwrap_or(usual);
            let mut timed = config.clone();
            timed.connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_DEADLINE));
            match within(&runtime, deadline, open(&timed, database, warned.clone())) {
                Ok(client) => {
                    return Ok(Self { runtime, client, deadline: database.deadline, warned, server });
                }
                Err(fault) if count > 1 => faults.push(format!("{}: {fault}", address::server(config))),
                Err(fault) => return Err(fault),
            }
        }
        Err(StoreFault::Failed(faults.join("; ")))
    }

    /// The place of its server in the address.
    pub(super) fn server(&self) -> usize {
        self.server
    }

    /// The client, whose futures are given to [`run`](Self::run).
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Runs an exchange.
    ///
    /// # Errors
    /// [`StoreFault`]: [`Failed`](StoreFault::Failed) also where the deadline has passed.
    pub(super) fn run<T>(&self, exchange: impl Future<Output = Result<T, Error>>) -> Result<T, StoreFault> {
        within(&self.runtime, self.deadline, exchange)
    }

    /// Whether a commit came without a warning.
    ///
    /// # Errors
    /// [`StoreFault::Failed`]: it is in doubt.
    pub(super) fn check_warning(&self) -> Result<(), StoreFault> {
        if self.take_warning() {
            let reason = "the database has warned of the commit: it may be on one server alone";
            return Err(StoreFault::Failed(reason.to_owned()));
        }
        Ok(())
    }

    /// Whether a warning has come since the last call.
    pub(super) fn take_warning(&self) -> bool {
        self.warned.swap(false, Ordering::Relaxed)
    }
}

/// Opens a connection to a server that takes writes.
async fn open(config: &Config, database: &Database, warned: Arc<AtomicBool>) -> Result<Client, Error> {
    let client = match &database.tls {
        Some(tls) => {
            let (client, connection) = config.connect(MakeRustlsConnect::new(tls.clone())).await?;
            tokio::spawn(watch(connection, warned));
            client
        }
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(watch(connection, warned));
            client
        }
    };
    client.batch_execute(&settings(database.deadline)).await?;
    Ok(client)
}

/// Carries the bytes of a connection, and notes warnings, until it ends.
async fn watch<T: TlsStream + Unpin>(mut connection: Connection<Socket, T>, warned: Arc<AtomicBool>) {
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notice(notice) = message {
            // That of an engine without the second field is in the server's language.
            let is_warning = notice.parsed_severity().map(|severity| severity == Severity::Warning);
            if is_warning.unwrap_or(notice.severity() == "WARNING") {
                warned.store(true, Ordering::Relaxed);
            }
        }
    }
}

fn within<T>(
    runtime: &Runtime,
    deadline: Duration,
    exchange: impl Future<Output = Result<T, Error>>,
) -> Result<T, StoreFault> {
    let exchanged = runtime.block_on(async { tokio::time::timeout(deadline, exchange).await });
    match exchanged {
        Ok(result) => Ok(result?),
        Err(_) => Err(StoreFault::Failed(format!(
            "the database has not answered within {} s",
            deadline.as_secs_f64()
        ))),
    }
}

/// PostgreSQL's error by what is to be done about it. Only where the server itself has ended the transaction it is known
/// that nothing was committed.
impl From<Error> for StoreFault {
    fn from(error: Error) -> Self {
        const PASSWORD: &str = "the password comes from PGPASSWORD or the file PGPASSFILE";
        let text = chain(&error);
        let Some(code) = error.code() else {
            let lacks_password = text.ends_with("password missing");
            return Self::Failed(if lacks_password { format!("{text}: {PASSWORD}") } else { text });
        };
        match *code {
            // Another transaction is to be waited for: the batch is decided again.
            SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::LOCK_NOT_AVAILABLE => Self::Busy,
            // The save divides by zero where the journal is not as it was loaded.
            SqlState::DIVISION_BY_ZERO => Self::Fenced(None),
            SqlState::INVALID_CATALOG_NAME => Self::Unusable(format!("{text}: make it first (`createdb`)")),
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Self::Failed(format!("{text}: {PASSWORD}"))
            }
            SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => {
                Self::Unusable(format!("{text}: it has no tables of this version (`atm ledger migrate`)"))
            }
            _ if code.code().starts_with("23") || code.code().starts_with("22") => Self::Rejected(text),
            _ => Self::Failed(text),
        }
    }
}

/// An error with its causes: that of the server is not in the text of the first. The server's details may be a whole row, as of a card, and are left out.
fn chain(error: &Error) -> String {
    if let Some(found) = error.as_db_error() {
        return format!("{error}: {}: {}", found.severity(), found.message());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
