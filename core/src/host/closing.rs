//! The end of a session at the driver's order: the peer reads the reason where the buffer has room for it.
use super::{Host, conversation::Effect, input::Keyring};
use crate::{message::Notice, time::Instant, wire::Proof};

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// Ends the session, and answers every later message with `out-of-service`: the ledger's records cannot
    /// be read.
    pub fn take_out_of_service(&mut self, now: Instant) {
        self.out_of_service = true;
        self.forget_incoming();
        self.end_conversation(Effect::EndWithNotice(Notice::OutOfService), now);
        self.advance(now);
    }

    /// Rejects a connection with `busy`, in place of the greeting or whatever else it has not sent: the driver has no room
    /// for another session.
    pub fn reject_busy(&mut self, now: Instant) {
        self.outbox.clear();
        self.reject(Notice::Busy, now);
    }

    /// Drops the session and what it has requested but not reported yet, and closes a connection with `notice` behind
    /// unsent output. The notice is left out, and the output with it, if the buffer has no room for it: then the peer
    /// does not read.
    pub fn reject(&mut self, notice: Notice, now: Instant) {
        let is_keyed = self.conversation.as_ref().is_some_and(|held| held.keys().notice().is_some());
        let keyring = if is_keyed { Keyring::Conversation } else { Keyring::Hello };
        self.apply_under(keyring, Effect::EndWithNotice(notice), now);
        self.drop_conversation();
        self.forget_incoming();
    }

    /// Drops what was not reported or admitted yet.
    fn forget_incoming(&mut self) {
        self.incoming_hello = None;
        self.proof = Proof::default();
        self.report_hello = false;
        self.report_quit = false;
        // A hello that is still in the inbox asks again, if it is read at all.
        #[cfg(feature = "seal")]
        {
            self.wants_key = false;
            self.report_key = false;
        }
    }

    /// Ends the session and then the link, with a `stopping` notice; the outcome of an outstanding request is
    /// sent first.
    pub fn shut_down(&mut self, now: Instant) {
        self.shutting_down = true;
        self.advance(now);
    }
}
