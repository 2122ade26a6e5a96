//! A whole session, shown step by step with the messages on the wire, and checked.
//!
//! What every balance must be is computed here from the first one, with no help of the host's: the demo believes neither
//! the text nor the fields of what it is told.
use crate::{
    client::{Direction, Escaped, Link, LinkEvent, Options, ReceivedMessage, Target},
    server::{Config, Server},
};
use anyhow::{Context, Result, bail, ensure};
use atm_core::{money::Amount, time::Duration, wire::Wire};
use script::DemoStep;
use std::{
    fmt::Write as _,
    io::{self, Write},
    thread,
};

mod script;

/// How long the host may take for a reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shows a session over TCP, with a server of its own, on standard output.
///
/// # Errors
/// What went wrong, and at which step.
pub fn run(wire: Wire) -> Result<()> {
    show(wire, &mut io::stdout())
}

fn show(wire: Wire, out: &mut dyn Write) -> Result<()> {
    let config = Config::new(wire);
    let balance = config.balance;
    let server = Server::bind("127.0.0.1:0", config).context("cannot listen on 127.0.0.1")?;
    let (address, stop) = (server.local_addr(), server.stop_handle());
    let serving = thread::Builder::new().name("server".into()).spawn(move || server.run())?;
    let options = Options { wire, ..Options::new(Target::Tcp(address.to_string())) };
    let shown = writeln!(out, "A server on {address}, and a client: the {wire} wire over TCP.")
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(Link::open(&options)?))
        .and_then(|mut link| flow(&mut link, balance, out));
    stop.stop();
    match serving.join() {
        // What the client saw tells more than how the server ended.
        Ok(served) => shown.and(served.context("the server failed")),
        Err(_) => shown.and_then(|()| bail!("the server's thread failed")),
    }
}

/// Goes through a session on a link that was just opened to a host with `balance`, and shows it on `out`.
///
/// # Errors
/// What went wrong, and at which step.
pub fn flow(link: &mut Link, balance: Amount, out: &mut dyn Write) -> Result<()> {
    let (steps, last) = script::steps(balance).context("the demo needs a balance below $900000")?;
    link.start_transcript();
    for (index, step) in steps.iter().enumerate() {
        let number = index.saturating_add(1);
        writeln!(out, "\n{number}. {}", step.title)?;
        let reply = take(link, step);
        for (direction, bytes) in link.take_transcript() {
            let label = step.answer.as_deref().unwrap_or("hello");
            writeln!(out, "{}", Escaped(&message(link.wire(), direction, &bytes, label)))?;
        }
        let checked = reply.and_then(|said| {
            if link.wire() == Wire::Postcard {
                writeln!(out, "{}", Escaped(&indented(&said.text)))?;
            }
            step.check(&said, link.wire().is_numbered())
        });
        checked.with_context(|| format!("step {number} failed ({})", step.title))?;
        match step.balance {
            Some(balance) => writeln!(out, "   ok: the balance is {balance}, as it must be")?,
            None => writeln!(out, "   ok")?,
        }
    }
    let (wire, count) = (link.wire(), steps.len());
    writeln!(
        out,
        "\nok: {count} steps over the {wire} wire, every balance checked, from {balance} to {last}"
    )?;
    out.flush()?;
    Ok(())
}

/// Gives a step's answer and waits for the reply.
fn take(link: &mut Link, step: &DemoStep) -> Result<ReceivedMessage> {
    if let Some(answer) = &step.answer {
        let prompt = link.prompt().context("the host asks nothing")?;
        link.answer(prompt, answer)?;
    }
    let said = loop {
        match next(link)? {
            LinkEvent::Message(said) => break said,
            LinkEvent::LinkDown
            | LinkEvent::LinkUp
            | LinkEvent::ConnectionLost
            | LinkEvent::Reconnected
            | LinkEvent::Woken => {}
            LinkEvent::NotStored(error) => return Err(error.into()),
            LinkEvent::Fault(fault) | LinkEvent::Broken(fault) => {
                bail!("the host sent what is no message: {fault}")
            }
            LinkEvent::Closed(Some(error)) => return Err(error).context("the line is gone"),
            LinkEvent::Closed(None) => bail!("the host closed the connection"),
            LinkEvent::Timeout => bail!("no reply came in {} seconds", PATIENCE.millis() / 1000),
        }
    };
    if step.ends && link.is_connection() {
        let after = next(link)?;
        ensure!(matches!(after, LinkEvent::Closed(_)), "the host goes on after the goodbye: {after:?}");
    }
    Ok(said)
}

fn next(link: &mut Link) -> Result<LinkEvent> {
    let deadline = link.now() + PATIENCE;
    Ok(link.next(Some(deadline)))
}

/// A message as it was on the wire: bytes in hexadecimal where they are no text, and text.
fn message(wire: Wire, direction: Direction, bytes: &[u8], label: &str) -> String {
    let arrow = match direction {
        Direction::In => "<-",
        Direction::Out => "->",
    };
    let mut line = format!("   {arrow} ");
    let text = match (wire, bytes.split_at_checked(4)) {
        (Wire::Postcard, _) => {
            hexadecimal(&mut line, bytes);
            let told = if direction == Direction::Out { format!(" ({label})") } else { String::new() };
            return line + &told;
        }
        (Wire::Json, Some((length, body))) => {
            hexadecimal(&mut line, length);
            line.push(' ');
            body
        }
        _ => bytes,
    };
    line + &String::from_utf8_lossy(text)
}

fn hexadecimal(line: &mut String, bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        let gap = if index > 0 { " " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(line, "{gap}{byte:02x}");
    }
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { "      |".into() } else { format!("      | {line}") })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_passes() {
        for (name, wire) in Wire::ALL {
            let mut out = Vec::new();
            show(*wire, &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            let last = format!("ok: 14 steps over the {name} wire, every balance checked, from $100 to $0\n");
            assert!(out.ends_with(&last), "{out}");
            // Every step but the greeting has one message each way.
            assert_eq!((out.matches("\n   -> ").count(), out.matches("\n   <- ").count()), (13, 14), "{out}");
        }
    }

    #[test]
    fn a_host_with_another_balance_is_found_out() {
        let config = Config { balance: Amount::from_units(99).unwrap(), ..Config::new(Wire::Raw) };
        let server = Server::bind("127.0.0.1:0", config).unwrap();
        let (address, stop) = (server.local_addr(), server.stop_handle());
        let serving = thread::spawn(move || server.run());
        let options = Options { wire: Wire::Raw, ..Options::new(Target::Tcp(address.to_string())) };
        let mut link = Link::open(&options).unwrap();
        let error = flow(&mut link, Amount::from_units(100).unwrap(), &mut io::sink()).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.starts_with("step 2 failed") && error.contains("must be $100"), "{error}");
        drop(link);
        stop.stop();
        serving.join().unwrap().unwrap();
    }

    #[test]
    fn a_message_is_shown_as_it_was_on_the_wire() {
        let shown = |wire, direction, bytes: &[u8]| message(wire, direction, bytes, "40");
        assert_eq!(shown(Wire::Json, Direction::In, b"\0\0\0\x02{}"), "   <- 00 00 00 02 {}");
        assert_eq!(shown(Wire::Raw, Direction::Out, b"40"), "   -> 40");
        assert_eq!(shown(Wire::Postcard, Direction::Out, &[3, 255, 0]), "   -> 03 ff 00 (40)");
        assert_eq!(shown(Wire::Json, Direction::In, b"ab"), "   <- ab");
    }
}
