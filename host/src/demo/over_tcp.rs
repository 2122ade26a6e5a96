//! The demo over TCP: a server and a client in one process.
use super::run_session;
use crate::{
    client::{Link, Options, Target},
    server::{Server, ServerConfig},
};
use anyhow::{Context, Result, bail};
use atm_core::wire::Wire;
use std::{io::Write, thread};

/// Runs the demo over TCP with a server of its own, and prints it on `out`; with `hex`, each message as it was on the wire.
///
/// # Errors
/// The server or the link failed, or a reply is not the expected one, in which case the error names the step; or `out` failed.
pub fn run(wire: Wire, hex: bool, out: &mut dyn Write) -> Result<()> {
    let config = ServerConfig::new(wire);
    let balance = config.balance;
    let server = Server::bind("127.0.0.1:0", config).context("cannot listen on 127.0.0.1")?;
    let (address, stop) = (server.local_addr(), server.stop_handle());
    let serving = thread::Builder::new().name("server".into()).spawn(move || server.run())?;
    let options = Options { wire, ..Options::new(Target::Tcp(vec![address.to_string()])) };
    let session = writeln!(out, "A server on {address}, and a client: the {wire} wire over TCP.")
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(Link::open(&options)?))
        .and_then(|mut link| run_session(&mut link, balance, hex, out));
    stop.stop();
    match serving.join() {
        // The client's error says more than the server's.
        Ok(served) => session.and(served.context("the server failed")),
        Err(_) => session.and_then(|()| bail!("the server's thread failed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::money::Amount;

    #[test]
    fn every_wire_passes() {
        for (name, wire) in Wire::ALL {
            let run = |hex| {
                let mut out = Vec::new();
                run(*wire, hex, &mut out).unwrap();
                String::from_utf8(out).unwrap()
            };
            let (out, shown) = (run(true), run(false));
            let last = format!("ok: 14 steps over the {name} wire, every balance checked, from $100 to $0\n");
            assert!(out.ends_with(&last), "{out}");
            // Every step but the greeting has one message each way.
            assert_eq!((out.matches("\n   -> ").count(), out.matches("\n   <- ").count()), (13, 14), "{out}");
            assert!(shown.ends_with(&last) && !shown.contains(" <- "), "{shown}");
            let deposit = "   >>> 40\n   Amount deposited: $40. Your balance is $140.\n";
            assert!(shown.contains(deposit) && shown.matches("\n   >>> ").count() == 13, "{shown}");
        }
    }

    #[test]
    fn a_wrong_balance_fails_the_step() {
        let config =
            ServerConfig { balance: Amount::from_units(99).unwrap(), ..ServerConfig::new(Wire::Raw) };
        let server = Server::bind("127.0.0.1:0", config).unwrap();
        let (address, stop) = (server.local_addr(), server.stop_handle());
        let serving = thread::spawn(move || server.run());
        let options = Options { wire: Wire::Raw, ..Options::new(Target::Tcp(vec![address.to_string()])) };
        let mut link = Link::open(&options).unwrap();
        let error = run_session(&mut link, Amount::from_units(100).unwrap(), false, &mut std::io::sink())
            .unwrap_err();
        let error = format!("{error:#}");
        assert!(error.starts_with("step 2 failed") && error.contains("must be $100"), "{error}");
        drop(link);
        stop.stop();
        serving.join().unwrap().unwrap();
    }
}
