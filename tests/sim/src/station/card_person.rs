//! The person at a terminal with access by card: what is read on the screen, and how long an answer takes.
use super::{Person, Station, customer::Customer};
use crate::auditor::{Auditor, CardAudit, Prompt};
use atm_core::{
    ledger::Name,
    terminal::HostMessage,
    time::{Duration, Instant},
};
use fastrand::Rng;

/// The person, and what the last reply said.
pub(super) struct CardPerson {
    customer: Customer,
    prompt: Option<Prompt>,
    /// Seconds that a delay lasts.
    delay: u32,
}

impl CardPerson {
    pub(super) fn arrive(rng: &mut Rng, cards: &CardAudit) -> Self {
        Self { customer: Customer::arrive(rng, cards), prompt: None, delay: 0 }
    }

    /// Reads a message of the host.
    pub(super) fn read(
        &mut self,
        (name, life): (&Name, u64),
        message: &HostMessage<'_>,
        now: Instant,
        auditor: &mut Auditor,
    ) {
        let text = message.text.to_string();
        self.prompt = Prompt::of(&text).filter(|_| message.prompt);
        let seconds = text.split_once("please try again in ").and_then(|(_, rest)| rest.split(' ').next());
        self.delay = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        if let Some(number) = message.seq {
            auditor.shown_text(name, (life, number, message.re), &text, now);
        }
    }

    /// What the person types; `None` without a prompt. With `is_last`, a holder asks for the balance.
    pub(super) fn answer(&mut self, is_last: bool, rng: &mut Rng, cards: &CardAudit) -> Option<String> {
        let prompt = self.prompt?;
        Some(match is_last {
            true => self.customer.ask_balance(prompt, rng, cards),
            false => self.customer.answer(prompt, rng, cards),
        })
    }
}

/// How long a person takes for an answer, also one with a card: now and then too long, and after a refused PIN mostly as
/// long as the terminal says.
pub(super) fn delay(with_card: Option<&CardPerson>, person: Person, rng: &mut Rng) -> Duration {
    let usual = person.delay(rng);
    let Some(CardPerson { delay, .. }) = with_card else { return usual };
    let waits = *delay > 0 && rng.u32(0..4) > 0;
    let extra = match rng.u32(0..100) {
        0 => 32_000,
        _ if waits => delay.min(&25) * 1000,
        _ => 0,
    };
    Duration::from_millis(usual.millis() + extra)
}

impl Station {
    /// Persons have cards.
    pub(crate) fn serve_cards(&mut self, rng: &mut Rng, cards: Option<&CardAudit>) {
        self.card_person = cards.map(|cards| CardPerson::arrive(rng, cards));
    }

    /// What Debug shows of the terminal.
    pub(crate) fn debug(&self) -> String {
        format!("{:?}", self.terminal)
    }

    /// What the person types.
    pub(super) fn answer(&mut self, rng: &mut Rng, auditor: &Auditor) -> String {
        let is_last = self.is_last_inquiry;
        let with_card = self.card_person.as_mut().zip(auditor.cards());
        match with_card.and_then(|(person, cards)| person.answer(is_last, rng, cards)) {
            Some(text) => text,
            None if is_last => "3".to_owned(),
            None => self.person.answer(rng),
        }
    }
}
