//! The conversation of a person with a host.
use super::{
    console::Console,
    event::{LinkEvent, ReceivedMessage},
    link::Link,
    screen::Screen,
};
use atm_core::{
    message::Fault,
    terminal::Prompt,
    time::{Duration, Instant},
    wire::Wire,
};
use script::Script;
use std::{
    io::{self, Write},
    process::ExitCode,
};

mod input;
mod script;

/// How long a pipe waits for a reply once the line was told to be down.
const PATIENCE: Duration = Duration::from_secs(50);

/// How long it takes until a person is told that the host is still busy with an answer.
const SLOW: Duration = Duration::from_secs(10);

/// How long a person who leaves waits for the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a person is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The answer to a prompt.
    Prompt(Prompt),
    /// Nothing but whether to wait any longer: the line is down, or the host is slow.
    Patience,
}

/// Has the person asked to leave?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    No,
    /// By stopping the host, which it may refuse.
    Quit,
    /// Whatever the host says; its goodbye is waited for until then.
    Exit(Instant),
}

/// How fast the host answers, seen at one moment.
#[derive(Clone, Copy)]
struct Pace {
    looked: Instant,
    /// How many messages had come from it by then.
    frames: u32,
    /// Was it told that it takes long?
    slow: bool,
}

impl Pace {
    /// From now on.
    fn of(link: &Link) -> Self {
        Self { looked: link.now(), frames: link.counters().frames, slow: false }
    }
}

struct Repl<'a> {
    link: &'a mut Link,
    console: &'a mut Console,
    screen: Screen<'a>,
    err: &'a mut dyn Write,
    asked: Option<Asked>,
    /// What was typed at a prompt while it was not known whether that is still open.
    held: Option<(Prompt, String)>,
    parting: Parting,
    down: bool,
    /// Since when, if it is.
    down_since: Instant,
    pace: Pace,
    /// Set where nobody is there to read what is said.
    script: Option<Script>,
}

/// Lets a person talk to a host: what it says goes to `out`, what there is to say about the line to `err`.
///
/// Succeeds where the person left by `exit`, by a permitted `quit` or by the end of the lines; fails where anything else
/// ended the talk. Lines of a pipe are not sent any more once one of them was not done, where the host says so.
pub fn run_repl(
    link: &mut Link,
    console: &mut Console,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    let mut repl = Repl {
        screen: Screen::new(out),
        err,
        asked: None,
        held: None,
        parting: Parting::No,
        down: false,
        down_since: link.now(),
        pace: Pace::of(link),
        script: (link.says_hello() && !console.live).then(Script::default),
        link,
        console,
    };
    // Where the output is closed, nobody is left to be told, and what was not shown is not kept as shown.
    repl.run().and_then(|code| repl.store_memory(code)).unwrap_or(ExitCode::FAILURE)
}

impl Repl<'_> {
    fn run(&mut self) -> io::Result<ExitCode> {
        loop {
            self.answer_held()?;
            self.ask()?;
            let deadline = match self.parting {
                Parting::Exit(until) => Some(until),
                _ => self.patience_until().or_else(|| self.slow_at()),
            };
            let done = match self.link.next(deadline) {
                LinkEvent::Message(said) => self.on_said(&said)?,
                LinkEvent::Fault(fault) => {
                    self.note(&format!("the server sent what is no message: {fault}"))?;
                    None
                }
                LinkEvent::Broken(fault) => Some(self.on_broken(fault)?),
                LinkEvent::LinkDown => {
                    self.down = true;
                    self.down_since = self.link.now();
                    self.note(&format!("line down: still trying{}", self.or_exit()))?;
                    None
                }
                LinkEvent::LinkUp => {
                    self.up()?;
                    None
                }
                LinkEvent::ConnectionLost => self.on_lost()?,
                LinkEvent::Reconnected => {
                    self.down = false;
                    self.pace = Pace::of(self.link);
                    self.note("connected again")?;
                    None
                }
                LinkEvent::NotStored(error) => {
                    self.dismiss()?;
                    self.note(&format!("{error}: nothing was sent"))?;
                    return Ok(ExitCode::FAILURE);
                }
                LinkEvent::Closed(error) => Some(self.on_closed(error)?),
                LinkEvent::Woken => None,
                LinkEvent::Timeout if matches!(self.parting, Parting::Exit(_)) => Some(ExitCode::SUCCESS),
                LinkEvent::Timeout if self.slow_at().is_some() => {
                    self.look()?;
                    None
                }
                LinkEvent::Timeout => {
                    self.note(&format!(
                        "no reply, {} seconds after the line went down",
                        PATIENCE.millis() / 1000
                    ))?;
                    Some(self.leave()?)
                }
            };
            let done = match done {
                None => self.listen()?,
                over => over,
            };
            if let Some(code) = done {
                self.screen.start_line()?;
                return Ok(code);
            }
        }
    }

    /// How long a pipe waits on a connection that is silent and will not be opened again: nobody is there to lose patience.
    fn patience_until(&self) -> Option<Instant> {
        let waits = self.down && !self.console.live && self.link.is_connection() && !self.link.says_hello();
        waits.then(|| self.down_since + PATIENCE)
    }

    /// When to look whether the host is there and has no reply yet. It says so itself, and repeating the answer asks it.
    fn slow_at(&self) -> Option<Instant> {
        (self.link.is_waiting() && self.link.says_hello() && !self.down && !self.pace.slow)
            .then(|| self.pace.looked + SLOW)
    }

    /// Tells the person that it is.
    fn look(&mut self) -> io::Result<()> {
        let before = std::mem::replace(&mut self.pace, Pace::of(self.link));
        self.pace.slow = self.pace.frames != before.frames;
        let exit = self.or_exit();
        if self.pace.slow {
            self.note(&format!("the server is there, and busy with the last answer{exit}"))
        } else {
            Ok(())
        }
    }

    /// What a person may do who does not want to wait.
    fn or_exit(&self) -> &'static str {
        if self.console.live { " (exit leaves)" } else { "" }
    }

    /// Asks the person, if there is something to ask.
    fn ask(&mut self) -> io::Result<()> {
        if self.asked.is_some() || self.held.is_some() || matches!(self.parting, Parting::Exit(_)) {
            return Ok(());
        }
        self.asked = match self.link.prompt() {
            Some(prompt) => Some(Asked::Prompt(prompt)),
            // A pipe's next line is the answer to the next prompt.
            None if (self.down || self.pace.slow) && self.console.live => Some(Asked::Patience),
            None => return Ok(()),
        };
        self.screen.prompt(self.console.shows_prompt())?;
        self.console.ask();
        Ok(())
    }

    /// Shows what the host says; `Some` where the talk is over.
    fn on_said(&mut self, said: &ReceivedMessage) -> io::Result<Option<ExitCode>> {
        if said.ends {
            self.dismiss()?;
        }
        // What is said tells it before the link does.
        self.up()?;
        self.pace.slow &= self.link.is_waiting();
        if said.plain { self.screen.piece(&said.text) } else { self.screen.message(&said.text) }?;
        if said.ends {
            return self.leave().map(Some);
        }
        if said.prompt.is_some() {
            match self.parting {
                Parting::Exit(_) => return Ok(Some(ExitCode::SUCCESS)),
                Parting::Quit | Parting::No => self.parting = Parting::No,
            }
        }
        if let Some(reason) = self.script.as_mut().and_then(|script| script.hear(said)) {
            self.dismiss()?;
            self.note(&reason)?;
            return Ok(Some(ExitCode::FAILURE));
        }
        self.show_prompt_again()?;
        Ok(None)
    }

    /// The connection is lost, and opened again.
    fn on_lost(&mut self) -> io::Result<Option<ExitCode>> {
        if self.parting != Parting::No {
            return self.leave().map(Some);
        }
        self.down = true;
        self.note(&format!("connection lost; reconnecting{}", self.or_exit()))?;
        Ok(None)
    }

    fn up(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.down) {
            return Ok(());
        }
        self.pace = Pace::of(self.link);
        self.note("line up again")
    }

    fn on_broken(&mut self, fault: Fault) -> io::Result<ExitCode> {
        self.dismiss()?;
        if self.parting == Parting::No {
            self.note(&match self.link.wire() {
                Wire::Json if fault == Fault::Incomplete => {
                    "the server stopped in the middle of a message".into()
                }
                wire => format!(
                    "what the server sends is not the {wire} wire: check that both sides use the same --wire"
                ),
            })?;
        }
        self.leave()
    }

    fn on_closed(&mut self, error: Option<io::Error>) -> io::Result<ExitCode> {
        self.dismiss()?;
        if self.parting == Parting::No {
            match error {
                Some(error) if !self.link.is_connection() => {
                    self.note(&format!("the line is gone: {error}"))?
                }
                Some(error) if error.kind() == io::ErrorKind::TimedOut => {
                    self.note(&format!("the connection is lost: {error}"))?;
                }
                _ => self.note("the server closed the connection")?,
            }
        }
        self.leave()
    }

    /// The session or the line is over.
    fn leave(&mut self) -> io::Result<ExitCode> {
        if self.parting != Parting::No {
            return Ok(ExitCode::SUCCESS);
        }
        self.unknown()?;
        Ok(ExitCode::FAILURE)
    }

    /// Says so where nobody knows what became of the last answer.
    fn unknown(&mut self) -> io::Result<()> {
        if !self.link.is_waiting() {
            return Ok(());
        }
        if let Some(answer) = self.script.as_ref().and_then(Script::unanswered) {
            self.note(&format!("stopped at the answer {answer:?}: there is no reply"))?;
        }
        if self.link.stores_memory() {
            self.note("unknown: the next start with this state tells what became of the last answer")
        } else {
            self.note("unknown: check the balance")
        }
    }

    /// Stores what was shown last.
    fn store_memory(&mut self, code: ExitCode) -> io::Result<ExitCode> {
        match self.link.store_memory() {
            Ok(()) => Ok(code),
            Err(error) => {
                self.note(&error.to_string())?;
                Ok(ExitCode::FAILURE)
            }
        }
    }

    /// Tells something about the line.
    fn note(&mut self, text: &str) -> io::Result<()> {
        self.screen.start_line()?;
        // The talk goes on without whoever reads these.
        let _ = writeln!(self.err, "{text}").and_then(|()| self.err.flush());
        self.show_prompt_again()
    }

    /// Shows the prompt again that something was shown over.
    fn show_prompt_again(&mut self) -> io::Result<()> {
        if self.asked.is_some() { self.screen.prompt(false) } else { Ok(()) }
    }

    /// Takes back what the person is asked for: it has come too late.
    fn dismiss(&mut self) -> io::Result<()> {
        if self.asked.take().is_some() {
            self.console.dismiss();
            if self.console.shows_prompt() {
                self.screen.entered();
            }
        }
        self.screen.start_line()
    }
}

#[cfg(test)]
mod tests;
