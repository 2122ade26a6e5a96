//! Runs the command that the command line names, and returns its exit code.
use crate::cli::{Arguments, Client, Command};
use anyhow::{Context, Result};
use atm_core::{terminal::Profile, time::Duration, wire::Wire};
use atm_host::{
    access::KeyFile,
    client::{self, DEFAULT_ADDRESS, OneShot, Options, PipeOptions, StateFile, Target},
    demo,
    exit::Exit,
    server::{Server, ServerConfig},
};
use clap::CommandFactory;
use std::{
    fs,
    io::{self, BufWriter, ErrorKind, Write},
    thread,
};

mod access;
mod account;
mod card;
mod completions;
mod file_limit;
mod hidden;
mod ledger;
mod log;
mod secrets;
mod serve;
mod signals;
mod systemd;

pub(crate) use log::finish;
pub(crate) use serve::exit_of_service;
pub(crate) use signals::make_file_limit_an_error;

pub(crate) fn run(arguments: Arguments) -> Result<Exit> {
    match arguments.command {
        None => run_server_and_client(),
        Some(Command::Serve(options)) if options.check_config => serve::check(&options),
        Some(Command::Serve(options)) => serve::run(&options),
        Some(Command::Client(options)) => run_client(*options),
        Some(Command::Ledger(command)) => ledger::run(&command),
        Some(Command::Terminal(command)) => access::terminal(&command),
        Some(Command::Access(command)) => access::access(&command),
        Some(Command::Account(command)) => account::run(&command),
        Some(Command::Card(command)) => card::run(&command),
        Some(Command::Secrets(command)) => secrets::run(&command),
        Some(Command::Demo { cards: true, .. }) => demo::run_with_cards(),
        Some(Command::Demo { wire, hex, .. }) => write_output(|out| demo::run(wire, hex, out)),
        Some(Command::Man { folder }) => {
            let written = fs::create_dir_all(&folder)
                .and_then(|()| clap_mangen::generate_to(Arguments::command(), &folder));
            written.with_context(|| folder.display().to_string())?;
            Ok(Exit::Done)
        }
        Some(Command::Completions { shell }) => {
            write_output(|out| Ok(out.write_all(completions::script(shell).as_bytes())?))
        }
    }
}

/// Writes to standard output. For a closed pipe no error is printed.
fn write_output(write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Exit> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    match written {
        Ok(()) => Ok(Exit::Done),
        Err(error) => match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(ErrorKind::BrokenPipe) => Ok(Exit::Error),
            // Errors of the ledger's files are not the system's own.
            Some(_) => Err(error.context("standard output cannot be written")),
            None => Err(error),
        },
    }
}

fn print(text: &str) -> Result<Exit> {
    write_output(|out| Ok(writeln!(out, "{text}")?))
}

fn run_client(arguments: Client) -> Result<Exit> {
    let (addresses, operation) = arguments.target().map_err(anyhow::Error::msg)?;
    let target = match arguments.serial {
        Some(path) => Target::Serial { path, baud: arguments.baud },
        None => Target::Tcp(addresses.unwrap_or_else(|| vec![DEFAULT_ADDRESS.to_owned()])),
    };
    let tls = arguments.tls.load().context("TLS cannot be used")?;
    let certified = tls.as_ref().map(|tls| tls.terminal().clone());
    if let (Some(certified), Some(name)) = (&certified, &arguments.terminal)
        && certified != name
    {
        anyhow::bail!("the certificate is that of the terminal {certified}, and not of {name}");
    }
    if let Some(path) = &arguments.key {
        let key_name = KeyFile::read(path)?.terminal;
        if let Some(name) = arguments.terminal.as_ref().filter(|name| **name != key_name) {
            anyhow::bail!("the key is that of the terminal {key_name}, and not of {name}");
        }
    }
    let terminal = arguments.terminal.or(certified);
    let state = match (&arguments.key, &arguments.state, &terminal) {
        (Some(key), path, _) => Some(StateFile::open_with_key(path.as_deref(), key)?),
        (None, Some(path), Some(name)) => Some(StateFile::open(path, name)?),
        (None, ..) => None,
    };
    let profile = match (&state, terminal) {
        (Some(state), _) => Some(state.profile()),
        (None, Some(name)) => {
            Some(Profile { name: Some(name), start: client::start_from_clock(), ..Profile::default() })
        }
        (None, None) => None,
    };
    let pending = profile.as_ref().and_then(|profile| profile.memory.pending);
    let (by_card, account) = (arguments.card_fd.is_some(), arguments.account);
    let json = arguments.json;
    let one_shot = operation.map(|operation| OneShot { operation, json, pending, by_card, account });
    let card = arguments.card_fd.map(hidden::read_card).transpose()?.unwrap_or_default();
    let is_sealed = arguments.key.is_some();
    let defaults = Options::new(target);
    let options = Options {
        tls,
        wire: arguments.wire.unwrap_or(if is_sealed { Wire::Postcard } else { defaults.wire }),
        profile,
        reconnect: !arguments.no_reconnect,
        idle_timeout: is_sealed.then(|| Duration::from_secs(arguments.idle_timeout)),
        keeps_history: !arguments.no_history,
        pipe: PipeOptions {
            keep_going: arguments.keep_going,
            reply_timeout: Duration::from_secs(arguments.reply_timeout),
            one_shot,
        },
        ..defaults
    };
    Ok(client::run(&options, state, &card))
}

/// Runs a server and a client in one process: `atm` without a command.
fn run_server_and_client() -> Result<Exit> {
    let server =
        Server::bind("127.0.0.1:0", ServerConfig::new(Wire::Json)).context("cannot listen on 127.0.0.1")?;
    let (address, stop) = (server.local_addr(), server.stop_handle());
    let serving = thread::Builder::new().name("server".into()).spawn(move || server.run())?;
    let code = client::run(&Options::new(Target::Tcp(vec![address.to_string()])), None, "");
    stop.stop();
    match serving.join() {
        Ok(result) => result.context("the server failed")?,
        Err(_) => anyhow::bail!("the server's thread failed"),
    }
    Ok(code)
}
