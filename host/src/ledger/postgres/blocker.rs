//! Blocker: names the transaction that keeps rows of the ledger locked.
//!
//! The server ends a wait after `lock_timeout`, and then no longer says which session it was for (`pg_blocking_pids`). So it is looked up
//! among those that have locked rows in a table of the ledger for as long, and wait for no lock themselves.
use super::session::Session;
use crate::ledger::{cells::Cells, store::StoreFault};

/// A role without `pg_read_all_stats` sees neither state nor age of another role's session.
const SELECT: &str = "
    SELECT a.pid::bigint, a.usename::text, a.application_name, a.state, extract(epoch FROM now() - a.xact_start)::bigint
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
        AND coalesce(now() - a.xact_start > current_setting('lock_timeout')::interval / 2, true)
        AND EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = a.pid AND l.granted
            AND c.relnamespace = 'public'::regnamespace AND c.relname IN ('ledger', 'journals', 'terminals', 'cards', 'accounts', 'entries')
            AND l.mode <> 'AccessShareLock')
        AND NOT EXISTS (SELECT FROM pg_locks w WHERE w.pid = a.pid AND NOT w.granted)
    ORDER BY a.xact_start NULLS LAST LIMIT 1";

/// The session of the oldest such transaction, and how an operator ends it.
///
/// # Errors
/// [`StoreFault`].
pub(super) fn find(session: &Session) -> Result<Option<String>, StoreFault> {
    let Some(row) = session.run(session.client().query_opt(SELECT, &[]))? else { return Ok(None) };
    let pid = row.integer(0)?.unwrap_or_default();
    let text = |at| Ok::<_, StoreFault>(row.text(at)?.unwrap_or_default());
    let (user, program, state) = (text(1)?, text(2)?, text(3)?);
    let age = row.integer(4)?.map(|seconds| format!(", {state} for {seconds} s")).unwrap_or_default();
    Ok(Some(format!(
        "process {pid} of the database's user {user:?} ({program:?}{age}) has a transaction open that keeps rows of the ledger locked: end it there, or by \
         SELECT pg_terminate_backend({pid})"
    )))
}
