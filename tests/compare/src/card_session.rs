//! A terminal with access by card, over a sealed link: card after card, and with each so many deposits, whose balances it checks.
use super::bank::{IssuedCard, PIN};
use atm_bench::protocol::{ClientProtocol, Received, SessionError};
use atm_core::{
    host::{LinkKind, POSTCARD_IN, POSTCARD_OUT},
    ledger::{Outcome, Receipt},
    money::Amount,
    screen::{CardScreen, Screen},
    terminal::{Config, Event, HostMessage, MessageText, Profile, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};
use fastrand::Rng;

/// Deposits with a card before the next one.
pub const DEPOSITS: u32 = 20;

/// As in the load generator, the endpoint's clock stands still: TCP loses nothing.
const NOW: Instant = Instant::from_millis(0);

/// What was answered last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Hello,
    Number,
    Pin,
    Deposit,
    LogOut,
}

/// A session.
#[derive(Debug)]
pub(super) struct CardSession<'a> {
    terminal: Terminal<POSTCARD_OUT, POSTCARD_IN>,
    /// The cards of this session alone, and the balance of each one's account, once it is known.
    cards: Vec<(&'a IssuedCard, Option<Amount>)>,
    rng: Rng,
    /// The card in use, and the deposits with it.
    card: usize,
    deposits: u32,
    sent: Sent,
    /// Deposits in all.
    pub(super) done: u64,
    /// Received bytes that the endpoint has not taken.
    kept: Vec<u8>,
}

impl<'a> CardSession<'a> {
    /// A session before its hello.
    pub(super) fn new(profile: Profile, cards: Vec<&'a IssuedCard>, seed: u64) -> Self {
        let config = Config {
            profile: Some(profile),
            frame_timeout: Duration::from_secs(60),
            ..Config::new(Wire::Postcard, LinkKind::Connection)
        };
        Self {
            terminal: Terminal::new(config, NOW),
            cards: cards.into_iter().map(|card| (card, None)).collect(),
            rng: Rng::with_seed(seed),
            card: 0,
            deposits: 0,
            sent: Sent::Hello,
            done: 0,
            kept: Vec::new(),
        }
    }

    /// The next answer at the open prompt.
    fn next(&mut self) -> (Sent, &str) {
        match self.sent {
            Sent::Hello | Sent::LogOut => {
                (self.card, self.deposits) = (self.rng.usize(..self.cards.len()), 0);
                (Sent::Number, self.cards[self.card].0.number.as_str())
            }
            Sent::Number => (Sent::Pin, PIN),
            Sent::Deposit if self.deposits == DEPOSITS => (Sent::LogOut, "logout"),
            Sent::Pin | Sent::Deposit => {
                self.deposits += 1;
                (Sent::Deposit, "deposit 1")
            }
        }
    }

    /// Checks a reply; returns whether it ends a deposit.
    fn check(
        sent: Sent,
        known: &mut Option<Amount>,
        message: &HostMessage<'_>,
    ) -> Result<bool, SessionError> {
        let MessageText::Screens(screens) = &message.text else {
            return Err(SessionError(format!("{sent:?} was answered with {}", message.text)));
        };
        let one = Amount::from_units(1).unwrap_or(Amount::ZERO);
        match (sent, screens.last(), message.outcome) {
            (Sent::Hello | Sent::LogOut, Some(Screen::Card(CardScreen::CardPrompt)), _)
            | (Sent::Number, Some(Screen::Card(CardScreen::PinPrompt)), None)
            | (Sent::Pin, Some(Screen::Card(CardScreen::Menu)), _) => Ok(false),
            (
                Sent::Deposit,
                Some(Screen::Card(CardScreen::Menu)),
                Some(Outcome::Done(Receipt::Deposited { amount, balance })),
            ) if amount == one => match known.replace(balance) {
                Some(before) if before.checked_add(one) != Some(balance) => {
                    Err(SessionError(format!("a balance of {balance} after one of {before} and $1")))
                }
                _ => Ok(true),
            },
            _ => Err(SessionError(format!("{sent:?} was answered with {}", message.text))),
        }
    }
}

impl ClientProtocol for CardSession<'_> {
    /// A hello discards the greeting.
    fn is_greeted(&self) -> bool {
        false
    }

    /// Until its hello is welcomed.
    fn is_opening(&self) -> bool {
        self.terminal.prompt().is_none()
    }

    fn write_request(&mut self, out: &mut Vec<u8>) {
        // Before the first prompt the hello is in the output.
        if let Some(prompt) = self.terminal.prompt() {
            let (sent, text) = self.next();
            let text = text.to_owned();
            self.sent = sent;
            // It cannot fail: the text is short and the prompt is open.
            let _ = self.terminal.answer(prompt, &text, NOW);
        }
        out.extend_from_slice(self.terminal.output());
        self.terminal.consume(self.terminal.output().len());
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Received, SessionError> {
        self.kept.extend_from_slice(bytes);
        loop {
            let taken = self.terminal.feed(&self.kept, NOW);
            self.kept.drain(..taken);
            match self.terminal.poll_event(NOW) {
                None if self.kept.is_empty() => return Ok(Received::Incomplete),
                None => {}
                Some(Event::Message(message)) => {
                    let known = &mut self.cards[self.card].1;
                    let completes_operation = Self::check(self.sent, known, &message)?;
                    self.done += u64::from(completes_operation);
                    return Ok(Received::Reply { completes_operation });
                }
                Some(Event::Fault(fault) | Event::Broken(fault)) => {
                    return Err(SessionError(format!("not a message of this wire: {fault}")));
                }
                Some(Event::LinkDown | Event::LinkUp | Event::LedgerSetBack { .. } | Event::Idle) => {}
            }
        }
    }
}
