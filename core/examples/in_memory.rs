//! Both endpoints in one process, over a link that loses answers and replies; each operation is done once.
//!
//! `cargo run -p atm-core --example in_memory`
use atm_core::host::{Config, Event, Host, POSTCARD_IN as IN, POSTCARD_OUT as OUT};
use atm_core::ledger::{Ledger, LedgerId, RamLedger, SessionId};
use atm_core::terminal::{self, Profile, Terminal};
use atm_core::{money::Amount, time::Instant, wire::Wire};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let balance = run(["1", "40", "2", "15", "3"].into_iter())?;
    println!("The ledger has {balance}.");
    Ok(())
}

/// Runs one session with these answers; returns the balance after it.
pub(crate) fn run<'a>(
    mut answers: impl Iterator<Item = &'a str>,
) -> Result<Amount, Box<dyn std::error::Error>> {
    let mut now = Instant::from_millis(0);
    let mut ledger = RamLedger::<4>::new(LedgerId(7), Amount::ZERO);
    let mut host = Host::<IN, OUT>::new(Config::for_serial(Wire::Postcard, 115_200), SessionId::new(1), now);
    let profile = Profile { name: Some("kiosk-7".parse()?), start: 1, ..Profile::default() };
    let config =
        terminal::Config { profile: Some(profile), ..terminal::Config::for_serial(Wire::Postcard, 115_200) };
    let mut terminal = Terminal::<OUT, IN>::new(config, now);
    let (mut to_host, mut to_terminal, mut frames) = (Vec::new(), Vec::new(), 0);
    loop {
        // The link: it loses two of every seven writes.
        for (from, output, link) in
            [("terminal", terminal.output(), &mut to_host), ("host", host.output(), &mut to_terminal)]
        {
            frames += usize::from(!output.is_empty());
            if !output.is_empty() && [3, 5].contains(&(frames % 7)) {
                println!("        (lost: {} bytes from the {from})", output.len());
            } else {
                link.extend_from_slice(output);
            }
        }
        terminal.consume(terminal.output().len());
        host.consume(host.output().len(), now);
        let idle = to_host.is_empty() && to_terminal.is_empty();

        // The host's driver: the ledger's responses.
        to_host.drain(..host.feed(&to_host, now));
        while let Some(event) = host.poll_event() {
            match event {
                Event::Hello(_) => host.admit_new(now),
                Event::Request(request) => {
                    host.complete(request.ticket, ledger.apply(&request)?, now);
                }
                Event::Quit => host.shut_down(now),
                #[cfg(feature = "seal")]
                Event::Key(_) => host.provide_key(None, now), // no terminal has a key here
            }
        }
        // The terminal's driver: the person.
        to_terminal.drain(..terminal.feed(&to_terminal, now));
        while let Some(event) = terminal.poll_event(now) {
            if let terminal::Event::Message(message) = event {
                println!("{}", message.text);
            }
        }
        if let Some(prompt) = terminal.prompt() {
            let Some(answer) = answers.next() else { return Ok(ledger.balance()) };
            println!("> {answer}");
            terminal.answer(prompt, answer, now)?;
        } else if idle {
            // Nothing is on its way: time passes until a deadline, here the terminal's retransmission.
            now = [host.deadline(), terminal.deadline()].into_iter().flatten().min().unwrap_or(now);
            host.tick(now);
            terminal.tick(now);
        }
    }
}
