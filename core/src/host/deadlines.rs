//! The host's timers: unread output, unfinished frames and idle prompts.
use super::{Conversation, Host, LinkKind, conversation::Effect};
use crate::{
    message::{Fault, Notice},
    time::{Duration, Instant, earliest},
};

/// How long a frame may take on a connection that has begun as one of another wire does: that peer waits for a reply.
const FOREIGN_TIMEOUT: Duration = Duration::from_secs(2);

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// When [`tick`](Self::tick) must be called at the latest; `None` while no timer runs.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(self.stall_deadline(), earliest(self.frame_deadline(), self.idle_deadline()))
    }

    /// Handles the timers that have run out by `now`. An early call has no effect.
    pub fn tick(&mut self, now: Instant) {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        let connection = self.config.link == LinkKind::Connection;
        if passed(self.stall_deadline()) {
            // The peer does not read, so no notice is sent.
            self.outbox.clear();
            self.closing = true;
        }
        if passed(self.frame_deadline()) {
            self.frame_since = None;
            let is_foreign = self.inbox.is_foreign();
            let fault = self.inbox.give_up();
            let fault = if is_foreign { Fault::WrongWire } else { fault };
            if connection && !self.closing {
                // The rest of the frame would be read as the start of another: the connection cannot be used
                // any more.
                self.close_with(Notice::Fault(fault), now);
            }
        }
        if passed(self.idle_deadline()) {
            let active = self.conversation.as_ref().is_some_and(|held| !held.is_over());
            if self.outbox.is_empty() && (connection || active) {
                self.apply(Effect::SendNotice(Notice::Idle), now);
            }
            self.drop_conversation();
            self.closing |= connection;
        }
        self.advance(now);
    }

    /// When the peer has left output unread for too long (only on a connection).
    fn stall_deadline(&self) -> Option<Instant> {
        let stalls = self.config.link == LinkKind::Connection && !self.outbox.is_empty();
        stalls.then(|| self.stall_since + self.config.stall_timeout)
    }

    /// When an unfinished frame has taken too long. The timer waits for an outstanding request, so that its
    /// outcome is sent before the connection ends.
    fn frame_deadline(&self) -> Option<Instant> {
        let since = self.frame_since.filter(|_| !self.is_busy())?;
        let is_foreign = self.config.link == LinkKind::Connection && self.inbox.is_foreign();
        let timeout = self.config.frame_timeout;
        Some(since + if is_foreign { timeout.min(FOREIGN_TIMEOUT) } else { timeout })
    }

    /// When the open prompt has had no answer for too long. Idle time runs from the first sending of the prompt, so
    /// that no noise, duplicate or hello can hold a session open.
    fn idle_deadline(&self) -> Option<Instant> {
        let since = self.conversation.as_ref().and_then(Conversation::idle_since);
        since.filter(|_| !self.closing).map(|since| since + self.config.idle_timeout)
    }
}
