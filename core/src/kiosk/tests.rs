//! The loop over a port that the tests fill, stop and break by hand.
use super::*;
use crate::{
    host::{IN, LinkKind, OUT},
    ledger::{LedgerId, Name, RamLedger, Request, Response},
    message::{Hello, VERSION},
    money::Amount,
    time::Duration,
    wire::{Outbox, Wire},
};
use embedded_io::{ErrorKind, ErrorType};
use std::{string::String, string::ToString, vec, vec::Vec};

/// A serial port.
#[derive(Debug, Default)]
struct Port {
    incoming: Vec<u8>,
    sent: Vec<u8>,
    /// How much one write takes.
    takes: usize,
    /// It says that it is ready, and takes nothing.
    lies: bool,
    /// Nobody is at the other end any more: a read says so.
    gone: bool,
    broken: bool,
    reads: usize,
}

impl ErrorType for Port {
    type Error = ErrorKind;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        if self.broken { Err(ErrorKind::BrokenPipe) } else { Ok(self.gone || !self.incoming.is_empty()) }
    }
}

impl Read for Port {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        self.reads += 1;
        assert!(!self.incoming.is_empty() || self.gone, "it would wait");
        let count = buf.len().min(self.incoming.len());
        buf[..count].copy_from_slice(&self.incoming[..count]);
        self.incoming.drain(..count);
        Ok(count)
    }
}

impl WriteReady for Port {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        if self.broken { Err(ErrorKind::BrokenPipe) } else { Ok(self.lies || self.takes > 0) }
    }
}

impl Write for Port {
    fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        assert!(self.lies || self.takes > 0, "it would wait");
        assert!(!buf.is_empty(), "there is something to write");
        let count = buf.len().min(self.takes);
        self.sent.extend_from_slice(&buf[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// A ledger whose store fails where it is told to.
struct FailingLedger {
    ledger: RamLedger<1>,
    fails: bool,
}

impl Ledger for FailingLedger {
    fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        if self.fails { Err(InDoubt) } else { self.ledger.apply(request) }
    }
}

const NOW: Instant = Instant::from_millis(7000);

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// A kiosk that anybody may stop.
fn kiosk() -> Kiosk<FailingLedger, IN, OUT> {
    let ledger = FailingLedger { ledger: RamLedger::new(LedgerId(7), units(100)), fails: false };
    let mut config = Config::new(Wire::Json, LinkKind::Serial);
    config.policy.may_quit = true;
    Kiosk::new(config, Some(ledger), NOW)
}

/// A port that takes everything, and where a terminal has said hello.
fn port() -> Port {
    Port { takes: usize::MAX, incoming: hello(), ..Port::default() }
}

fn hello() -> Vec<u8> {
    hello_of(Some("a".parse::<Name>().unwrap()))
}

fn hello_of(terminal: Option<Name>) -> Vec<u8> {
    let mut out = Outbox::<512>::new(Wire::Json);
    out.hello(&Hello {
        version: VERSION,
        terminal,
        start: 1,
        attempt: 1,
        ledger: None,
        shown: 0,
        pending: None,
        resume: false,
    })
    .unwrap();
    out.output().to_vec()
}

fn answer(re: u64, text: &str) -> Vec<u8> {
    let mut out = Outbox::<512>::new(Wire::Json);
    out.answer(Some(re), text).unwrap();
    out.output().to_vec()
}

/// Turns until there is nothing to do; gives out what was sent.
fn turn(kiosk: &mut Kiosk<FailingLedger, IN, OUT>, port: &mut Port) -> String {
    for _ in 0..1000 {
        if !kiosk.turn(port, NOW).unwrap() {
            return String::from_utf8_lossy(&std::mem::take(&mut port.sent)).to_string();
        }
    }
    panic!("it never comes to rest");
}

#[test]
fn a_withdrawal_over_the_port() {
    let (mut kiosk, mut port) = (kiosk(), port());
    assert!(turn(&mut kiosk, &mut port).contains(r#""seq":1,"input":true"#));
    port.incoming = answer(1, "withdraw 40");
    let told = turn(&mut kiosk, &mut port);
    assert!(told.contains(r#""outcome":"done","operation":"withdrawal","amount":4000,"balance":6000"#));
    assert_eq!(kiosk.ledger().unwrap().ledger.balance(), units(60));
    assert_eq!((kiosk.host().counters().frames, kiosk.is_finished()), (2, false));
}

#[test]
fn a_port_that_takes_little_or_nothing_is_waited_for() {
    let (mut kiosk, mut port) = (kiosk(), port());
    // More than the host takes before its reply to the first was sent.
    port.incoming.extend(answer(9, "1").repeat(3));
    port.takes = 0;
    assert_eq!(turn(&mut kiosk, &mut port), "");
    assert!(!port.incoming.is_empty());
    port.lies = true;
    assert_eq!(turn(&mut kiosk, &mut port), "");
    port.takes = 1;
    let told = turn(&mut kiosk, &mut port);
    assert!(told.contains(r#""seq":1,"input":true"#) && told.ends_with("}"), "{told}");
    assert_eq!(turn(&mut kiosk, &mut port), "", "it is said once");
}

#[test]
fn a_turn_is_bounded_and_says_whether_there_is_more() {
    let (mut kiosk, mut port) = (kiosk(), port());
    assert_eq!(kiosk.turn(&mut Port { takes: 1, ..Port::default() }, NOW), Ok(false), "nothing came");
    // A line that never rests.
    port.incoming = vec![0; 100_000];
    for _ in 0..3 {
        let before = port.reads;
        assert_eq!(kiosk.turn(&mut port, NOW), Ok(true));
        assert!((1..=MAX_STEPS).contains(&(port.reads - before)));
    }
    assert!(port.incoming.len() > 90_000);
    // What was done on the way is told to whoever would sleep.
    let (mut kiosk, mut port) = (self::kiosk(), Port { incoming: vec![0], ..Port::default() });
    assert_eq!(kiosk.turn(&mut port, NOW), Ok(true));
    assert_eq!(kiosk.turn(&mut port, NOW), Ok(false));
}

#[test]
fn a_deadline_is_met_by_the_turn_after_it() {
    let (mut kiosk, mut port) = (kiosk(), port());
    assert_eq!(kiosk.deadline(), None, "nobody is there");
    turn(&mut kiosk, &mut port);
    let deadline = kiosk.deadline().unwrap();
    assert_eq!(deadline, NOW + Duration::from_secs(300));
    kiosk.turn(&mut port, Instant::from_millis(deadline.millis() - 1)).unwrap();
    assert_eq!(port.sent, b"");
    kiosk.turn(&mut port, deadline).unwrap();
    let told = turn(&mut kiosk, &mut port);
    assert!(told.contains(r#""notice":"idle""#), "{told}");
    assert_eq!(kiosk.deadline(), None);
}

#[test]
fn it_stops_with_a_goodbye() {
    for quits in [false, true] {
        let (mut kiosk, mut port) = (kiosk(), port());
        turn(&mut kiosk, &mut port);
        if quits {
            port.incoming = answer(1, "quit");
        } else {
            kiosk.shut_down(NOW);
            assert!(!kiosk.is_finished(), "nothing was said yet");
        }
        let told = turn(&mut kiosk, &mut port);
        assert!(told.contains("The server is stopping. Goodbye."), "{told}");
        assert!(kiosk.is_finished());
    }
}

#[test]
fn the_end_of_the_line_is_the_end() {
    let (mut kiosk, mut port) = (kiosk(), port());
    turn(&mut kiosk, &mut port);
    port.gone = true;
    port.incoming = answer(1, "deposit 1");
    let told = turn(&mut kiosk, &mut port);
    assert!(told.contains(r#""outcome":"done""#), "what came before it is served: {told}");
    assert!(kiosk.is_finished());
    let reads = port.reads;
    turn(&mut kiosk, &mut port);
    assert_eq!(port.reads, reads, "nothing more is read");
}

#[test]
fn a_port_or_a_ledger_that_fails_is_told() {
    let (mut kiosk, mut port) = (kiosk(), port());
    port.broken = true;
    let error = kiosk.turn(&mut port, NOW).unwrap_err();
    assert_eq!(error, KioskError::Port(ErrorKind::BrokenPipe));
    assert!(error.to_string().starts_with("the serial port failed: "), "{error}");
    port.broken = false;
    kiosk.ledger.as_mut().unwrap().fails = true;
    let error = (0..1000).find_map(|_| kiosk.turn(&mut port, NOW).err()).unwrap();
    assert_eq!(error, KioskError::Ledger(InDoubt));
    assert_eq!(error.to_string(), InDoubt.to_string());
    assert_eq!(port.sent, b"", "nothing is told");
}

/// A reply to a hello, and then a deposit that the ledger is in doubt about.
fn in_doubt() -> (Kiosk<FailingLedger, IN, OUT>, Port) {
    let (mut kiosk, mut port) = (kiosk(), port());
    turn(&mut kiosk, &mut port);
    kiosk.ledger.as_mut().unwrap().fails = true;
    port.incoming = answer(1, "deposit 5");
    assert_eq!((0..9).find_map(|_| kiosk.turn(&mut port, NOW).err()), Some(KioskError::Ledger(InDoubt)));
    (kiosk, port)
}

#[test]
fn a_ledger_in_doubt_is_asked_again_and_a_repeat_is_told_so() {
    let (mut kiosk, mut port) = in_doubt();
    assert_eq!(kiosk.deadline(), Some(NOW + RETRY_AFTER));
    port.incoming = answer(1, "deposit 5");
    let told = turn(&mut kiosk, &mut port);
    assert!(told.contains("Working on it."), "{told}");
    kiosk.ledger.as_mut().unwrap().fails = false;
    assert_eq!(turn(&mut kiosk, &mut port), "", "it is left alone for a while");
    while kiosk.turn(&mut port, NOW + RETRY_AFTER).unwrap() {}
    let told = String::from_utf8_lossy(&port.sent).to_string();
    assert!(told.contains("Amount deposited: $5. Your balance is $105."), "{told}");
    assert_eq!(kiosk.ledger().unwrap().ledger.balance(), units(105), "once");
}

#[test]
fn what_was_asked_without_a_name_is_unknown_where_the_ledger_is_in_doubt() {
    let mut kiosk = kiosk();
    let mut port = Port { incoming: hello_of(None), ..port() };
    turn(&mut kiosk, &mut port);
    kiosk.ledger.as_mut().unwrap().fails = true;
    port.incoming = answer(1, "deposit 5");
    assert_eq!((0..9).find_map(|_| kiosk.turn(&mut port, NOW).err()), Some(KioskError::Ledger(InDoubt)));
    let told = turn(&mut kiosk, &mut port);
    assert!(told.contains("It is unknown what became of your request"), "{told}");
    assert_eq!(kiosk.retry_at, None, "it is not asked again: nobody could tell it from another");
}

#[test]
fn the_balance_is_asked_for_again_without_a_name_too() {
    let mut kiosk = kiosk();
    let mut port = Port { incoming: hello_of(None), ..port() };
    turn(&mut kiosk, &mut port);
    kiosk.ledger.as_mut().unwrap().fails = true;
    port.incoming = answer(1, "3");
    assert_eq!((0..9).find_map(|_| kiosk.turn(&mut port, NOW).err()), Some(KioskError::Ledger(InDoubt)));
    kiosk.ledger.as_mut().unwrap().fails = false;
    while kiosk.turn(&mut port, NOW + RETRY_AFTER).unwrap() {}
    let told = String::from_utf8_lossy(&port.sent).to_string();
    assert!(told.contains("Your balance is $100."), "no money moves by it: {told}");
}

#[test]
fn without_a_ledger_it_is_out_of_service_and_says_so_each_time() {
    let mut kiosk =
        Kiosk::<FailingLedger, IN, OUT>::new(Config::new(Wire::Json, LinkKind::Serial), None, NOW);
    let mut port = Port { takes: usize::MAX, ..Port::default() };
    assert_eq!(turn(&mut kiosk, &mut port), "", "a serial line is silent until somebody says something");
    for incoming in [hello(), answer(1, "deposit 5"), hello()] {
        port.incoming = incoming;
        let told = turn(&mut kiosk, &mut port);
        assert!(told.contains(r#""notice":"out-of-service""#), "{told}");
        assert!(!kiosk.is_finished());
    }
}

#[test]
fn a_ledger_that_stays_in_doubt_is_out_of_service_after_half_a_minute() {
    let (mut kiosk, mut port) = in_doubt();
    let mut now = NOW;
    for attempt in 0..MAX_RETRIES {
        now = now + RETRY_AFTER;
        assert!(kiosk.ledger().is_some(), "{attempt}");
        assert_eq!((0..9).find_map(|_| kiosk.turn(&mut port, now).err()), Some(KioskError::Ledger(InDoubt)));
    }
    while kiosk.turn(&mut port, now).unwrap() {}
    let told = String::from_utf8_lossy(&port.sent).to_string();
    assert!(told.contains(r#""notice":"out-of-service""#) && !told.contains("outcome"), "{told}");
    assert!(kiosk.ledger().is_none() && !kiosk.is_finished());
}
