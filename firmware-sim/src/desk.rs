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
struct Kept {
    starts: u32,
    memory: Memory,
}

/// Why the desk cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The line failed.
    Line,
    /// The console failed.
    Console,
    /// The memory failed: no answer may be sent that is not stored.
    Memory,
}

/// A terminal with its memory and its person.
pub struct Desk<S, const IN: usize, const OUT: usize> {
    terminal: Terminal<IN, OUT>,
    store: Store<S>,
    /// How often it was written.
    writes: u64,
    kept: Kept,
    /// What the person has typed of a line.
    typed: String<64>,
    /// What came in on the line and was not taken yet.
    chunk: [u8; CHUNK],
    from: usize,
    to: usize,
}

impl<S: Storage, const IN: usize, const OUT: usize> Desk<S, IN, OUT> {
    /// A terminal that has just started, with what it stored in its last life. The profile's start and memory are the
    /// store's.
    ///
    /// # Errors
    /// What is wrong with the store.
    pub fn new(mut config: Config, medium: S, now: Instant) -> Result<Self, StoreError<S::Error>> {
        let mut store = Store::new(medium, FORMAT)?;
        let (writes, mut kept) = match store.read::<Kept>(0)? {
            Some(known) => known,
            None if store.is_new()? => Default::default(),
            None => return Err(StoreError::Damaged),
        };
        kept.starts = kept.starts.saturating_add(1);
        let writes = writes.saturating_add(1);
        store.write(0, writes, &kept)?;
        store.mark_initialized()?;
        if let Some(Profile { start, memory, .. }) = &mut config.profile {
            (*start, *memory) = (kept.starts.into(), kept.memory);
        }
        let terminal = Terminal::new(config, now);
        Ok(Self { terminal, store, writes, kept, typed: String::new(), chunk: [0; CHUNK], from: 0, to: 0 })
    }

    /// When [`turn`](Self::turn) is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.terminal.deadline()
    }

    /// Does what can be done now; false where there was nothing to do.
    ///
    /// # Errors
    /// What the ports or the memory say against it.
    pub fn turn<L, C>(&mut self, line: &mut L, console: &mut C, now: Instant) -> Result<bool, Error>
    where
        L: Read + Write + ReadReady + WriteReady,
        C: Read + Write + ReadReady,
    {
        if self.terminal.deadline().is_some_and(|deadline| deadline <= now) {
            self.terminal.tick(now);
        }
        let heard = self.hear(line, now).map_err(|_| Error::Line)?;
        let said = self.say(console, now).map_err(|_| Error::Console)?;
        let typed = self.listen(console, now).map_err(|_| Error::Console)?;
        self.remember().map_err(|_| Error::Memory)?;
        let sent = self.send(line).map_err(|_| Error::Line)?;
        Ok(heard || said || typed || sent)
    }

    /// Takes in what came on the line.
    fn hear<L: Read + ReadReady>(&mut self, line: &mut L, now: Instant) -> Result<bool, L::Error> {
        if self.from == self.to && line.read_ready()? {
            (self.from, self.to) = (0, line.read(&mut self.chunk)?);
        }
        let taken = self.terminal.feed(self.chunk.get(self.from..self.to).unwrap_or(&[]), now);
        self.from = self.from.saturating_add(taken).min(self.to);
        Ok(taken > 0)
    }

    /// Shows what has happened.
    fn say<C: Write>(&mut self, console: &mut C, now: Instant) -> Result<bool, C::Error> {
        let Some(event) = self.terminal.poll_event(now) else { return Ok(false) };
        let mut paper = Paper { console, failed: None };
        // What the console says against it is kept by the paper.
        let _ = match event {
            Event::Said(said) if said.prompt => write!(paper, "{}\n> ", said.text),
            Event::Said(said) if said.ends => write!(paper, "{}\n\nPress Enter to begin.\n", said.text),
            Event::Said(said) => writeln!(paper, "{}", said.text),
            Event::Fault(fault) | Event::Broken(fault) => writeln!(paper, "{fault}"),
            Event::LineDown => paper.write_str("\nNo connection. Please wait.\n"),
            Event::LineUp => paper.write_str("\nConnected again.\n"),
        };
        paper.failed.map_or(Ok(true), Err)
    }

    /// Takes what the person types, and shows it.
    fn listen<C: Read + Write + ReadReady>(
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
                put(console, b"\r\n")?;
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
                    put(console, b"\x08 \x08")?;
                }
            }
            [key @ b' '..=b'~'] if self.typed.push(key.into()).is_ok() => put(console, &[key])?,
            // Nothing that an ATM asks has an answer with it; the bell says so.
            _ => put(console, b"\x07")?,
        }
        Ok(true)
    }

    /// Stores what must be stored before anything is sent.
    fn remember(&mut self) -> Result<(), StoreError<S::Error>> {
        let memory = self.terminal.memory();
        if memory == self.kept.memory {
            return Ok(());
        }
        let (writes, kept) = (self.writes.saturating_add(1), Kept { memory, ..self.kept });
        self.store.write(0, writes, &kept)?;
        (self.writes, self.kept) = (writes, kept);
        Ok(())
    }

    fn send<L: Write + WriteReady>(&mut self, line: &mut L) -> Result<bool, L::Error> {
        if self.terminal.output().is_empty() || !line.write_ready()? {
            return Ok(false);
        }
        let count = line.write(self.terminal.output())?;
        self.terminal.consume(count);
        Ok(count > 0)
    }
}

/// Says why there is no desk.
///
/// # Errors
/// What the console says against it.
pub fn say_out_of_order<C: Write>(console: &mut C) -> Result<(), C::Error> {
    put(console, b"Out of service: the memory of this terminal cannot be read.\r\n")
}

/// Writes all of it. (What embedded-io has for that slices, which is a panic to the linker.)
fn put<C: Write>(console: &mut C, bytes: &[u8]) -> Result<(), C::Error> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = console.write(rest)?;
        rest = rest.get(count..).unwrap_or(&[]);
    }
    Ok(())
}

/// Text for a console, which goes back to the left by a byte of its own.
struct Paper<'a, C: Write> {
    console: &'a mut C,
    failed: Option<C::Error>,
}

impl<C: Write> fmt::Write for Paper<'_, C> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            let done = match part.strip_suffix('\n') {
                Some(line) => put(self.console, line.as_bytes()).and_then(|()| put(self.console, b"\r\n")),
                None => put(self.console, part.as_bytes()),
            };
            if let Err(error) = done {
                self.failed = Some(error);
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}
