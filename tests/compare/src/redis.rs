//! Redis: a server of its own, and the clients' protocol.
use super::{DataFolder, TIMEOUT, free_port};
use atm_bench::protocol::{ClientProtocol, Received, SessionError};
use atm_e2e::Program;
use std::{
    fmt::Debug,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// The function that does the same work as a ledger.
const FUNCTION: &str = include_str!("../redis/deposit.lua");

/// What a client asks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedisCommand {
    /// `INCRBY`: a counter.
    Incrby,
    /// A function: an idempotency key for each client, the balance, and an entry in a stream.
    Function,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Redis {
    pub(super) address: SocketAddr,
    pub(super) command: RedisCommand,
    _program: Program,
    _folder: tempfile::TempDir,
}

impl Redis {
    /// Starts it, in memory or with each write synced before its reply.
    ///
    /// # Errors
    /// There is no folder or no free port for it, or the function does not do what it must.
    pub(super) fn start(
        data_folder: &DataFolder,
        command: RedisCommand,
        durable: bool,
    ) -> Result<Self, String> {
        let folder = data_folder.temporary()?;
        let port = free_port().map_err(|error| error.to_string())?;
        let mut server = Command::new("redis-server");
        server.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--maxclients",
            "20000",
        ]);
        server.args(["--appendonly", if durable { "yes" } else { "no" }, "--appendfsync", "always", "--dir"]);
        server.arg(folder.path());
        let program = Program::start(server);
        program.wait_for("Ready to accept connections");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if command == RedisCommand::Function {
            load_function(address)?;
        }
        Ok(Self { address, command, _program: program, _folder: folder })
    }
}

/// Loads the function, and checks that an id has one effect.
fn load_function(address: SocketAddr) -> Result<(), String> {
    let failed = |error| format!("Redis: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    let mut replies = BufReader::new(stream.try_clone().map_err(failed)?).lines();
    let mut ask = |words: &[&str]| -> Result<String, String> {
        let mut request = Vec::new();
        write_words(&mut request, words.len(), words);
        stream.write_all(&request).map_err(failed)?;
        let line = replies.next().ok_or("Redis: the connection was closed")?.map_err(failed)?;
        // A bulk string is on a line of its own behind its length.
        if line.starts_with('$') { replies.next().unwrap_or(Ok(line)).map_err(failed) } else { Ok(line) }
    };
    let deposit = |id, amount| ["FCALL", "deposit", "3", "account", "terminal:check", "entries", id, amount];
    let steps: [(&[&str], &str); 7] = [
        (&["FUNCTION", "LOAD", FUNCTION], "atm"),
        (&deposit("7", "40"), ":40"),
        (&deposit("7", "40"), ":40"),
        (&deposit("7", "41"), "-CONFLICT"),
        (&deposit("6", "40"), "-UNKNOWN"),
        (&deposit("8", "2"), ":42"),
        (&["XLEN", "entries"], ":2"),
    ];
    for (words, expected) in steps {
        let reply = ask(words)?;
        if !reply.starts_with(expected) {
            return Err(format!("Redis: {} was answered with {reply}, not {expected}", words[0]));
        }
    }
    Ok(())
}

/// Appends the start of a command of `count` words in RESP, as every client library sends it.
fn write_words(out: &mut Vec<u8>, count: usize, words: &[&str]) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "*{count}\r\n");
    for word in words {
        let _ = write!(out, "${}\r\n{word}\r\n", word.len());
    }
}

/// Appends a number as the next word.
fn write_number(out: &mut Vec<u8>, number: u64) {
    let digits = number.checked_ilog10().unwrap_or(0) + 1;
    let _ = write!(out, "${digits}\r\n{number}\r\n");
}

/// A client. All increment the same account, as all of ours use the same one.
#[derive(Debug)]
pub(super) struct RedisProtocol {
    /// The words of every request.
    prefix: Vec<u8>,
    /// The id of the next request, where it has one: greater than in earlier runs, as a time is.
    id: Option<u64>,
    rng: fastrand::Rng,
    last: u64,
    kept: Vec<u8>,
}

impl RedisProtocol {
    /// The client with this number.
    pub(super) fn new(command: RedisCommand, client: u64) -> Self {
        let mut prefix = Vec::new();
        let mut id = None;
        match command {
            RedisCommand::Incrby => write_words(&mut prefix, 3, &["INCRBY", "account"]),
            RedisCommand::Function => {
                let terminal = format!("terminal:{client}");
                write_words(&mut prefix, 8, &["FCALL", "deposit", "3", "account", &terminal, "entries"]);
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                id = u64::try_from(now.as_micros()).ok();
            }
        }
        Self { prefix, id, rng: fastrand::Rng::with_seed(client), last: 0, kept: Vec::new() }
    }

    /// Checks the number in a reply, which must have grown.
    fn check_reply(&mut self, line: &[u8]) -> Result<Received, SessionError> {
        let number = str::from_utf8(line)
            .ok()
            .and_then(|line| line.strip_prefix(':'))
            .and_then(|line| line.parse().ok());
        match number {
            Some(number) if number > self.last => {
                self.last = number;
                Ok(Received::Reply { completes_operation: true })
            }
            _ => Err(SessionError(format!(
                "Redis replied {} after {}",
                String::from_utf8_lossy(line),
                self.last
            ))),
        }
    }
}

impl ClientProtocol for RedisProtocol {
    fn is_greeted(&self) -> bool {
        false
    }

    fn write_request(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.prefix);
        if let Some(id) = &mut self.id {
            write_number(out, *id);
            *id += 1;
        }
        write_number(out, self.rng.u64(1..=100));
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Received, SessionError> {
        if self.kept.is_empty()
            && let Some(line) = bytes.strip_suffix(b"\r\n")
        {
            return self.check_reply(line);
        }
        self.kept.extend_from_slice(bytes);
        match self.kept.strip_suffix(b"\r\n").map(<[u8]>::to_vec) {
            Some(line) => {
                self.kept.clear();
                self.check_reply(&line)
            }
            None => Ok(Received::Incomplete),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_must_grow() {
        let mut session = RedisProtocol::new(RedisCommand::Incrby, 1);
        assert_eq!(session.receive(b":5\r\n"), Ok(Received::Reply { completes_operation: true }));
        assert_eq!(session.receive(b":1"), Ok(Received::Incomplete));
        assert_eq!(session.receive(b"2\r\n"), Ok(Received::Reply { completes_operation: true }));
        assert!(session.receive(b":12\r\n").is_err());
        assert!(session.receive(b"-MISCONF\r\n").is_err());
    }

    #[test]
    fn requests_are_well_formed_and_each_id_is_used_once() {
        for (command, count, name) in
            [(RedisCommand::Incrby, 3, "INCRBY"), (RedisCommand::Function, 8, "FCALL")]
        {
            let mut session = RedisProtocol::new(command, 1);
            let (mut lengths, mut ids) = (std::collections::HashSet::new(), Vec::new());
            for _ in 0..1000 {
                let mut out = Vec::new();
                session.write_request(&mut out);
                let text = String::from_utf8(out).unwrap();
                let lines: Vec<&str> = text.split("\r\n").collect();
                assert_eq!((lines[0], lines.len()), (format!("*{count}").as_str(), 2 * count + 2), "{text}");
                let words: Vec<&str> = lines[1..2 * count + 1]
                    .chunks(2)
                    .map(|pair| {
                        assert_eq!(pair[0], format!("${}", pair[1].len()));
                        pair[1]
                    })
                    .collect();
                let amount = words[count - 1];
                assert!(words[0] == name && (1..=100).contains(&amount.parse::<u8>().unwrap()), "{text}");
                lengths.insert(amount.len());
                ids.push(words[count - 2].to_owned());
            }
            assert_eq!(lengths.len(), 3);
            assert!(command == RedisCommand::Incrby || ids.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
