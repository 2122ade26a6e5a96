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
    /// Send [`Conversation::reply`].
    Reply,
    /// Send [`Conversation::reply`] and stop the host.
    Quit,
    /// Send this alone.
    Notice(Notice),
    /// Send this and the open prompt again.
    Refuse(Fault),
    /// Ask the ledger: [`Conversation::take_request`].
    Request,
    /// Send this; the conversation cannot go on.
    End(Notice),
}

/// What the ledger is asked and has not answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Work {
    #[default]
    None,
    /// To open, for a hello.
    Open,
    /// For more numbers, so that the last reply can be said.
    Renumber { quit: bool },
    /// To operate.
    Operate { id: u64, operation: Operation },
    /// What became of an operation, for a hello.
    Settle { id: u64 },
}

/// What a hello knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Arrival {
    ledger: Option<LedgerId>,
    shown: u64,
    pending: Option<u64>,
}

/// A conversation with one terminal: its session, the numbers of its replies, and what it takes to repeat the last one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conversation {
    origin: Origin,
    /// The hello that it follows, by start and attempt; `None` where the host greeted without one.
    key: Option<(u64, u32)>,
    ledger: Option<LedgerId>,
    numbers: Numbers,
    session: Session,
    /// The last reply; its prompt is open unless work is out.
    last: Option<Reply>,
    /// The answer that the last reply (or the work that is out) follows, and the prompt that it names.
    answered: Option<(u64, Fingerprint)>,
    work: Work,
    /// The request that the work makes was not taken to the ledger yet.
    unasked: bool,
    /// The hello that is still to be served from the beginning: until then the rest is of somebody else, or of before.
    arrival: Option<Arrival>,
    /// Is the next reply the answer to a hello?
    welcome: bool,
}

impl Conversation {
    /// Greets a peer that has said nothing yet. Its replies are numbered from `first` on.
    pub(crate) fn greet(session: u64, first: u64) -> Self {
        let mut conversation = Self::empty(Origin::Session(session), None);
        conversation.numbers = Numbers::block(first, u32::MAX);
        conversation.say(None, screens([Screen::Menu]));
        conversation
    }

    /// The conversation with a terminal that said hello and that the host knows nothing of: [`arrive`](Self::arrive) begins
    /// it. Without a name, its replies are numbered from `first` on and its operations belong to `session`.
    pub(crate) fn of(hello: &Hello, session: u64, first: u64) -> Self {
        let origin = hello.terminal.clone().map_or(Origin::Session(session), Origin::Terminal);
        let mut conversation = Self::empty(origin, Some((hello.start, hello.attempt)));
        if hello.terminal.is_none() {
            conversation.numbers = Numbers::block(first, u32::MAX);
        }
        conversation
    }

    fn empty(origin: Origin, key: Option<(u64, u32)>) -> Self {
        Self {
            origin,
            key,
            ledger: None,
            numbers: Numbers::NONE,
            session: Session::Menu,
            last: None,
            answered: None,
            work: Work::None,
            unasked: false,
            arrival: None,
            welcome: false,
        }
    }

    /// Whose conversation it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Is the ledger still to answer something?
    pub fn is_busy(&self) -> bool {
        !matches!(self.work, Work::None)
    }

    /// Is the session over?
    pub fn is_over(&self) -> bool {
        !self.is_busy() && self.last.as_ref().is_none_or(|reply| !reply.is_prompt())
    }

    /// Must this conversation, wherever it is held, be handed to the endpoint that `hello` came to?
    pub fn admits(&self, hello: &Hello) -> bool {
        self.key.is_none_or(|key| (hello.start, hello.attempt) >= key)
    }

    /// The `start` and `attempt` of the hello that it follows.
    pub(crate) fn key(&self) -> (u64, u32) {
        self.key.unwrap_or_default()
    }

    /// Did it begin with a hello?
    pub(crate) fn said_hello(&self) -> bool {
        self.key.is_some()
    }

    /// The last reply.
    pub(crate) fn reply(&self) -> Option<&Reply> {
        self.last.as_ref()
    }

    /// What to ask again after a fault. A peer that said hello knows a reply by its number and shows it once, so it
    /// gets the whole of it, which it may not have seen; a plain one gets the question alone, so that it does not
    /// read the same news twice.
    pub(crate) fn open_prompt(&self) -> Option<Reply> {
        let last = self.last.as_ref().filter(|last| !self.is_busy() && last.is_prompt())?;
        let mut open = last.clone();
        if !self.said_hello() {
            open.screens = last.screens.last().map_or(Screens::new(), |prompt| screens([*prompt]));
        }
        Some(open)
    }

    /// The first number that none of its replies has had.
    pub(crate) fn after(&self) -> u64 {
        self.last.as_ref().map_or(1, |last| last.seq.saturating_add(1))
    }

    /// Is this the answer that the last reply, or the work that is out, follows?
    pub(crate) fn is_repeat(&self, re: Option<u64>, answer: &Answer) -> bool {
        // Almost every answer is to another prompt: it needs no fingerprint.
        self.answered.is_some_and(|(known, before)| re == Some(known) && before == answer.fingerprint())
    }

    /// The notice that work is out, for a repeat.
    pub(crate) fn working(&self) -> Notice {
        Notice::Working { re: self.answered.as_ref().map(|(re, _)| *re) }
    }

    /// Takes an answer; the caller holds it back while work is out.
    pub(crate) fn answer(&mut self, re: Option<u64>, answer: &Answer, policy: &Policy) -> Effect {
        let Some(open) = self.last.as_ref().filter(|last| last.is_prompt()).map(|last| last.seq) else {
            return if self.is_repeat(re, answer) { Effect::Reply } else { Effect::Notice(Notice::Who) };
        };
        match re {
            None if self.said_hello() => Effect::Refuse(Fault::Unnumbered),
            Some(re) if re != open => match self.answered {
                _ if self.is_repeat(Some(re), answer) => Effect::Reply,
                Some((before, _)) if before == re => Effect::Refuse(Fault::Conflict),
                _ => Effect::Refuse(Fault::NotOpen),
            },
            _ => {
                self.welcome = false;
                let action = self.session.answer(answer, policy);
                self.answered = Some((open, answer.fingerprint()));
                match action {
                    Action::Show(screens) => self.say(Some(open), screens),
                    Action::Quit(screens) => self.say_and(Some(open), screens, true),
                    Action::Operate(operation) => self.ask(Work::Operate { id: open, operation }),
                }
            }
        }
    }

    /// Takes a hello of the terminal whose conversation this is.
    pub(crate) fn hello(&mut self, hello: &Hello) -> Effect {
        let (start, attempt) = (hello.start, hello.attempt);
        let before = self.key;
        if before == Some((start, attempt)) {
            // The same hello again: it gets the same reply.
            return if self.is_busy() { Effect::Notice(self.working()) } else { self.welcome_again() };
        }
        if !self.admits(hello) && matches!(self.origin, Origin::Terminal(_)) {
            return Effect::Notice(Notice::NameInUse { start, attempt });
        }
        self.key = Some((start, attempt));
        let same_life = before.is_some_and(|(life, _)| life == start);
        if hello.resume && same_life && self.arrival.is_none() && self.knows(hello) {
            return if self.is_busy() {
                self.welcome = true;
                Effect::Notice(self.working())
            } else {
                self.welcome_again()
            };
        }
        if self.is_busy() {
            // What is out is finished first; then this one is served.
            self.arrival = Some(arrival(hello));
            return Effect::Notice(self.working());
        }
        self.arrive(hello)
    }

    /// Can the terminal go on where it was? Only if the reply that it lacks, if any, is the one that is kept.
    fn knows(&self, hello: &Hello) -> bool {
        if hello.ledger != self.ledger {
            return false;
        }
        let Some(last) = &self.last else { return hello.pending.is_none() };
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

    fn welcome_again(&mut self) -> Effect {
        let welcome = self.greeting();
        match &mut self.last {
            Some(last) => {
                last.welcome = welcome;
                Effect::Reply
            }
            None => Effect::Nothing,
        }
    }

    fn greeting(&self) -> Option<Welcome> {
        self.key.map(|(start, attempt)| Welcome { ledger: self.ledger, start, attempt })
    }

    /// Starts at the menu for a terminal that comes, after what became of its last request.
    pub(crate) fn arrive(&mut self, hello: &Hello) -> Effect {
        self.arrival = Some(arrival(hello));
        self.begin_again()
    }

    fn begin_again(&mut self) -> Effect {
        self.session = Session::Menu;
        self.answered = None;
        self.welcome = true;
        match &self.origin {
            Origin::Terminal(_) => self.ask(Work::Open),
            Origin::Session(_) => {
                let arrival = self.arrival.take();
                // A host that was restarted numbers from the beginning; what this terminal has shown, it shows no more.
                let shown = arrival.map_or(0, |arrival| arrival.shown);
                self.numbers = self.numbers.above(shown);
                let pending = arrival.and_then(|arrival| arrival.pending);
                self.say(
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
        if !self.asks(request) {
            return Effect::Nothing;
        }
        match (self.work, response) {
            (Work::Operate { id, .. }, Response::Settled { id: done, outcome }) if id == done => {
                self.work = Work::None;
                if self.arrival.is_some() {
                    return self.begin_again();
                }
                let screens = self.session.complete(outcome);
                self.say(Some(id), screens)
            }
            (Work::Settle { id }, Response::Settled { id: done, outcome }) if id == done => {
                self.work = Work::None;
                // A hello that came since may know another ledger, or have another answer out.
                let asked_for =
                    |arrival: Arrival| arrival.ledger == self.ledger && arrival.pending == Some(id);
                if self.arrival.is_some_and(asked_for) { self.tell(id, outcome) } else { self.begin_again() }
            }
            (Work::Open, Response::Opened { ledger, numbers, last }) => {
                self.work = Work::None;
                self.numbers = numbers;
                self.ledger = Some(ledger);
                self.opened(ledger, last)
            }
            (Work::Renumber { quit }, Response::Opened { numbers, .. }) => {
                self.work = Work::None;
                if self.arrival.is_some() {
                    return self.begin_again();
                }
                self.numbers = numbers;
                // A hello may have come since it was made.
                let welcome = if self.welcome { self.greeting() } else { None };
                match (self.numbers.take(), &mut self.last) {
                    (Some(seq), Some(last)) => {
                        (last.seq, last.welcome) = (seq, welcome);
                        if quit { Effect::Quit } else { Effect::Reply }
                    }
                    // Not even a new block had a number: 2^53 of them are used up.
                    _ => {
                        self.last = None;
                        Effect::End(Notice::Busy)
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
    fn asks(&self, request: &Request) -> bool {
        match (self.work, request) {
            (Work::Operate { id, operation }, Request::Operate { origin, id: asked, operation: what }) => {
                id == *asked && operation == *what && *origin == self.origin
            }
            (Work::Settle { id }, Request::Settle { terminal, id: asked }) => {
                id == *asked && self.is_of(terminal)
            }
            (Work::Open | Work::Renumber { .. }, Request::Open { terminal }) => self.is_of(terminal),
            _ => false,
        }
    }

    fn is_of(&self, terminal: &Name) -> bool {
        matches!(&self.origin, Origin::Terminal(name) if name == terminal)
    }

    /// Asks the ledger.
    fn ask(&mut self, work: Work) -> Effect {
        self.work = work;
        self.unasked = true;
        Effect::Request
    }

    /// The request that is out did not reach the ledger.
    pub(crate) fn retry_request(&mut self) {
        self.unasked = self.is_busy();
    }

    /// Is there a request that was not taken to the ledger yet?
    pub(crate) fn is_unasked(&self) -> bool {
        self.unasked
    }

    /// What the ledger is to be asked now.
    pub(crate) fn take_request(&mut self) -> Option<Request> {
        if !core::mem::take(&mut self.unasked) {
            return None;
        }
        let origin = self.origin.clone();
        Some(match (self.work, origin) {
            (Work::Operate { id, operation }, origin) => Request::Operate { origin, id, operation },
            (Work::Settle { id }, Origin::Terminal(terminal)) => Request::Settle { terminal, id },
            (Work::Open | Work::Renumber { .. }, Origin::Terminal(terminal)) => Request::Open { terminal },
            _ => return None,
        })
    }

    /// The ledger is open for a hello: what does the terminal not know yet?
    fn opened(&mut self, ledger: LedgerId, last: Option<Record>) -> Effect {
        let Some(arrival) = self.arrival else { return self.say(None, screens([Screen::Menu])) };
        if arrival.ledger != Some(ledger) {
            // Its numbers are of another ledger, which knows what became of its request; this one does not.
            return match arrival.pending {
                Some(pending) => self.tell(pending, Outcome::Unknown),
                None => self.say(None, screens([Screen::Menu])),
            };
        }
        match (arrival.pending, last) {
            // This ledger has not given that number: nothing was asked under it here, and a void would stand above every
            // id to come, for good.
            (Some(id), _) if !self.numbers.are_above(id) => self.tell(id, Outcome::Unknown),
            (Some(id), _) => self.ask(Work::Settle { id }),
            // The reply to an answer has a higher number than the answer, so this one was never shown.
            (_, Some(Record { id, outcome, .. })) if id >= arrival.shown => self.tell(id, outcome),
            _ => self.say(None, screens([Screen::Menu])),
        }
    }

    fn tell(&mut self, id: u64, outcome: Outcome) -> Effect {
        self.say(Some(id), screens([Screen::EarlierRequest, Screen::Outcome(outcome), Screen::Menu]))
    }

    fn say(&mut self, re: Option<u64>, screens: Screens) -> Effect {
        self.say_and(re, screens, false)
    }

    /// Makes a reply under the next number.
    fn say_and(&mut self, re: Option<u64>, screens: Screens, quit: bool) -> Effect {
        self.arrival = None;
        let number = self.numbers.take();
        if number.is_none() && matches!(self.origin, Origin::Session(_)) {
            // Four thousand million replies on one line without a name.
            return Effect::End(Notice::Busy);
        }
        let welcome = if self.welcome { self.greeting() } else { None };
        // Until it has a number there is work out, and nothing is said.
        self.last = Some(Reply { seq: number.unwrap_or(Numbers::MAX), re, screens, welcome });
        match (number, quit) {
            (None, quit) => self.ask(Work::Renumber { quit }),
            (Some(_), true) => Effect::Quit,
            (Some(_), false) => Effect::Reply,
        }
    }
}

fn arrival(hello: &Hello) -> Arrival {
    Arrival { ledger: hello.ledger, shown: hello.shown, pending: hello.pending }
}
