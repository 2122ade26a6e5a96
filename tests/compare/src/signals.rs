//! SIGINT and SIGTERM: the comparison ends in order, so that it leaves no process and no folder behind. Our
//! own load stops at once; other load generators run to the end of their time.
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

/// Exit code of a program that was interrupted: 128 + SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// Installs the handlers: the first signal sets a flag, the second one ends the program at once.
///
/// # Errors
/// A handler cannot be installed.
pub fn watch() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // In this order, so that the first signal does not see the flag that it sets itself.
        flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), STOPPED.clone())?;
        flag::register(signal, STOPPED.clone())?;
    }
    Ok(())
}

/// Was there a signal?
pub fn stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// The stop flag of our own load.
pub(super) fn flag() -> &'static AtomicBool {
    &STOPPED
}

/// To be called between two steps.
///
/// # Errors
/// There was a signal.
pub fn check() -> Result<(), String> {
    if stopped() { Err("stopped by a signal".to_owned()) } else { Ok(()) }
}
