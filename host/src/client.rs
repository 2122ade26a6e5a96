//! A terminal over TCP or a serial line, for a person or a pipe.
//!
//! * [`Link`] drives the core's [`Terminal`](atm_core::terminal::Terminal) over a line, for any caller;
//! * [`Console`] is where the answers come from: a line editor, or plain lines;
//! * [`run_repl`] carries the conversation between the two;
//! * [`StateFile`] keeps a named terminal's memory in a file;
//! * [`run`] is all of it, as `atm client` needs it.
use atm_core::{terminal::Profile, wire::Wire};
use std::{
    io::{self, Write},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

mod console;
mod editor;
mod event;
mod link;
mod reconnect;
mod repl;
mod screen;
mod state_file;
mod transcript;
mod transport;

pub use console::{Console, ConsoleInput};
pub use event::{Direction, LinkEvent, ReceivedMessage};
pub use link::Link;
pub use repl::run_repl;
pub use screen::Escaped;
pub use state_file::{MemoryStore, StateFile};
pub use transport::{OpenError, Wake};

/// Where the host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A server's address, `host:port`.
    Tcp(String),
    /// A serial port (or a pseudo-terminal).
    Serial {
        /// Its path.
        path: String,
        /// Its speed in bits a second.
        baud: u32,
    },
}

/// What a client is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the host is.
    pub target: Target,
    /// How messages cross the line.
    pub wire: Wire,
    /// Who says hello. Without one, a TCP client waits to be greeted, and a serial one says hello without a name.
    pub profile: Option<Profile>,
    /// Does a named terminal open a connection again that was lost? (Without a name it would be somebody else's
    /// session, and a serial line is always there.)
    pub reconnect: bool,
}

impl Options {
    /// The defaults for a target: no name, the wire that is usual there, and connections that are opened again.
    pub fn new(target: Target) -> Self {
        let wire = match target {
            Target::Tcp(_) => Wire::Json,
            Target::Serial { .. } => Wire::Postcard,
        };
        Self { target, wire, profile: None, reconnect: true }
    }

    /// Does the host know who says hello, so that an answer can be repeated and asked for on another line?
    fn is_named(&self) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.name.is_some()) && self.wire.is_numbered()
    }
}

/// A start of a terminal that counts no starts: the time, which is later at the next one.
pub fn start_from_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

/// The address that a server listens on if it is not told another.
const DEFAULT_ADDRESS: &str = "127.0.0.1:65432";

/// Lets a person, or a pipe, talk to the host that `options` name, on this process's own standard streams. What the
/// terminal must not forget is kept in `state`, whose profile `options` have.
///
/// A thread may be left behind that waits for standard input: it ends with the process.
pub fn run(options: &Options, state: Option<StateFile>) -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let done = Link::open(options).map_err(io::Error::other).and_then(|mut link| {
        if let Some(state) = state {
            link.store_memory_in(state);
        }
        let mut console = Console::at_standard_input(link.wake())?;
        Ok(run_repl(&mut link, &mut console, &mut out, &mut err))
    });
    done.unwrap_or_else(|error| {
        // Nobody is left to be told where this fails.
        let _ = writeln!(err, "{error}");
        ExitCode::FAILURE
    })
}
