//! REPL: shows the host's messages and sends a console's answers, until the session ends or the person leaves.
//!
//! The host's text goes to the output, everything about the link to the error output. `events` handles what the link
//! reports, `input` what the console reads, and `script` decides when the remaining lines of a pipe must not be sent.
use super::{
    PipeOptions, ReceivedMessage,
    console::{Console, Request},
    link::Link,
    menu::Menu,
    screen::{Colour, OutputScreen},
};
use crate::exit::Exit;
use atm_core::{
    terminal::Prompt,
    time::{Duration, Instant},
    wire::Counters,
};
use script::Script;
use std::io::{self, Write};

mod events;
mod input;
mod one_shot;
mod script;

/// How long an answer is without a reply before the REPL reports that the host is working on it.
const BUSY_AFTER: Duration = Duration::from_secs(10);

/// The most text of the host that is shown between two answers, in bytes.
const MAX_TEXT: usize = 1024 * 1024;

/// How long a person who leaves waits for the host's goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the line that the console is reading is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// An answer to a prompt.
    Answer(Prompt),
    /// No prompt is open, and the link is down or the host busy: only `exit` has an effect.
    ExitOnly,
}

/// Has the person asked to leave?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// By `quit`, which stops the host; it may refuse.
    Quit,
    /// By `exit`; the goodbye is waited for until then, and the REPL ends with this code.
    Exit(Instant, Exit),
}

/// Distinguishes a host that is working on an answer from one that is silent: retransmissions make it send
/// `working` notices. A host to which nothing is retransmitted may send anything else.
#[derive(Clone, Copy)]
struct BusyCheck {
    last: Instant,
    /// Frames received from the host until then, valid or not.
    frames: Counters,
    /// Whether that was reported.
    reported: bool,
}

impl BusyCheck {
    fn start(link: &Link) -> Self {
        Self { last: link.now(), frames: link.counters(), reported: false }
    }
}

struct Repl<'a> {
    link: &'a mut Link,
    console: &'a mut Console,
    screen: OutputScreen<'a>,
    err: &'a mut dyn Write,
    /// Set while the console reads a line.
    reading: Option<Reading>,
    /// An answer that is sent once it is known whether its prompt is still open.
    held_answer: Option<(Prompt, String)>,
    /// The menu, as a person sees it.
    menu: Menu,
    /// Does the open prompt ask for an amount?
    asks_for_amount: bool,
    /// Is the session by card? Then nothing that is typed is kept, and a line ends where another prompt opens.
    by_card: bool,
    /// Was the last prompt a secret one?
    is_secret: bool,
    /// A word of the menu that was typed where an amount was asked for, and the prompt that was answered `back` before it.
    menu_word: Option<(Prompt, String)>,
    leaving: Leaving,
    /// Is the link down or the connection lost?
    down: bool,
    /// When the last answer was sent, the link opened, or a connection was lost without an answer that has no reply.
    waits_since: Instant,
    /// The invalid messages of the host.
    faults: u64,
    /// The bytes of the host's text since the last answer.
    text: usize,
    busy_check: BusyCheck,
    pipe: PipeOptions,
    /// Set if the answers come from a pipe, or the operation from the command line.
    script: Option<Script>,
    /// The reply to that operation so far.
    one_shot_text: String,
    /// How many of its answers were sent.
    one_shot_answers: usize,
    /// The outcome of an earlier withdrawal that left nothing, where the operation is to withdraw all.
    emptied_before: Option<ReceivedMessage>,
    /// An outcome is unknown, and no operation may follow at the next start until a person was informed: the terminal's memory,
    /// with the pending request, is not stored.
    keeps_pending: bool,
}

/// Runs a REPL. The host's messages go to `out`, messages about the link to `err`. The lines of a pipe end at the first one that was
/// refused or could not be sent, unless they keep going, and where a reply does not come in time.
///
/// The exit code of a person who left by `exit`, or by a `quit` that the host permitted, is [`Exit::Done`]; that of a pipe says
/// the outcome of the operations: see `script`. Where anything else ended the session, it is [`Exit::Unknown`] if an answer has
/// no reply, and otherwise [`Exit::Error`].
pub fn run_repl(
    link: &mut Link,
    console: &mut Console,
    pipe: PipeOptions,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let mut repl = Repl {
        screen: OutputScreen::new(out, console.echoes),
        err,
        reading: None,
        held_answer: None,
        menu: Menu::default(),
        asks_for_amount: false,
        by_card: false,
        is_secret: false,
        menu_word: None,
        leaving: Leaving::No,
        down: false,
        waits_since: link.now(),
        faults: 0,
        text: 0,
        busy_check: BusyCheck::start(link),
        script: (!console.interactive).then(|| Script::new(link.says_hello(), pipe.keep_going)),
        one_shot_text: String::new(),
        one_shot_answers: 0,
        emptied_before: None,
        keeps_pending: false,
        pipe,
        link,
        console,
    };
    // Where the output cannot be written, the last message was not shown, so the memory is not stored.
    repl.run().map(|exit| repl.store_memory(exit)).unwrap_or_else(|error| repl.not_written(&error))
}

impl Repl<'_> {
    fn run(&mut self) -> io::Result<Exit> {
        self.show_banner()?;
        if let Some(moved) = self.link.take_move() {
            self.report(&format!("no server at {}: connected to {}", moved.from, moved.to))?;
        }
        loop {
            let mut ended = self.send_held_answer()?;
            if ended.is_none() {
                self.read_line()?;
                let event = self.link.next(self.deadline());
                ended = self.on_event(event)?;
            }
            // The link returns its events first: from a host that sends without end, it never returns `Timeout`.
            if ended.is_none() && self.deadline().is_some_and(|at| at <= self.link.now()) {
                ended = self.on_timeout()?;
            }
            if ended.is_none() {
                ended = self.on_input()?;
            }
            if let Some(exit) = ended {
                self.report_faults()?;
                self.print_missing_reply()?;
                self.screen.start_line()?;
                return Ok(exit);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.leaving {
            Leaving::Exit(until, _) => Some(until),
            _ => [self.reply_deadline(), self.busy_deadline()].into_iter().flatten().min(),
        }
    }

    /// When a pipe gives up waiting for a reply or the greeting. A person decides that alone.
    fn reply_deadline(&self) -> Option<Instant> {
        let waits = !self.console.interactive && self.link.prompt().is_none();
        waits.then(|| self.waits_since + self.pipe.reply_timeout)
    }

    /// When to check whether the host is working on the answer or the greeting.
    fn busy_deadline(&self) -> Option<Instant> {
        let waits = self.link.prompt().is_none();
        (waits && !self.down && !self.busy_check.reported).then(|| self.busy_check.last + BUSY_AFTER)
    }

    /// Tells the person that the host sends no prompt, if frames have come from it since the last check.
    fn check_busy(&mut self) -> io::Result<()> {
        let before = std::mem::replace(&mut self.busy_check, BusyCheck::start(self.link));
        if self.busy_check.frames == before.frames {
            return Ok(());
        }
        self.busy_check.reported = true;
        let text = match (self.link.says_hello(), self.link.is_waiting()) {
            (true, true) => "is still working on the last answer",
            (true, false) => "is not ready yet",
            (false, _) => "sends messages but no prompt",
        };
        self.report(&format!("the server {text}{}", self.exit_hint()))
    }

    /// Tells a person how to stop waiting.
    fn exit_hint(&self) -> &'static str {
        if self.console.interactive { " (exit leaves)" } else { "" }
    }

    /// Makes the console read a line if one is needed.
    fn read_line(&mut self) -> io::Result<()> {
        if self.reading.is_some() || self.held_answer.is_some() || matches!(self.leaving, Leaving::Exit(..)) {
            return Ok(());
        }
        self.reading = match self.link.prompt() {
            Some(prompt) => Some(Reading::Answer(prompt)),
            // The next line of a pipe is the answer to the next prompt, so only a person's is read.
            None if (self.down || self.busy_check.reported) && self.console.interactive => {
                Some(Reading::ExitOnly)
            }
            None => return Ok(()),
        };
        let request = match self.by_card {
            true => Request::Private { is_hidden: self.is_secret },
            false => Request::Line { asks_for_amount: self.asks_for_amount },
        };
        self.screen.prompt(self.console.shows_prompt(request))?;
        self.console.request_line(request);
        Ok(())
    }

    fn show_banner(&mut self) -> io::Result<()> {
        if self.console.banner.is_empty() { Ok(()) } else { self.screen.message(&self.console.banner) }
    }

    /// Stores that the last messages were shown. The exit code of an operation is its outcome, where that fails too.
    fn store_memory(&mut self, exit: Exit) -> Exit {
        let stored = if self.keeps_pending { Ok(()) } else { self.link.store_memory() };
        let Err(error) = stored else { return exit };
        // The output is at the start of a line.
        let _ = self.report(&error.to_string());
        if exit == Exit::Done && self.pipe.one_shot.is_none() { Exit::Error } else { exit }
    }

    /// Reports why the output cannot be written, unless its reader has closed it.
    fn not_written(&mut self, error: &io::Error) -> Exit {
        if error.kind() != io::ErrorKind::BrokenPipe {
            // There is no other place to report an error of standard error.
            let _ = writeln!(self.err, "the output cannot be written: {error}");
        }
        Exit::Error
    }

    /// Shows a message about the link or the input.
    fn report(&mut self, text: &str) -> io::Result<()> {
        self.screen.start_line()?;
        // The session goes on if the error output is closed.
        let _ = match self.console.colours {
            true => writeln!(self.err, "{}", Colour::Yellow.paint(text)),
            false => writeln!(self.err, "{text}"),
        }
        .and_then(|()| self.err.flush());
        self.restore_prompt()
    }

    /// Shows the prompt again after a message has come between it and the line that is being read.
    fn restore_prompt(&mut self) -> io::Result<()> {
        if self.reading.is_some() { self.screen.prompt(false) } else { Ok(()) }
    }

    /// Cancels the reading of a line that can have no effect any more.
    fn cancel_reading(&mut self) -> io::Result<()> {
        if self.reading.take().is_some() && self.console.cancel() {
            self.screen.line_entered();
        }
        self.screen.start_line()
    }
}

#[cfg(test)]
mod tests;
