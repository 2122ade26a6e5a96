//! One terminal's numbered conversation with the host, apart from the line that it happens on.
//!
//! A [`Visit`] outlives its connection: it is parked when the line drops, completed while it is parked, and moved to the
//! endpoint where the terminal says hello next.
use crate::{
    ledger::{LedgerId, Numbers, Origin, Outcome, Request, Response},
    message::{Answer, Fault, Hello, Notice, Reply, Welcome},
    screen::{Screen, Screens},
    session::{Policy, Session, Step},
};
use heapless::Vec;

/// What follows from something that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it was not expected.
    Nothing,
    /// Send [`Visit::reply`].
    Reply,
    /// Send [`Visit::reply`] and stop the host.
    Quit,
    /// Send this alone.
    Notice(Notice),
    /// Send this and the open prompt again.
    Refuse(Fault),
    /// Ask the ledger.
    Request(Request),
    /// Send this; the conversation cannot go on.
    End(Notice),
}

/// What the ledger was asked last and has not answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Work {
    #[default]
    None,
    /// To open, for a hello.
    Open,
    /// For more numbers, so that this can be said.
    Renumber { re: Option<u64>, screens: Screens, quit: bool },
    /// To operate.
    Operate { id: u64 },
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
pub struct Visit {
    origin: Origin,
    /// The hello that it follows, by start and attempt; `None` where the host greeted without one.
    key: Option<(u64, u32)>,
    ledger: Option<LedgerId>,
    numbers: Numbers,
    session: Session,
    /// The last reply; its prompt is open unless work is out.
    last: Option<Reply>,
    /// The answer that the last reply (or the work that is out) follows, and the prompt that it names.
    answered: Option<(u64, Answer)>,
    work: Work,
    /// The hello that is still to be served from the beginning: until then the rest is of somebody else, or of before.
    arrival: Option<Arrival>,
    /// Is the next reply the answer to a hello?
    welcome: bool,
}

impl Visit {
    /// Greets a peer that has said nothing yet. Its replies are numbered from `first` on.
    pub(crate) fn greet(session: u64, first: u64) -> Self {
        let mut visit = Self::empty(Origin::Session(session), None);
        visit.numbers = Numbers::block(first, u32::MAX);
        visit.say(None, menu([]));
        visit
    }

    /// Begins with the hello of a terminal that the host knows nothing of. Without a name, its replies are numbered
    /// from `first` on and its operations belong to `session`.
    pub(crate) fn begin(hello: &Hello, session: u64, first: u64) -> (Self, Effect) {
        let origin = hello.terminal.clone().map_or(Origin::Session(session), Origin::Terminal);
        let mut visit = Self::empty(origin, Some((hello.start, hello.attempt)));
        if hello.terminal.is_none() {
            visit.numbers = Numbers::block(first, u32::MAX);
        }
        let effect = visit.arrive(hello);
        (visit, effect)
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
        self.work != Work::None
    }

    /// Is the session over?
    pub fn is_over(&self) -> bool {
        !self.is_busy() && self.last.as_ref().is_none_or(|reply| !reply.is_prompt())
    }

    /// Must this conversation, wherever it is held, be handed to the endpoint that `hello` came to?
    pub fn yields_to(&self, hello: &Hello) -> bool {
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
            open.screens = last.screens.last().copied().into_iter().collect();
        }
        Some(open)
    }

    /// The first number that none of its replies has had.
    pub(crate) fn after(&self) -> u64 {
        self.last.as_ref().map_or(1, |last| last.seq.saturating_add(1))
    }

    /// Is this the answer that the last reply, or the work that is out, follows?
    pub(crate) fn is_repeat(&self, re: Option<u64>, answer: &Answer) -> bool {
        matches!((&self.answered, re), (Some((known, before)), Some(re)) if *known == re && before == answer)
    }

    /// The notice that work is out, for a repeat.
    pub(crate) fn working(&self) -> Notice {
        Notice::Working { re: self.answered.as_ref().map(|(re, _)| *re) }
    }

    /// Takes an answer; the caller holds it back while work is out.
    pub(crate) fn answer(&mut self, re: Option<u64>, answer: Answer, policy: &Policy) -> Effect {
        let Some(open) = self.last.as_ref().filter(|last| last.is_prompt()).map(|last| last.seq) else {
            return if self.is_repeat(re, &answer) { Effect::Reply } else { Effect::Notice(Notice::Who) };
        };
        match re {
            None if self.said_hello() => Effect::Refuse(Fault::Unnumbered),
            Some(re) if re != open => match &self.answered {
                Some((before, known)) if *before == re && *known == answer => Effect::Reply,
                Some((before, _)) if *before == re => Effect::Refuse(Fault::Conflict),
                _ => Effect::Refuse(Fault::NotOpen),
            },
            _ => {
                self.welcome = false;
                let step = self.session.answer(&answer, policy);
                self.answered = Some((open, answer));
                match step {
                    Step::Show(screens) => self.say(Some(open), screens),
                    Step::Quit(screens) => self.say_and(Some(open), screens, true),
                    Step::Operate(operation) => {
                        self.work = Work::Operate { id: open };
                        Effect::Request(Request::Operate { origin: self.origin.clone(), id: open, operation })
                    }
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
        if !self.yields_to(hello) && matches!(self.origin, Origin::Terminal(_)) {
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
    fn arrive(&mut self, hello: &Hello) -> Effect {
        self.arrival = Some(arrival(hello));
        self.begin_again()
    }

    fn begin_again(&mut self) -> Effect {
        self.session = Session::Menu;
        self.answered = None;
        self.welcome = true;
        match &self.origin {
            Origin::Terminal(terminal) => {
                self.work = Work::Open;
                Effect::Request(Request::Open { terminal: terminal.clone() })
            }
            Origin::Session(_) => {
                let arrival = self.arrival.take();
                // A host that was restarted numbers from the beginning; what this terminal has shown, it shows no more.
                let shown = arrival.map_or(0, |arrival| arrival.shown);
                self.numbers = self.numbers.above(shown);
                let pending = arrival.and_then(|arrival| arrival.pending);
                let lost = pending.map(|_| Screen::Outcome(Outcome::Unknown));
                self.say(pending, menu(lost))
            }
        }
    }

    /// Takes what the ledger answers to `request`.
    pub(crate) fn complete(&mut self, request: &Request, response: Response) -> Effect {
        if request.origin() != self.origin {
            return Effect::Nothing;
        }
        match (core::mem::take(&mut self.work), request, response) {
            (
                Work::Operate { id },
                Request::Operate { id: asked, .. },
                Response::Settled { id: done, outcome },
            ) if id == done && id == *asked => {
                if self.arrival.is_some() {
                    return self.begin_again();
                }
                let screens = self.session.outcome(outcome);
                self.say(Some(id), screens)
            }
            (
                Work::Settle { id },
                Request::Settle { id: asked, .. },
                Response::Settled { id: done, outcome },
            ) if id == done && id == *asked => {
                // A hello that came since may know another ledger, or have another answer out.
                let asked_for =
                    |arrival: Arrival| arrival.ledger == self.ledger && arrival.pending == Some(id);
                if self.arrival.is_some_and(asked_for) { self.tell(id, outcome) } else { self.begin_again() }
            }
            (Work::Open, Request::Open { .. }, Response::Opened { ledger, numbers, last }) => {
                self.numbers = numbers;
                self.ledger = Some(ledger);
                self.opened(ledger, last.map(|record| (record.id, record.outcome)))
            }
            (
                Work::Renumber { re, screens, quit },
                Request::Open { .. },
                Response::Opened { numbers, .. },
            ) => {
                if self.arrival.is_some() {
                    return self.begin_again();
                }
                self.numbers = numbers;
                match self.say_and(re, screens, quit) {
                    // Not even a new block had a number: 2^53 of them are used up.
                    Effect::Request(_) => {
                        self.work = Work::None;
                        Effect::End(Notice::Busy)
                    }
                    effect => effect,
                }
            }
            (work, ..) => {
                self.work = work;
                Effect::Nothing
            }
        }
    }

    /// Takes what the ledger answers to `request` while no endpoint holds the conversation; gives out what is to be asked
    /// next. What is to be said waits for the terminal.
    pub fn complete_away(&mut self, request: &Request, response: Response) -> Option<Request> {
        match self.complete(request, response) {
            Effect::Request(next) => Some(next),
            _ => None,
        }
    }

    /// The ledger is open for a hello: what does the terminal not know yet?
    fn opened(&mut self, ledger: LedgerId, last: Option<(u64, Outcome)>) -> Effect {
        let Some(arrival) = self.arrival else { return self.say(None, menu([])) };
        if arrival.ledger != Some(ledger) {
            // Its numbers are of another ledger, which knows what became of its request; this one does not.
            return match arrival.pending {
                Some(pending) => self.tell(pending, Outcome::Unknown),
                None => self.say(None, menu([])),
            };
        }
        match (arrival.pending, last, &self.origin) {
            (Some(id), _, Origin::Terminal(terminal)) => {
                self.work = Work::Settle { id };
                Effect::Request(Request::Settle { terminal: terminal.clone(), id })
            }
            // The reply to an answer has a higher number than the answer, so this one was never shown.
            (_, Some((id, outcome)), _) if id >= arrival.shown => self.tell(id, outcome),
            _ => self.say(None, menu([])),
        }
    }

    fn tell(&mut self, id: u64, outcome: Outcome) -> Effect {
        self.say(Some(id), menu([Screen::Earlier, Screen::Outcome(outcome)]))
    }

    fn say(&mut self, re: Option<u64>, screens: Screens) -> Effect {
        self.say_and(re, screens, false)
    }

    /// Makes a reply under the next number.
    fn say_and(&mut self, re: Option<u64>, screens: Screens, quit: bool) -> Effect {
        self.arrival = None;
        match (self.numbers.take(), &self.origin) {
            (Some(seq), _) => {
                let welcome = if self.welcome { self.greeting() } else { None };
                self.last = Some(Reply { seq, re, screens, welcome });
                if quit { Effect::Quit } else { Effect::Reply }
            }
            (None, Origin::Terminal(terminal)) => {
                let request = Request::Open { terminal: terminal.clone() };
                self.work = Work::Renumber { re, screens, quit };
                Effect::Request(request)
            }
            // Four thousand million replies on one line without a name.
            (None, Origin::Session(_)) => Effect::End(Notice::Busy),
        }
    }
}

fn arrival(hello: &Hello) -> Arrival {
    Arrival { ledger: hello.ledger, shown: hello.shown, pending: hello.pending }
}

/// Some notices and the menu.
fn menu(notices: impl IntoIterator<Item = Screen>) -> Screens {
    let list: Vec<Screen, 3> = notices.into_iter().collect();
    list.into_iter().chain([Screen::Menu]).collect()
}
