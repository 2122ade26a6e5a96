//! A session on the `postcard` wire, over the core's terminal endpoint.
//!
//! The endpoint takes some 2,400 instructions for a reply: few enough for a load generator.
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
    terminal::{Config, Event, HostMessage, MessageText, Profile, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};

/// The endpoint's clock stands still: TCP loses nothing, so nothing is retransmitted, and the event loop has
/// its own timeouts.
const NOW: Instant = Instant::from_millis(0);

/// A session on the `postcard` wire.
#[derive(Debug)]
pub struct PostcardSession<'a> {
    customer: Customer<'a>,
    terminal: Terminal<POSTCARD_OUT, POSTCARD_IN>,
    /// Does it say hello?
    is_named: bool,
    /// Was its hello not welcomed yet?
    awaits_welcome: bool,
    /// Received bytes that the endpoint has not taken yet.
    kept: Vec<u8>,
}

impl<'a> PostcardSession<'a> {
    /// A session without a name, before its greeting.
    pub fn new(customer: Customer<'a>) -> Self {
        Self::with(customer, None)
    }

    /// A session of a named terminal, before its hello. With a key in the profile its link is sealed.
    pub fn named(customer: Customer<'a>, profile: Profile) -> Self {
        Self::with(customer, Some(profile))
    }

    fn with(customer: Customer<'a>, profile: Option<Profile>) -> Self {
        let is_named = profile.is_some();
        let config = Config {
            profile,
            frame_timeout: Duration::from_secs(60),
            ..Config::new(Wire::Postcard, LinkKind::Connection)
        };
        Self {
            customer,
            terminal: Terminal::new(config, NOW),
            kept: Vec::new(),
            awaits_welcome: is_named,
            is_named,
        }
    }

    /// Takes bytes up to the end of a reply; returns how many.
    fn parse(&mut self, bytes: &[u8]) -> Result<(usize, Received), SessionError> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            taken = taken.saturating_add(self.terminal.feed(rest, NOW));
            match self.terminal.poll_event(NOW) {
                None if taken >= bytes.len() => return Ok((taken, Received::Incomplete)),
                None => {}
                Some(Event::Message(message)) => {
                    let mut reply = parsed(&message).ok_or_else(|| {
                        SessionError(format!("unexpected message from the server: {}", message.text))
                    })?;
                    if std::mem::take(&mut self.awaits_welcome) {
                        // Of an operation of an earlier run.
                        reply.outcome = None;
                    }
                    return Ok((taken, self.customer.receive(&reply)?));
                }
                Some(Event::Fault(fault) | Event::Broken(fault)) => {
                    return Err(SessionError(format!("not a message of this wire: {fault}")));
                }
                // Without a retransmission timer and a hello there are none.
                Some(Event::LinkDown | Event::LinkUp | Event::LedgerSetBack { .. } | Event::Idle) => {}
            }
        }
    }
}

impl ClientProtocol for PostcardSession<'_> {
    /// A hello discards the greeting.
    fn is_greeted(&self) -> bool {
        !self.is_named
    }

    fn is_opening(&self) -> bool {
        self.awaits_welcome
    }

    fn write_request(&mut self, out: &mut Vec<u8>) {
        // Before the first prompt the hello is in the output.
        if let Some(prompt) = self.terminal.prompt() {
            let terminal = &mut self.terminal;
            self.customer.write_input(|word, number| {
                // It cannot fail: the text is short and the prompt is open.
                let _ = match number {
                    None => terminal.answer(prompt, word, NOW),
                    Some(number) => terminal.answer(prompt, &format!("{word}{number}"), NOW),
                };
            });
        }
        out.extend_from_slice(self.terminal.output());
        self.terminal.consume(self.terminal.output().len());
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Received, SessionError> {
        atm_session::receive_buffered(self, |session| &mut session.kept, Self::parse, bytes)
    }
}

impl<'a> AtmSession<'a> for PostcardSession<'a> {
    fn customer(&mut self) -> &mut Customer<'a> {
        &mut self.customer
    }
}

/// A reply's prompt and outcome; `None` for a message that is not a reply to a customer's input.
fn parsed(message: &HostMessage<'_>) -> Option<ParsedReply> {
    let MessageText::Screens(screens) = &message.text else { return None };
    let prompt = match screens.last()? {
        Screen::Menu => OpenPrompt::Menu,
        Screen::DepositPrompt => OpenPrompt::Deposit,
        Screen::WithdrawPrompt { balance } => OpenPrompt::Withdraw { balance: Some(*balance) },
        _ => return None,
    };
    let outcome = match message.outcome {
        None => None,
        Some(ledger::Outcome::Done(receipt)) => Some(match receipt {
            Receipt::Balance { balance } => ReportedOutcome::Balance(balance),
            Receipt::Deposited { amount, balance } => {
                ReportedOutcome::Moved(Movement::Deposit, Some(amount), balance)
            }
            Receipt::Withdrawn { amount, balance } => {
                ReportedOutcome::Moved(Movement::Withdrawal, Some(amount), balance)
            }
            // Sessions of cards are not measured.
            _ => return None,
        }),
        Some(ledger::Outcome::Refused(Refusal::Insufficient { balance })) => {
            Some(ReportedOutcome::Insufficient(Some(balance)))
        }
        Some(ledger::Outcome::Refused(Refusal::BalanceLimit { balance })) => {
            Some(ReportedOutcome::BalanceLimit(Some(balance)))
        }
        Some(_) => return None,
    };
    Some(ParsedReply { prompt, outcome })
}
