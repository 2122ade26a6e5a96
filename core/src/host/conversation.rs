//! One terminal's numbered conversation with the host, apart from the line that it happens on.
//!
//! A [`Conversation`] outlives its connection: it is parked when the line drops, completed while it is parked, and moved to the
//! endpoint where the terminal says hello next.
use crate::{
    ledger::{LedgerId, Name, Numbers, Operation, Origin, Outcome, Record, Request, Response},
    message::{Answer, Fault, Hello, Notice, Reply, Welcome},
    screen::{Screen, Screens, screens},
    session::{Action, Fingerprint, Policy, Session},
};

/// What follows from something that came in. Small, because it is handed through: what is long stays in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it was not expected.
    Nothing,
    /// Send [`Conversation::last_reply`].
    SendReply,
    /// Send [`Conversation::last_reply`] and stop the host.
    SendReplyAndQuit,
    /// Send this alone.
    SendNotice(Notice),
    /// Send this and the open prompt again.
    SendFault(Fault),
    /// Ask the ledger: [`Conversation::take_request`].
    EmitRequest,
    /// Send this; the conversation cannot go on.
    EndWithNotice(Notice),
}

/// What the ledger is asked and has not answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Outstanding {
    #[default]
    None,
    /// To open, for a hello.
    Open,
    /// For more numbers, so that the last reply can be said.
    ReserveNumbers { quit: bool },
    /// To operate.
    Operate { id: u64, operation: Operation },
    /// What became of an operation, for a hello.
    Settle { id: u64 },
}

/// What a hello knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct HelloClaims {
    ledger: Option<LedgerId>,
    shown: u64,
    pending: Option<u64>,
}

/// A conversation with one terminal: its session, the numbers of its replies, and what it takes to repeat the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conversation {
    origin: Origin,
    /// The hello that it follows, by start and attempt; `None` where the host greeted without one.
    epoch: Option<(u64, u32)>,
    ledger: Option<LedgerId>,
    numbers: Numbers,
    session: Session,
    /// The last reply; its prompt is open unless work is out.
    last_reply: Option<Reply>,
    /// The answer that the last reply (or the work that is out) follows, and the prompt that it names.
    last_answer: Option<(u64, Fingerprint)>,
    outstanding: Outstanding,
    /// The request that the work makes was not taken to the ledger yet.
    request_ready: bool,
    /// The hello that is still to be served from the beginning: until then the rest is of somebody else, or of before.
    unserved_hello: Option<HelloClaims>,
    /// Is the next reply the answer to a hello?
    welcome_due: bool,
}

impl Conversation {
    /// Greets a peer that has said nothing yet. Its replies are numbered from `first_seq` on.
    pub(crate) fn greeting(session: u64, first_seq: u64) -> Self {
        let mut conversation = Self::new(Origin::Session(session), None);
        conversation.numbers = Numbers::block(first_seq, u32::MAX);
        conversation.reply_with(None, screens([Screen::Menu]));
        conversation
    }

    /// The conversation with a terminal that said hello and that the host knows nothing of: [`serve_hello`](Self::serve_hello) begins
    /// it. Without a name, its replies are numbered from `first_seq` on and its operations belong to `session`.
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

    /// Whose conversation it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Is the ledger still to answer something?
    pub fn is_busy(&self) -> bool {
        !matches!(self.outstanding, Outstanding::None)
    }

    /// Is the session over?
    pub fn is_over(&self) -> bool {
        !self.is_busy() && self.last_reply.as_ref().is_none_or(|reply| !reply.is_prompt())
    }

    /// Must this conversation, wherever it is held, be handed to the endpoint that `hello` came to?
    pub fn admits(&self, hello: &Hello) -> bool {
        self.epoch.is_none_or(|epoch| (hello.start, hello.attempt) >= epoch)
    }

    /// The `start` and `attempt` of the hello that it follows.
    pub(crate) fn epoch(&self) -> (u64, u32) {
        self.epoch.unwrap_or_default()
    }

    /// Did it begin with a hello?
    pub(crate) fn began_with_hello(&self) -> bool {
        self.epoch.is_some()
    }

    /// The last reply.
    pub(crate) fn last_reply(&self) -> Option<&Reply> {
        self.last_reply.as_ref()
    }

    /// What to ask again after a fault. A peer that said hello knows a reply by its number and shows it once, so it
    /// gets the whole of it, which it may not have seen; a plain one gets the question alone, so that it does not
    /// read the same news twice.
    pub(crate) fn open_prompt(&self) -> Option<Reply> {
        let last = self.last_reply.as_ref().filter(|last| !self.is_busy() && last.is_prompt())?;
        let mut open = last.clone();
        if !self.began_with_hello() {
            open.screens = last.screens.last().map_or(Screens::new(), |prompt| screens([*prompt]));
        }
        Some(open)
    }

    /// The first number that none of its replies has had.
    pub(crate) fn next_seq(&self) -> u64 {
        self.last_reply.as_ref().map_or(1, |last| last.seq.saturating_add(1))
    }

    /// Is this the answer that the last reply, or the work that is out, follows?
    pub(crate) fn is_duplicate(&self, re: Option<u64>, answer: &Answer) -> bool {
        // Almost every answer is to another prompt: it needs no fingerprint.
        self.last_answer.is_some_and(|(known, before)| re == Some(known) && before == answer.fingerprint())
    }

    /// The notice that work is out, for a repeat.
    pub(crate) fn working_notice(&self) -> Notice {
        Notice::Working { re: self.last_answer.as_ref().map(|(re, _)| *re) }
    }

    /// Takes an answer; the caller holds it back while work is out.
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

    /// Takes a hello of the terminal whose conversation this is.
    pub(crate) fn handle_hello(&mut self, hello: &Hello) -> Effect {
        let (start, attempt) = (hello.start, hello.attempt);
        let before = self.epoch;
        if before == Some((start, attempt)) {
            // The same hello again: it gets the same reply.
            return if self.is_busy() {
                Effect::SendNotice(self.working_notice())
            } else {
                self.resend_with_welcome()
            };
        }
        if !self.admits(hello) && matches!(self.origin, Origin::Terminal(_)) {
            return Effect::SendNotice(Notice::NameInUse { start, attempt });
        }
        self.epoch = Some((start, attempt));
        let same_life = before.is_some_and(|(life, _)| life == start);
        if hello.resume && same_life && self.unserved_hello.is_none() && self.can_resume(hello) {
            return if self.is_busy() {
                self.welcome_due = true;
                Effect::SendNotice(self.working_notice())
            } else {
                self.resend_with_welcome()
            };
        }
        if self.is_busy() {
            // What is out is finished first; then this one is served.
            self.unserved_hello = Some(claims(hello));
            return Effect::SendNotice(self.working_notice());
        }
        self.serve_hello(hello)
    }

    /// Can the terminal go on where it was? Only if the reply that it lacks, if any, is the one that is kept.
    fn can_resume(&self, hello: &Hello) -> bool {
        if hello.ledger != self.ledger {
            return false;
        }
        let Some(last) = &self.last_reply else { return hello.pending.is_none() };
        match hello.pending {
            // It lacks nothing. A reply that it has not shown is to a hello from before, and may be about an answer
            // whose outcome it was told long ago.
            None => last.seq <= hello.shown,
            // Its answer has not come: the prompt is still open and it may send the same answer again.
            Some(pending) if pending == last.seq => true,
            // Its answer came and the reply was lost.
            Some(pending) => last.re == Some(pending) && hello.shown < last.seq,
        }
    }

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

    fn welcome(&self) -> Option<Welcome> {
        self.epoch.map(|(start, attempt)| Welcome { ledger: self.ledger, start, attempt })
    }

    /// Starts at the menu for a terminal that comes, after what became of its last request.
    pub(crate) fn serve_hello(&mut self, hello: &Hello) -> Effect {
        self.unserved_hello = Some(claims(hello));
        self.restart()
    }

    fn restart(&mut self) -> Effect {
        self.session = Session::Menu;
        self.last_answer = None;
        self.welcome_due = true;
        match &self.origin {
            Origin::Terminal(_) => self.emit_request(Outstanding::Open),
            Origin::Session(_) => {
                let claims = self.unserved_hello.take();
                // A host that was restarted numbers from the beginning; what this terminal has shown, it shows no more.
                let shown = claims.map_or(0, |claims| claims.shown);
                self.numbers = self.numbers.above(shown);
                let pending = claims.and_then(|claims| claims.pending);
                self.reply_with(
                    pending,
                    match pending {
                        Some(_) => screens([Screen::Outcome(Outcome::Unknown), Screen::Menu]),
                        None => screens([Screen::Menu]),
                    },
                )
            }
        }
    }

    /// Takes what the ledger answers to `request`.
    pub(crate) fn complete(&mut self, request: &Request, response: Response) -> Effect {
        if !self.awaits(request) {
            return Effect::Nothing;
        }
        match (self.outstanding, response) {
            (Outstanding::Operate { id, .. }, Response::Settled { id: done, outcome }) if id == done => {
                self.outstanding = Outstanding::None;
                if self.unserved_hello.is_some() {
                    return self.restart();
                }
                let screens = self.session.complete(outcome);
                self.reply_with(Some(id), screens)
            }
            (Outstanding::Settle { id }, Response::Settled { id: done, outcome }) if id == done => {
                self.outstanding = Outstanding::None;
                // A hello that came since may know another ledger, or have another answer out.
                let asked_for =
                    |claims: HelloClaims| claims.ledger == self.ledger && claims.pending == Some(id);
                if self.unserved_hello.is_some_and(asked_for) {
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
                // A hello may have come since it was made.
                let welcome = if self.welcome_due { self.welcome() } else { None };
                match (self.numbers.take(), &mut self.last_reply) {
                    (Some(seq), Some(last)) => {
                        (last.seq, last.welcome) = (seq, welcome);
                        if quit { Effect::SendReplyAndQuit } else { Effect::SendReply }
                    }
                    // Not even a new block had a number: 2^53 of them are used up.
                    _ => {
                        self.last_reply = None;
                        Effect::EndWithNotice(Notice::Busy)
                    }
                }
            }
            _ => Effect::Nothing,
        }
    }

    /// Takes what the ledger answers to `request` while no endpoint holds the conversation; gives out what is to be asked
    /// next. What is to be said waits for the terminal.
    pub fn complete_parked(&mut self, request: &Request, response: Response) -> Option<Request> {
        self.complete(request, response);
        self.take_request()
    }

    /// Is this what the work that is out has asked?
    fn awaits(&self, request: &Request) -> bool {
        match (self.outstanding, request) {
            (
                Outstanding::Operate { id, operation },
                Request::Operate { origin, id: asked, operation: what },
            ) => id == *asked && operation == *what && *origin == self.origin,
            (Outstanding::Settle { id }, Request::Settle { terminal, id: asked }) => {
                id == *asked && self.is_terminal(terminal)
            }
            (Outstanding::Open | Outstanding::ReserveNumbers { .. }, Request::Open { terminal }) => {
                self.is_terminal(terminal)
            }
            _ => false,
        }
    }

    fn is_terminal(&self, terminal: &Name) -> bool {
        matches!(&self.origin, Origin::Terminal(name) if name == terminal)
    }

    /// Asks the ledger.
    fn emit_request(&mut self, outstanding: Outstanding) -> Effect {
        self.outstanding = outstanding;
        self.request_ready = true;
        Effect::EmitRequest
    }

    /// The request that is out did not reach the ledger.
    pub(crate) fn retry_request(&mut self) {
        self.request_ready = self.is_busy();
    }

    /// Is there a request that was not taken to the ledger yet?
    pub(crate) fn has_request(&self) -> bool {
        self.request_ready
    }

    /// What the ledger is to be asked now.
    pub(crate) fn take_request(&mut self) -> Option<Request> {
        if !core::mem::take(&mut self.request_ready) {
            return None;
        }
        let origin = self.origin.clone();
        Some(match (self.outstanding, origin) {
            (Outstanding::Operate { id, operation }, origin) => Request::Operate { origin, id, operation },
            (Outstanding::Settle { id }, Origin::Terminal(terminal)) => Request::Settle { terminal, id },
            (Outstanding::Open | Outstanding::ReserveNumbers { .. }, Origin::Terminal(terminal)) => {
                Request::Open { terminal }
            }
            _ => return None,
        })
    }

    /// The ledger is open for a hello: what does the terminal not know yet?
    fn handle_opened(&mut self, ledger: LedgerId, last: Option<Record>) -> Effect {
        let Some(claims) = self.unserved_hello else { return self.reply_with(None, screens([Screen::Menu])) };
        if claims.ledger != Some(ledger) {
            // Its numbers are of another ledger, which knows what became of its request; this one does not.
            return match claims.pending {
                Some(pending) => self.reply_with_outcome(pending, Outcome::Unknown),
                None => self.reply_with(None, screens([Screen::Menu])),
            };
        }
        match (claims.pending, last) {
            // This ledger has not given that number: nothing was asked under it here, and a void would stand above every
            // id to come, for good.
            (Some(id), _) if !self.numbers.are_above(id) => self.reply_with_outcome(id, Outcome::Unknown),
            (Some(id), _) => self.emit_request(Outstanding::Settle { id }),
            // The reply to an answer has a higher number than the answer, so this one was never shown.
            (_, Some(Record { id, outcome, .. })) if id >= claims.shown => {
                self.reply_with_outcome(id, outcome)
            }
            _ => self.reply_with(None, screens([Screen::Menu])),
        }
    }

    fn reply_with_outcome(&mut self, id: u64, outcome: Outcome) -> Effect {
        self.reply_with(Some(id), screens([Screen::EarlierRequest, Screen::Outcome(outcome), Screen::Menu]))
    }

    fn reply_with(&mut self, re: Option<u64>, screens: Screens) -> Effect {
        self.make_reply(re, screens, false)
    }

    /// Makes a reply under the next number.
    fn make_reply(&mut self, re: Option<u64>, screens: Screens, quit: bool) -> Effect {
        self.unserved_hello = None;
        let number = self.numbers.take();
        if number.is_none() && matches!(self.origin, Origin::Session(_)) {
            // Four thousand million replies on one line without a name.
            return Effect::EndWithNotice(Notice::Busy);
        }
        let welcome = if self.welcome_due { self.welcome() } else { None };
        // Until it has a number there is work out, and nothing is said.
        self.last_reply = Some(Reply { seq: number.unwrap_or(Numbers::MAX), re, screens, welcome });
        match (number, quit) {
            (None, quit) => self.emit_request(Outstanding::ReserveNumbers { quit }),
            (Some(_), true) => Effect::SendReplyAndQuit,
            (Some(_), false) => Effect::SendReply,
        }
    }
}

fn claims(hello: &Hello) -> HelloClaims {
    HelloClaims { ledger: hello.ledger, shown: hello.shown, pending: hello.pending }
}
