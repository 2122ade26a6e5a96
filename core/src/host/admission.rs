//! Admission: gives a link the conversation of the terminal that said hello on it, and takes the conversation out for another
//! link, so that one link at a time holds it.
use super::{Conversation, Host, LinkKind, conversation::Effect, input::Keyring};
use crate::{
    ledger::{Epoch, Origin},
    message::{Hello, Notice},
    time::Instant,
    wire::Proof,
};

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// The hello that the driver has to [`admit`](Self::admit) or [`refuse`](Self::refuse).
    pub fn incoming_hello(&self) -> Option<&Hello> {
        self.incoming_hello.as_ref()
    }

    /// Admits the terminal of the incoming hello. `conversation` is the one that was parked, or that another
    /// endpoint gave out by [`take_over`](Self::take_over), if there is one.
    pub fn admit(&mut self, conversation: Option<Conversation>, now: Instant) {
        let Some(mut conversation) = conversation else { return self.admit_new(now) };
        let Some(hello) = self.incoming_hello.take() else { return };
        let proof = core::mem::take(&mut self.proof);
        self.drop_conversation();
        conversation.set_next_ticket(self.next_ticket);
        let effect = conversation.take_hello(&hello, proof, self.config.link == LinkKind::Serial);
        self.conversation = Some(conversation);
        self.apply(effect, now);
        self.advance(now);
    }

    /// Admits the terminal of the incoming hello, where no conversation with it is held. The same as
    /// `admit(None, now)`, but without its code for a held conversation, which the image of a kiosk does not need.
    pub fn admit_new(&mut self, now: Instant) {
        let Some(hello) = self.incoming_hello.take() else { return };
        let proof = core::mem::take(&mut self.proof);
        let effect = self.start_conversation(&hello, proof);
        self.apply(effect, now);
        self.advance(now);
    }

    /// Refuses the incoming hello with `name-in-use`: its epoch is not greater than that of the terminal's
    /// conversation.
    pub fn refuse(&mut self, now: Instant) {
        if let Some(Hello { start, attempt, .. }) = self.incoming_hello.take() {
            self.drop_conversation();
            let effect = Effect::EndWithNotice(Notice::NameInUse { start, attempt });
            self.apply_under(Keyring::Hello, effect, now);
            self.proof = Proof::default();
        }
    }

    /// Takes the conversation out, because its terminal said hello on another link, and ends this endpoint
    /// with a `taken-over` notice. The driver passes the conversation to [`admit`](Self::admit) of the other
    /// endpoint.
    pub fn take_over(&mut self, now: Instant) -> Option<Conversation> {
        #[cfg_attr(not(feature = "cards"), expect(unused_mut, reason = "only a card's is changed"))]
        let mut conversation = self.conversation.take()?;
        #[cfg(feature = "cards")]
        conversation.drop_verifiers();
        self.next_ticket = conversation.next_ticket();
        let Epoch { start, attempt, .. } = conversation.epoch();
        if self.outbox.is_empty() {
            self.stall_since = now;
        }
        // Appended even to unsent output: a terminal that saw only its link close would reconnect and take
        // over in its turn. If the notice does not fit, the peer does not read.
        let envelope = conversation.keys().notice();
        let _ = self.outbox.notice_in(envelope, Notice::TakenOver { start, attempt }, None);
        self.closing |= self.config.link == LinkKind::Connection;
        Some(conversation)
    }

    /// The conversation that this endpoint holds, with a named terminal or an unnamed one.
    pub fn conversation(&self) -> Option<&Conversation> {
        self.conversation.as_ref()
    }

    /// Takes out the conversation with a named terminal whose link is gone, to keep it until the terminal
    /// reconnects. `None` if the session is over or the terminal has no name.
    ///
    /// [`Conversation`] has an example.
    pub fn park(&mut self) -> Option<Conversation> {
        #[cfg_attr(not(feature = "cards"), expect(unused_mut, reason = "only a card's is changed"))]
        let mut parked = self.conversation.take_if(|conversation| {
            matches!(conversation.origin(), Origin::Terminal(_)) && !conversation.is_over()
        })?;
        self.next_ticket = parked.next_ticket();
        #[cfg(feature = "cards")]
        parked.drop_verifiers();
        Some(parked)
    }
}
