//! The terminal's side of a session by card: its idle timer, and how long it holds an answer.
//!
//! A session is by card from its first secret prompt on. The time of a prompt runs from its first showing; no message but the reply to
//! an answer extends it, so that no duplicate and no replay holds a person's session open.
use super::{PendingEvent, Terminal, TerminalState};
use crate::{
    message::Capabilities,
    time::{Duration, Instant},
};

/// Whether the session is by card, and since when its prompt is without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct CardTimer {
    is_card: bool,
    idle_since: Option<Instant>,
}

impl CardTimer {
    /// Notes a reply that is shown, and whether its prompt is secret.
    pub(super) fn on_prompt(&mut self, is_secret: bool) {
        self.is_card |= is_secret;
    }

    /// Notes an answer.
    pub(super) fn on_answer(&mut self) {
        self.idle_since = None;
    }
}

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// Starts the timer of a prompt that is open. Another prompt without an answer between, or a resumed one, does not
    /// extend it.
    pub(super) fn time_prompt(&mut self, now: Instant) {
        if self.card.is_card && matches!(self.state, TerminalState::PromptOpen(_)) {
            self.card.idle_since.get_or_insert(now);
        }
    }

    /// When the person of a session by card counts as gone.
    pub(super) fn idle_deadline(&self) -> Option<Instant> {
        Some(self.card.idle_since? + self.config.idle_timeout?)
    }

    /// Ends a session by card whose person may have left, and says hello for the next one.
    pub(super) fn end_idle_session(&mut self, now: Instant) {
        self.pending_event = Some(PendingEvent::Idle);
        self.give_up();
        // Where no hello can be said, the session is over.
        self.state = TerminalState::Over;
        self.stop_retransmit_timer();
        self.wipe_session();
        self.say_hello(now);
    }

    /// Until when an answer of a session by card is held: for two thirds of the idle time.
    pub(super) fn held_deadline(&self) -> Option<Instant> {
        let idle = self.config.idle_timeout.filter(|_| self.card.is_card)?.millis();
        Some(self.answered_at + Duration::from_millis(idle / 3 * 2))
    }

    /// Drops the answer of a session by card from the output, as far as it was not sent.
    pub(super) fn drop_unsent_answer(&mut self) {
        if self.card.is_card && matches!(self.state, TerminalState::AwaitReply(_)) {
            self.outbox.abandon();
        }
    }

    /// Drops what a session that is over does not need.
    pub(super) fn wipe_session(&mut self) {
        self.answer = None;
        self.card = CardTimer::default();
    }

    /// Adds what was not said before to the next hello, if this one waits for its welcome: once.
    pub(super) fn take_offer(&mut self) -> bool {
        let TerminalState::AwaitWelcome { .. } = self.state else { return false };
        let offered = core::mem::replace(&mut self.config.offers, Capabilities::NONE);
        let Some(profile) = self.config.profile.as_mut().filter(|_| offered != Capabilities::NONE) else {
            return false;
        };
        profile.capabilities = profile.capabilities.with(offered);
        true
    }
}
