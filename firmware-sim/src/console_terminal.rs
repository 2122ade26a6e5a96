//! The terminal's side in a microcontroller: a person's console on one port, the line to the host on another, and a memory
//! that survives a loss of power.
//!
//! The desktop's client does the same with a terminal, files and reconnections; this one has a line that is always there,
//! and fits beside it.
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

/// What is read at once, in bytes.
const CHUNK: usize = 32;

/// The format of the store's entry.
const FORMAT: u8 = 2;

/// What a terminal must not forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PersistentState {
    starts: u32,
    memory: Memory,
}

/// Why the desk cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleTerminalError {
    /// The line failed.
    Link,
    /// The console failed.
    Console,
    /// The memory failed: no answer may be sent that is not stored.
    Memory,
}

/// A terminal with its memory and its person.
pub struct ConsoleTerminal<S, const IN: usize, const OUT: usize> {
    terminal: Terminal<IN, OUT>,
    store: Store<S>,
    /// How often it was written.
    writes: u64,
    state: PersistentState,
    /// What the person has typed of a line.
    typed: String<64>,
    /// What came in on the line and was not taken yet.
    chunk: [u8; CHUNK],
    from: usize,
    to: usize,
}

impl<S: Storage, const IN: usize, const OUT: usize> ConsoleTerminal<S, IN, OUT> {
    /// A terminal that has just started, with what it stored in its last life. The profile's start and memory are the
    /// store's.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub fn new(mut config: Config, medium: S, now: Instant) -> Result<Self, StoreError<S::Error>> {
        let mut store = Store::new(medium, FORMAT)?;
        let (writes, mut state) = match store.read::<PersistentState>(0)? {
            Some(known) => known,
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
        Ok(Self { terminal, store, writes, state, typed: String::new(), chunk: [0; CHUNK], from: 0, to: 0 })
    }

    /// When [`turn`](Self::turn) is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.terminal.deadline()
    }

    /// Does what can be done now; false where there was nothing to do.
    ///
    /// # Errors
    /// What the ports or the memory say against it.
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
        let heard = self.receive(link, now).map_err(|_| ConsoleTerminalError::Link)?;
        let said = self.show(console, now).map_err(|_| ConsoleTerminalError::Console)?;
        let typed = self.read_key(console, now).map_err(|_| ConsoleTerminalError::Console)?;
        self.save_memory().map_err(|_| ConsoleTerminalError::Memory)?;
        let sent = self.send(link).map_err(|_| ConsoleTerminalError::Link)?;
        Ok(heard || said || typed || sent)
    }

    /// Takes in what came on the line.
    fn receive<L: Read + ReadReady>(&mut self, link: &mut L, now: Instant) -> Result<bool, L::Error> {
        if self.from == self.to && link.read_ready()? {
            (self.from, self.to) = (0, link.read(&mut self.chunk)?);
        }
        let taken = self.terminal.feed(self.chunk.get(self.from..self.to).unwrap_or(&[]), now);
        self.from = self.from.saturating_add(taken).min(self.to);
        Ok(taken > 0)
    }

    /// Shows what has happened.
    fn show<C: Write>(&mut self, console: &mut C, now: Instant) -> Result<bool, C::Error> {
        let Some(event) = self.terminal.poll_event(now) else { return Ok(false) };
        let mut writer = CrLfWriter { console, failed: None };
        // What the console says against is kept by the writer.
        let _ = match event {
            Event::Said(said) if said.prompt => write!(writer, "{}\n> ", said.text),
            Event::Said(said) if said.ends => write!(writer, "{}\n\nPress Enter to begin.\n", said.text),
            Event::Said(said) => writeln!(writer, "{}", said.text),
            Event::Fault(fault) | Event::Broken(fault) => writeln!(writer, "{fault}"),
            Event::LineDown => writer.write_str("\nNo connection. Please wait.\n"),
            Event::LineUp => writer.write_str("\nConnected again.\n"),
        };
        writer.failed.map_or(Ok(true), Err)
    }

    /// Takes what the person types, and shows it.
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
                    self.terminal.reconnect(now);
                } else if let Some(prompt) = self.terminal.prompt() {
                    // It fits, because no more was taken.
                    let _ = self.terminal.answer(prompt, &self.typed, now);
                }
                self.typed.clear();
            }
            [0x08 | 0x7f] => {
                if self.typed.pop().is_some() {
                    write_bytes(console, b"\x08 \x08")?;
                }
            }
            [key @ b' '..=b'~'] if self.typed.push(key.into()).is_ok() => write_bytes(console, &[key])?,
            // Nothing that an ATM asks has an answer with it; the bell says so.
            _ => write_bytes(console, b"\x07")?,
        }
        Ok(true)
    }

    /// Stores what must be stored before anything is sent.
    fn save_memory(&mut self) -> Result<(), StoreError<S::Error>> {
        let memory = self.terminal.memory();
        if memory == self.state.memory {
            return Ok(());
        }
        let (writes, state) = (self.writes.saturating_add(1), PersistentState { memory, ..self.state });
        self.store.write(0, writes, &state)?;
        (self.writes, self.state) = (writes, state);
        Ok(())
    }

    fn send<L: Write + WriteReady>(&mut self, link: &mut L) -> Result<bool, L::Error> {
        if self.terminal.output().is_empty() || !link.write_ready()? {
            return Ok(false);
        }
        let count = link.write(self.terminal.output())?;
        self.terminal.consume(count);
        Ok(count > 0)
    }
}

/// Says why there is no desk.
///
/// # Errors
/// What the console says against it.
pub fn write_out_of_service<C: Write>(console: &mut C) -> Result<(), C::Error> {
    write_bytes(console, b"Out of service: the memory of this terminal cannot be read.\r\n")
}

/// Writes all of it. (What embedded-io has for that slices, which is a panic to the linker.)
fn write_bytes<C: Write>(console: &mut C, bytes: &[u8]) -> Result<(), C::Error> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = console.write(rest)?;
        rest = rest.get(count..).unwrap_or(&[]);
    }
    Ok(())
}

/// Text for a console, which goes back to the left by a byte of its own.
struct CrLfWriter<'a, C: Write> {
    console: &'a mut C,
    failed: Option<C::Error>,
}

impl<C: Write> fmt::Write for CrLfWriter<'_, C> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            let done = match part.strip_suffix('\n') {
                Some(line) => write_bytes(self.console, line.as_bytes())
                    .and_then(|()| write_bytes(self.console, b"\r\n")),
                None => write_bytes(self.console, part.as_bytes()),
            };
            if let Err(error) = done {
                self.failed = Some(error);
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}
