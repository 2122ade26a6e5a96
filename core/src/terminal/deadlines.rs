//! The terminal's timers: unfinished frames, retransmission with exponential backoff, a link that is down,
//! and giving up.
use super::{PendingEvent, Terminal};
use crate::{
    host::LinkKind,
    time::{Instant, earliest},
};

impl<const IN: usize, const OUT: usize> Terminal<IN, OUT> {
    /// When [`tick`](Self::tick) must be called at the latest; `None` while no timer runs.
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = earliest(
            earliest(self.frame_deadline(), self.give_up_deadline()),
            earliest(self.retransmit_at, self.link_down_deadline()),
        );
        #[cfg(feature = "cards")]
        let deadline = earliest(deadline, self.idle_deadline());
        deadline
    }

    /// Handles the timers that have run out by `now`. An early call has no effect.
    pub fn tick(&mut self, now: Instant) {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if passed(self.frame_deadline()) {
            self.frame_since = None;
            if !self.config.wire.is_numbered() {
                // On this wire it may be text that begins like an object.
                self.inbox.end();
            } else {
                let fault = self.inbox.give_up();
                if self.config.link == LinkKind::Connection {
                    // The rest of the frame would be read as the start of another.
                    self.pending_event = Some(PendingEvent::Broken(fault));
                }
            }
        }
        if passed(self.link_down_deadline()) {
            self.link_down = true;
            self.pending_event = Some(PendingEvent::LinkDown);
        }
        #[cfg(feature = "cards")]
        if passed(self.idle_deadline()) && self.pending_event.is_none() {
            self.end_idle_session(now);
        }
        if passed(self.give_up_deadline()) {
            // The person may have left: money must not move when the link comes back.
            self.give_up();
            self.say_hello(now);
        }
        if passed(self.retransmit_at) {
            self.backoff = self
                .backoff
                .doubled(self.config.retransmit.map_or(self.backoff, |retransmit| retransmit.max_wait));
            self.retransmit_at = Some(now + self.backoff);
            // Unsent output is not retransmitted.
            if self.outbox.is_empty() {
                self.send();
            }
        }
    }

    /// Starts the timers of a message that was sent: retransmission, and the state of the link.
    pub(super) fn start_retransmit_timer(&mut self, now: Instant) {
        self.host_sent_fault = false;
        self.last_contact = now;
        if let Some(retransmit) = self.config.retransmit {
            self.backoff = retransmit.first_wait;
            self.retransmit_at = Some(now + retransmit.first_wait);
        }
    }

    pub(super) fn stop_retransmit_timer(&mut self) {
        self.retransmit_at = None;
    }

    fn frame_deadline(&self) -> Option<Instant> {
        self.frame_since.map(|since| since + self.config.frame_timeout)
    }

    fn give_up_deadline(&self) -> Option<Instant> {
        self.answer.as_ref()?;
        self.config.profile.as_ref()?;
        let deadline = self.config.retransmit.map(|retransmit| self.answered_at + retransmit.give_up_after);
        #[cfg(feature = "cards")]
        let deadline = earliest(deadline, self.held_deadline());
        deadline
    }

    fn link_down_deadline(&self) -> Option<Instant> {
        let waits = self.retransmit_at.is_some() && !self.link_down;
        self.config.retransmit.filter(|_| waits).map(|retransmit| self.last_contact + retransmit.down_after)
    }
    /// Starts the timer of a frame that has begun, and stops that of one that is complete.
    pub(super) fn time_frame(&mut self, now: Instant) {
        if !self.inbox.is_partial() {
            self.frame_since = None;
        } else if self.frame_since.is_none() {
            self.frame_since = Some(now);
        }
    }
}
