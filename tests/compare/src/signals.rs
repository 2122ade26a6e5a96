//! Ctrl-C and SIGTERM: our own load stops at once, another's program has its time, and the comparison ends in order, so that
//! nothing that it started stays.
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::{
    io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

static STOPPED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Exit code of a program that was interrupted, as a shell tells it.
pub const INTERRUPTED: u8 = 130;

/// From now on the first signal is noted, and the second one ends the program at once.
///
/// # Errors
/// What the system says against it.
pub fn watch() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first one only finds the flag set by a signal before.
        flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), STOPPED.clone())?;
        flag::register(signal, STOPPED.clone())?;
    }
    Ok(())
}

/// Was there a signal?
pub fn stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// What our own load looks at.
pub(super) fn flag() -> &'static AtomicBool {
    &STOPPED
}

/// Asked between two steps.
///
/// # Errors
/// Where there was a signal.
pub fn check() -> Result<(), String> {
    if stopped() { Err("stopped by a signal".to_owned()) } else { Ok(()) }
}
