//! Tests of the kiosk's loop over a port that a test fills, blocks and breaks.
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

#[cfg(feature = "cards")]
mod cards;

/// A serial port in memory.
#[derive(Debug, Default)]
struct Port {
    incoming: Vec<u8>,
    sent: Vec<u8>,
    /// How many bytes one write takes.
    takes: usize,
    /// It is ready for writing even if it takes nothing.
    falsely_ready: bool,
    /// The input ends behind `incoming`.
    input_ends: bool,
    broken: bool,
    reads: usize,
}

impl ErrorType for Port {
    type Error = ErrorKind;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        if self.broken {
            Err(ErrorKind::BrokenPipe)
        } else {
            Ok(self.input_ends || !self.incoming.is_empty())
        }
    }
}

impl Read for Port {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        self.reads += 1;
        assert!(!self.incoming.is_empty() || self.input_ends, "the read would block");
        let count = buf.len().min(self.incoming.len());
        buf[..count].copy_from_slice(&self.incoming[..count]);
        self.incoming.drain(..count);
        Ok(count)
    }
}

impl WriteReady for Port {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        if self.broken { Err(ErrorKind::BrokenPipe) } else { Ok(self.falsely_ready || self.takes > 0) }
    }
}

impl Write for Port {
    fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        assert!(self.falsely_ready || self.takes > 0, "the write would block");
        assert!(!buf.is_empty(), "there is something to write");
        let count = buf.len().min(self.takes);
        self.sent.extend_from_slice(&buf[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// A ledger that is in doubt about every request while `fails` is set.
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

/// A kiosk where `quit` is permitted.
fn kiosk() -> Kiosk<FailingLedger, IN, OUT> {
    let ledger = FailingLedger { ledger: RamLedger::new(LedgerId(7), units(100)), fails: false };
    let mut config = Config::new(Wire::Json, LinkKind::Serial);
    config.policy.may_quit = true;
    Kiosk::new(config, Some(ledger), NOW)
}

/// A port that takes everything, with a hello as input.
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
        ..Hello::EMPTY
    })
    .unwrap();
    out.output().to_vec()
}

fn answer(re: u64, text: &str) -> Vec<u8> {
    let mut out = Outbox::<512>::new(Wire::Json);
    out.answer(Some(re), text).unwrap();
    out.output().to_vec()
}

/// Turns until there is nothing to do, and returns what was sent.
fn turn(kiosk: &mut Kiosk<FailingLedger, IN, OUT>, port: &mut Port) -> String {
    for _ in 0..1000 {
        if !kiosk.turn(port, NOW).unwrap() {
            return String::from_utf8_lossy(&std::mem::take(&mut port.sent)).to_string();
        }
    }
    panic!("there is always something to do");
}

#[test]
fn a_withdrawal_over_the_port() {
    let (mut kiosk, mut port) = (kiosk(), port());
    assert!(turn(&mut kiosk, &mut port).contains(r#""seq":1,"input":true"#));
    port.incoming = answer(1, "withdraw 40");
    let sent = turn(&mut kiosk, &mut port);
    assert!(sent.contains(r#""outcome":"done","operation":"withdrawal","amount":4000,"balance":6000"#));
    assert_eq!(kiosk.ledger().unwrap().ledger.balance(), units(60));
    assert_eq!((kiosk.host().counters().frames, kiosk.is_finished()), (2, false));
}

#[test]
fn a_slow_or_blocked_port_is_waited_for() {
    let (mut kiosk, mut port) = (kiosk(), port());
    // More than the host takes before its first reply is sent.
    port.incoming.extend(answer(9, "1").repeat(3));
    port.takes = 0;
    assert_eq!(turn(&mut kiosk, &mut port), "");
    assert!(!port.incoming.is_empty());
    port.falsely_ready = true;
    assert_eq!(turn(&mut kiosk, &mut port), "");
    port.takes = 1;
    let sent = turn(&mut kiosk, &mut port);
    assert!(sent.contains(r#""seq":1,"input":true"#) && sent.ends_with("}"), "{sent}");
    assert_eq!(turn(&mut kiosk, &mut port), "", "everything is sent once");
}

#[test]
fn a_turn_is_bounded_and_returns_whether_there_was_something_to_do() {
    let (mut kiosk, mut port) = (kiosk(), port());
    assert_eq!(kiosk.turn(&mut Port { takes: 1, ..Port::default() }, NOW), Ok(false), "nothing came");
    // Endless input.
    port.incoming = vec![0; 100_000];
    for _ in 0..3 {
        let before = port.reads;
        assert_eq!(kiosk.turn(&mut port, NOW), Ok(true));
        assert!((1..=MAX_STEPS).contains(&(port.reads - before)));
    }
    assert!(port.incoming.len() > 90_000);
    // A turn that did something returns true, so that the caller does not sleep yet.
    let (mut kiosk, mut port) = (self::kiosk(), Port { incoming: vec![0], ..Port::default() });
    assert_eq!(kiosk.turn(&mut port, NOW), Ok(true));
    assert_eq!(kiosk.turn(&mut port, NOW), Ok(false));
}

#[test]
fn a_deadline_is_met_by_the_turn_after_it() {
    let (mut kiosk, mut port) = (kiosk(), port());
    assert_eq!(kiosk.deadline(), None, "no session");
    turn(&mut kiosk, &mut port);
    let deadline = kiosk.deadline().unwrap();
    assert_eq!(deadline, NOW + Duration::from_secs(300));
    kiosk.turn(&mut port, Instant::from_millis(deadline.millis() - 1)).unwrap();
    assert_eq!(port.sent, b"");
    kiosk.turn(&mut port, deadline).unwrap();
    let sent = turn(&mut kiosk, &mut port);
    assert!(sent.contains(r#""notice":"idle""#), "{sent}");
    assert_eq!(kiosk.deadline(), None);
}

#[test]
fn quit_and_shut_down_send_a_notice_before_the_end() {
    for quits in [false, true] {
        let (mut kiosk, mut port) = (kiosk(), port());
        turn(&mut kiosk, &mut port);
        if quits {
            port.incoming = answer(1, "quit");
        } else {
            kiosk.shut_down(NOW);
            assert!(!kiosk.is_finished(), "the notice was not sent yet");
        }
        let sent = turn(&mut kiosk, &mut port);
        assert!(sent.contains("The server is stopping. Goodbye."), "{sent}");
        assert!(kiosk.is_finished());
    }
}

#[test]
fn the_end_of_the_input_finishes_the_kiosk_after_the_last_reply() {
    let (mut kiosk, mut port) = (kiosk(), port());
    turn(&mut kiosk, &mut port);
    port.input_ends = true;
    port.incoming = answer(1, "deposit 1");
    let sent = turn(&mut kiosk, &mut port);
    assert!(sent.contains(r#""outcome":"done""#), "what came before it is served: {sent}");
    assert!(kiosk.is_finished());
    let reads = port.reads;
    turn(&mut kiosk, &mut port);
    assert_eq!(port.reads, reads, "nothing more is read");
}

#[test]
fn a_failed_port_or_ledger_is_an_error() {
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
    assert_eq!(port.sent, b"", "no outcome is sent");
}

/// A kiosk at the menu, and then a deposit that leaves the ledger in doubt.
fn in_doubt() -> (Kiosk<FailingLedger, IN, OUT>, Port) {
    let (mut kiosk, mut port) = (kiosk(), port());
    turn(&mut kiosk, &mut port);
    kiosk.ledger.as_mut().unwrap().fails = true;
    port.incoming = answer(1, "deposit 5");
    assert_eq!((0..9).find_map(|_| kiosk.turn(&mut port, NOW).err()), Some(KioskError::Ledger(InDoubt)));
    (kiosk, port)
}

#[test]
fn a_request_in_doubt_is_retried_and_a_duplicate_gets_working() {
    let (mut kiosk, mut port) = in_doubt();
    assert_eq!(kiosk.deadline(), Some(NOW + RETRY_AFTER));
    port.incoming = answer(1, "deposit 5");
    let sent = turn(&mut kiosk, &mut port);
    assert!(sent.contains("Working on it."), "{sent}");
    kiosk.ledger.as_mut().unwrap().fails = false;
    assert_eq!(turn(&mut kiosk, &mut port), "", "no retry before its time");
    while kiosk.turn(&mut port, NOW + RETRY_AFTER).unwrap() {}
    let sent = String::from_utf8_lossy(&port.sent).to_string();
    assert!(sent.contains("Amount deposited: $5. Your balance is $105."), "{sent}");
    assert_eq!(kiosk.ledger().unwrap().ledger.balance(), units(105), "once");
}

#[test]
fn an_unnamed_operation_in_doubt_is_unknown_and_not_retried() {
    let mut kiosk = kiosk();
    let mut port = Port { incoming: hello_of(None), ..port() };
    turn(&mut kiosk, &mut port);
    kiosk.ledger.as_mut().unwrap().fails = true;
    port.incoming = answer(1, "deposit 5");
    assert_eq!((0..9).find_map(|_| kiosk.turn(&mut port, NOW).err()), Some(KioskError::Ledger(InDoubt)));
    let sent = turn(&mut kiosk, &mut port);
    assert!(sent.contains("It is unknown what became of your request"), "{sent}");
    assert_eq!(kiosk.retry_at, None, "a retry might do it twice");
}

#[test]
fn an_unnamed_inquiry_in_doubt_is_retried() {
    let mut kiosk = kiosk();
    let mut port = Port { incoming: hello_of(None), ..port() };
    turn(&mut kiosk, &mut port);
    kiosk.ledger.as_mut().unwrap().fails = true;
    port.incoming = answer(1, "3");
    assert_eq!((0..9).find_map(|_| kiosk.turn(&mut port, NOW).err()), Some(KioskError::Ledger(InDoubt)));
    kiosk.ledger.as_mut().unwrap().fails = false;
    while kiosk.turn(&mut port, NOW + RETRY_AFTER).unwrap() {}
    let sent = String::from_utf8_lossy(&port.sent).to_string();
    assert!(sent.contains("Your balance is $100."), "an inquiry moves no money: {sent}");
}

#[test]
fn without_a_ledger_every_message_gets_out_of_service() {
    let mut kiosk =
        Kiosk::<FailingLedger, IN, OUT>::new(Config::new(Wire::Json, LinkKind::Serial), None, NOW);
    let mut port = Port { takes: usize::MAX, ..Port::default() };
    assert_eq!(turn(&mut kiosk, &mut port), "", "nothing is sent before a message comes");
    for incoming in [hello(), answer(1, "deposit 5"), hello()] {
        port.incoming = incoming;
        let sent = turn(&mut kiosk, &mut port);
        assert!(sent.contains(r#""notice":"out-of-service""#), "{sent}");
        assert!(!kiosk.is_finished());
    }
}

#[test]
fn a_ledger_that_stays_in_doubt_is_out_of_service_after_30_seconds() {
    let (mut kiosk, mut port) = in_doubt();
    let mut now = NOW;
    for attempt in 0..MAX_RETRIES {
        now = now + RETRY_AFTER;
        assert!(kiosk.ledger().is_some(), "{attempt}");
        assert_eq!((0..9).find_map(|_| kiosk.turn(&mut port, now).err()), Some(KioskError::Ledger(InDoubt)));
    }
    while kiosk.turn(&mut port, now).unwrap() {}
    let sent = String::from_utf8_lossy(&port.sent).to_string();
    assert!(sent.contains(r#""notice":"out-of-service""#) && !sent.contains("outcome"), "{sent}");
    assert!(kiosk.ledger().is_none() && !kiosk.is_finished());
}
