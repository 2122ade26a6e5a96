//! Signals of a process that serves: each is caught before the server listens, and ends it in order or not at all.
//!
//! Without a handler most signals end a process at once (signal(7)).
use anyhow::Result;

/// Makes a write beyond the limit of a file's size (`RLIMIT_FSIZE`, setrlimit(2)) an error, `EFBIG`, as a full disk is one:
/// without a handler SIGXFSZ ends the process in the middle of a file.
pub(crate) fn make_file_limit_an_error() {
    // Where it cannot be caught, the limit ends the process, as it did before.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}

/// Ends the process on a signal, after it has removed its [drafts](atm_host::ledger::draft).
pub(super) fn remove_drafts_on_signals() -> Result<()> {
    #[cfg(unix)]
    {
        use atm_host::{exit::Exit, ledger::draft::remove_drafts, signals::ending};
        let mut signals = signal_hook::iterator::Signals::new(ending())?;
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            if signals.forever().next().is_some() {
                let _none_is_made = remove_drafts();
                std::process::exit(Exit::Interrupted as i32);
            }
        })?;
    }
    Ok(())
}

/// The signals that stop a server, or are ignored.
pub(super) struct ServerSignals {
    #[cfg(unix)]
    signals: signal_hook::iterator::Signals,
    #[cfg(unix)]
    stopping: Vec<i32>,
}

#[cfg(unix)]
impl ServerSignals {
    /// Catches the signals. The second one that stops ends the process at once.
    ///
    /// A hangup stops a server whose terminal is gone (standard input is one), unless its caller has made it ignored, as
    /// nohup(1) does. A service has none: there it is ignored, as operators send it for a reload, and there is nothing to reload.
    pub(super) fn catch() -> Result<Self> {
        use anyhow::Context;
        use atm_host::{exit::Exit, signals::is_ignored};
        use signal_hook::{
            consts::{
                SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM,
                SIGXCPU,
            },
            flag,
            iterator::Signals,
        };
        use std::{
            io::{IsTerminal, stdin},
            sync::{Arc, atomic::AtomicBool},
        };
        let mut stopping = vec![SIGTERM, SIGINT, SIGQUIT, SIGXCPU];
        if stdin().is_terminal() && !is_ignored(SIGHUP) {
            stopping.push(SIGHUP);
        }
        let ignored = [SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO];
        // First: a signal is kept for `on_stop` from here on.
        let signals = Signals::new(stopping.iter().chain(&ignored)).context("signals cannot be caught")?;
        let is_second = Arc::<AtomicBool>::default();
        for signal in &stopping {
            // The order matters: the first signal finds the flag clear, and sets it.
            flag::register_conditional_shutdown(
                *signal,
                (Exit::Interrupted as u8).into(),
                is_second.clone(),
            )?;
            flag::register(*signal, is_second.clone())?;
        }
        Ok(Self { signals, stopping })
    }

    /// Calls `stop` for each signal that stops, also one that came since [`catch`](Self::catch).
    pub(super) fn on_stop(mut self, stop: impl Fn() + Send + 'static) -> Result<()> {
        use atm_host::log::SERVER;
        use signal_hook::low_level::signal_name;
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in &mut self.signals {
                let name = signal_name(signal);
                if self.stopping.contains(&signal) {
                    tracing::info!(target: SERVER, signal = name, "stop requested by a signal");
                    stop();
                } else {
                    tracing::info!(target: SERVER, signal = name, "signal ignored: there is nothing to reload");
                }
            }
        })?;
        Ok(())
    }
}

/// Elsewhere the system ends the process.
#[cfg(not(unix))]
impl ServerSignals {
    pub(super) fn catch() -> Result<Self> {
        Ok(Self {})
    }

    pub(super) fn on_stop(self, _: impl Fn() + Send + 'static) -> Result<()> {
        Ok(())
    }
}
