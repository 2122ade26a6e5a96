//! The `postcard` wire, by the core's endpoint: what it takes for a reply (some 2,400 instructions) is little enough.
use super::{
    atm_session::{self, AtmSession},
    balance_auditor::Movement,
    customer::{Customer, OpenPrompt, ParsedReply, ReportedOutcome},
    protocol::{ClientProtocol, Received, SessionError},
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
pub struct PostcardSession<'a> {
    person: Customer<'a>,
    terminal: Terminal<POSTCARD_OUT, POSTCARD_IN>,
    /// What the endpoint has not taken yet.
    held: Vec<u8>,
}

impl<'a> PostcardSession<'a> {
    /// A session that is to be greeted.
    pub fn new(person: Customer<'a>) -> Self {
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
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, Received), SessionError> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            taken = taken.saturating_add(self.terminal.feed(rest, NOW));
            match self.terminal.poll_event(NOW) {
                None if taken >= bytes.len() => return Ok((taken, Received::More)),
                None => {}
                Some(Event::Message(said)) => {
                    let told =
                        told(&said).ok_or_else(|| SessionError(format!("the server said: {}", said.text)))?;
                    return Ok((taken, self.person.hear(&told)?));
                }
                Some(Event::Fault(fault) | Event::Broken(fault)) => {
                    return Err(SessionError(format!("this is no message of this wire: {fault}")));
                }
                // Nothing is waited for on this side.
                Some(Event::LinkDown | Event::LinkUp) => {}
            }
        }
    }
}

impl ClientProtocol for PostcardSession<'_> {
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

    fn hear(&mut self, bytes: &[u8]) -> Result<Received, SessionError> {
        atm_session::hear(self, |typed| &mut typed.held, Self::take, bytes)
    }
}

impl<'a> AtmSession<'a> for PostcardSession<'a> {
    fn person(&mut self) -> &mut Customer<'a> {
        &mut self.person
    }
}

/// What a reply tells; `None` for what no person at a load waits for.
fn told(said: &HostMessage<'_>) -> Option<ParsedReply> {
    let MessageText::Screens(screens) = &said.text else { return None };
    let at = match screens.last()? {
        Screen::Menu => OpenPrompt::Menu,
        Screen::DepositPrompt => OpenPrompt::Deposit,
        Screen::WithdrawPrompt { balance } => OpenPrompt::Withdraw { balance: Some(*balance) },
        _ => return None,
    };
    let outcome = match said.outcome {
        None => None,
        Some(ledger::Outcome::Done(receipt)) => Some(match receipt {
            Receipt::Balance { balance } => ReportedOutcome::Balance(balance),
            Receipt::Deposited { amount, balance } => {
                ReportedOutcome::Moved(Movement::Deposit, Some(amount), balance)
            }
            Receipt::Withdrawn { amount, balance } => {
                ReportedOutcome::Moved(Movement::Withdrawal, Some(amount), balance)
            }
        }),
        Some(ledger::Outcome::Refused(Refusal::Insufficient { balance })) => {
            Some(ReportedOutcome::Insufficient(Some(balance)))
        }
        Some(ledger::Outcome::Refused(Refusal::BalanceLimit { balance })) => {
            Some(ReportedOutcome::BalanceLimit(Some(balance)))
        }
        Some(_) => return None,
    };
    Some(ParsedReply { at, outcome })
}
