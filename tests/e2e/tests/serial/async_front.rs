//! The kiosk as a task of an executor, over an `embedded-io-async` port: a conversation, its deadlines, its ends.
use atm_core::{
    host::{Config, IN, Link, OUT},
    kiosk::{Error, Kiosk},
    ledger::{InDoubt, Ledger, LedgerId, RamLedger, Request, Response},
    money::Amount,
    terminal::{self, Event, Profile, Terminal},
    time::{Duration, Instant},
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

/// A line in memory: what goes up to the kiosk and down from it, and the time.
#[derive(Default)]
struct Line {
    up: RefCell<VecDeque<u8>>,
    down: RefCell<Vec<u8>>,
    /// Nothing will come any more.
    ended: Cell<bool>,
    /// Nobody reads what goes down.
    stuck: Cell<bool>,
    now: Cell<Instant>,
}

/// The kiosk's end of it.
struct Port<'a>(&'a Line);

impl ErrorType for Port<'_> {
    type Error = ErrorKind;
}

impl Read for Port<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| {
            let mut up = self.0.up.borrow_mut();
            let count = buf.len().min(up.len());
            if count == 0 && !self.0.ended.get() {
                return Poll::Pending;
            }
            buf.iter_mut().zip(up.drain(..count)).for_each(|(place, byte)| *place = byte);
            Poll::Ready(Ok(count))
        })
        .await
    }
}

impl Write for Port<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| match self.0.stuck.get() {
            true => Poll::Pending,
            false => {
                // As a UART does: some of it.
                let part = &buf[..buf.len().min(7)];
                self.0.down.borrow_mut().extend_from_slice(part);
                Poll::Ready(Ok(part.len()))
            }
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Line {
    /// Waits until a time.
    async fn sleep(&self, until: Option<Instant>) {
        poll_fn(|_| match until {
            Some(until) if until <= self.now.get() => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    }
}

struct Books {
    ledger: RamLedger<2>,
    fails: bool,
}

impl Ledger for Books {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        if self.fails { Err(InDoubt) } else { self.ledger.apply(request) }
    }
}

fn kiosk(link: Link, fails: bool) -> Kiosk<Books, IN, OUT> {
    let ledger = Books { ledger: RamLedger::new(LedgerId(7), Amount::from_units(100).unwrap()), fails };
    Kiosk::new(Config::new(Wire::Postcard, link), Some(ledger), Instant::default())
}

/// A person at a terminal, at the other end of the line.
struct Person {
    terminal: Terminal<1024, { terminal::OUT }>,
    shown: String,
}

impl Person {
    fn new() -> Self {
        let config = terminal::Config {
            wire: Wire::Postcard,
            link: Link::Serial,
            profile: Some(Profile { name: "kiosk-7".parse().ok(), start: 1, ..Profile::default() }),
            repeat: None,
            frame: Duration::from_secs(10),
        };
        Self { terminal: Terminal::new(config, Instant::default()), shown: String::new() }
    }

    /// Takes in what came and sends what is to be sent.
    fn turn(&mut self, line: &Line) {
        let now = line.now.get();
        let bytes = std::mem::take(&mut *line.down.borrow_mut());
        let mut rest = &bytes[..];
        loop {
            rest = &rest[self.terminal.feed(rest, now)..];
            match self.terminal.poll_event(now) {
                Some(Event::Said(said)) => self.shown += &said.text.to_string(),
                Some(other) => panic!("{other:?}"),
                None if rest.is_empty() => break,
                None => {}
            }
        }
        line.up.borrow_mut().extend(self.terminal.output());
        self.terminal.consume(usize::MAX);
    }

    fn answer(&mut self, text: &str) {
        let prompt = self.terminal.prompt().expect("a prompt is open");
        self.terminal.answer(prompt, text, Instant::default()).unwrap();
    }
}

/// Polls a task until it rests: what it ended with, if it did.
fn rest<T>(line: &Line, mut task: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let before = (line.up.borrow().len(), line.down.borrow().len());
        if let Poll::Ready(result) = task.as_mut().poll(&mut context) {
            return Some(result);
        }
        // Nothing of this wakes anybody: it is polled for as long as something moves.
        if before == (line.up.borrow().len(), line.down.borrow().len()) {
            return None;
        }
    }
}

/// A kiosk's task on a line.
macro_rules! task {
    ($line:ident, $kiosk:ident, $port:ident) => {
        pin!($kiosk.run(&mut $port, || $line.now.get(), async |until| $line.sleep(until).await))
    };
}

#[test]
fn a_conversation_over_a_line_that_stays() {
    let (line, mut kiosk, mut person) = (Line::default(), kiosk(Link::Serial, false), Person::new());
    let mut port = Port(&line);
    let mut task = task!(line, kiosk, port);
    person.turn(&line);
    for text in ["deposit 40", "2", "15", "exit"] {
        assert!(rest(&line, task.as_mut()).is_none());
        person.turn(&line);
        person.answer(text);
        person.turn(&line);
    }
    assert!(rest(&line, task.as_mut()).is_none(), "the line outlives the session");
    person.turn(&line);
    let shown = &person.shown;
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
fn its_deadlines_are_met_while_nothing_comes() {
    let (line, mut kiosk, mut person) = (Line::default(), kiosk(Link::Serial, false), Person::new());
    let mut port = Port(&line);
    let mut task = task!(line, kiosk, port);
    person.turn(&line);
    rest(&line, task.as_mut());
    person.turn(&line);
    line.now.set(Instant::from_millis(299_999));
    rest(&line, task.as_mut());
    assert!(line.down.borrow().is_empty(), "the prompt is still open");
    line.now.set(Instant::from_millis(300_000));
    rest(&line, task.as_mut());
    person.turn(&line);
    assert!(person.shown.contains("Nobody answered for too long."), "{}", person.shown);
}

#[test]
fn a_peer_that_does_not_read_ends_its_connection() {
    let (line, mut kiosk) = (Line::default(), kiosk(Link::Connection, false));
    line.stuck.set(true);
    let mut port = Port(&line);
    let mut task = task!(line, kiosk, port);
    assert_eq!(rest(&line, task.as_mut()), None);
    line.now.set(Instant::from_millis(30_000));
    assert_eq!(rest(&line, task.as_mut()), Some(Ok(())));
}

#[test]
fn the_end_of_the_line_is_its_end() {
    let (line, mut kiosk, mut person) = (Line::default(), kiosk(Link::Serial, false), Person::new());
    let mut port = Port(&line);
    let mut task = task!(line, kiosk, port);
    person.turn(&line);
    assert_eq!(rest(&line, task.as_mut()), None);
    line.ended.set(true);
    assert_eq!(rest(&line, task.as_mut()), Some(Ok(())));
    person.turn(&line);
    assert!(person.shown.contains("Welcome to the ATM."), "what came before is answered: {}", person.shown);
}

#[test]
fn a_ledger_in_doubt_ends_the_task_which_may_be_run_again() {
    let (line, mut kiosk, mut person) = (Line::default(), kiosk(Link::Serial, true), Person::new());
    let mut port = Port(&line);
    person.turn(&line);
    assert_eq!(rest(&line, task!(line, kiosk, port)), Some(Err(Error::Ledger(InDoubt))));
    {
        let mut task = task!(line, kiosk, port);
        assert_eq!(rest(&line, task.as_mut()), None);
        line.now.set(Instant::from_millis(1000));
        assert_eq!(rest(&line, task.as_mut()), Some(Err(Error::Ledger(InDoubt))), "it is asked again");
    }
    person.turn(&line);
    assert_eq!(person.shown, "", "and nobody was told anything");
}
