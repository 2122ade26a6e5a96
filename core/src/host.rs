//! The host's endpoint: the ATM as a byte-stream machine.
//!
//! A [`Host`] serves one line. It holds no socket, no clock and no money; its driver does, by four kinds of methods:
//!
//! * what comes in: [`feed`](Host::feed), [`end`](Host::end), [`complete`](Host::complete), [`tick`](Host::tick),
//!   [`admit`](Host::admit), [`refuse`](Host::refuse), [`shut_down`](Host::shut_down);
//! * what goes out: [`output`](Host::output), then [`consume`](Host::consume);
//! * what is to be done: [`poll_event`](Host::poll_event), [`deadline`](Host::deadline);
//! * what there is to see: [`is_finished`](Host::is_finished), [`counters`](Host::counters).
//!
//! The one invariant: after any method the driver drains events and output and asks for the deadline again. No method
//! blocks, and none panics, whatever the bytes and whatever the order of calls.
use crate::{
    frame::Decoded,
    ledger::{Origin, Request, Response},
    message::{Hello, Notice},
    time::{Instant, earliest},
    wire::{Counters, Inbox, Outbox},
};

mod config;
mod conversation;
mod input;
pub use config::{Config, Event, LinkKind};
pub use conversation::Conversation;
use conversation::Effect;

/// Bytes for what comes in: the longest body of a frame. A hello with every field takes 230 of them, the longest answer
/// 410 with each of its bytes escaped as `\u00XX`.
pub const IN: usize = 512;

/// Bytes for what goes out. The longest reply takes 763 of them behind `working` and before `taken-over`, 651 behind a
/// fault: where nobody reads these, a `taken-over` behind them is left out.
pub const OUT: usize = 768;

/// [`IN`], where `postcard` is the only wire: the longest hello takes 78 bytes, the longest answer 75, the check sum 4.
pub const POSTCARD_IN: usize = 96;

/// [`OUT`], where `postcard` is the only wire.
pub const POSTCARD_OUT: usize = 160;

/// The ATM's side of one line, for frames of at most `IN` bytes and output of at most `OUT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host<const IN: usize, const OUT: usize> {
    config: Config,
    /// The number of this line, for operations of a session without a name.
    session: u64,
    inbox: Inbox<IN>,
    outbox: Outbox<OUT>,
    conversation: Option<Conversation>,
    /// The hello that waits for the driver's word.
    incoming_hello: Option<Hello>,
    /// The driver was not told of it yet.
    report_hello: bool,
    /// The driver was not told yet that the person asked to stop the host.
    report_quit: bool,
    /// The first number of the next conversation without a name.
    first_seq: u64,
    input_ended: bool,
    shutting_down: bool,
    closing: bool,
    /// Nobody is served.
    out_of_service: bool,
    /// When the last prompt was opened, the present frame begun, and output last taken.
    idle_since: Instant,
    frame_since: Option<Instant>,
    stall_since: Instant,
}

impl<const IN: usize, const OUT: usize> Host<IN, OUT> {
    /// An endpoint for a line that was just opened. `session` is a number that no other line of the same ledger has.
    // Not inlined, like what it calls: see `silent`.
    #[inline(never)]
    pub fn new(config: Config, session: u64, now: Instant) -> Self {
        match config.link {
            LinkKind::Serial => Self::silent(config, session, now),
            LinkKind::Connection => Self::greeting(config, session, now),
        }
    }

    /// Made where it is to stay, and so not inlined: as a value that is still changed, all of it would be on the stack twice, on
    /// a part that never greets.
    #[inline(never)]
    fn silent(config: Config, session: u64, now: Instant) -> Self {
        Self {
            config,
            session,
            inbox: Inbox::for_host(config.wire),
            outbox: Outbox::new(config.wire),
            conversation: None,
            incoming_hello: None,
            report_hello: false,
            report_quit: false,
            first_seq: 1,
            input_ended: false,
            shutting_down: false,
            closing: false,
            out_of_service: false,
            idle_since: now,
            frame_since: None,
            stall_since: now,
        }
    }

    #[inline(never)]
    fn greeting(config: Config, session: u64, now: Instant) -> Self {
        let mut host = Self::silent(config, session, now);
        host.conversation = Some(Conversation::greeting(session, 1));
        host.apply(Effect::SendReply, now);
        host
    }

    /// Takes bytes that came in; says how many. What it leaves is to be fed again after output was taken or a request
    /// was completed.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> usize {
        let mut taken = 0usize;
        loop {
            self.advance(now);
            let rest = bytes.get(taken..).unwrap_or(&[]);
            if rest.is_empty() || self.closing {
                break;
            }
            let count = self.inbox.push(rest);
            if count == 0 {
                break;
            }
            taken = taken.saturating_add(count);
            if !self.inbox.is_partial() {
                self.frame_since = None;
            } else if self.frame_since.is_none() {
                self.frame_since = Some(now);
            }
        }
        // What comes on a line that closes is of no use, and must not hold up its driver.
        if self.closing { bytes.len() } else { taken }
    }

    /// The peer will send nothing more; what it sent was all fed.
    pub fn end(&mut self, now: Instant) {
        self.input_ended = true;
        self.inbox.end();
        self.advance(now);
    }

    /// Bytes to send.
    pub fn output(&self) -> &[u8] {
        self.outbox.output()
    }

    /// `count` bytes of the output were sent.
    pub fn consume(&mut self, count: usize, now: Instant) {
        // A driver that could send nothing has not seen the peer read.
        if count > 0 {
            self.stall_since = now;
        }
        self.outbox.consume(count);
        self.advance(now);
    }

    /// What the driver is to do next.
    pub fn poll_event(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.report_quit) {
            return Some(Event::Quit);
        }
        if core::mem::take(&mut self.report_hello) {
            return self.incoming_hello.as_ref().and_then(|hello| hello.terminal.clone()).map(Event::Arrival);
        }
        self.conversation.as_mut().and_then(Conversation::take_request).map(Event::Request)
    }

    /// Takes the ledger's response to a request of this endpoint. False where it does not wait for it.
    // Not inlined: what a reply takes of the stack is not needed while the ledger is at work.
    #[inline(never)]
    pub fn complete(&mut self, request: &Request, response: Response, now: Instant) -> bool {
        let Some(conversation) = &mut self.conversation else { return false };
        let effect = conversation.complete(request, response);
        let expected = !matches!(effect, Effect::Nothing);
        self.apply(effect, now);
        self.advance(now);
        expected
    }

    /// The hello that the driver has to admit or refuse.
    pub fn incoming_hello(&self) -> Option<&Hello> {
        self.incoming_hello.as_ref()
    }

    /// Lets the terminal in that said hello, with its conversation where it is held already.
    pub fn admit(&mut self, conversation: Option<Conversation>, now: Instant) {
        let Some(mut conversation) = conversation else { return self.admit_new(now) };
        let Some(hello) = self.incoming_hello.take() else { return };
        self.drop_conversation();
        let effect = conversation.handle_hello(&hello);
        self.conversation = Some(conversation);
        self.apply(effect, now);
        self.advance(now);
    }

    /// Lets the terminal in that said hello, where no conversation with it is held.
    pub fn admit_new(&mut self, now: Instant) {
        let Some(hello) = self.incoming_hello.take() else { return };
        let effect = self.start_conversation(&hello);
        self.apply(effect, now);
        self.advance(now);
    }

    /// Turns the terminal away that said hello: another of its name came later.
    pub fn refuse(&mut self, now: Instant) {
        if let Some(Hello { start, attempt, .. }) = self.incoming_hello.take() {
            self.drop_conversation();
            self.apply(Effect::EndWithNotice(Notice::NameInUse { start, attempt }), now);
        }
    }

    /// Serves nobody from now on, because the records of the money cannot be read: whoever says something is told so.
    pub fn take_out_of_service(&mut self, now: Instant) {
        self.out_of_service = true;
        self.incoming_hello = None;
        self.report_hello = false;
        self.report_quit = false;
        if self.drop_conversation() {
            self.apply(Effect::EndWithNotice(Notice::OutOfService), now);
        }
        self.advance(now);
    }

    /// The ledger could not be asked: the request that is out is given out again, as the next event.
    pub fn retry_request(&mut self) {
        if let Some(conversation) = &mut self.conversation {
            conversation.retry_request();
        }
    }

    /// Turns a connection away that was just opened: there are as many as the driver takes.
    pub fn reject_busy(&mut self, now: Instant) {
        self.outbox.clear();
        self.conversation = None;
        self.apply(Effect::EndWithNotice(Notice::Busy), now);
    }

    /// Ends this endpoint and gives out the conversation with a terminal that came elsewhere.
    pub fn take_over(&mut self, now: Instant) -> Option<Conversation> {
        let conversation = self.conversation.take()?;
        let (start, attempt) = conversation.epoch();
        if self.outbox.is_empty() {
            self.stall_since = now;
        }
        // Said even behind what is still on its way: a terminal that only saw its line close would come again. Where
        // there is no room for it, nobody reads.
        let _ = self.outbox.notice(Notice::TakenOver { start, attempt }, None);
        self.closing |= self.config.link == LinkKind::Connection;
        Some(conversation)
    }

    /// The conversation that is held here, of a named terminal or not.
    pub fn conversation(&self) -> Option<&Conversation> {
        self.conversation.as_ref()
    }

    /// Takes out the conversation with a named terminal, to be parked: the line is gone.
    pub fn park(&mut self) -> Option<Conversation> {
        self.conversation.take_if(|conversation| {
            matches!(conversation.origin(), Origin::Terminal(_)) && !conversation.is_over()
        })
    }

    /// Ends the session, after the outcome of what is out, and then the line.
    pub fn shut_down(&mut self, now: Instant) {
        self.shutting_down = true;
        self.advance(now);
    }

    /// Is there nothing more to do? The driver then closes the line.
    pub fn is_finished(&self) -> bool {
        let idle = self.outbox.is_empty() && !self.has_event();
        let served = self.input_ended && !self.is_busy() && self.inbox.decoded().0 == Decoded::More;
        idle && (self.closing || served)
    }

    /// Frames counted since the line was opened.
    pub fn counters(&self) -> Counters {
        self.inbox.counters()
    }

    /// Takes the frames counted so far; the count begins again.
    pub fn take_counters(&mut self) -> Counters {
        self.inbox.take_counters()
    }

    /// When [`tick`](Self::tick) is to be called at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(self.stall_deadline(), earliest(self.frame_deadline(), self.idle_deadline()))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        let connection = self.config.link == LinkKind::Connection;
        if passed(self.stall_deadline()) {
            // Nobody reads: there is nobody to tell.
            self.outbox.clear();
            self.closing = true;
        }
        if passed(self.frame_deadline()) {
            self.frame_since = None;
            let fault = self.inbox.give_up();
            if connection && !self.closing {
                // What comes now would be taken for the start of a frame: the connection is of no more use.
                self.close_with(Notice::Fault(fault), now);
            }
        }
        if passed(self.idle_deadline()) {
            let tell = self.drop_conversation();
            if connection {
                self.close_with(Notice::Idle, now);
            } else if tell && self.outbox.is_empty() {
                self.apply(Effect::SendNotice(Notice::Idle), now);
            }
        }
        self.advance(now);
    }

    /// When the peer has left output unread for too long.
    fn stall_deadline(&self) -> Option<Instant> {
        let stalls = self.config.link == LinkKind::Connection && !self.outbox.is_empty();
        stalls.then(|| self.stall_since + self.config.stall_timeout)
    }

    /// When the frame that has begun has taken too long. What is out is told before that ends the connection.
    fn frame_deadline(&self) -> Option<Instant> {
        self.frame_since.filter(|_| !self.is_busy()).map(|since| since + self.config.frame_timeout)
    }

    /// When the open prompt has had no answer for too long.
    fn idle_deadline(&self) -> Option<Instant> {
        let open = self.conversation.is_some() && !self.is_busy() && !self.closing;
        open.then(|| self.idle_since + self.config.idle_timeout)
    }

    /// Is there something that the driver was not told yet?
    fn has_event(&self) -> bool {
        self.report_quit
            || self.report_hello
            || self.conversation.as_ref().is_some_and(Conversation::has_request)
    }

    /// Does it wait for the ledger or for the driver's word?
    #[inline(never)]
    fn is_busy(&self) -> bool {
        self.incoming_hello.is_some() || self.conversation.as_ref().is_some_and(Conversation::is_busy)
    }
}

#[cfg(test)]
mod tests;
