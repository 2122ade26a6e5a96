//! Console: reads the answers, from a line editor or from plain lines.
//!
//! Reading blocks, so it runs on a thread of its own, and the REPL notices at once when the host closes the connection.
//! The thread reads one line per request: lines that are typed ahead stay in the terminal's or the pipe's buffer.
use super::{
    editor, history,
    plain_lines::{read_line, standard_input, wait_for_input},
    private_line::PrivateLines,
    screen::{Colour, PROMPT},
    signals::Signals,
    transport::Wake,
};
use std::{
    env, fmt,
    io::{self, BufRead, Cursor, ErrorKind, IsTerminal},
    mem,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};
use zeroize::Zeroizing;

/// Values of `TERM` for terminals that cannot move their cursor, so that a line editor does not work there.
const DUMB_TERMINALS: [&str; 3] = ["dumb", "cons25", "emacs"];

/// How long a reader that was cancelled may take to restore the terminal's mode.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// A line. It may be a PIN: `Debug` does not show it, and it is wiped when it is released.
#[derive(Clone, PartialEq, Eq)]
pub struct Line(Zeroizing<String>);

impl Line {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// What a line is requested for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// An answer that may be kept.
    Line {
        /// The prompt asks for an amount.
        asks_for_amount: bool,
    },
    /// An answer in a session by card, of which nothing is kept.
    Private {
        /// Nor is it shown where it is typed.
        is_hidden: bool,
    },
}

/// The result of reading a line.
#[derive(Debug)]
pub enum ConsoleInput {
    /// A line, without its end.
    Line(Line),
    /// A line of more than 4,096 bytes, far too long for an answer; it was skipped.
    TooLong,
    /// A line that is not UTF-8.
    NotText,
    /// The end of the input, or Ctrl-D in the line editor.
    End,
    /// Ctrl-C in the line editor.
    Interrupted,
    /// Reading failed.
    Failed(io::Error),
}

/// A source of answers.
pub struct Console {
    /// The line to be added to the history before the next one is read, and what that is for.
    requests: Sender<(Option<String>, Request)>,
    remembered: Option<String>,
    lines: Receiver<ConsoleInput>,
    /// Set where a person types at a terminal, and whether the last line that was requested is one of these.
    private_lines: Option<PrivateLines>,
    is_private: bool,
    signals: Option<Signals>,
    /// Does a line editor read, which shows the prompt and changes the terminal's mode?
    pub(super) has_editor: bool,
    /// Does the terminal echo each line with its newline? Then a prompt is shown: none goes into a pipe or a file.
    pub(super) echoes: bool,
    /// Is the output a terminal that colours text, and does the person want that (no-color.org)?
    pub(super) colours: bool,
    /// Is a person there, who can decide to stop waiting?
    pub(super) interactive: bool,
    /// What is shown to each person before a session.
    pub(super) banner: String,
}

impl Console {
    /// Reads standard input: with a line editor if standard input and output are a terminal, as plain lines otherwise. The
    /// editor has a history in a file if `keeps_history`.
    ///
    /// # Errors
    /// The system's error if the threads or the signal handlers cannot be set up.
    pub fn open(wake: Wake, keeps_history: bool) -> io::Result<Self> {
        let interactive = io::stdin().is_terminal();
        let screen = io::stdout().is_terminal();
        let dumb = env::var_os("TERM")
            .is_some_and(|term| DUMB_TERMINALS.iter().any(|dumb| term.eq_ignore_ascii_case(dumb)));
        if interactive && screen && !dumb {
            return Self::with_editor(wake, keeps_history);
        }
        let signals = Some(Signals::for_lines(wake.clone())?);
        let mut source = standard_input()?;
        let mut read = move || read_line(&mut source, wait_for_input);
        if !interactive {
            return Ok(Self { signals, ..Self::new(wake, read)? });
        }
        let prompt = if screen { PROMPT.to_owned() } else { String::new() };
        let console = Self::at_terminal(wake, prompt, move |_, _| read())?;
        Ok(Self { signals, echoes: screen, interactive, ..console })
    }

    /// Reads lines with `read`, which is given a line for the history and whether the prompt asks for an amount, and those of a session by
    /// card apart.
    fn at_terminal(
        wake: Wake,
        prompt: String,
        mut read: impl FnMut(Option<String>, bool) -> ConsoleInput + Send + 'static,
    ) -> io::Result<Self> {
        let (private_lines, reader) = PrivateLines::open(prompt)?;
        let console = Self::with_requests(wake, move |remembered, request| match request {
            Request::Line { asks_for_amount } => read(remembered, asks_for_amount),
            Request::Private { is_hidden } => reader.read(is_hidden),
        })?;
        Ok(Self { private_lines: Some(private_lines), ..console })
    }

    /// Has these lines, and does not read standard input.
    ///
    /// # Errors
    /// The system's error if the threads or the signal handlers cannot be set up.
    pub(super) fn of_lines(lines: Zeroizing<String>, wake: Wake) -> io::Result<Self> {
        let signals = Some(Signals::for_lines(wake.clone())?);
        Ok(Self { signals, ..Self::reading(Cursor::new(lines), wake)? })
    }

    /// Reads plain lines from `source`, without a person. The thread ends with the source, or after the line that it waits
    /// for.
    ///
    /// # Errors
    /// The system's error if the thread cannot be started.
    pub fn reading(mut source: impl BufRead + Send + 'static, wake: Wake) -> io::Result<Self> {
        Self::new(wake, move || read_line(&mut source, || Err(ErrorKind::WouldBlock.into())))
    }

    fn with_editor(wake: Wake, keeps_history: bool) -> io::Result<Self> {
        // Before the editor installs its own signal handlers: it restores these after each line.
        let signals = Some(Signals::for_editor(wake.clone())?);
        let colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let history = keeps_history.then(history::path).flatten();
        let prompt = if colours { Colour::Bold.paint(PROMPT) } else { PROMPT.to_owned() };
        let console = Self::at_terminal(wake, prompt, editor::line_reader(history, colours))?;
        Ok(Self { signals, has_editor: true, colours, echoes: true, interactive: true, ..console })
    }

    fn new(wake: Wake, mut read: impl FnMut() -> ConsoleInput + Send + 'static) -> io::Result<Self> {
        Self::with_requests(wake, move |_, _| read())
    }

    fn with_requests(
        wake: Wake,
        mut read: impl FnMut(Option<String>, Request) -> ConsoleInput + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, requested) = channel();
        let (send, lines) = channel();
        thread::Builder::new().name("console".into()).spawn(move || {
            let mut is_first = true;
            for (remembered, request) in requested {
                let line = read(remembered, request);
                let line = if mem::take(&mut is_first) { without_mark(line) } else { line };
                let sent = send.send(line);
                wake.wake();
                if sent.is_err() {
                    break;
                }
            }
        })?;
        Ok(Self {
            requests,
            remembered: None,
            lines,
            private_lines: None,
            is_private: false,
            signals: None,
            has_editor: false,
            echoes: false,
            colours: false,
            interactive: false,
            banner: String::new(),
        })
    }

    /// Requests a line; [`take_line`](Self::take_line) returns it later.
    pub(super) fn request_line(&mut self, request: Request) {
        self.is_private = matches!(request, Request::Private { .. });
        if let Some(private_lines) = self.private_lines.as_mut().filter(|_| self.is_private) {
            private_lines.on_request();
        }
        // It fails only when the thread has ended, after it sent the reason.
        let _ = self.requests.send((self.remembered.take(), request));
    }

    /// Does the reader of this line show its prompt, and change the terminal's mode?
    pub(super) fn shows_prompt(&self, request: Request) -> bool {
        self.has_editor || (self.private_lines.is_some() && matches!(request, Request::Private { .. }))
    }

    /// Adds a line to the history, once the next one is requested.
    pub(super) fn remember(&mut self, line: &str) {
        self.remembered = Some(line.to_owned());
    }

    /// The requested line, once it was read.
    pub(super) fn take_line(&self) -> Option<ConsoleInput> {
        self.lines.try_recv().ok()
    }

    /// Cancels a request; true if its reader has ended the line and restored the terminal's mode. (Plain lines do not change it.)
    pub(super) fn cancel(&mut self) -> bool {
        match &mut self.private_lines {
            Some(private_lines) if self.is_private => {
                private_lines.cancel();
                let _ = self.lines.recv_timeout(CANCEL_TIMEOUT);
            }
            _ if self.has_editor => editor::cancel(&self.lines),
            _ => return false,
        }
        true
    }

    /// Has a signal asked the program to end?
    pub(super) fn is_stopped(&self) -> bool {
        self.signals.as_ref().is_some_and(Signals::is_stopped)
    }
}

/// A first line without the byte order mark (U+FEFF) that some programs write before UTF-8 text.
fn without_mark(line: ConsoleInput) -> ConsoleInput {
    match line {
        ConsoleInput::Line(line) => {
            ConsoleInput::Line(line.as_str().trim_start_matches('\u{feff}').to_owned().into())
        }
        other => other,
    }
}
