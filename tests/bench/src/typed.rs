//! The `postcard` wire, by the core's endpoint: what it takes for a reply (some 2,400 instructions) is little enough.
use super::{
    books::Way,
    dialogue::{Dialogue, Heard, Lost},
    person::{At, Outcome, Person, Told},
    speaks::{self, Speaks},
};
use atm_core::{
    host::{LinkKind, POSTCARD_IN, POSTCARD_OUT},
    ledger::{self, Receipt, Refusal},
    screen::Screen,
    terminal::{Config, Event, HostMessage, MessageText, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};

/// No time passes here: a line that loses nothing needs no repeats, and the load has deadlines of its own.
const NOW: Instant = Instant::from_millis(0);

/// A session on the `postcard` wire.
#[derive(Debug)]
pub struct Typed<'a> {
    person: Person<'a>,
    terminal: Terminal<POSTCARD_OUT, POSTCARD_IN>,
    /// What the endpoint has not taken yet.
    held: Vec<u8>,
}

impl<'a> Typed<'a> {
    /// A session that is to be greeted.
    pub fn new(person: Person<'a>) -> Self {
        let config = Config {
            wire: Wire::Postcard,
            link: LinkKind::Connection,
            profile: None,
            retransmit: None,
            frame_timeout: Duration::from_secs(60),
        };
        Self { person, terminal: Terminal::new(config, NOW), held: Vec::new() }
    }

    /// Takes bytes up to the end of a reply; says how many.
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, Heard), Lost> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            taken = taken.saturating_add(self.terminal.feed(rest, NOW));
            match self.terminal.poll_event(NOW) {
                None if taken >= bytes.len() => return Ok((taken, Heard::More)),
                None => {}
                Some(Event::Message(said)) => {
                    let told = told(&said).ok_or_else(|| Lost(format!("the server said: {}", said.text)))?;
                    return Ok((taken, self.person.hear(&told)?));
                }
                Some(Event::Fault(fault) | Event::Broken(fault)) => {
                    return Err(Lost(format!("this is no message of this wire: {fault}")));
                }
                // Nothing is waited for on this side.
                Some(Event::LinkDown | Event::LinkUp) => {}
            }
        }
    }
}

impl Dialogue for Typed<'_> {
    fn is_greeted(&self) -> bool {
        true
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        let Some(prompt) = self.terminal.prompt() else { return };
        let terminal = &mut self.terminal;
        self.person.answer(|word, number| {
            // Both are short, and the prompt is open.
            let _ = match number {
                None => terminal.answer(prompt, word, NOW),
                Some(number) => terminal.answer(prompt, &format!("{word}{number}"), NOW),
            };
        });
        out.extend_from_slice(self.terminal.output());
        self.terminal.consume(self.terminal.output().len());
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<Heard, Lost> {
        speaks::hear(self, |typed| &mut typed.held, Self::take, bytes)
    }
}

impl<'a> Speaks<'a> for Typed<'a> {
    fn person(&mut self) -> &mut Person<'a> {
        &mut self.person
    }
}

/// What a reply tells; `None` for what no person at a load waits for.
fn told(said: &HostMessage<'_>) -> Option<Told> {
    let MessageText::Screens(screens) = &said.text else { return None };
    let at = match screens.last()? {
        Screen::Menu => At::Menu,
        Screen::DepositPrompt => At::Deposit,
        Screen::WithdrawPrompt { balance } => At::Withdraw { balance: Some(*balance) },
        _ => return None,
    };
    let outcome = match said.outcome {
        None => None,
        Some(ledger::Outcome::Done(receipt)) => Some(match receipt {
            Receipt::Balance { balance } => Outcome::Balance(balance),
            Receipt::Deposited { amount, balance } => Outcome::Moved(Way::Deposit, Some(amount), balance),
            Receipt::Withdrawn { amount, balance } => Outcome::Moved(Way::Withdrawal, Some(amount), balance),
        }),
        Some(ledger::Outcome::Refused(Refusal::Insufficient { balance })) => {
            Some(Outcome::Insufficient(Some(balance)))
        }
        Some(ledger::Outcome::Refused(Refusal::BalanceLimit { balance })) => {
            Some(Outcome::BalanceLimit(Some(balance)))
        }
        Some(_) => return None,
    };
    Some(Told { at, outcome })
}
