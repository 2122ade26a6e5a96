//! CPU affinity: keeps the load generator and the servers on different cores if asked to.
//!
//! Otherwise the scheduler moves them and may put both on one core, as it does for a user; results then vary
//! more.
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::OnceLock;

/// The first core, and the others; set if they are to be kept apart.
static CORES: OnceLock<(CpuSet, CpuSet)> = OnceLock::new();

/// What this thread does next, itself or by a process that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Generates load, on the first core.
    Load,
    /// Starts servers, on all other cores.
    Servers,
}

/// Keeps the load generator and the servers on different cores from now on.
///
/// # Errors
/// There is only one core.
pub fn keep_apart() -> Result<(), String> {
    let mut others =
        sched_getaffinity(None).map_err(|error| format!("the CPU affinity cannot be read: {error}"))?;
    let first = (0..CpuSet::MAX_CPU).find(|core| others.is_set(*core));
    let first = first
        .filter(|_| others.count() > 1)
        .ok_or("there is only one core for the load generator and the servers")?;
    let mut load = CpuSet::new();
    load.set(first);
    others.unset(first);
    // It is called once.
    let _ = CORES.set((load, others));
    Ok(())
}

/// Sets the affinity of this thread and of the processes that it starts; does nothing without [`keep_apart`].
///
/// # Errors
/// sched_setaffinity(2) fails.
pub fn run_for(side: Side) -> Result<(), String> {
    let Some((load, servers)) = CORES.get() else { return Ok(()) };
    let cores = if side == Side::Load { load } else { servers };
    sched_setaffinity(None, cores).map_err(|error| format!("the CPU affinity cannot be set: {error}"))
}
