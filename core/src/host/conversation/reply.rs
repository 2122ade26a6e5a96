//! The conversation's replies: each has a number of its own, and the last one is kept for a duplicate of its answer.
use super::{Conversation, Effect, Outstanding};
#[cfg(feature = "seal")]
use crate::seal::Header;
use crate::{
    ledger::{Numbers, Origin},
    message::{Notice, Reply},
    screen::{Screen, Screens, append, screens},
    time::Instant,
    wire::Envelope,
};

impl Conversation {
    /// The reply to send again after a fault. A terminal that said hello knows a reply by its number and
    /// shows it once, so it gets the whole reply, which it may have missed. A plain peer gets the prompt
    /// alone, without the notices that it has already shown.
    pub(crate) fn open_prompt(&self) -> Option<Reply> {
        let last = self.last_reply.as_ref().filter(|last| !self.is_busy() && last.is_prompt())?;
        let mut open = last.clone();
        if !self.began_with_hello() {
            open.screens = last.screens.last().map_or(Screens::new(), |prompt| screens([*prompt]));
        }
        Some(open)
    }

    /// The last reply is sent now; returns it with its envelope.
    pub(crate) fn send_reply(&mut self, now: Instant) -> Option<(Option<Envelope<'_>>, &Reply)> {
        self.replied_at.get_or_insert(now);
        self.last_reply.as_ref().map(|reply| (self.reply_envelope(reply), reply))
    }

    /// Fixes the keys of the session, if the last reply is the first to a sealed hello. `salt` is the host's.
    // Not inlined: few replies are the first.
    #[cfg(feature = "seal")]
    #[inline(never)]
    pub(crate) fn fix_keys(&mut self, salt: u64) {
        if let Some(reply) = &self.last_reply {
            let origin = self.ledger.map_or(0, |ledger| ledger.0) ^ salt;
            self.keys.fix(Header::new(origin, reply.seq));
        }
    }

    /// The envelope in which a reply goes out.
    pub(crate) fn reply_envelope(&self, reply: &Reply) -> Option<Envelope<'_>> {
        #[cfg(feature = "seal")]
        return self.keys.reply(reply.welcome.is_some());
        #[cfg(not(feature = "seal"))]
        {
            let _ = reply;
            None
        }
    }

    /// The number after that of the last reply.
    pub(crate) fn next_seq(&self) -> u64 {
        self.last_reply.as_ref().map_or(1, |last| last.seq.saturating_add(1))
    }

    /// Gives the last reply, which waits for it, a number of the block that was just reserved.
    pub(super) fn number_reply(&mut self, quit: bool) -> Effect {
        match (self.numbers.take(), &mut self.last_reply) {
            // A block below the answered prompt is of a ledger that was set back: the next hello proves it.
            (Some(seq), Some(last)) if last.re.is_none_or(|re| seq > re) => {
                last.seq = seq;
                if quit { Effect::SendReplyAndQuit } else { Effect::SendReply }
            }
            // A new block is empty only when all 2^53 numbers are used up.
            _ => {
                self.drop_session();
                Effect::EndWithNotice(Notice::Busy)
            }
        }
    }

    /// Makes a reply under the next number.
    pub(super) fn reply_with(&mut self, re: Option<u64>, screens: &[Screen]) -> Effect {
        self.make_reply(re, screens, false)
    }

    /// Makes a reply under the next number, or requests more numbers first. `quit` asks the driver to stop
    /// the host.
    pub(super) fn make_reply(&mut self, re: Option<u64>, screens: &[Screen], quit: bool) -> Effect {
        let number = self.numbers.take();
        if number.is_none() && matches!(self.origin, Origin::Session(_)) {
            // All numbers of the unnamed session are used up: up to 2^32 replies on one link.
            return Effect::EndWithNotice(Notice::Busy);
        }
        let welcome = if self.welcome_due { self.welcome() } else { None };
        self.replied_at = None;
        // A reply without a number is not sent: `ReserveNumbers` is outstanding.
        let seq = number.unwrap_or(Numbers::MAX);
        let reply = self.last_reply.insert(Reply { seq, re, screens: Screens::new(), welcome });
        append(&mut reply.screens, screens);
        match (number, quit) {
            (None, quit) => self.emit_request(Outstanding::ReserveNumbers { quit }),
            (Some(_), true) => Effect::SendReplyAndQuit,
            (Some(_), false) => Effect::SendReply,
        }
    }
}
