//! The REPL's handling of link events: what is shown for each, and with which exit code it ends the REPL.
use super::{
    super::{
        event::{LinkEvent, ReceivedMessage},
        one_shot::OneShot,
        screen::Colour,
    },
    BusyCheck, Leaving, MAX_TEXT, Repl,
    script::Script,
};
use crate::{access::refuse_core_dumps, exit::Exit};
use atm_core::{
    message::{Fault, Notice},
    screen::Failure,
    wire::Wire,
};
use std::io;

impl Repl<'_> {
    /// Handles an event; `Some` where the REPL ends.
    pub(super) fn on_event(&mut self, event: LinkEvent) -> io::Result<Option<Exit>> {
        match event {
            LinkEvent::Message(message) => return self.on_message(&message),
            LinkEvent::Fault(fault) => self.on_fault(fault)?,
            LinkEvent::Broken(fault) => return self.on_broken(fault).map(Some),
            LinkEvent::LinkDown if self.link.unanswered_key().is_some() => {
                self.down = true;
                self.report_unanswered_key()?;
            }
            LinkEvent::LinkDown => {
                self.down = true;
                let wire = self.link.wire();
                let server = match self.link.counters().frames {
                    0 => format!("a server with --wire {wire}"),
                    _ => "the server".to_owned(),
                };
                self.report(&format!("link down: waiting for {server}{}", self.exit_hint()))?;
            }
            LinkEvent::LinkUp => self.on_link_up()?,
            LinkEvent::LedgerSetBack { pending } => self.on_ledger_set_back(pending)?,
            LinkEvent::ConnectionLost => return self.on_connection_lost(),
            LinkEvent::Reconnected => {
                self.down = false;
                self.busy_check = BusyCheck::start(self.link);
                let moved = self.link.take_move();
                self.report(
                    &moved.map_or("reconnected".to_owned(), |moved| format!("reconnected to {}", moved.to)),
                )?;
            }
            LinkEvent::Idle => {
                self.cancel_reading()?;
                self.report("no answer in time: the session ends")?;
                return self.leave(Exit::Error);
            }
            LinkEvent::NextPerson => return self.on_next_person(),
            LinkEvent::NotStored(error) => {
                self.cancel_reading()?;
                self.report(&format!("{error}: nothing was sent"))?;
                return Ok(Some(Exit::Error));
            }
            LinkEvent::Closed(error) => return self.on_closed(error).map(Some),
            LinkEvent::Woken => {}
            LinkEvent::Timeout => return self.on_timeout(),
        }
        Ok(None)
    }

    fn on_message(&mut self, message: &ReceivedMessage) -> io::Result<Option<Exit>> {
        if message.is_by_card() && !std::mem::replace(&mut self.by_card, true) {
            // Numbers and PINs are in its memory from now on.
            refuse_core_dumps()?;
        }
        // In a session by card, a line that was begun at another prompt is dropped.
        if message.ends || (self.by_card && message.prompt.is_some()) {
            self.cancel_reading()?;
        }
        if message.prompt.is_some() {
            self.is_secret = message.secret;
        }
        // The message arrives before the link's own event that it is up.
        self.on_link_up()?;
        self.busy_check.reported &= self.link.prompt().is_none();
        let is_shown = self.is_shown(&message.text)?;
        if let Some(one_shot) = self.pipe.one_shot {
            let exit = self.on_one_shot_message(one_shot, message, is_shown)?;
            self.report_name_in_use(message)?;
            return Ok(exit);
        }
        match message.plain {
            _ if !is_shown => {}
            true => self.screen.piece(&message.text)?,
            false => self.show(message)?,
        }
        if message.ends {
            self.report_name_in_use(message)?;
            return self.end(message.failure).map(Some);
        }
        if message.prompt.is_some() {
            match self.leaving {
                Leaving::Exit(_, exit) => return Ok(Some(exit)),
                Leaving::Quit | Leaving::No => self.leaving = Leaving::No,
            }
        }
        if let Some(failed) = self.script.as_mut().and_then(|script| script.on_message(message)) {
            return self.on_failed_line(&failed);
        }
        self.send_menu_word(message)?;
        if is_shown {
            self.restore_prompt()?;
        }
        Ok(None)
    }

    /// Shows a message, to a person with a menu that was seen before in brief.
    fn show(&mut self, message: &ReceivedMessage) -> io::Result<()> {
        if !self.console.echoes || message.prompt.is_none() {
            return self.screen.message(&message.text);
        }
        let (notices, prompt) = self.menu.shorten(&message.text);
        if !notices.is_empty() {
            let failed = self.console.colours && message.failure.is_some();
            self.screen.coloured(notices, failed.then_some(Colour::Red))?;
            self.screen.message("")?;
        }
        self.screen.message(prompt)
    }

    /// Goes on to the next person's session, where a person is at a terminal; else the client ends.
    fn on_next_person(&mut self) -> io::Result<Option<Exit>> {
        self.cancel_reading()?;
        if self.console.has_editor {
            self.screen.blank()?;
            self.show_banner()?;
        }
        self.report("no answer in time: the session ends")?;
        if !self.console.has_editor || self.leaving != Leaving::No {
            return self.leave(Exit::Error);
        }
        (self.held_answer, self.menu_word) = (None, None);
        (self.asks_for_amount, self.is_secret) = (false, false);
        self.waits_since = self.link.now();
        self.busy_check = BusyCheck::start(self.link);
        Ok(None)
    }

    fn on_connection_lost(&mut self) -> io::Result<Option<Exit>> {
        if self.leaving != Leaving::No {
            return self.end(None).map(Some);
        }
        self.down = true;
        if !self.link.is_waiting() {
            self.waits_since = self.link.now();
        }
        self.report_unanswered_key()?;
        self.report_unheard()?;
        self.report(&format!("connection lost; reconnecting{}", self.exit_hint()))?;
        Ok(None)
    }

    /// Says why a host may be silent to a terminal with a key, if it is.
    fn report_unanswered_key(&mut self) -> io::Result<()> {
        let Some((name, series)) = self.link.unanswered_key() else { return Ok(()) };
        let text = format!(
            "no answer under the key of {name}, series {series}: it may be revoked or replaced (atm terminal list, at the \
             server), or the server serves no sealed links (atm serve --secrets){}",
            self.exit_hint()
        );
        self.report(&text)
    }

    /// Says why a host may send nothing to a terminal in clear, if it has sent nothing.
    fn report_unheard(&mut self) -> io::Result<()> {
        if !self.link.is_unheard_in_clear() {
            return Ok(());
        }
        self.report("the server has sent nothing: it may serve only sealed links (--key) or TLS (--tls-ca)")
    }

    /// Says why a host may refuse the hello of a terminal with a key although no other client runs.
    fn report_name_in_use(&mut self, message: &ReceivedMessage) -> io::Result<()> {
        let Some(Notice::NameInUse { .. }) = message.notice else { return Ok(()) };
        let Some((name, series)) = &self.link.sealed else { return Ok(()) };
        let text = format!(
            "the server has served a later start of {name}, series {series}: if no other client runs, the key or its state is an \
             older copy, or another party has used the key: issue another key (atm terminal rotate {name}, at the server)"
        );
        self.report(&text)
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
        self.keeps_pending = pending.is_some() && self.pipe.one_shot.is_some_and(OneShot::moves_money);
        let outcome = if pending.is_some() { "; the outcome of the last request is unknown" } else { "" };
        let warning =
            format!("warning: the ATM's ledger was set back to an earlier state{outcome}: check the balance");
        if self.is_shown(&warning)? { self.report(&warning) } else { Ok(()) }
    }

    /// Counts a text that the host has caused; false, and a report at the first, where it has sent too much since the last
    /// answer: a hostile host sends without end.
    fn is_shown(&mut self, text: &str) -> io::Result<bool> {
        let before = self.text;
        // With its newline.
        self.text = before.saturating_add(text.len()).saturating_add(1);
        if self.text > MAX_TEXT && before <= MAX_TEXT {
            self.report("the server sends too much text: no more is shown until the next answer")?;
        }
        Ok(self.text <= MAX_TEXT)
    }

    fn on_broken(&mut self, fault: Fault) -> io::Result<Exit> {
        self.cancel_reading()?;
        if self.leaving == Leaving::No {
            self.report(&match self.link.wire() {
                Wire::Json if fault == Fault::Incomplete => {
                    "the server stopped in the middle of a message".into()
                }
                wire => {
                    let tls = if self.link.is_connection() { ", and both or neither TLS" } else { "" };
                    format!("the server does not speak the {wire} wire: both sides need the same --wire{tls}")
                }
            })?;
        }
        self.end(None)
    }

    fn on_closed(&mut self, error: Option<io::Error>) -> io::Result<Exit> {
        self.cancel_reading()?;
        if self.leaving == Leaving::No {
            match error {
                Some(error) if !self.link.is_connection() => {
                    self.report(&format!("the serial port failed: {error}"))?
                }
                // Or TLS has failed.
                Some(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::TimedOut
                            | io::ErrorKind::PermissionDenied
                            | io::ErrorKind::InvalidData
                    ) =>
                {
                    self.report(&format!("connection lost: {error}"))?;
                }
                _ => {
                    self.report("the server closed the connection")?;
                    self.report_unheard()?;
                }
            }
        }
        self.end(None)
    }

    pub(super) fn on_timeout(&mut self) -> io::Result<Option<Exit>> {
        if let Leaving::Exit(_, exit) = self.leaving {
            return Ok(Some(exit));
        }
        if self.reply_deadline().is_none_or(|at| self.link.now() < at) {
            self.check_busy()?;
            return Ok(None);
        }
        self.report_unanswered_key()?;
        let seconds = self.pipe.reply_timeout.millis() / 1000;
        self.report(&format!("no reply within {seconds} s"))?;
        self.end(None).map(Some)
    }

    /// Counts an invalid message, and reports the first, the tenth, the hundredth and so on: a hostile host sends them without
    /// end.
    fn on_fault(&mut self, fault: Fault) -> io::Result<()> {
        self.faults = self.faults.saturating_add(1);
        match self.faults {
            1 => self.report(&format!("the server sent an invalid message: {fault}")),
            count if is_power_of_ten(count) => {
                self.report(&format!("the server has sent {count} invalid messages; the last one: {fault}"))
            }
            _ => Ok(()),
        }
    }

    /// Reports the number of invalid messages at the end, where it was not reported.
    pub(super) fn report_faults(&mut self) -> io::Result<()> {
        if self.faults == 0 || is_power_of_ten(self.faults) {
            return Ok(());
        }
        self.report(&format!("the server has sent {} invalid messages", self.faults))
    }

    /// The exit code at the end of the session or the link, after a message with this failure.
    pub(super) fn end(&mut self, failure: Option<Failure>) -> io::Result<Exit> {
        Ok(match self.leaving {
            Leaving::Exit(_, exit) => exit,
            Leaving::Quit => self.exit_of_lines(),
            Leaving::No => match self.report_unknown()? {
                true => Exit::Unknown,
                false => failure.map_or(Exit::Error, Exit::from),
            },
        })
    }

    /// The exit code where a person leaves or the lines of a pipe end. A person has seen every reply.
    pub(super) fn exit_of_lines(&self) -> Exit {
        self.script.as_ref().map_or(Exit::Done, Script::exit)
    }

    /// Says that the outcome of the last answer is unknown, and returns true, if it has no reply.
    pub(super) fn report_unknown(&mut self) -> io::Result<bool> {
        if !self.link.is_waiting() {
            return Ok(false);
        }
        let line = self.script.as_ref().and_then(Script::unanswered);
        if let Some(line) = line.filter(|_| self.pipe.one_shot.is_none()) {
            self.report(&format!("stopped at {line}: there is no reply"))?;
        }
        self.report(if self.link.stores_memory() {
            "unknown: the next start with this state file reports the outcome of the last answer"
        } else {
            "unknown: check the balance"
        })?;
        Ok(true)
    }
}

fn is_power_of_ten(number: u64) -> bool {
    number.checked_ilog10().and_then(|zeros| 10_u64.checked_pow(zeros)) == Some(number)
}
