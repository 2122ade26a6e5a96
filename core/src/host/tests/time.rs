//! Timers: idle prompts, unfinished frames and unread output.
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Ticks exactly at the deadline, which must be `span` from now.
#[track_caller]
fn at_deadline(driver: &mut TestDriver, span: Duration) -> Vec<DecodedMessage> {
    let before = driver.now;
    assert_eq!(driver.host.deadline(), Some(before + span));
    let early = Duration::from_millis(span.millis() - 1);
    assert_eq!(driver.after(early), [], "not before it");
    driver.after(Duration::from_millis(1))
}

#[test]
fn an_idle_connection_ends_with_a_notice() {
    for wire in [Wire::Json, Wire::Raw, Wire::Postcard] {
        let mut driver = TestDriver::new(wire, LinkKind::Connection);
        driver.received();
        let idle = driver.host.config.idle_timeout;
        let received = only(at_deadline(&mut driver, idle));
        assert!(!received.prompt && received.text.starts_with("No answer for too long"));
        assert!(driver.host.is_finished());
        assert_eq!(driver.host.deadline(), None);
    }
}

#[test]
fn an_answer_restarts_the_idle_timer_and_a_fault_does_not() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    driver.after(SECOND);
    driver.answer(None, "3");
    let idle = driver.host.config.idle_timeout;
    assert_eq!(driver.host.deadline(), Some(driver.now + idle));
    let deadline = driver.host.deadline();
    driver.after(SECOND);
    driver.send(&[0, 0, 0, 1, b'x']);
    assert_eq!(driver.host.deadline(), deadline);
}

#[test]
fn no_duplicate_hello_or_resumed_session_extends_the_idle_time() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let shown = driver.reply(menu, "1").seq.unwrap();
    let deadline = driver.host.deadline();
    driver.after(SECOND);
    assert_eq!(driver.reply(menu, "1").seq, Some(shown), "a duplicate answer");
    assert_eq!(only(driver.hello(&hello("a", 1, 1))).seq, Some(shown), "a duplicate hello");
    assert_eq!(only(driver.hello(&knowing(1, 2, shown, None, true))).seq, Some(shown), "a resumed session");
    assert_eq!(driver.host.deadline(), deadline);
    driver.hello(&knowing(1, 3, shown, None, false));
    assert_eq!(driver.host.deadline(), Some(driver.now + driver.host.config.idle_timeout), "a new session");
}

#[test]
fn an_idle_serial_line_drops_its_session_and_stays_open() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let idle = driver.host.config.idle_timeout;
    assert_eq!(only(at_deadline(&mut driver, idle)).notice, Some(Notice::Idle));
    assert_eq!((driver.host.deadline(), driver.host.is_finished()), (None, false));
    assert_eq!(driver.reply(menu, "deposit 40").notice, Some(Notice::Who));
    assert!(only(driver.hello(&hello("a", 1, 2))).prompt);
}

#[test]
fn a_session_that_is_over_is_dropped_without_a_notice() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    driver.reply(menu, "exit");
    assert_eq!(driver.after(driver.host.config.idle_timeout), []);
    assert_eq!(driver.host.conversation(), None);
}

#[test]
fn an_unfinished_frame_closes_a_connection() {
    for stream in [&[0, 0][..], &[0, 1], &[0, 0, 2, 0, b'{']] {
        let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
        driver.received();
        driver.send(&stream[..1]);
        // More bytes do not restart the timer.
        driver.after(SECOND);
        driver.send(&stream[1..]);
        let frame = Duration::from_millis(driver.host.config.frame_timeout.millis() - SECOND.millis());
        assert_eq!(only(at_deadline(&mut driver, frame)).notice, Some(Notice::Fault(Fault::Incomplete)));
        assert!(driver.host.is_finished());
    }
}

/// The first bytes of a peer of another wire: it has sent a hello or an answer, and waits.
fn of_other_wires(wire: Wire) -> Vec<Vec<u8>> {
    let hello = frame(Wire::Json, |out| out.hello(&hello("kiosk-7", 7, 1)));
    let texts = [&b"1"[..], b"1\n", b"40", b"3\r\n"].map(<[u8]>::to_vec);
    let json = [answer(Wire::Json, Some(1), "deposit 40"), answer(Wire::Json, None, "1"), hello];
    let hello = frame(Wire::Postcard, |out| out.hello(&self::hello("kiosk-7", 7, 1)));
    let postcard =
        [answer(Wire::Postcard, Some(1), "1"), answer(Wire::Postcard, Some(70), "deposit 40"), hello];
    match wire {
        Wire::Json => texts.into_iter().chain(postcard).collect(),
        Wire::Postcard => texts.into_iter().chain(json).collect(),
        Wire::Raw => json.into_iter().chain(postcard).collect(),
    }
}

#[test]
fn a_peer_of_another_wire_is_recognised_within_two_seconds() {
    for wire in [Wire::Json, Wire::Postcard, Wire::Raw] {
        for stream in of_other_wires(wire) {
            let mut driver = TestDriver::new(wire, LinkKind::Connection);
            driver.received();
            let mut received = driver.send(&stream);
            if received.is_empty() {
                received = at_deadline(&mut driver, Duration::from_secs(2));
            }
            let message = received.pop().unwrap();
            // On the raw wire a fault has its text alone. The first bytes of a binary hello are a length.
            let faults =
                if wire == Wire::Raw { [None; 2] } else { [Some(Fault::WrongWire), Some(Fault::TooLong)] };
            assert!(
                faults.map(|fault| fault.map(Notice::Fault)).contains(&message.notice),
                "{wire} {stream:?}"
            );
            assert!(wire != Wire::Raw || message.text.contains("--wire"), "{stream:?}: {}", message.text);
            assert!(driver.host.is_finished(), "{wire} {stream:?}");
            assert_eq!(driver.balance(), units(100));
        }
    }
}

#[test]
fn a_message_of_this_wire_that_stops_anywhere_has_the_time_of_a_frame() {
    for wire in [Wire::Json, Wire::Postcard] {
        let frames = [
            answer(wire, Some(1), "deposit 40"),
            answer(wire, Some(300), "3"),
            frame(wire, |out| out.hello(&hello("kiosk-7", 7, 1))),
        ];
        for frame in frames {
            let begin = frame.iter().take_while(|byte| wire == Wire::Postcard && **byte == 0).count();
            for end in begin + 1..frame.len() {
                let mut driver = TestDriver::new(wire, LinkKind::Connection);
                driver.received();
                driver.send(&frame[..end]);
                let timeout = driver.host.config.frame_timeout;
                assert_eq!(driver.host.deadline(), Some(driver.now + timeout), "{wire} {:?}", &frame[..end]);
            }
        }
    }
}

#[test]
fn a_connection_that_is_out_of_step_closes_although_its_output_is_unread() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    driver.output_blocked = true;
    driver.answer(None, "3");
    driver.send(&answer(Wire::Json, None, "deposit 40")[..10]);
    driver.after(driver.host.config.frame_timeout);
    // The rest of the frame must not be read as the start of another.
    driver.send(&answer(Wire::Json, None, "deposit 40")[10..]);
    driver.answer(None, "deposit 40");
    driver.output_blocked = false;
    assert_eq!(only(driver.received()).seq, Some(2));
    assert!(driver.host.is_finished());
    assert_eq!(driver.balance(), units(100));
}

#[test]
fn the_outcome_is_sent_before_an_unfinished_frame_closes_the_connection() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    driver.hold_requests = true;
    driver.answer(None, "deposit 40");
    driver.send(&[0]);
    assert_eq!(driver.after(Duration::from_secs(100)), []);
    assert_eq!(driver.host.deadline(), None);
    assert_eq!(only(driver.release_requests()).outcome, Some(deposited(40, 140)));
    assert_eq!(only(driver.after(Duration::ZERO)).notice, Some(Notice::Fault(Fault::Incomplete)));
    assert!(driver.host.is_finished());
}

#[test]
fn an_unfinished_frame_is_discarded_on_a_serial_line() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    driver.send(&answer(Wire::Postcard, menu, "deposit 40")[..5]);
    let frame = driver.host.config.frame_timeout;
    assert_eq!(at_deadline(&mut driver, frame), []);
    assert_eq!(driver.host.counters().discarded, 1);
    assert_eq!(driver.reply(menu, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn the_frame_timer_runs_while_a_body_is_skipped() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    assert_eq!(driver.send(&[0, 0, 0x80, 0, b'x']).len(), 2);
    let frame = driver.host.config.frame_timeout;
    assert_eq!(only(at_deadline(&mut driver, frame)).notice, Some(Notice::Fault(Fault::Incomplete)));
}

#[test]
fn a_connection_whose_output_is_not_read_is_closed() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    driver.output_blocked = true;
    driver.answer(None, "3");
    driver.after(SECOND);
    driver.host.consume(1, driver.now);
    driver.after(SECOND);
    // A driver that sent nothing made no progress.
    driver.host.consume(0, driver.now);
    let stall = Duration::from_millis(driver.host.config.stall_timeout.millis() - SECOND.millis());
    assert_eq!(at_deadline(&mut driver, stall), []);
    assert!(driver.host.is_finished() && driver.host.output().is_empty());
    assert_eq!(driver.host.deadline(), None);
}

#[test]
fn a_serial_line_that_is_not_read_never_closes() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    driver.output_blocked = true;
    driver.answer(menu, "3");
    driver.after(Duration::from_secs(100_000));
    assert!(!driver.host.is_finished());
    driver.output_blocked = false;
    assert_eq!(only(driver.received()).re, Some(menu), "no notice behind unread output");
}

#[test]
fn a_rejected_connection_gets_busy() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.sent.clear();
    driver.host.reject_busy(driver.now);
    assert_eq!(only(driver.received()).notice, Some(Notice::Busy));
    assert!(driver.host.is_finished());
}
