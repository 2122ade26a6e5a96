//! One terminal's conversation with the host: a numbered exchange in which every answer has one reply,
//! exactly once.
//!
//! The number of a prompt (`seq` of its reply) is the idempotency key of the operation that its answer
//! causes. For a named terminal it is used once for all time, and the ledger carries out at most one
//! operation under it. Three rules follow:
//!
//! * only an answer to the open prompt has an effect;
//! * a duplicate of the answer before it, by the link or by the terminal's retransmission, gets the same
//!   reply again, and an answer with other content is a conflict;
//! * while a request is outstanding, a duplicate is answered with `working`, and everything else waits.
//!
//! A [`Conversation`] outlives its link: it is parked when the link is lost, takes the ledger's response
//! while it is parked, and moves to the endpoint where the terminal says hello next.
use crate::{
    ledger::{LedgerId, Numbers, Origin, Request, Response},
    message::{Answer, Fault, Hello, Notice, Reply},
    screen::{Screen, Screens, screens},
    session::{Action, Fingerprint, Policy, Session},
};

mod hello;
mod request;
use hello::HelloClaims;
use request::Outstanding;

/// What the endpoint must do after an input. Small, because it is returned through several calls: the reply
/// stays in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The input was not expected.
    Nothing,
    /// Send [`Conversation::last_reply`].
    SendReply,
    /// Send [`Conversation::last_reply`] and report `quit` to the driver.
    SendReplyAndQuit,
    /// Send this notice.
    SendNotice(Notice),
    /// Send this fault, and the open prompt again.
    SendFault(Fault),
    /// Emit the request that [`Conversation::take_request`] returns.
    EmitRequest,
    /// Send this notice; the conversation cannot continue.
    EndWithNotice(Notice),
}

/// A conversation with one terminal: its session, the numbers of its replies, and the last reply for a
/// duplicate.
///
/// # Example
/// A link is lost at the deposit prompt, and the terminal goes on there over another one:
/// ```
/// # #[cfg(feature = "json")] {
/// use atm_core::{host::*, ledger::*, money::Amount, time::Instant, wire::Wire};
/// use atm_core::terminal::{self, Profile, Terminal};
///
/// /// Carries bytes and requests until nothing moves. A hello is admitted with the parked conversation.
/// fn exchange(
///     host: &mut Host<IN, OUT>,
///     terminal: &mut Terminal<OUT, IN>,
///     ledger: &mut RamLedger<1>,
///     parked: &mut Option<Conversation>,
/// ) {
///     let now = Instant::from_millis(0);
///     loop {
///         let sent = host.feed(terminal.output(), now);
///         terminal.consume(sent);
///         while let Some(event) = host.poll_event() {
///             match event {
///                 Event::Request(request) => {
///                     let response = ledger.apply(&request).unwrap();
///                     host.complete(&request, response, now);
///                 }
///                 Event::Hello(_) => {
///                     let hello = host.incoming_hello().unwrap();
///                     if parked.as_ref().is_none_or(|conversation| conversation.admits(hello)) {
///                         host.admit(parked.take(), now);
///                     } else {
///                         host.refuse(now);
///                     }
///                 }
///                 Event::Quit => host.shut_down(now),
///             }
///         }
///         let received = terminal.feed(host.output(), now);
///         host.consume(received, now);
///         while terminal.poll_event(now).is_some() {}
///         if sent == 0 && received == 0 {
///             return;
///         }
///     }
/// }
///
/// let now = Instant::from_millis(0);
/// let open = |session| Host::<IN, OUT>::new(Config::new(Wire::Json, LinkKind::Connection), session, now);
/// let profile = Profile { name: Some("kiosk-7".parse()?), start: 1, ..Profile::default() };
/// let config = terminal::Config { profile: Some(profile), ..terminal::Config::new(Wire::Json, LinkKind::Connection) };
/// let mut terminal = Terminal::<OUT, IN>::new(config, now);
/// let (mut ledger, mut parked) = (RamLedger::<1>::new(LedgerId(7), Amount::ZERO), None);
///
/// let mut first = open(1);
/// exchange(&mut first, &mut terminal, &mut ledger, &mut parked);
/// terminal.answer(terminal.prompt().unwrap(), "1", now)?; // deposit
/// exchange(&mut first, &mut terminal, &mut ledger, &mut parked);
/// parked = first.park();
///
/// let mut second = open(2);
/// terminal.reconnect(now);
/// exchange(&mut second, &mut terminal, &mut ledger, &mut parked);
/// terminal.answer(terminal.prompt().unwrap(), "40", now)?; // at the prompt of the first link
/// exchange(&mut second, &mut terminal, &mut ledger, &mut parked);
/// assert_eq!(ledger.balance(), Amount::parse_units("40")?);
/// # }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conversation {
    origin: Origin,
    /// The terminal epoch: `start` and `attempt` of the latest hello. `None` where the host greeted without a
    /// hello.
    epoch: Option<(u64, u32)>,
    ledger: Option<LedgerId>,
    numbers: Numbers,
    session: Session,
    /// The last reply; its prompt is open unless a request is outstanding.
    last_reply: Option<Reply>,
    /// The prompt and the fingerprint of the answer that caused the last reply or the outstanding request.
    last_answer: Option<(u64, Fingerprint)>,
    outstanding: Outstanding,
    /// The driver has not taken the outstanding request yet.
    request_ready: bool,
    /// A hello that is not served yet: it starts a new session when the outstanding request is done.
    unserved_hello: Option<HelloClaims>,
    /// Whether the next reply answers a hello and carries a welcome.
    welcome_due: bool,
}

impl Conversation {
    /// A conversation with a peer that has sent nothing yet: its first reply is the menu. Replies are
    /// numbered from `first_seq`.
    pub(crate) fn greeting(session: u64, first_seq: u64) -> Self {
        let mut conversation = Self::new(Origin::Session(session), None);
        conversation.numbers = Numbers::block(first_seq, u32::MAX);
        conversation.reply_with(None, screens([Screen::Menu]));
        conversation
    }

    /// A conversation with a terminal that said hello; [`serve_hello`](Self::serve_hello) makes its first
    /// reply. A terminal without a name has its replies numbered from `first_seq`, and its operations belong
    /// to `session`.
    pub(crate) fn for_hello(hello: &Hello, session: u64, first_seq: u64) -> Self {
        let origin = hello.terminal.clone().map_or(Origin::Session(session), Origin::Terminal);
        let mut conversation = Self::new(origin, Some((hello.start, hello.attempt)));
        if hello.terminal.is_none() {
            conversation.numbers = Numbers::block(first_seq, u32::MAX);
        }
        conversation
    }

    fn new(origin: Origin, epoch: Option<(u64, u32)>) -> Self {
        Self {
            origin,
            epoch,
            ledger: None,
            numbers: Numbers::NONE,
            session: Session::Menu,
            last_reply: None,
            last_answer: None,
            outstanding: Outstanding::None,
            request_ready: false,
            unserved_hello: None,
            welcome_due: false,
        }
    }

    /// The named terminal or the unnamed session that this conversation is with.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether a request is outstanding.
    pub fn is_busy(&self) -> bool {
        !matches!(self.outstanding, Outstanding::None)
    }

    /// Whether the session is over: no prompt is open and no request is outstanding.
    pub fn is_over(&self) -> bool {
        !self.is_busy() && self.last_reply.as_ref().is_none_or(|reply| !reply.is_prompt())
    }

    /// Whether `hello` may take this conversation over: its epoch is not older than the conversation's. The
    /// driver then passes the conversation to [`Host::admit`](super::Host::admit) of the endpoint that
    /// received the hello, and otherwise calls [`Host::refuse`](super::Host::refuse) there.
    pub fn admits(&self, hello: &Hello) -> bool {
        self.epoch.is_none_or(|epoch| (hello.start, hello.attempt) >= epoch)
    }

    /// The terminal epoch: `start` and `attempt` of the latest hello.
    pub(crate) fn epoch(&self) -> (u64, u32) {
        self.epoch.unwrap_or_default()
    }

    /// Whether the terminal said hello.
    pub(crate) fn began_with_hello(&self) -> bool {
        self.epoch.is_some()
    }

    /// The last reply.
    pub(crate) fn last_reply(&self) -> Option<&Reply> {
        self.last_reply.as_ref()
    }

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

    /// The number after that of the last reply.
    pub(crate) fn next_seq(&self) -> u64 {
        self.last_reply.as_ref().map_or(1, |last| last.seq.saturating_add(1))
    }

    /// Whether this is the answer that caused the last reply or the outstanding request.
    pub(crate) fn is_duplicate(&self, re: Option<u64>, answer: &Answer) -> bool {
        // Almost every answer is to another prompt, and needs no fingerprint.
        self.last_answer.is_some_and(|(known, before)| re == Some(known) && before == answer.fingerprint())
    }

    /// The notice for a duplicate while a request is outstanding.
    pub(crate) fn working_notice(&self) -> Notice {
        Notice::Working { re: self.last_answer.as_ref().map(|(re, _)| *re) }
    }

    /// Handles an answer. The caller holds it back while a request is outstanding.
    pub(crate) fn answer(&mut self, re: Option<u64>, answer: &Answer, policy: &Policy) -> Effect {
        let Some(open) = self.last_reply.as_ref().filter(|last| last.is_prompt()).map(|last| last.seq) else {
            return if self.is_duplicate(re, answer) {
                Effect::SendReply
            } else {
                Effect::SendNotice(Notice::Who)
            };
        };
        match re {
            None if self.began_with_hello() => Effect::SendFault(Fault::Unnumbered),
            Some(re) if re != open => match self.last_answer {
                _ if self.is_duplicate(Some(re), answer) => Effect::SendReply,
                Some((before, _)) if before == re => Effect::SendFault(Fault::Conflict),
                _ => Effect::SendFault(Fault::NotOpen),
            },
            _ => {
                self.welcome_due = false;
                let action = self.session.answer(answer, policy);
                self.last_answer = Some((open, answer.fingerprint()));
                match action {
                    Action::Show(screens) => self.reply_with(Some(open), screens),
                    Action::Quit(screens) => self.make_reply(Some(open), screens, true),
                    Action::Operate(operation) => {
                        self.emit_request(Outstanding::Operate { id: open, operation })
                    }
                }
            }
        }
    }

    /// Takes the ledger's response to `request`; [`Effect::Nothing`] if this request is not outstanding.
    pub(crate) fn complete(&mut self, request: &Request, response: Response) -> Effect {
        if !self.awaits(request) {
            return Effect::Nothing;
        }
        match (self.outstanding, response) {
            (Outstanding::Operate { id, .. }, Response::Settled { id: settled_id, outcome })
                if id == settled_id =>
            {
                self.outstanding = Outstanding::None;
                if self.unserved_hello.is_some() {
                    return self.restart();
                }
                let screens = self.session.complete(outcome);
                self.reply_with(Some(id), screens)
            }
            (Outstanding::Settle { id }, Response::Settled { id: settled_id, outcome })
                if id == settled_id =>
            {
                self.outstanding = Outstanding::None;
                // A hello that came in the meantime may know another ledger, or wait for another reply.
                let is_current_claim =
                    |claims: HelloClaims| claims.ledger == self.ledger && claims.pending == Some(id);
                if self.unserved_hello.is_some_and(is_current_claim) {
                    self.reply_with_outcome(id, outcome)
                } else {
                    self.restart()
                }
            }
            (Outstanding::Open, Response::Opened { ledger, numbers, last }) => {
                self.outstanding = Outstanding::None;
                self.numbers = numbers;
                self.ledger = Some(ledger);
                self.handle_opened(ledger, last)
            }
            (Outstanding::ReserveNumbers { quit }, Response::Opened { numbers, .. }) => {
                self.outstanding = Outstanding::None;
                if self.unserved_hello.is_some() {
                    return self.restart();
                }
                self.numbers = numbers;
                // A hello may have come in the meantime.
                let welcome = if self.welcome_due { self.welcome() } else { None };
                match (self.numbers.take(), &mut self.last_reply) {
                    (Some(seq), Some(last)) => {
                        (last.seq, last.welcome) = (seq, welcome);
                        if quit { Effect::SendReplyAndQuit } else { Effect::SendReply }
                    }
                    // A new block is empty only when all 2^53 numbers are used up.
                    _ => {
                        self.last_reply = None;
                        Effect::EndWithNotice(Notice::Busy)
                    }
                }
            }
            _ => Effect::Nothing,
        }
    }

    /// Takes the ledger's response to `request` while the conversation is parked, and returns the next
    /// request, if there is one. The reply is kept until the terminal says hello.
    pub fn complete_parked(&mut self, request: &Request, response: Response) -> Option<Request> {
        self.complete(request, response);
        self.take_request()
    }

    /// Makes a reply under the next number.
    fn reply_with(&mut self, re: Option<u64>, screens: Screens) -> Effect {
        self.make_reply(re, screens, false)
    }

    /// Makes a reply under the next number, or requests more numbers first. `quit` asks the driver to stop
    /// the host.
    fn make_reply(&mut self, re: Option<u64>, screens: Screens, quit: bool) -> Effect {
        self.unserved_hello = None;
        let number = self.numbers.take();
        if number.is_none() && matches!(self.origin, Origin::Session(_)) {
            // All numbers of the unnamed session are used up: up to 2^32 replies on one link.
            return Effect::EndWithNotice(Notice::Busy);
        }
        let welcome = if self.welcome_due { self.welcome() } else { None };
        // A reply without a number is not sent: `ReserveNumbers` is outstanding.
        self.last_reply = Some(Reply { seq: number.unwrap_or(Numbers::MAX), re, screens, welcome });
        match (number, quit) {
            (None, quit) => self.emit_request(Outstanding::ReserveNumbers { quit }),
            (Some(_), true) => Effect::SendReplyAndQuit,
            (Some(_), false) => Effect::SendReply,
        }
    }
}
