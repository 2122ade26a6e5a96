//! Terminal of a microcontroller: the core's terminal endpoint with a person's console on one port, the link
//! to the host on another, and a memory that survives a loss of power.
//!
//! It is the counterpart of the core's `Kiosk`: [`ConsoleTerminal::turn`] does what can be done without
//! waiting, and the board's loop sleeps in between. It has no reconnection: a serial link is always there.
//! The desktop's `atm client` does the same with a console, files and connections that are opened again.
#[cfg(cards)]
use atm_core::message::Notice;
#[cfg(feature = "seal")]
use atm_core::seal::KeyStore;
use atm_core::{
    store::{Store, StoreError},
    terminal::{Config, Event, Memory, Profile, Terminal},
    time::Instant,
};
use core::fmt::{self, Write as _};
use embedded_io::{Read, ReadReady, Write, WriteReady};
use embedded_storage::Storage;
use heapless::String;
use serde::{Deserialize, Serialize};

/// Bytes read from the link at once: twice a UART's FIFO.
const CHUNK: usize = 32;

/// Clears the console's screen and its scrollback (ECMA-48, ED 2 and CUP; ED 3 is xterm's).
#[cfg(cards)]
const BLANK: &[u8] = b"\x1b[2J\x1b[3J\x1b[H";

/// Version of the stored entry's format.
const FORMAT: u8 = 2;

/// What is stored: it must survive a loss of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PersistentState {
    /// Starts of this terminal, the one at hand included; sent in the hello.
    starts: u32,
    memory: Memory,
}

/// Why a [`turn`](ConsoleTerminal::turn) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleTerminalError {
    /// The link failed.
    Link,
    /// The console failed.
    Console,
    /// The memory failed. Nothing was sent: a terminal stores that an answer has no reply yet before it
    /// sends the answer.
    Memory,
}

/// A terminal endpoint with its console input and its memory, for frames of at most `IN` bytes and output of
/// at most `OUT`.
pub struct ConsoleTerminal<S, const IN: usize, const OUT: usize> {
    terminal: Terminal<IN, OUT>,
    store: Store<S>,
    /// Number of the entry: how often it was written.
    writes: u64,
    state: PersistentState,
    /// Where the key of the next start is to be stored.
    #[cfg(feature = "seal")]
    keys: Option<KeyStore<S>>,
    /// The line of text being typed.
    typed: String<64>,
    /// What is typed at the last reply's prompt is hidden.
    #[cfg(cards)]
    is_secret: bool,
    /// The link was faulty since the last message: no further fault is shown.
    is_faulty: bool,
    /// Bytes read from the link; those from `from` to `to` are not fed to the endpoint yet.
    chunk: [u8; CHUNK],
    from: usize,
    to: usize,
}

impl<S: Storage, const IN: usize, const OUT: usize> ConsoleTerminal<S, IN, OUT> {
    /// Starts a terminal: loads its memory from `medium`, counts the start and stores it. The start and the
    /// memory in the configuration's profile are replaced by the stored ones.
    ///
    /// # Errors
    /// The store's. Without its memory a terminal must not run: it would forget an unanswered request.
    pub fn new(mut config: Config, medium: S, now: Instant) -> Result<Self, StoreError<S::Error>> {
        let mut store = Store::new(medium, FORMAT)?;
        let (writes, mut state) = match store.read::<PersistentState>(0)? {
            Some(stored) => stored,
            None if store.is_new()? => Default::default(),
            None => return Err(StoreError::Damaged),
        };
        state.starts = state.starts.saturating_add(1);
        let writes = writes.saturating_add(1);
        store.write(0, writes, &state)?;
        store.mark_initialized()?;
        if let Some(Profile { start, memory, .. }) = &mut config.profile {
            (*start, *memory) = (state.starts.into(), state.memory);
        }
        let terminal = Terminal::new(config, now);
        Ok(Self {
            terminal,
            store,
            writes,
            state,
            #[cfg(feature = "seal")]
            keys: None,
            typed: String::new(),
            #[cfg(cards)]
            is_secret: false,
            is_faulty: false,
            chunk: [0; CHUNK],
            from: 0,
            to: 0,
        })
    }

    /// Sets where the key of the profile was loaded from. Once a hello of this life was welcomed, the key of the next step is
    /// stored there for the next start, in place of this one: what is typed from then on is not under a key that the
    /// terminal has without power.
    #[cfg(feature = "seal")]
    pub fn step_key_in(&mut self, keys: KeyStore<S>) {
        self.keys = Some(keys);
    }

    /// How often it has stored its memory: each time writes two pages.
    pub fn stored(&self) -> u64 {
        self.writes
    }

    /// When to call [`turn`](Self::turn) at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.terminal.deadline()
    }

    /// Does what can be done without waiting; false if there was nothing to do, and the caller may sleep
    /// until a port has input or the deadline has come.
    ///
    /// # Errors
    /// Which of its parts failed. It may be called again.
    pub fn turn<L, C>(
        &mut self,
        link: &mut L,
        console: &mut C,
        now: Instant,
    ) -> Result<bool, ConsoleTerminalError>
    where
        L: Read + Write + ReadReady + WriteReady,
        C: Read + Write + ReadReady,
    {
        if self.terminal.deadline().is_some_and(|deadline| deadline <= now) {
            self.terminal.tick(now);
        }
        let received = self.receive(link, now).map_err(|_| ConsoleTerminalError::Link)?;
        let shown = self.show(console, now).map_err(|_| ConsoleTerminalError::Console)?;
        let typed = self.read_key(console, now).map_err(|_| ConsoleTerminalError::Console)?;
        #[cfg(feature = "seal")]
        self.step_key().map_err(|_| ConsoleTerminalError::Memory)?;
        self.save_memory().map_err(|_| ConsoleTerminalError::Memory)?;
        let sent = self.send(link).map_err(|_| ConsoleTerminalError::Link)?;
        Ok(received || shown || typed || sent)
    }

    /// Feeds the endpoint with bytes from the link.
    fn receive<L: Read + ReadReady>(&mut self, link: &mut L, now: Instant) -> Result<bool, L::Error> {
        if self.from == self.to && link.read_ready()? {
            (self.from, self.to) = (0, link.read(&mut self.chunk)?);
        }
        let taken = self.terminal.feed(self.chunk.get(self.from..self.to).unwrap_or(&[]), now);
        self.from = self.from.saturating_add(taken).min(self.to);
        Ok(taken > 0)
    }

    /// Writes the endpoint's next event to the console.
    fn show<C: Write>(&mut self, console: &mut C, now: Instant) -> Result<bool, C::Error> {
        let Some(event) = self.terminal.poll_event(now) else { return Ok(false) };
        #[cfg(cards)]
        if let Some((is_secret, is_idle)) = match &event {
            Event::Message(message) if message.prompt || message.ends => {
                Some((message.secret, message.notice == Some(Notice::Idle)))
            }
            Event::Idle => Some((false, true)),
            _ => None,
        } {
            // What was typed is for the prompt before.
            forget(&mut self.typed);
            self.is_secret = is_secret;
            if is_idle {
                write_bytes(console, BLANK)?;
            }
        }
        let was_faulty = core::mem::replace(&mut self.is_faulty, matches!(event, Event::Fault(_)));
        let mut writer = CrLfWriter { console, failed: None };
        // `fmt::Error` carries nothing: the writer keeps the console's error.
        let _ = match event {
            Event::Message(message) if message.prompt => write!(writer, "{}\n> ", message.text),
            Event::Message(message) if message.ends => {
                write!(writer, "{}\n\nPress Enter to begin.\n", message.text)
            }
            Event::Message(message) => writeln!(writer, "{}", message.text),
            // A host may send them without end.
            Event::Fault(_) if was_faulty => Ok(()),
            Event::Fault(fault) | Event::Broken(fault) => writeln!(writer, "{fault}"),
            Event::LinkDown => writer.write_str("\nNo connection. Please wait.\n"),
            Event::LinkUp => writer.write_str("\nConnected again.\n"),
            // Its prompt is closed; the next hello's reply is shown.
            Event::Idle => Ok(()),
            Event::LedgerSetBack { .. } => {
                // What is being typed is for a prompt that is not open any more.
                forget(&mut self.typed);
                writer.write_str(
                    "\nWarning: the ledger was set back. The last outcome is unknown: check the balance.\n",
                )
            }
        };
        writer.failed.map_or(Ok(true), Err)
    }

    /// Reads one key from the console and echoes it; Enter answers the open prompt, or begins a new session.
    fn read_key<C: Read + Write + ReadReady>(
        &mut self,
        console: &mut C,
        now: Instant,
    ) -> Result<bool, C::Error> {
        if !console.read_ready()? {
            return Ok(false);
        }
        let mut key = [0];
        console.read(&mut key)?;
        match key {
            [b'\r' | b'\n'] => {
                write_bytes(console, b"\r\n")?;
                if self.terminal.is_over() {
                    // The next person reads nothing of the session before.
                    #[cfg(cards)]
                    write_bytes(console, BLANK)?;
                    self.terminal.reconnect(now);
                } else if let Some(prompt) = self.terminal.prompt() {
                    // It fits: `typed` holds no more than an answer may have.
                    let _ = self.terminal.answer(prompt, &self.typed, now);
                }
                forget(&mut self.typed);
            }
            [0x08 | 0x7f] => {
                if self.typed.pop().is_some() {
                    write_bytes(console, b"\x08 \x08")?;
                }
            }
            [key @ b' '..=b'~'] if self.takes_text() && self.typed.push(key.into()).is_ok() => {
                write_bytes(console, &[self.echo(key)])?;
            }
            // Control characters and what does not fit are refused with the bell.
            _ => write_bytes(console, b"\x07")?,
        }
        Ok(true)
    }

    /// Whether text may be typed. With cards only at an open prompt: before that, it is not known whether it must be hidden.
    fn takes_text(&self) -> bool {
        !cfg!(cards) || self.terminal.prompt().is_some()
    }

    /// What a key shows.
    fn echo(&self, key: u8) -> u8 {
        #[cfg(cards)]
        if self.is_secret {
            return b'*';
        }
        key
    }

    /// Stores the endpoint's memory if it has changed and knows of an answer without a reply, or the stored one does.
    /// Called before anything is sent (write-ahead). What a welcome has changed is stored with the next answer: a host
    /// that asks for hellos wears no page.
    fn save_memory(&mut self) -> Result<(), StoreError<S::Error>> {
        let memory = self.terminal.memory();
        let before = self.state.memory;
        if memory == before || memory.pending.or(before.pending).is_none() {
            return Ok(());
        }
        let (writes, state) = (self.writes.saturating_add(1), PersistentState { memory, ..self.state });
        self.store.write(0, writes, &state)?;
        (self.writes, self.state) = (writes, state);
        Ok(())
    }

    /// Stores the key of the next step after the first welcome of this life, before anything is sent under this one.
    #[cfg(feature = "seal")]
    fn step_key(&mut self) -> Result<(), StoreError<S::Error>> {
        if !self.terminal.was_welcomed() {
            return Ok(());
        }
        let Some(keys) = &mut self.keys else { return Ok(()) };
        if let Some((terminal, key)) = keys.load()?
            && let Some(next) = key.next()
        {
            keys.save(&terminal, &next)?;
        }
        self.keys = None;
        Ok(())
    }

    /// Writes the endpoint's output to the link.
    fn send<L: Write + WriteReady>(&mut self, link: &mut L) -> Result<bool, L::Error> {
        if self.terminal.output().is_empty() || !link.write_ready()? {
            return Ok(false);
        }
        let count = link.write(self.terminal.output())?;
        self.terminal.consume(count);
        Ok(count > 0)
    }
}

/// Drops what was typed; with cards it may be a PIN, and is wiped.
fn forget(typed: &mut String<64>) {
    typed.clear();
    #[cfg(cards)]
    {
        while typed.push('\0').is_ok() {}
        core::hint::black_box(&*typed);
        typed.clear();
    }
}

/// Shows on the console that the terminal's memory cannot be read.
///
/// # Errors
/// The console's.
pub fn write_out_of_service<C: Write>(console: &mut C) -> Result<(), C::Error> {
    write_bytes(console, b"Out of service: the memory of this terminal cannot be read.\r\n")
}

/// Writes all bytes. (`embedded_io::Write::write_all` indexes a slice, which can panic, and the image must
/// link without panics.)
fn write_bytes<C: Write>(console: &mut C, bytes: &[u8]) -> Result<(), C::Error> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = console.write(rest)?;
        rest = rest.get(count..).unwrap_or(&[]);
    }
    Ok(())
}

/// Writes text to a console with every LF as CR LF, and keeps the console's error. Bytes that are not printable ASCII, which could
/// control the console or hide digits of an amount, are question marks: the ATM's texts are English.
struct CrLfWriter<'a, C: Write> {
    console: &'a mut C,
    failed: Option<C::Error>,
}

impl<C: Write> fmt::Write for CrLfWriter<'_, C> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let shown = match byte {
                b'\n' => b"\r\n".as_slice(),
                b' '..=b'~' => &[byte],
                _ => b"?",
            };
            if let Err(error) = write_bytes(self.console, shown) {
                self.failed = Some(error);
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also the characters that were taken back.
    #[test]
    #[cfg(cards)]
    #[allow(unsafe_code)]
    fn no_byte_of_what_was_typed_is_left() {
        let mut typed = String::new();
        typed.push_str("2580 and 64 bytes in all: a full buffer of what a person typed..").unwrap();
        typed.truncate(4);
        forget(&mut typed);
        assert!(typed.is_empty());
        // SAFETY: the buffer has 64 bytes, and all of them were written.
        let bytes = unsafe { core::slice::from_raw_parts(typed.as_ptr(), typed.capacity()) };
        assert_eq!(bytes, [0; 64]);
    }

    #[test]
    fn text_that_could_control_the_console_is_question_marks() {
        let mut screen = [0; 32];
        let mut rest = screen.as_mut_slice();
        let mut writer = CrLfWriter { console: &mut rest, failed: None };
        writer.write_str("$1\u{1b}[2J\n\u{e9}\r\u{202e}0~").unwrap();
        let free = rest.len();
        assert_eq!(&screen[..32 - free], b"$1?[2J\r\n??????0~");
    }
}
