//! Client: a terminal over TCP or a serial line, operated by a person or by the lines of a pipe.
//!
//! * [`Link`] drives the core's [`Terminal`](atm_core::terminal::Terminal) over a transport and reconnects; any program
//!   can use it;
//! * [`Console`] reads the answers: from a line editor, or plain lines;
//! * [`run_repl`] shows the host's messages and sends the answers;
//! * [`StateFile`] stores a named terminal's memory;
//! * [`run`] is all of these, for `atm client`.
#[cfg(feature = "cli")]
use crate::exit::Exit;
use crate::tls::ClientTls;
use atm_core::{ledger::Name, message::Capabilities, terminal::Profile, time::Duration, wire::Wire};
#[cfg(feature = "cli")]
use std::io::{self, Write};
use std::{
    num::NonZeroU32,
    time::{SystemTime, UNIX_EPOCH},
};

mod connect;
#[cfg(feature = "cli")]
mod console;
#[cfg(feature = "cli")]
mod editor;
mod escaped;
mod event;
#[cfg(feature = "cli")]
mod history;
mod hosts;
mod link;
mod memory_store;
#[cfg(feature = "cli")]
mod menu;
#[cfg(feature = "cli")]
mod one_shot;
#[cfg(feature = "cli")]
mod plain_lines;
#[cfg(feature = "cli")]
mod private_line;
mod reconnect;
#[cfg(feature = "cli")]
mod repl;
#[cfg(feature = "cli")]
mod screen;
#[cfg(feature = "cli")]
mod signals;
#[cfg(feature = "cli")]
mod state_file;
mod transcript;
mod transport;

#[cfg(feature = "cli")]
pub use console::{Console, ConsoleInput, Line};
pub use escaped::{Escaped, is_unseen};
pub use event::{Direction, LinkEvent, ReceivedMessage};
use hosts::Hosts;
pub use hosts::Move;
pub use link::Link;
pub use memory_store::MemoryStore;
#[cfg(feature = "cli")]
pub use one_shot::{OneShot, Operation, Sum};
#[cfg(feature = "cli")]
pub use repl::run_repl;
#[cfg(feature = "cli")]
pub use state_file::StateFile;
pub use transport::{OpenError, Wake};

/// Where the host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The addresses, `host:port`, of the servers of one ledger; at least one. A terminal with a name goes on to another one when its
    /// own is gone.
    Tcp(Vec<String>),
    /// A serial port (or a pseudo-terminal).
    Serial {
        /// Its path.
        path: String,
        /// Its speed in bits a second.
        baud: u32,
    },
}

/// How a client reaches its host, and as which terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the host is.
    pub target: Target,
    /// TLS for a server over TCP, with a certificate that names the terminal.
    pub tls: Option<ClientTls>,
    /// The wire to speak.
    pub wire: Wire,
    /// The terminal's name, start, memory and key for its hello. With a key the link is sealed: nothing in clear is sent or shown. Without a profile, a TCP client waits for the host's greeting,
    /// and a serial client says hello without a name.
    pub profile: Option<Profile>,
    /// Does a named terminal reconnect when its TCP connection is lost? (Without a name the new connection would be a new
    /// session. A serial port is opened again in any case.)
    pub reconnect: bool,
    /// How long a prompt may be open without an answer before the client ends the session; without it the host alone decides. In a session
    /// by card at most 30 s, in any case.
    pub idle_timeout: Option<Duration>,
    /// What the client can do, and says only to a host that asks for it: to hide what is typed at a secret prompt.
    pub offers: Capabilities,
    /// What is shown to each person before a session; empty for nothing.
    pub banner: String,
    /// How the lines of a pipe are sent.
    pub pipe: PipeOptions,
    /// Are the lines that a person types kept in a file?
    pub keeps_history: bool,
}

/// How the lines of a pipe, or an operation of the command line, are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeOptions {
    /// Do they go on after one that was refused or could not be sent?
    pub keep_going: bool,
    /// How long a reply or the greeting is waited for, whatever else the host sends.
    pub reply_timeout: Duration,
    /// The operation that is carried out in place of lines.
    #[cfg(feature = "cli")]
    pub one_shot: Option<OneShot>,
}

impl Default for PipeOptions {
    /// They stop, and a reply is waited for for two minutes: twice as long as an answer is retransmitted.
    fn default() -> Self {
        Self {
            keep_going: false,
            reply_timeout: Duration::from_secs(120),
            #[cfg(feature = "cli")]
            one_shot: None,
        }
    }
}

impl Options {
    /// The defaults for a target: no profile, `json` over TCP and `postcard` over serial, and reconnecting.
    pub fn new(target: Target) -> Self {
        let wire = match target {
            Target::Tcp(_) => Wire::Json,
            Target::Serial { .. } => Wire::Postcard,
        };
        Self {
            target,
            tls: None,
            wire,
            profile: None,
            reconnect: true,
            idle_timeout: None,
            offers: Capabilities::NONE,
            banner: String::new(),
            pipe: PipeOptions::default(),
            keeps_history: true,
        }
    }

    /// The name and the series of the terminal's key.
    fn sealed(&self) -> Option<(Name, NonZeroU32)> {
        let profile = self.profile.as_ref()?;
        Some((profile.name.clone()?, profile.key.as_ref()?.series()))
    }

    /// The options of a server for this client, each with a blank before it.
    fn serve(&self) -> String {
        let tls =
            if self.tls.is_some() { " --tls-cert FILE --tls-key FILE --tls-client-ca FILE" } else { "" };
        match self.wire {
            _ if self.sealed().is_some() => " --secrets FILE --data DIR".to_owned(),
            Wire::Json => tls.to_owned(),
            wire => format!(" --wire {wire}{tls}"),
        }
    }

    /// The name in the hello. Only with one can an answer be retransmitted on another connection.
    fn name(&self) -> Option<&Name> {
        self.profile.as_ref()?.name.as_ref().filter(|_| self.wire.is_numbered())
    }

    /// The target's addresses in the order in which they are tried, or its port.
    fn hosts(&self) -> Hosts {
        match &self.target {
            Target::Tcp(addresses) => Hosts::new(addresses, self.name()),
            Target::Serial { path, .. } => Hosts::new(std::slice::from_ref(path), None),
        }
    }

    /// Does the hello name the terminal?
    fn is_named(&self) -> bool {
        self.name().is_some()
    }
}

/// The start number of a terminal that stores none: milliseconds since 1970, which grow from one start to the next.
pub fn start_from_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

/// The address that `atm serve` listens on by default.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:65432";

/// Runs a client on this process's standard streams. The terminal's memory is stored in `state_file`, whose profile the
/// caller has put into `options`. `card` has two lines, the number and the PIN of the card of an operation of the command line; it is empty
/// without one.
///
/// Returns the exit code of the program. A thread that waits for standard input may be left behind: it ends with the process.
#[cfg(feature = "cli")]
pub fn run(options: &Options, state_file: Option<StateFile>, card: &str) -> Exit {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    // The console hides what is typed.
    let offers = options.offers.with(Capabilities::SECRET_PROMPTS);
    let exit =
        Link::open(&Options { offers, ..options.clone() }).map_err(io::Error::other).and_then(|mut link| {
            if let Some(state_file) = state_file {
                link.store_memory_in(state_file);
            }
            let mut console = match options.pipe.one_shot {
                Some(one_shot) => Console::of_lines(one_shot.lines(card), link.wake())?,
                None => Console::open(link.wake(), options.keeps_history)?,
            };
            console.banner.clone_from(&options.banner);
            Ok(run_repl(&mut link, &mut console, options.pipe, &mut out, &mut err))
        });
    exit.unwrap_or_else(|error| {
        // There is no other place to report an error of standard error.
        let _ = writeln!(err, "{error}");
        Exit::Error
    })
}
