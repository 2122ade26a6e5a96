//! The REPL's handling of link events: what is shown for each, and with which exit code it ends the REPL.
use super::{
    super::event::{LinkEvent, ReceivedMessage},
    BusyCheck, Leaving, REPLY_TIMEOUT, Repl,
    script::Script,
};
use atm_core::{message::Fault, wire::Wire};
use std::{io, process::ExitCode};

impl Repl<'_> {
    /// Handles an event; `Some` where the REPL ends.
    pub(super) fn on_event(&mut self, event: LinkEvent) -> io::Result<Option<ExitCode>> {
        match event {
            LinkEvent::Message(message) => return self.on_message(&message),
            LinkEvent::Fault(fault) => {
                self.report(&format!("the server sent an invalid message: {fault}"))?
            }
            LinkEvent::Broken(fault) => return self.on_broken(fault).map(Some),
            LinkEvent::LinkDown => {
                self.down = true;
                self.down_since = self.link.now();
                self.report(&format!("link down: waiting for the server{}", self.exit_hint()))?;
            }
            LinkEvent::LinkUp => self.on_link_up()?,
            LinkEvent::LedgerSetBack { pending } => self.on_ledger_set_back(pending)?,
            LinkEvent::ConnectionLost => return self.on_connection_lost(),
            LinkEvent::Reconnected => {
                self.down = false;
                self.busy_check = BusyCheck::start(self.link);
                self.report("reconnected")?;
            }
            LinkEvent::NotStored(error) => {
                self.cancel_reading()?;
                self.report(&format!("{error}: nothing was sent"))?;
                return Ok(Some(ExitCode::FAILURE));
            }
            LinkEvent::Closed(error) => return self.on_closed(error).map(Some),
            LinkEvent::Woken => {}
            LinkEvent::Timeout => return self.on_timeout(),
        }
        Ok(None)
    }

    fn on_message(&mut self, message: &ReceivedMessage) -> io::Result<Option<ExitCode>> {
        if message.ends {
            self.cancel_reading()?;
        }
        // The message arrives before the link's own event that it is up.
        self.on_link_up()?;
        self.busy_check.reported &= self.link.is_waiting();
        if message.plain { self.screen.piece(&message.text) } else { self.screen.message(&message.text) }?;
        if message.ends {
            return self.end().map(Some);
        }
        if message.prompt.is_some() {
            match self.leaving {
                Leaving::Exit(_) => return Ok(Some(ExitCode::SUCCESS)),
                Leaving::Quit | Leaving::No => self.leaving = Leaving::No,
            }
        }
        if let Some(reason) = self.script.as_mut().and_then(|script| script.on_message(message)) {
            self.cancel_reading()?;
            self.report(&reason)?;
            return Ok(Some(ExitCode::FAILURE));
        }
        self.restore_prompt()?;
        Ok(None)
    }

    fn on_connection_lost(&mut self) -> io::Result<Option<ExitCode>> {
        if self.leaving != Leaving::No {
            return self.end().map(Some);
        }
        self.down = true;
        self.report(&format!("connection lost; reconnecting{}", self.exit_hint()))?;
        Ok(None)
    }

    fn on_link_up(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.down) {
            return Ok(());
        }
        self.busy_check = BusyCheck::start(self.link);
        self.report("link up again")
    }

    fn on_ledger_set_back(&mut self, pending: Option<u64>) -> io::Result<()> {
        if let Some(script) = &mut self.script {
            script.on_ledger_set_back();
        }
        let outcome = if pending.is_some() { "; the outcome of the last request is unknown" } else { "" };
        self.report(&format!(
            "warning: the ATM's ledger was set back to an earlier state{outcome}: check the balance"
        ))
    }

    fn on_broken(&mut self, fault: Fault) -> io::Result<ExitCode> {
        self.cancel_reading()?;
        if self.leaving == Leaving::No {
            self.report(&match self.link.wire() {
                Wire::Json if fault == Fault::Incomplete => {
                    "the server stopped in the middle of a message".into()
                }
                wire => format!(
                    "the server does not speak the {wire} wire: check that both sides use the same --wire"
                ),
            })?;
        }
        self.end()
    }

    fn on_closed(&mut self, error: Option<io::Error>) -> io::Result<ExitCode> {
        self.cancel_reading()?;
        if self.leaving == Leaving::No {
            match error {
                Some(error) if !self.link.is_connection() => {
                    self.report(&format!("the serial port failed: {error}"))?
                }
                Some(error) if error.kind() == io::ErrorKind::TimedOut => {
                    self.report(&format!("connection lost: {error}"))?;
                }
                _ => self.report("the server closed the connection")?,
            }
        }
        self.end()
    }

    fn on_timeout(&mut self) -> io::Result<Option<ExitCode>> {
        if matches!(self.leaving, Leaving::Exit(_)) {
            return Ok(Some(ExitCode::SUCCESS));
        }
        if self.busy_deadline().is_some() {
            self.check_busy()?;
            return Ok(None);
        }
        let seconds = REPLY_TIMEOUT.millis() / 1000;
        self.report(&format!("no reply within {seconds} seconds after the link went down"))?;
        self.end().map(Some)
    }

    /// The exit code at the end of the session or the link: success only if the person asked to leave.
    fn end(&mut self) -> io::Result<ExitCode> {
        if self.leaving != Leaving::No {
            return Ok(ExitCode::SUCCESS);
        }
        self.report_unknown()?;
        Ok(ExitCode::FAILURE)
    }

    /// Says that the outcome of the last answer is unknown, if it has no reply.
    pub(super) fn report_unknown(&mut self) -> io::Result<()> {
        if !self.link.is_waiting() {
            return Ok(());
        }
        if let Some(answer) = self.script.as_ref().and_then(Script::unanswered) {
            self.report(&format!("stopped at the answer {answer:?}: there is no reply"))?;
        }
        if self.link.stores_memory() {
            self.report("unknown: the next start with this state file reports the outcome of the last answer")
        } else {
            self.report("unknown: check the balance")
        }
    }
}
