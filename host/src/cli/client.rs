//! Options of `atm client`.
use super::{addresses, card::account, tls::TerminalTls, wire};
use atm_core::{
    ledger::{AccountNumber, Name},
    wire::Wire,
};
use atm_host::client::Operation;
use clap::{ArgGroup, Args};
use std::path::PathBuf;

/// The end of `atm client --help`.
const CLIENT_HELP: &str = "\
With a name (--terminal), an answer without a reply is retransmitted for a minute and moves money once, and a lost \
connection is opened again for as long; both are reported. After that, or at the next start with the same --state, the \
terminal asks for the outcome of the answer: done, refused, not done or unknown. It is unknown where a server with a \
ledger in memory was restarted in between. Without a name the outcome cannot be asked for: check the balance. In clear any client \
that reaches the server may use a name, over TLS only the one whose certificate has it; the one with the later start (the time, unless --state has a greater one) takes \
it over, and the older one exits with code 1.

Of several addresses, HOST:PORT,HOST:PORT, those of the servers of one ledger, the first that accepts is used. With a name, which one is tried first follows \
from the name, and when a server is gone (refused, silent, without room, stopping) the terminal goes on to the next at once, and reports it; an answer without a reply \
is not sent there, but its outcome is asked for. Without a name the order is the list's, and the session ends with its connection.

With an operation the client prints its result alone, does not read standard input, and exits: \
atm client balance; atm client HOST:PORT deposit 40 --json. An object of --json has the outcome (done, refused, not-done, unknown), \
the operation, and where they are known the amount and the balance in cents, the id (idempotency key), the reason and the \
text; nothing is printed with exit codes 1 and 2. A start with --state first learns the outcome of a request of an earlier start \
that has no reply. Where that request has moved the same money, the \
command is taken as its repetition: the outcome is the result, with \"earlier\":true, and money does not move again. Where it is unknown, \
deposit and withdraw end with 4 and do nothing, until balance has reported it. Otherwise it is \
reported on standard error, and the operation follows, withdraw all too, unless nothing is left. So a command that ended with 4 or 130 can \
be repeated with the same --state. A printed outcome other than unknown is final, whatever the exit code.

With --card-fd N the card's number and PIN come from two lines of a file descriptor, never from arguments or the environment: \
atm client transfer 1001 12.34 --card-fd 3 3<card; deposit and transfer take cents. A transfer is confirmed by its payee's number, and a card with several \
accounts needs --account. Where the number, the PIN, the account or the payee is refused, the exit code is 3, and 1 where the server asks for something else.

Each line from a pipe answers one prompt. The client stops at the first line that was refused or cannot be sent, since the \
next one would answer the same prompt: it says which, and leaves as by exit. --keep-going goes on. It \
also stops where an operation was not done or its outcome is unknown, and where another session began after the link was \
lost. A refusal is known by the fields of a reply, or by its text as servers of version 1 write it.

At a terminal, the menu is shown whole once and then in brief: help, ? or an empty line shows it, and Tab completes a word. With \
NO_COLOR set nothing is coloured. balance, deposit and withdraw are also taken where an amount is asked for: the client answers back first.

Where access is by card, what is typed at a secret prompt shows as stars, nothing of the session is in the history, and what was typed before a \
prompt opened is dropped. A session ends after 30 seconds without an answer, or after --idle-timeout if that is shorter: the client \
blanks the screen, and the next person is at the card prompt.

The exit code of a pipe says how its lines ended, and with an operation its outcome:
  0    all were done (without a line: the request before this start, if the server reported its outcome)
  1    another error: no server, a lost connection or session without an answer out, a state file that cannot be used, \
output that cannot be written
  2    wrong usage
  3    a line or the operation was refused, or could not be sent
  4    an outcome is unknown: the link was lost with an answer out or no reply came in time, or the ledger was set back
  5    the server reported that an operation was not done
  130  interrupted, by Ctrl-C, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 or SIGUSR2
A person at a terminal sees every reply: exit, quit and Ctrl-D end with 0, or with 4 while an answer has no reply.";

#[derive(Debug, Args)]
#[command(after_long_help = CLIENT_HELP)]
#[command(group(ArgGroup::new("name").args(["terminal", "tls_cert", "key"]).multiple(true)))]
pub(crate) struct Client {
    /// The server's address, or those of the servers of one ledger, and an operation: balance, deposit AMOUNT, withdraw AMOUNT or withdraw
    /// all; with --card-fd also transfer PAYEE AMOUNT or statement. Each may be missing; an address is the word that has a colon. With an
    /// operation the client prints its result and exits
    #[arg(value_name = "HOST:PORT,... | OPERATION", num_args = 0..=4)]
    pub(crate) words: Vec<String>,
    /// Print the result of the operation as one JSON object, with amounts in cents
    #[arg(long, requires = "words")]
    pub(crate) json: bool,
    /// Carry out the operation with a card, where access is by card: read two lines from this file descriptor, the card's number and its PIN
    #[arg(long, value_name = "N", requires_all = ["words", "name"])]
    pub(crate) card_fd: Option<u32>,
    /// The card's account, if it has several
    #[arg(long, value_name = "NUMBER", requires = "card_fd", value_parser = account)]
    pub(crate) account: Option<AccountNumber>,
    /// The server's address, too [default: 127.0.0.1:65432]
    #[arg(long, help_heading = "Link", value_name = "HOST:PORT,...", conflicts_with = "serial", value_parser = addresses)]
    pub(crate) connect: Option<String>,
    /// A serial port (or a pseudo-terminal) instead of a server. A port whose device is gone is opened again for a minute
    #[arg(long, help_heading = "Link", value_name = "PATH")]
    pub(crate) serial: Option<String>,
    /// The serial port's speed in bits a second
    #[arg(long, help_heading = "Link", value_name = "N", default_value_t = 115_200, requires = "serial", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    pub(crate) baud: u32,
    /// Framing and encoding of messages; raw is for TCP only [default: json over TCP, postcard over a serial line]
    #[arg(long, help_heading = "Link", value_parser = wire())]
    pub(crate) wire: Option<Wire>,
    /// Exit when the connection is lost, as a terminal without a name always does
    #[arg(long, help_heading = "Link", conflicts_with = "serial")]
    pub(crate) no_reconnect: bool,
    #[command(flatten)]
    pub(crate) tls: TerminalTls,
    /// The terminal's name (1 to 32 of A-Z a-z 0-9 . _ -), under which the server keeps the outcome of its
    /// last request
    #[arg(long, help_heading = "Terminal", value_name = "NAME")]
    pub(crate) terminal: Option<Name>,
    /// Seal the link with the terminal's key (experimental: not yet reviewed from outside), over TCP or a serial line. The file is what
    /// atm terminal add has written, and only its owner may be able to use it; it is replaced at each start. It implies --wire postcard
    /// and the terminal's name, and nothing in clear is sent or shown
    #[arg(long, help_heading = "Terminal", value_name = "FILE", conflicts_with = "tls_ca")]
    pub(crate) key: Option<PathBuf>,
    /// Seconds that a prompt may be open without an answer before a terminal with a key ends the session
    #[arg(long, help_heading = "Terminal", value_name = "SECONDS", default_value_t = 300, requires = "key", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) idle_timeout: u32,
    /// Keep the terminal's memory in this file, created if missing: after Ctrl-C or a loss of power the next
    /// start shows the outcome of the last request [with --key, by default: the key file's name and .state]
    #[arg(long, help_heading = "Terminal", value_name = "FILE", requires = "name")]
    pub(crate) state: Option<PathBuf>,
    /// Keep no history of the lines that a person types. It is in atm/history in $XDG_STATE_HOME or ~/.local/state
    #[arg(long, help_heading = "A person at a terminal")]
    pub(crate) no_history: bool,
    /// Go on with the next line of a pipe after one that was refused or could not be sent; the exit code is still 3
    #[arg(long, help_heading = "Lines from a pipe")]
    pub(crate) keep_going: bool,
    /// Seconds that a pipe waits for the greeting or a reply, whatever else the server sends
    #[arg(long, help_heading = "Lines from a pipe", value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) reply_timeout: u32,
}

impl Client {
    /// The servers' addresses and the operation, if the command line has them.
    ///
    /// # Errors
    /// What is wrong with the words.
    pub(crate) fn target(&self) -> Result<(Option<Vec<String>>, Option<Operation>), String> {
        let (first, words) = match self.words.split_first() {
            Some((first, words)) if first.contains(':') => (Some(addresses(first)?), words),
            _ => (None, self.words.as_slice()),
        };
        if first.is_some() && (self.connect.is_some() || self.serial.is_some()) {
            return Err("an address in place of --connect or --serial, not both".to_owned());
        }
        let operation = match words {
            [] if self.json => return Err("--json is for the result of an operation".to_owned()),
            [] => None,
            words => Some(Operation::parse(words, self.card_fd.is_some())?),
        };
        let list = first.or_else(|| self.connect.clone());
        Ok((list.map(|list| list.split(',').map(str::to_owned).collect()), operation))
    }
}
