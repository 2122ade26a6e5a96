//! The REPL's handling of console input: an answer to the open prompt, `exit`, or the end of the input.
use super::{BusyCheck, GOODBYE_TIMEOUT, Leaving, Reading, Repl, script::FailedLine};
use crate::{
    client::{ReceivedMessage, console::ConsoleInput},
    exit::Exit,
};
use atm_core::{ledger::card::CardNumber, session::is_menu_word, terminal::AnswerError};
use std::io;

impl Repl<'_> {
    /// Handles a signal or a line, if there is one; `Some` where the REPL ends.
    pub(super) fn on_input(&mut self) -> io::Result<Option<Exit>> {
        if self.console.is_stopped() {
            self.cancel_reading()?;
            if let Leaving::Exit(_, exit) = self.leaving {
                // Only the goodbye is missing.
                return Ok(Some(exit));
            }
            self.report_unknown()?;
            return Ok(Some(Exit::Interrupted));
        }
        if self.reading.is_none() {
            return Ok(None);
        }
        let Some(input) = self.console.take_line() else { return Ok(None) };
        let reading = self.reading.take();
        if let Some(script) = &mut self.script {
            script.on_line();
        }
        if self.console.echoes {
            self.screen.line_entered();
        }
        match input {
            ConsoleInput::Line(line) => {
                let answer = line.as_str().trim_ascii();
                if answer.eq_ignore_ascii_case("exit") {
                    self.leave(self.exit_of_lines())
                } else {
                    self.answer(reading, answer)
                }
            }
            ConsoleInput::End => self.leave(self.exit_of_lines()),
            ConsoleInput::Interrupted => self.leave(Exit::Interrupted),
            ConsoleInput::TooLong => self.not_sent(&AnswerError::TooLong.to_string()),
            ConsoleInput::NotText => self.not_sent("an answer must be UTF-8 text"),
            ConsoleInput::Failed(error) => {
                self.report(&format!("the answer cannot be read: {error}"))?;
                Ok(Some(Exit::Error))
            }
        }
    }

    fn answer(&mut self, reading: Option<Reading>, answer: &str) -> io::Result<Option<Exit>> {
        let Some(Reading::Answer(prompt)) = reading else {
            return self.not_sent(if self.link.is_waiting() {
                "not sent: the previous answer has no reply yet (exit leaves)"
            } else if self.down {
                "not sent: the link is down (exit leaves)"
            } else {
                "not sent: no prompt was open when the line was begun; type it again"
            });
        };
        if self.down && self.by_card {
            // It may be a PIN: it is not held until the link is up again.
            return self.not_sent("not sent: the link is down; type it again (exit leaves)");
        }
        if self.down && self.link.prompt() != Some(prompt) {
            // After a reconnect, only the host's welcome says whether the prompt is still open.
            self.held_answer = Some((prompt, answer.to_owned()));
            return Ok(None);
        }
        if let Some(help) = self.menu.help(answer) {
            return self.screen.message(&help).map(|()| None);
        }
        self.remember(answer);
        let goes_back = self.console.interactive && self.asks_for_amount && is_menu_word(answer);
        match self.link.answer(prompt, if goes_back { "back" } else { answer }) {
            Ok(()) => {
                self.busy_check = BusyCheck::start(self.link);
                (self.waits_since, self.text) = (self.link.now(), 0);
                self.menu_word = goes_back.then(|| (prompt, answer.to_owned()));
                if answer.eq_ignore_ascii_case("quit") {
                    self.leaving = Leaving::Quit;
                }
                self.one_shot_answers = self.one_shot_answers.saturating_add(1);
                if let Some(script) = &mut self.script {
                    script.on_answer(prompt, Some(answer).filter(|_| !self.by_card));
                }
                Ok(None)
            }
            Err(AnswerError::NotOpen) => self.not_sent(
                "not sent: another prompt has opened since the line was begun; type it again if it answers that one",
            ),
            Err(error) => self.not_sent(&error.to_string()),
        }
    }

    /// Keeps an answer in the history. This is the only place that keeps one: the state file has numbers alone, a transcript hides secrets. In a
    /// session by card nothing is kept, and never what has the form of a card's number.
    fn remember(&mut self, answer: &str) {
        let is_private = self.by_card || answer.parse::<CardNumber>().is_ok();
        if self.console.has_editor && !is_private {
            self.console.remember(answer);
        }
    }

    /// Reports a line that was not sent. It is the last one of a pipe that does not keep going.
    fn not_sent(&mut self, reason: &str) -> io::Result<Option<Exit>> {
        match self.script.as_mut().map(|script| script.on_not_sent(reason)) {
            Some(failed) => self.on_failed_line(&failed),
            None => self.report(reason).map(|()| None),
        }
    }

    /// Reports a line of a pipe that failed, and leaves if it is the last one.
    pub(super) fn on_failed_line(&mut self, failed: &FailedLine) -> io::Result<Option<Exit>> {
        if failed.exit.is_some() {
            self.cancel_reading()?;
        }
        self.report(&failed.reason)?;
        failed.exit.map_or(Ok(None), |exit| self.leave(exit))
    }

    /// Sends a word of the menu after `back`, if `message` is the reply to that and opens the menu.
    pub(super) fn send_menu_word(&mut self, message: &ReceivedMessage) -> io::Result<()> {
        let Some(prompt) = message.prompt else { return Ok(()) };
        self.asks_for_amount = message.asks_for_amount;
        let Some((before, word)) = self.menu_word.take() else { return Ok(()) };
        if message.re != before || message.failure.is_some() || message.asks_for_amount {
            return self.report(&format!("not sent: {word}: the menu is not open"));
        }
        self.held_answer = Some((prompt, word));
        Ok(())
    }

    /// Sends the held answer, once it is known whether its prompt is still open.
    pub(super) fn send_held_answer(&mut self) -> io::Result<Option<Exit>> {
        let is_known = !self.down && self.link.prompt().is_some();
        match self.held_answer.take_if(|_| is_known) {
            Some((prompt, answer)) => self.answer(Some(Reading::Answer(prompt)), &answer),
            None => Ok(None),
        }
    }

    /// Leaves with an exit code: sends `exit` if a prompt is open, and then waits a short time for the goodbye.
    pub(super) fn leave(&mut self, exit: Exit) -> io::Result<Option<Exit>> {
        // While the link is down it would only be sent after a reconnect, and reported as unknown at the next start.
        let Some(prompt) = self.link.prompt().filter(|_| !self.down) else {
            let unknown = self.report_unknown()?;
            return Ok(Some(if unknown && exit == Exit::Done { Exit::Unknown } else { exit }));
        };
        self.held_answer = None;
        // Confirms what was shown before. If this fails, the next start reports the last outcome a second time.
        let _ = self.link.store_memory();
        // It cannot fail: the prompt is open, and `exit` is not too long.
        let _ = self.link.leave(prompt);
        self.leaving = Leaving::Exit(self.link.now() + GOODBYE_TIMEOUT, exit);
        Ok(None)
    }
}
