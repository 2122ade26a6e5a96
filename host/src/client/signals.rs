//! Signals that ask the client to end: the first one wakes the REPL, which reports an answer without a reply.
use super::transport::Wake;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Catches signals until it is dropped.
pub(super) struct Signals {
    stopped: Arc<AtomicBool>,
    #[cfg(unix)]
    handle: signal_hook::iterator::Handle,
}

impl Signals {
    /// Catches those that end a program at a line editor, which must restore the terminal's mode.
    #[cfg(unix)]
    pub(super) fn for_editor(wake: Wake) -> io::Result<Self> {
        Self::catch(&crate::signals::ending(), Arc::default(), wake)
    }

    /// Catches those that end a program without a line editor. The second one ends the process at once: the first has no
    /// effect while the output blocks.
    #[cfg(unix)]
    pub(super) fn for_lines(wake: Wake) -> io::Result<Self> {
        use crate::{exit::Exit, signals::ending};
        use signal_hook::flag;
        let (signals, stopped) = (ending(), Arc::<AtomicBool>::default());
        for signal in &signals {
            flag::register_conditional_shutdown(*signal, (Exit::Interrupted as u8).into(), stopped.clone())?;
        }
        Self::catch(&signals, stopped, wake)
    }

    #[cfg(unix)]
    fn catch(signals: &[i32], stopped: Arc<AtomicBool>, wake: Wake) -> io::Result<Self> {
        let mut signals = signal_hook::iterator::Signals::new(signals)?;
        let caught = Self { stopped: stopped.clone(), handle: signals.handle() };
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in &mut signals {
                stopped.store(true, Ordering::Release);
                wake.wake();
            }
        })?;
        Ok(caught)
    }

    /// Elsewhere the system ends the process, and restores the terminal's mode.
    #[cfg(not(unix))]
    pub(super) fn for_editor(_: Wake) -> io::Result<Self> {
        Ok(Self { stopped: Arc::default() })
    }

    #[cfg(not(unix))]
    pub(super) fn for_lines(_: Wake) -> io::Result<Self> {
        Ok(Self { stopped: Arc::default() })
    }

    /// Has a signal asked the program to end?
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

#[cfg(unix)]
impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
    }
}
