//! The handshake: what a hello gets, and how a request whose reply was lost is settled.
//!
//! The ledger admits every hello of a named terminal before its welcome: it commits the hello's epoch, raises the
//! terminal's turn, and returns the epoch that stood there. If that is the epoch of this conversation, no other host
//! and no other conversation has served the terminal since, and a terminal that reconnects in the same life (`start` is
//! unchanged) and asks to resume continues where it was. Any other hello starts a new session at the menu. If the
//! terminal has not shown the outcome of its last request, the ledger settles it first: the outcome is looked up under
//! its idempotency key, or the key is voided, so that the operation can never be done later.
use super::{Conversation, Effect, Outstanding};
use crate::{
    ledger::{Admission, Epoch, HelloClaim, LedgerId, Origin, Outcome, Record, Rejection},
    message::{Fault, Hello, Notice, Welcome},
    screen::Screen,
    wire::{Keys, Proof},
};

/// What a hello says about the terminal, until it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct WaitingHello {
    pub(super) ledger: Option<LedgerId>,
    pub(super) shown: u64,
    pub(super) pending: Option<u64>,
    resume: bool,
    /// The link is a serial line, where a terminal retransmits its hello.
    on_serial: bool,
    /// The ledger was asked to admit it.
    is_requested: bool,
}

impl Conversation {
    /// Handles a hello on the link that holds this conversation.
    pub(crate) fn handle_hello(&mut self, hello: &Hello, proof: &Proof, on_serial: bool) -> Effect {
        let (start, attempt) = (hello.start, hello.attempt);
        if self.epoch == Some(hello.epoch()) && self.keys.are_of(proof) {
            return if self.is_busy() {
                Effect::SendNotice(self.working_notice())
            } else if self.last_reply.is_some() {
                // A duplicate of the hello gets the same reply.
                self.resend_with_welcome()
            } else {
                // It was admitted, and fenced since.
                self.fenced()
            };
        }
        if !self.admits(hello) && matches!(self.origin, Origin::Terminal(_)) {
            return Effect::SendNotice(Notice::NameInUse { start, attempt });
        }
        self.take_hello(hello, proof.clone(), on_serial)
    }

    /// Takes a hello that is not a duplicate: serves it, or has it wait for the outstanding request.
    pub(crate) fn take_hello(&mut self, hello: &Hello, proof: Proof, on_serial: bool) -> Effect {
        // A hello that waits and does not resume has ended the session, though it was not served yet.
        let resume = hello.resume && self.waiting_hello.is_none_or(|waiting| waiting.resume);
        let Hello { ledger, shown, pending, .. } = *hello;
        self.epoch = Some(hello.epoch());
        self.keys = Keys::of(proof);
        #[cfg(feature = "cards")]
        if self.is_card {
            self.keys.widen();
        }
        self.waiting_hello =
            Some(WaitingHello { ledger, shown, pending, resume, on_serial, is_requested: false });
        if self.is_busy() { Effect::SendNotice(self.working_notice()) } else { self.serve_hello() }
    }

    /// Serves the hello that waits: a named terminal's is admitted by the ledger first.
    pub(super) fn serve_hello(&mut self) -> Effect {
        let (Some(waiting), Some(epoch)) = (&mut self.waiting_hello, self.epoch) else {
            return Effect::Nothing;
        };
        if matches!(self.origin, Origin::Terminal(_)) {
            waiting.is_requested = true;
            return self.emit_request(Outstanding::Hello { epoch });
        }
        let waiting = *waiting;
        self.waiting_hello = None;
        if !self.is_same_life(epoch) {
            self.drop_session();
        }
        self.committed = epoch;
        if self.resumes(&waiting) {
            return self.resend_with_welcome();
        }
        // A restarted host numbers from 1 again, and the terminal ignores numbers that it has already shown.
        self.numbers = self.numbers.above(waiting.shown);
        match waiting.pending {
            Some(_) => self.reply_with(waiting.pending, &[Screen::Outcome(Outcome::Unknown), Screen::Menu]),
            None => self.reply_with(None, &[Screen::Menu]),
        }
    }

    /// What the ledger has to know of the hello that waits.
    pub(super) fn hello_claim(&self, epoch: Epoch) -> Option<HelloClaim> {
        let WaitingHello { ledger, shown, pending, on_serial, .. } = self.waiting_hello?;
        Some(HelloClaim { epoch, admit_equal: on_serial, ledger, seen: shown.max(pending.unwrap_or(0)) })
    }

    /// Takes the ledger's admission of the hello of this epoch.
    pub(super) fn admitted(&mut self, epoch: Epoch, admission: &Admission) -> Effect {
        // No other host has admitted a hello since. Two plain clients have the same epoch, but not the same turn.
        let is_ours = self.turn != 0
            && admission.former == Some(self.committed)
            && admission.turn == self.turn.wrapping_add(1);
        let may_resume = is_ours
            && self.is_same_life(epoch)
            && self.ledger == Some(admission.ledger)
            && admission.set_back.is_none();
        self.committed = epoch;
        self.ledger = Some(admission.ledger);
        self.turn = admission.turn;
        self.numbers = admission.numbers;
        if !may_resume {
            self.drop_session();
        }
        let Some(waiting) = self.waiting_hello.filter(|waiting| waiting.is_requested) else {
            // A later hello has come in the meantime, and is not committed yet.
            return self.serve_hello();
        };
        self.waiting_hello = None;
        if self.resumes(&waiting) {
            return self.resend_with_welcome();
        }
        self.start_session(&waiting, admission)
    }

    /// Ends the conversation, because its hello was not admitted or is not valid any more, unless a later one waits.
    pub(super) fn rejected(&mut self, epoch: Epoch, rejection: Rejection) -> Effect {
        let Epoch { start, attempt, .. } = epoch;
        if self.epoch == Some(epoch) {
            // Sent again, the hello is served anew: its notice may be lost on a serial line.
            self.epoch = (self.turn != 0).then_some(self.committed);
        }
        self.end_or_serve(match rejection {
            Rejection::InUse => Notice::NameInUse { start, attempt },
            Rejection::Full | Rejection::TooSoon => Notice::Busy,
            Rejection::Unsound => Notice::Fault(Fault::NotAMessage),
            Rejection::SetBack(_) | Rejection::Revoked => Notice::OutOfService,
        })
    }

    /// Ends the conversation, because another host has admitted a hello of the terminal since, unless a later hello
    /// waits here.
    pub(super) fn fenced(&mut self) -> Effect {
        let Epoch { start, attempt, .. } = self.committed;
        self.end_or_serve(Notice::TakenOver { start, attempt })
    }

    fn end_or_serve(&mut self, notice: Notice) -> Effect {
        self.drop_session();
        if self.waiting_hello.is_some_and(|waiting| !waiting.is_requested) {
            return self.serve_hello();
        }
        self.waiting_hello = None;
        Effect::EndWithNotice(notice)
    }

    /// Whether the hello of this epoch comes from the life of the terminal that the session belongs to.
    fn is_same_life(&self, epoch: Epoch) -> bool {
        self.committed.is_same_life(epoch)
    }

    /// Whether the terminal can continue its session: it lacks no reply, or only the last one.
    fn can_resume(&self, hello: &WaitingHello) -> bool {
        let Some(last) = &self.last_reply else { return false };
        if !hello.resume || hello.ledger != self.ledger {
            return false;
        }
        match hello.pending {
            // It waits for no reply. One that it has not shown answered an earlier hello, and may have the
            // outcome of an answer whose reply it has shown since.
            None => last.seq <= hello.shown,
            // Its answer was lost: the prompt is still open, and the terminal retransmits.
            Some(pending) if pending == last.seq => true,
            // The reply to its answer was lost.
            Some(pending) => last.re == Some(pending) && hello.shown < last.seq,
        }
    }

    /// Whether the session goes on, with the last reply again. Otherwise it is dropped.
    // Not inlined, like `drop_session`: named and unnamed terminals need it.
    #[inline(never)]
    fn resumes(&mut self, hello: &WaitingHello) -> bool {
        self.welcome_due = true;
        if !self.can_resume(hello) {
            self.drop_session();
            return false;
        }
        if let Some(last) = self.last_reply.as_mut().filter(|last| last.seq <= hello.shown) {
            // The terminal has shown it and knows it by its number. The prompt that it followed may be of another
            // ledger, with a higher number.
            last.re = None;
        }
        true
    }

    /// Sends the last reply again, as the answer to the latest hello.
    fn resend_with_welcome(&mut self) -> Effect {
        let welcome = self.welcome();
        match &mut self.last_reply {
            Some(last) => {
                last.welcome = welcome;
                Effect::SendReply
            }
            None => Effect::Nothing,
        }
    }

    pub(super) fn welcome(&self) -> Option<Welcome> {
        self.epoch.map(|Epoch { start, attempt, .. }| Welcome { ledger: self.ledger, start, attempt })
    }

    #[inline(never)]
    pub(super) fn drop_session(&mut self) {
        self.session = self.first_session();
        self.last_reply = None;
        self.last_answer = None;
    }

    /// Answers a hello with what the terminal does not know yet: the outcome of its last request, or the menu
    /// alone.
    fn start_session(&mut self, hello: &WaitingHello, admission: &Admission) -> Effect {
        #[cfg(feature = "cards")]
        self.keep_earlier(hello, admission);
        match (hello.pending, admission.last) {
            // The number is of another ledger, and only that one knows its outcome.
            (Some(id), _) if hello.ledger != self.ledger => {
                self.reply_with_outcome(Some(id), Outcome::Unknown)
            }
            (Some(id), _) => self.emit_request(Outstanding::Settle { id }),
            _ if hello.ledger != self.ledger => self.reply_with(None, self.first_screens()),
            // A reply has a higher number than the answer it follows, so the reply with this outcome was
            // never shown.
            (None, Some(Record { id, outcome, .. })) if id >= hello.shown => {
                self.reply_with_outcome(Some(id), outcome)
            }
            // What the terminal did since the state to which the ledger was set back is not in it.
            _ if admission.set_back.is_some() => self.reply_with_outcome(None, Outcome::Unknown),
            _ => self.reply_with(None, self.first_screens()),
        }
    }

    /// The first prompt after the outcome of an earlier request.
    pub(super) fn reply_with_outcome(&mut self, id: Option<u64>, outcome: Outcome) -> Effect {
        #[cfg(feature = "cards")]
        if self.is_card {
            return self.reply_in_brief(id, outcome);
        }
        self.reply_with(id, &[Screen::EarlierRequest, Screen::Outcome(outcome), Screen::Menu])
    }
}
