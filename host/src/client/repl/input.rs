//! The REPL's handling of console input: an answer to the open prompt, `exit`, or the end of the input.
use super::{BusyCheck, GOODBYE_TIMEOUT, Leaving, Reading, Repl};
use crate::{client::console::ConsoleInput, exit::Exit};
use atm_core::{message::MAX_ANSWER, terminal::AnswerError};
use std::io;

impl Repl<'_> {
    /// Handles a signal or a line, if there is one; `Some` where the REPL ends.
    pub(super) fn on_input(&mut self) -> io::Result<Option<Exit>> {
        if self.console.is_stopped() {
            self.cancel_reading()?;
            self.report_unknown()?;
            return Ok(Some(Exit::Interrupted));
        }
        if self.reading.is_none() {
            return Ok(None);
        }
        let Some(input) = self.console.take_line() else { return Ok(None) };
        let reading = self.reading.take();
        if self.console.echoes() {
            self.screen.line_entered();
        }
        match input {
            ConsoleInput::Line(line) => {
                let answer = line.trim_ascii();
                if answer.eq_ignore_ascii_case("exit") {
                    return self.leave(self.exit_of_lines());
                }
                self.answer(reading, answer)?;
            }
            ConsoleInput::End => return self.leave(self.exit_of_lines()),
            ConsoleInput::Interrupted => return self.leave(Exit::Interrupted),
            ConsoleInput::TooLong => self.not_sent(&format!("an answer has at most {MAX_ANSWER} bytes"))?,
            ConsoleInput::NotText => self.not_sent("an answer must be UTF-8 text")?,
            ConsoleInput::Failed(error) => {
                self.report(&format!("the answer cannot be read: {error}"))?;
                return Ok(Some(Exit::Error));
            }
        }
        Ok(None)
    }

    fn answer(&mut self, reading: Option<Reading>, answer: &str) -> io::Result<()> {
        let Some(Reading::Answer(prompt)) = reading else {
            return self.report(if self.link.is_waiting() {
                "not sent: the previous answer has no reply yet (exit leaves)"
            } else if self.down {
                "not sent: the link is down (exit leaves)"
            } else {
                "not sent: no prompt was open when the line was begun; type it again"
            });
        };
        if self.down && self.link.prompt() != Some(prompt) {
            // After a reconnect, only the host's welcome says whether the prompt is still open.
            self.held_answer = Some((prompt, answer.to_owned()));
            return Ok(());
        }
        match self.link.answer(prompt, answer) {
            Ok(()) => {
                self.busy_check = BusyCheck::start(self.link);
                if answer.eq_ignore_ascii_case("quit") {
                    self.leaving = Leaving::Quit;
                }
                if let Some(script) = &mut self.script {
                    script.on_answer(prompt, answer);
                }
                Ok(())
            }
            Err(AnswerError::NotOpen) => {
                self.not_sent("not sent: the prompt that it answers is no longer open")
            }
            Err(error) => self.not_sent(&error.to_string()),
        }
    }

    /// Says why a line cannot be sent.
    fn not_sent(&mut self, reason: &str) -> io::Result<()> {
        if let Some(script) = &mut self.script {
            script.on_not_sent();
        }
        self.report(reason)
    }

    /// Sends the held answer, once it is known whether its prompt is still open.
    pub(super) fn send_held_answer(&mut self) -> io::Result<()> {
        match self.held_answer.take_if(|_| !self.down) {
            Some((prompt, answer)) => self.answer(Some(Reading::Answer(prompt)), &answer),
            None => Ok(()),
        }
    }

    /// Leaves with an exit code: sends `exit` if a prompt is open, and then waits a short time for the goodbye.
    fn leave(&mut self, exit: Exit) -> io::Result<Option<Exit>> {
        // While the link is down it would only be sent after a reconnect, and reported as unknown at the next start.
        let Some(prompt) = self.link.prompt().filter(|_| !self.down) else {
            let unknown = self.report_unknown()?;
            return Ok(Some(if unknown && exit == Exit::Done { Exit::Unknown } else { exit }));
        };
        // It cannot fail: the prompt is open, and `exit` is not too long.
        let _ = self.link.leave(prompt);
        self.leaving = Leaving::Exit(self.link.now() + GOODBYE_TIMEOUT, exit);
        Ok(None)
    }
}
