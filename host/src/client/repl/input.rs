//! What the person types.
use super::{Asked, GOODBYE, Pace, Parting, Repl};
use crate::client::console::ConsoleInput;
use atm_core::{message::MAX_ANSWER, terminal::AnswerError};
use std::{io, process::ExitCode};

impl Repl<'_> {
    /// Takes what the person has typed; `Some` where the talk is over.
    pub(super) fn listen(&mut self) -> io::Result<Option<ExitCode>> {
        if self.console.is_stopped() {
            self.dismiss()?;
            self.unknown()?;
            return Ok(Some(ExitCode::FAILURE));
        }
        if self.asked.is_none() {
            return Ok(None);
        }
        let Some(typed) = self.console.typed() else { return Ok(None) };
        let asked = self.asked.take();
        if self.console.echoes() {
            self.screen.entered();
        }
        match typed {
            ConsoleInput::Line(line) => {
                let answer = line.trim_ascii();
                if answer.eq_ignore_ascii_case("exit") {
                    return self.exit();
                }
                self.answer(asked, answer)?;
            }
            ConsoleInput::End => return self.exit(),
            ConsoleInput::TooLong => self.note(&format!("an answer has at most {MAX_ANSWER} bytes"))?,
            ConsoleInput::NotText => self.note("an answer is UTF-8 text")?,
            ConsoleInput::Failed(error) => {
                self.note(&format!("the answer cannot be read: {error}"))?;
                return Ok(Some(ExitCode::FAILURE));
            }
        }
        Ok(None)
    }

    fn answer(&mut self, asked: Option<Asked>, answer: &str) -> io::Result<()> {
        let Some(Asked::Prompt(prompt)) = asked else {
            return self.note(if self.link.is_waiting() {
                "this was not sent: the answer before it is out, and has no reply yet (exit leaves)"
            } else if self.down {
                "this was not sent: the line is down (exit leaves)"
            } else {
                "this was not sent: no prompt was open where it was begun; type it again"
            });
        };
        if self.down && self.link.prompt() != Some(prompt) {
            // The host has not said yet whether it is still open.
            self.held = Some((prompt, answer.to_owned()));
            return Ok(());
        }
        match self.link.answer(prompt, answer) {
            Ok(()) => {
                self.pace = Pace::of(self.link);
                if answer.eq_ignore_ascii_case("quit") {
                    self.parting = Parting::Quit;
                }
                if let Some(script) = &mut self.script {
                    script.say(prompt, answer);
                }
                Ok(())
            }
            Err(AnswerError::NotOpen) => {
                self.note("nothing was sent: the prompt that it was typed at is not open any more")
            }
            Err(error) => self.note(&error.to_string()),
        }
    }

    /// Sends what was held back, once it is known whether its prompt is still open.
    pub(super) fn answer_held(&mut self) -> io::Result<()> {
        match self.held.take_if(|_| !self.down) {
            Some((prompt, answer)) => self.answer(Some(Asked::Prompt(prompt)), &answer),
            None => Ok(()),
        }
    }

    /// The person leaves: the host is told, and need not agree.
    fn exit(&mut self) -> io::Result<Option<ExitCode>> {
        // What would only be sent when the line is back would be told at the next start.
        let Some(prompt) = self.link.prompt().filter(|_| !self.down) else {
            self.unknown()?;
            return Ok(Some(ExitCode::SUCCESS));
        };
        // A prompt that is open takes this answer.
        let _ = self.link.leave(prompt);
        self.parting = Parting::Exit(self.link.now() + GOODBYE);
        Ok(None)
    }
}
