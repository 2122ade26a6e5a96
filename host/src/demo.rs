//! The demo: goes through a whole session step by step, prints it as a person sees it, or each message as it was on the
//! wire, and checks every reply.
//!
//! The expected balances are computed here from the first one alone: the text and the fields of a reply are
//! only compared with them.
use crate::client::{Direction, Escaped, Link, LinkEvent, ReceivedMessage};
use anyhow::{Context, Result, bail, ensure};
use atm_core::{money::Amount, time::Duration, wire::Wire};
use script::DemoStep;
use std::{fmt::Write as _, io::Write};

#[cfg(feature = "cli")]
mod cards;
#[cfg(feature = "server")]
mod over_tcp;
mod script;
#[cfg(feature = "cli")]
pub use cards::run_with_cards;
#[cfg(feature = "server")]
pub use over_tcp::run;

/// The longest wait for a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Goes through a session on a link that was just opened to a host with `balance`, and prints it on `out`; with `hex`, each
/// message as it was on the wire.
///
/// # Errors
/// The link failed, or a reply is not the expected one; the error names the step. Or `out` failed.
pub fn run_session(link: &mut Link, balance: Amount, hex: bool, out: &mut dyn Write) -> Result<()> {
    let (steps, last) = script::steps(balance).context("the demo needs a balance below $900000")?;
    if hex {
        link.start_transcript();
    }
    for (index, step) in steps.iter().enumerate() {
        let number = index.saturating_add(1);
        writeln!(out, "\n{number}. {}", step.title)?;
        let reply = run_step(link, step);
        for (direction, bytes) in link.take_transcript() {
            let label = step.answer.as_deref().unwrap_or("hello");
            writeln!(out, "{}", Escaped(&message(link.wire(), direction, &bytes, label)))?;
        }
        if let Some(answer) = step.answer.as_ref().filter(|_| !hex) {
            writeln!(out, "   >>> {answer}")?;
        }
        let checked = reply.and_then(|reply| {
            if !hex || link.wire() == Wire::Postcard {
                writeln!(out, "{}", Escaped(&indented(&reply.text)))?;
            }
            step.check(&reply, link.wire().is_numbered())
        });
        checked.with_context(|| format!("step {number} failed ({})", step.title))?;
        match step.balance {
            Some(balance) => writeln!(out, "   ok: the balance is {balance}, as it must be")?,
            None => writeln!(out, "   ok")?,
        }
        out.flush()?;
    }
    let (wire, count) = (link.wire(), steps.len());
    writeln!(
        out,
        "\nok: {count} steps over the {wire} wire, every balance checked, from {balance} to {last}"
    )?;
    out.flush()?;
    Ok(())
}

/// Sends a step's answer and waits for the reply.
fn run_step(link: &mut Link, step: &DemoStep) -> Result<ReceivedMessage> {
    if let Some(answer) = &step.answer {
        let prompt = link.prompt().context("the host has no open prompt")?;
        link.answer(prompt, answer)?;
    }
    let reply = loop {
        match next_event(link) {
            LinkEvent::Message(reply) => break reply,
            LinkEvent::LinkDown
            | LinkEvent::LinkUp
            | LinkEvent::ConnectionLost
            | LinkEvent::Reconnected
            | LinkEvent::Woken => {}
            LinkEvent::NotStored(error) => return Err(error.into()),
            LinkEvent::Fault(fault) | LinkEvent::Broken(fault) => {
                bail!("the host sent something that is not a message: {fault}")
            }
            LinkEvent::LedgerSetBack { .. } => bail!("the host's ledger was set back to an earlier state"),
            LinkEvent::Closed(Some(error)) => return Err(error).context("the link failed"),
            LinkEvent::Closed(None) => bail!("the host closed the connection"),
            LinkEvent::Timeout | LinkEvent::Idle | LinkEvent::NextPerson => {
                bail!("no reply came in {} seconds", REPLY_TIMEOUT.millis() / 1000)
            }
        }
    };
    if step.ends && link.is_connection() {
        let after = next_event(link);
        ensure!(
            matches!(after, LinkEvent::Closed(_)),
            "the host did not close the connection after the goodbye: {after:?}"
        );
    }
    Ok(reply)
}

fn next_event(link: &mut Link) -> LinkEvent {
    let deadline = link.now() + REPLY_TIMEOUT;
    link.next(Some(deadline))
}

/// Formats a message as it was on the wire: text as it is, other bytes in hexadecimal.
fn message(wire: Wire, direction: Direction, bytes: &[u8], label: &str) -> String {
    let arrow = match direction {
        Direction::In => "<-",
        Direction::Out => "->",
    };
    let mut line = format!("   {arrow} ");
    let text = match (wire, bytes.split_at_checked(4)) {
        (Wire::Postcard, _) => {
            hexadecimal(&mut line, bytes);
            let label = if direction == Direction::Out { format!(" ({label})") } else { String::new() };
            return line + &label;
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
        .map(|line| if line.is_empty() { String::new() } else { format!("   {line}") })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_as_it_was_on_the_wire() {
        let shown = |wire, direction, bytes: &[u8]| message(wire, direction, bytes, "40");
        assert_eq!(shown(Wire::Json, Direction::In, b"\0\0\0\x02{}"), "   <- 00 00 00 02 {}");
        assert_eq!(shown(Wire::Raw, Direction::Out, b"40"), "   -> 40");
        assert_eq!(shown(Wire::Postcard, Direction::Out, &[3, 255, 0]), "   -> 03 ff 00 (40)");
        assert_eq!(shown(Wire::Json, Direction::In, b"ab"), "   <- ab");
    }
}
