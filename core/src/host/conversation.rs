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
    ledger::{Epoch, LedgerId, Numbers, Origin, SessionId, Ticket},
    message::{Answer, Fault, Hello, Notice, Reply},
    screen::Screen,
    session::{Action, Fingerprint, Policy, Session},
    time::{Duration, Instant},
    wire::Keys,
};
#[cfg(feature = "cards")]
use crate::{
    ledger::{
        Receipt,
        card::{CardKeys, Token},
    },
    screen::CardScreen,
    session::CardSession,
};

#[cfg(feature = "cards")]
mod card;
mod hello;
mod reply;
mod request;
use hello::WaitingHello;
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
///                     host.complete(request.ticket, response, now);
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
/// #               #[cfg(feature = "seal")]
///                 Event::Key(_) => host.provide_key(None, now), // no terminal has a key here
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
/// let config = Config::new(Wire::Json, LinkKind::Connection);
/// let open = |link| Host::<IN, OUT>::new(config, SessionId::new(link), now);
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
    /// The terminal epoch: that of the latest hello. `None` where the host greeted without a hello.
    epoch: Option<Epoch>,
    /// The epoch of the hello that was served last. For a named terminal, the ledger has committed it.
    committed: Epoch,
    /// The terminal's turn that goes with it: a request of an earlier one is fenced. 0 before the first.
    turn: u32,
    ledger: Option<LedgerId>,
    numbers: Numbers,
    session: Session,
    /// The last reply; its prompt is open unless a request is outstanding.
    last_reply: Option<Reply>,
    /// When the last reply was first sent: idle time runs from here.
    replied_at: Option<Instant>,
    /// The prompt and the fingerprint of the answer that caused the last reply or the outstanding request.
    last_answer: Option<(u64, Fingerprint)>,
    outstanding: Outstanding,
    /// The ticket of the outstanding request, and of the next one.
    ticket: Ticket,
    next_ticket: Ticket,
    /// The driver has not taken the outstanding request yet.
    request_ready: bool,
    /// A hello that is not served yet: it waits for the outstanding request, or for its admission.
    waiting_hello: Option<WaitingHello>,
    /// Whether the next reply answers a hello and carries a welcome.
    welcome_due: bool,
    /// The keys of the latest hello.
    keys: Keys,
    /// Access is by card.
    #[cfg(feature = "cards")]
    is_card: bool,
    /// What was done earlier, and may not have been shown, with its card: shown in full if the same card is verified next.
    #[cfg(feature = "cards")]
    earlier: Option<(Token, Receipt)>,
}

impl Conversation {
    /// A conversation with a peer that has sent nothing yet: its first reply is the menu. Replies are
    /// numbered from `first_seq`.
    pub(crate) fn greeting(session: SessionId, first_seq: u64, ticket: Ticket) -> Self {
        let mut conversation = Self::new(Origin::Session(session), ticket);
        conversation.numbers = Numbers::block(first_seq, u32::MAX);
        conversation.reply_with(None, &[Screen::Menu]);
        conversation
    }

    /// A conversation with a terminal whose hello is passed to [`take_hello`](Self::take_hello) next. A terminal
    /// without a name has its replies numbered from `first_seq`, and its operations belong to `session`.
    pub(crate) fn for_hello(hello: &Hello, session: SessionId, first_seq: u64, ticket: Ticket) -> Self {
        let origin = hello.terminal.clone().map_or(Origin::Session(session), Origin::Terminal);
        let mut conversation = Self::new(origin, ticket);
        if hello.terminal.is_none() {
            conversation.numbers = Numbers::block(first_seq, u32::MAX);
        }
        conversation
    }

    fn new(origin: Origin, ticket: Ticket) -> Self {
        Self {
            origin,
            epoch: None,
            committed: Epoch::PLAIN,
            turn: 0,
            ledger: None,
            numbers: Numbers::NONE,
            session: Session::Menu,
            last_reply: None,
            replied_at: None,
            last_answer: None,
            outstanding: Outstanding::None,
            ticket,
            next_ticket: ticket,
            request_ready: false,
            waiting_hello: None,
            welcome_due: false,
            keys: Keys::default(),
            #[cfg(feature = "cards")]
            is_card: false,
            #[cfg(feature = "cards")]
            earlier: None,
        }
    }

    /// The state in which a session begins.
    fn first_session(&self) -> Session {
        #[cfg(feature = "cards")]
        if self.is_card {
            return Session::Card(CardSession::Card);
        }
        Session::Menu
    }

    /// The prompt with which a session begins.
    fn first_screens(&self) -> &'static [Screen] {
        #[cfg(feature = "cards")]
        if self.is_card {
            return &[Screen::Card(CardScreen::CardPrompt)];
        }
        &[Screen::Menu]
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

    /// Whether `hello` may take this conversation over from another link: its epoch is greater than the
    /// conversation's, or that is in clear and the hello is a plain client's, or the session is over. The driver then passes the conversation to
    /// [`Host::admit`](super::Host::admit) of the endpoint that received the hello, and otherwise calls
    /// [`Host::refuse`](super::Host::refuse) there.
    pub fn admits(&self, hello: &Hello) -> bool {
        let is_over = self.is_over() && !self.epoch().is_sealed();
        is_over || self.epoch.is_none_or(|held| hello.epoch().supersedes(held))
    }

    /// The terminal epoch: that of the latest hello.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch.unwrap_or_default()
    }

    /// Whether the terminal said hello.
    pub(crate) fn began_with_hello(&self) -> bool {
        self.epoch.is_some()
    }

    /// The keys of the latest hello.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether the open prompt has had no answer for `timeout`, so that the session cannot be resumed.
    pub fn is_idle(&self, timeout: Duration, now: Instant) -> bool {
        self.idle_since().is_some_and(|since| since + timeout <= now)
    }

    /// When the open prompt was first sent, unless a request is outstanding: no duplicate, fault, hello or resumed session
    /// changes it.
    pub fn idle_since(&self) -> Option<Instant> {
        self.replied_at.filter(|_| !self.is_busy())
    }

    /// Whether this is the answer that caused the last reply or the outstanding request.
    pub(crate) fn is_duplicate(&self, re: Option<u64>, answer: &Answer) -> bool {
        // Almost every answer is to another prompt, and needs no fingerprint.
        self.last_answer.is_some_and(|(known, before)| re == Some(known) && before.matches(answer))
    }

    /// The notice for a duplicate while a request is outstanding.
    pub(crate) fn working_notice(&self) -> Notice {
        Notice::Working { re: self.last_answer.as_ref().map(|(re, _)| *re) }
    }

    /// Handles an answer. The caller holds it back while a request is outstanding.
    pub(crate) fn answer(
        &mut self,
        re: Option<u64>,
        answer: &Answer,
        policy: &Policy,
        #[cfg(feature = "cards")] keys: Option<&CardKeys>,
    ) -> Effect {
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
                #[cfg(feature = "cards")]
                let is_secret = self.session.prompt().is_some_and(|prompt| prompt.is_secret());
                #[cfg(feature = "cards")]
                let action = match keys {
                    Some(keys) => self.session.answer_with(answer, policy, keys),
                    None => self.session.answer(answer, policy),
                };
                #[cfg(not(feature = "cards"))]
                let action = self.session.answer(answer, policy);
                self.last_answer = Some((
                    open,
                    match () {
                        #[cfg(feature = "cards")]
                        () if is_secret => Fingerprint::SECRET,
                        () => answer.fingerprint(),
                    },
                ));
                match action {
                    Action::Show(screens) => self.reply_with(Some(open), &screens),
                    Action::Quit(screens) => self.make_reply(Some(open), &screens, true),
                    Action::Operate(operation) => {
                        self.emit_request(Outstanding::Operate { id: open, operation })
                    }
                    #[cfg(feature = "cards")]
                    Action::Card(request) => self.emit_request(Outstanding::Card { id: open, request }),
                }
            }
        }
    }
}
