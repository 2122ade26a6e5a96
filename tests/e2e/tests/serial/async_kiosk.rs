//! `Kiosk::run` as an async task over an `embedded-io-async` port: a conversation, deadlines met while the port
//! is idle, and what ends the task.
use atm_core::{
    host::{Config, IN, LinkKind, OUT},
    kiosk::{Kiosk, KioskError},
    ledger::{InDoubt, Ledger, LedgerId, RamLedger, Request, Response},
    money::Amount,
    terminal::{self, Event, Profile, Terminal},
    time::Instant,
    wire::Wire,
};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

/// A link in memory, with the time.
#[derive(Default)]
struct MemoryLink {
    to_kiosk: RefCell<VecDeque<u8>>,
    from_kiosk: RefCell<Vec<u8>>,
    /// Reads return end of file once everything was read.
    ended: Cell<bool>,
    /// Writes never complete.
    stuck: Cell<bool>,
    now: Cell<Instant>,
}

/// The kiosk's end of the link.
struct KioskPort<'a>(&'a MemoryLink);

impl ErrorType for KioskPort<'_> {
    type Error = ErrorKind;
}

impl Read for KioskPort<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| {
            let mut bytes = self.0.to_kiosk.borrow_mut();
            let count = buf.len().min(bytes.len());
            if count == 0 && !self.0.ended.get() {
                return Poll::Pending;
            }
            buf.iter_mut().zip(bytes.drain(..count)).for_each(|(place, byte)| *place = byte);
            Poll::Ready(Ok(count))
        })
        .await
    }
}

impl Write for KioskPort<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| match self.0.stuck.get() {
            true => Poll::Pending,
            false => {
                // A partial write, as by a UART with a small FIFO.
                let part = &buf[..buf.len().min(7)];
                self.0.from_kiosk.borrow_mut().extend_from_slice(part);
                Poll::Ready(Ok(part.len()))
            }
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl MemoryLink {
    /// Completes when the time is `until`.
    async fn sleep(&self, until: Option<Instant>) {
        poll_fn(|_| match until {
            Some(until) if until <= self.now.get() => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    }
}

/// A ledger whose commits all fail if `fails` is set.
struct FailingLedger {
    ledger: RamLedger<2>,
    fails: bool,
}

impl Ledger for FailingLedger {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        if self.fails { Err(InDoubt) } else { self.ledger.apply(request) }
    }
}

fn kiosk(link: LinkKind, fails: bool) -> Kiosk<FailingLedger, IN, OUT> {
    let ledger =
        FailingLedger { ledger: RamLedger::new(LedgerId(7), Amount::from_units(100).unwrap()), fails };
    Kiosk::new(Config::new(Wire::Postcard, link), Some(ledger), Instant::default())
}

/// A terminal at the other end of the link, and the text that it has shown.
struct TestTerminal {
    terminal: Terminal<1024, { terminal::OUT }>,
    shown: String,
}

impl TestTerminal {
    fn new() -> Self {
        let config = terminal::Config {
            profile: Some(Profile { name: "kiosk-7".parse().ok(), start: 1, ..Profile::default() }),
            ..terminal::Config::new(Wire::Postcard, LinkKind::Serial)
        };
        Self { terminal: Terminal::new(config, Instant::default()), shown: String::new() }
    }

    /// Feeds the terminal with what the kiosk has sent, and sends the terminal's output.
    fn turn(&mut self, link: &MemoryLink) {
        let now = link.now.get();
        let bytes = std::mem::take(&mut *link.from_kiosk.borrow_mut());
        let mut rest = &bytes[..];
        loop {
            rest = &rest[self.terminal.feed(rest, now)..];
            match self.terminal.poll_event(now) {
                Some(Event::Message(message)) => self.shown += &message.text.to_string(),
                Some(other) => panic!("{other:?}"),
                None if rest.is_empty() => break,
                None => {}
            }
        }
        link.to_kiosk.borrow_mut().extend(self.terminal.output());
        self.terminal.consume(usize::MAX);
    }

    fn answer(&mut self, text: &str) {
        let prompt = self.terminal.prompt().expect("a prompt is open");
        self.terminal.answer(prompt, text, Instant::default()).unwrap();
    }
}

/// Polls a task until it makes no more progress; returns its result if it has ended.
fn poll_until_idle<T>(link: &MemoryLink, mut task: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let before = (link.to_kiosk.borrow().len(), link.from_kiosk.borrow().len());
        if let Poll::Ready(result) = task.as_mut().poll(&mut context) {
            return Some(result);
        }
        // These futures wake no task: poll again as long as bytes were moved.
        if before == (link.to_kiosk.borrow().len(), link.from_kiosk.borrow().len()) {
            return None;
        }
    }
}

/// The kiosk's task on a link.
macro_rules! task {
    ($link:ident, $kiosk:ident, $port:ident) => {
        pin!($kiosk.run(&mut $port, || $link.now.get(), async |until| $link.sleep(until).await))
    };
}

#[test]
fn the_end_of_a_session_on_a_serial_link_does_not_end_the_task() {
    let (link, mut kiosk, mut terminal) =
        (MemoryLink::default(), kiosk(LinkKind::Serial, false), TestTerminal::new());
    let mut port = KioskPort(&link);
    let mut task = task!(link, kiosk, port);
    terminal.turn(&link);
    for text in ["deposit 40", "2", "15", "exit"] {
        assert!(poll_until_idle(&link, task.as_mut()).is_none());
        terminal.turn(&link);
        terminal.answer(text);
        terminal.turn(&link);
    }
    assert!(poll_until_idle(&link, task.as_mut()).is_none(), "the link outlives the session");
    terminal.turn(&link);
    let shown = &terminal.shown;
    for text in [
        "Amount deposited: $40. Your balance is $140.",
        "Balance: $140.",
        "Your balance is $125.",
        "Goodbye.",
    ] {
        assert!(shown.contains(text), "no {text:?} in {shown}");
    }
}

#[test]
fn a_deadline_is_met_while_no_input_comes() {
    let (link, mut kiosk, mut terminal) =
        (MemoryLink::default(), kiosk(LinkKind::Serial, false), TestTerminal::new());
    let mut port = KioskPort(&link);
    let mut task = task!(link, kiosk, port);
    terminal.turn(&link);
    poll_until_idle(&link, task.as_mut());
    terminal.turn(&link);
    link.now.set(Instant::from_millis(299_999));
    poll_until_idle(&link, task.as_mut());
    assert!(link.from_kiosk.borrow().is_empty(), "the prompt is still open");
    link.now.set(Instant::from_millis(300_000));
    poll_until_idle(&link, task.as_mut());
    terminal.turn(&link);
    assert!(terminal.shown.contains("No answer for too long."), "{}", terminal.shown);
}

#[test]
fn a_connection_ends_if_its_peer_does_not_read() {
    let (link, mut kiosk) = (MemoryLink::default(), kiosk(LinkKind::Connection, false));
    link.stuck.set(true);
    let mut port = KioskPort(&link);
    let mut task = task!(link, kiosk, port);
    assert_eq!(poll_until_idle(&link, task.as_mut()), None);
    link.now.set(Instant::from_millis(30_000));
    assert_eq!(poll_until_idle(&link, task.as_mut()), Some(Ok(())));
}

#[test]
fn the_end_of_input_ends_the_task() {
    let (link, mut kiosk, mut terminal) =
        (MemoryLink::default(), kiosk(LinkKind::Serial, false), TestTerminal::new());
    let mut port = KioskPort(&link);
    let mut task = task!(link, kiosk, port);
    terminal.turn(&link);
    assert_eq!(poll_until_idle(&link, task.as_mut()), None);
    link.ended.set(true);
    assert_eq!(poll_until_idle(&link, task.as_mut()), Some(Ok(())));
    terminal.turn(&link);
    assert!(
        terminal.shown.contains("Welcome to the ATM."),
        "input before the end is answered: {}",
        terminal.shown
    );
}

#[test]
fn a_commit_in_doubt_ends_the_task_and_running_it_again_retries() {
    let (link, mut kiosk, mut terminal) =
        (MemoryLink::default(), kiosk(LinkKind::Serial, true), TestTerminal::new());
    let mut port = KioskPort(&link);
    terminal.turn(&link);
    assert_eq!(poll_until_idle(&link, task!(link, kiosk, port)), Some(Err(KioskError::Ledger(InDoubt))));
    {
        let mut task = task!(link, kiosk, port);
        assert_eq!(poll_until_idle(&link, task.as_mut()), None);
        link.now.set(Instant::from_millis(1000));
        assert_eq!(
            poll_until_idle(&link, task.as_mut()),
            Some(Err(KioskError::Ledger(InDoubt))),
            "the request is retried"
        );
    }
    terminal.turn(&link);
    assert_eq!(terminal.shown, "", "no outcome was acknowledged");
}
