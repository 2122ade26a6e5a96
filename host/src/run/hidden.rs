//! Hidden input and output: a number or a PIN is typed at a terminal that does not show it, read from a file descriptor, or printed
//! once, by buffers that are wiped.
//!
//! The process must make no core dump then: [`Secrets::read`](atm_host::access::Secrets::read) comes first.
use anyhow::{Context, Result, ensure};
use std::{
    fs::File,
    io::{self, Read, Write},
};
use zeroize::Zeroizing;

/// The longest line, in bytes: more than a number of 19 digits with blanks. It never grows, so no copy of it is left.
const MAX_LINE: usize = 64;

fn buffer() -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(MAX_LINE))
}

/// Reads a line of at most [`MAX_LINE`] bytes from a file descriptor, byte by byte: what follows it is left for others.
pub(super) fn read_descriptor(descriptor: u32) -> Result<Zeroizing<String>> {
    read_line(&mut open(descriptor)?, descriptor)
}

/// Reads two lines in the same way, a card's number and its PIN; returns them, each with a newline.
pub(super) fn read_card(descriptor: u32) -> Result<Zeroizing<String>> {
    atm_host::access::refuse_core_dumps().context("core dumps cannot be refused")?;
    let mut file = open(descriptor)?;
    // It never grows.
    let mut lines = Zeroizing::new(String::with_capacity(2 * (MAX_LINE + 1)));
    for _ in 0..2 {
        lines.push_str(&read_line(&mut file, descriptor)?);
        lines.push('\n');
    }
    Ok(lines)
}

fn read_line(file: &mut File, descriptor: u32) -> Result<Zeroizing<String>> {
    let name = || format!("file descriptor {descriptor}");
    let (mut line, mut byte) = (buffer(), Zeroizing::new([0]));
    loop {
        let is_end = file.read(byte.as_mut_slice()).with_context(name)? == 0;
        let [read] = *byte;
        if is_end || read == b'\n' {
            ensure!(!is_end || !line.is_empty(), "{}: there is no line", name());
            if line.ends_with('\r') {
                line.pop();
            }
            return Ok(line);
        }
        ensure!(line.len() < MAX_LINE, "{}: the line is too long", name());
        line.push(typed(read));
    }
}

/// A file of its own for a descriptor. Standard input may be another user's pipe, as after sudo(8), which cannot be opened anew.
fn open(descriptor: u32) -> Result<File> {
    let name = || format!("file descriptor {descriptor}");
    #[cfg(unix)]
    if descriptor == 0 {
        let own = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned();
        return own.map(File::from).with_context(name);
    }
    File::open(format!("/dev/fd/{descriptor}")).with_context(name)
}

/// A byte as a character of one byte: what is not ASCII is no digit.
fn typed(byte: u8) -> char {
    if byte.is_ascii() { char::from(byte) } else { '?' }
}

/// Prints a text that is shown once, without a buffer that keeps it.
pub(super) fn print(text: &str) -> io::Result<()> {
    #[cfg(unix)]
    let mut out = File::from(std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?);
    #[cfg(not(unix))]
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Shows a text on standard error. Where that cannot be written, only the text is missing.
pub(super) fn show(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The terminal that is standard input. Its mode is restored after each line, and when a signal ends the process.
#[cfg(unix)]
pub(super) struct Terminal {
    before: rustix::termios::Termios,
}

#[cfg(unix)]
impl Terminal {
    /// Standard input is a terminal, and signals are caught.
    pub(super) fn open() -> Result<Self> {
        use std::io::{IsTerminal, stdin};
        ensure!(stdin().is_terminal(), "standard input is no terminal");
        let before = rustix::termios::tcgetattr(stdin()).context("the terminal's mode")?;
        let terminal = Self { before: before.clone() };
        let mut signals = signal_hook::iterator::Signals::new(atm_host::signals::ending())?;
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            if signals.forever().next().is_some() {
                Self { before }.end();
            }
        })?;
        Ok(terminal)
    }

    /// Asks with a prompt on standard error; returns what is typed up to Enter. Ctrl-C and Ctrl-D end the process.
    pub(super) fn ask(&self, prompt: &str) -> Result<Zeroizing<String>> {
        use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcsetattr};
        let mut hidden = self.before.clone();
        hidden
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed before the prompt is dropped.
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).context("the terminal's mode")?;
        show(prompt);
        match read_keys() {
            Ok(Some(line)) => {
                self.restore();
                Ok(line)
            }
            Ok(None) => self.end(),
            Err(error) => {
                self.restore();
                Err(error)
            }
        }
    }

    fn restore(&self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // Where it fails, the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        show("\n");
    }

    fn end(&self) -> ! {
        self.restore();
        std::process::exit(atm_host::exit::Exit::Interrupted as i32)
    }
}

/// Reads keys up to Enter; `None` after Ctrl-C or Ctrl-D, or where the terminal is gone.
#[cfg(unix)]
fn read_keys() -> Result<Option<Zeroizing<String>>> {
    use rustix::{
        event::{PollFd, PollFlags, poll},
        io::{Errno, read},
    };
    let stdin = io::stdin();
    let (mut line, mut byte) = (buffer(), Zeroizing::new([0]));
    loop {
        // Not by the standard library, which keeps a buffer of what it has read.
        match read(&stdin, byte.as_mut_slice()) {
            Ok(1) => {}
            Ok(_) => return Ok(None),
            Err(Errno::INTR) => continue,
            // Another program has made the terminal non-blocking.
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None) {
                Ok(_) | Err(Errno::INTR) => continue,
                Err(error) => return Err(error).context("the terminal cannot be read"),
            },
            Err(error) => return Err(error).context("the terminal cannot be read"),
        }
        match *byte {
            [b'\r' | b'\n'] => return Ok(Some(line)),
            // Ctrl-C, Ctrl-D, Ctrl-Z and Ctrl-\.
            [0x03 | 0x04 | 0x1A | 0x1C] => return Ok(None),
            // Backspace, as terminals send it.
            [0x08 | 0x7F] => drop(line.pop()),
            // Ctrl-U.
            [0x15] => line.clear(),
            [key] => {
                ensure!(line.len() < MAX_LINE, "the line is too long");
                line.push(typed(key));
            }
        }
    }
}

/// Elsewhere no terminal is known to hide what is typed.
#[cfg(not(unix))]
pub(super) struct Terminal {}

#[cfg(not(unix))]
impl Terminal {
    pub(super) fn open() -> Result<Self> {
        anyhow::bail!("hidden input at a terminal is for unix")
    }

    pub(super) fn ask(&self, _: &str) -> Result<Zeroizing<String>> {
        anyhow::bail!("hidden input at a terminal is for unix")
    }
}
