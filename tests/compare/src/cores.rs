//! Where the load and the servers run. Left to itself, the system moves them about and may put both on one core; that is what
//! a user gets, and not the same twice.
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::OnceLock;

/// The first core, and the others: set where they are to be kept apart.
static CORES: OnceLock<(CpuSet, CpuSet)> = OnceLock::new();

/// Who is to run from here on: this thread, and whatever it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The load, on the first core.
    Load,
    /// Servers, on all others.
    Servers,
}

/// Keeps the load and the servers apart from now on.
///
/// # Errors
/// Where there is only one core for both.
pub fn keep_apart() -> Result<(), String> {
    let mut others = sched_getaffinity(None).map_err(|error| format!("the cores are not known: {error}"))?;
    let first = (0..CpuSet::MAX_CPU).find(|core| others.is_set(*core));
    let first =
        first.filter(|_| others.count() > 1).ok_or("there is only one core for the load and the servers")?;
    let mut load = CpuSet::new();
    load.set(first);
    others.unset(first);
    // It is said once.
    let _ = CORES.set((load, others));
    Ok(())
}

/// This thread runs for one side now; nothing happens where they are not kept apart.
///
/// # Errors
/// What the system says against it.
pub fn run_for(side: Side) -> Result<(), String> {
    let Some((load, servers)) = CORES.get() else { return Ok(()) };
    let cores = if side == Side::Load { load } else { servers };
    sched_setaffinity(None, cores).map_err(|error| format!("no core can be chosen: {error}"))
}
