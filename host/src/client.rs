//! A terminal over TCP or a serial line, for a person or a pipe.
//!
//! * [`Link`] drives the core's [`Terminal`](atm_core::terminal::Terminal) over a line, for any caller;
//! * [`Person`] is where the answers come from: a line editor, or plain lines;
//! * [`talk()`] carries the conversation between the two;
//! * [`run`] is all of it, as `atm client` needs it.
use atm_core::{terminal::Profile, wire::Wire};
use std::{
    io::{self, Write},
    process::ExitCode,
};

mod editor;
mod happening;
mod line;
mod link;
mod person;
mod screen;
mod talk;

pub use happening::{Happening, Said, Way};
pub use line::{OpenError, Wake};
pub use link::Link;
pub use person::{Person, Typed};
pub use screen::Harmless;
pub use talk::talk;

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
}

impl Options {
    /// The defaults for a target: no name, and the wire that is usual there.
    pub fn new(target: Target) -> Self {
        let wire = match target {
            Target::Tcp(_) => Wire::Json,
            Target::Serial { .. } => Wire::Postcard,
        };
        Self { target, wire, profile: None }
    }
}

/// The address that a server listens on if it is not told another.
const DEFAULT_ADDRESS: &str = "127.0.0.1:65432";

/// Lets a person, or a pipe, talk to the host that `options` name, on this process's own standard streams.
///
/// A thread may be left behind that waits for standard input: it ends with the process.
pub fn run(options: &Options) -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let done = Link::open(options).map_err(io::Error::other).and_then(|mut link| {
        let mut person = Person::at_standard_input(link.wake())?;
        Ok(talk(&mut link, &mut person, &mut out, &mut err))
    });
    done.unwrap_or_else(|error| {
        // Nobody is left to be told where this fails.
        let _ = writeln!(err, "{error}");
        ExitCode::FAILURE
    })
}
