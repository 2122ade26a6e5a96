//! The limit of open files: raises it, and caps the sessions by it (getrlimit(2), `RLIMIT_NOFILE`).
//!
//! Each session takes a file descriptor, and the usual limit is 1,024 of them. A connection for which there
//! is no descriptor could not even be sent the message that it is turned away.

use atm_host::log::SERVER;

/// Files that are open beside those of the sessions: 16 of the server's own, 16 for connections that are
/// being turned away, and one for each connection in the reserve, each session beyond the limit that is ending, and each
/// reader of the counters.
#[cfg(unix)]
const OTHER_FILES: u64 = 32 + (2 * atm_host::server::RESERVE + atm_host::metrics::page::MAX_SCRAPES) as u64;

/// Returns how many of `wanted` sessions there can be, after raising the soft limit to the hard one.
#[cfg(unix)]
pub(super) fn sessions_within_file_limit(wanted: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(target: SERVER, %error, "the limit of open files could not be raised");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1);
    if most < wanted {
        tracing::warn!(target: SERVER, sessions = most, "the system allows too few open files for --max-sessions {wanted}");
    }
    most.min(wanted)
}

/// Elsewhere no such limit is known.
#[cfg(not(unix))]
pub(super) fn sessions_within_file_limit(wanted: usize) -> usize {
    wanted
}
