//! Deadlines: idle prompts, frames that do not end, output that nobody reads.
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Ticks exactly at the deadline, which must be `span` from now.
#[track_caller]
fn at_deadline(bench: &mut Bench, span: Duration) -> Vec<Heard> {
    let before = bench.now;
    assert_eq!(bench.host.deadline(), Some(before + span));
    let early = Duration::from_millis(span.millis() - 1);
    assert_eq!(bench.after(early), [], "not before it");
    bench.after(Duration::from_millis(1))
}

#[test]
fn an_idle_connection_ends_with_a_notice() {
    for wire in [Wire::Json, Wire::Raw, Wire::Postcard] {
        let mut bench = Bench::new(wire, LinkKind::Connection);
        bench.heard();
        let idle = bench.host.config.idle_timeout;
        let heard = only(at_deadline(&mut bench, idle));
        assert!(!heard.prompt && heard.text.starts_with("Nobody answered"));
        assert!(bench.host.is_finished());
        assert_eq!(bench.host.deadline(), None);
    }
}

#[test]
fn every_answer_gives_the_next_its_own_time_and_garbage_gives_none() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    bench.after(SECOND);
    bench.answer(None, "3");
    let idle = bench.host.config.idle_timeout;
    assert_eq!(bench.host.deadline(), Some(bench.now + idle));
    let deadline = bench.host.deadline();
    bench.after(SECOND);
    bench.send(&[0, 0, 0, 1, b'x']);
    assert_eq!(bench.host.deadline(), deadline);
}

#[test]
fn an_idle_serial_line_loses_its_session_and_stays_open() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let idle = bench.host.config.idle_timeout;
    assert_eq!(only(at_deadline(&mut bench, idle)).notice, Some(Notice::Idle));
    assert_eq!((bench.host.deadline(), bench.host.is_finished()), (None, false));
    assert_eq!(bench.reply(menu, "deposit 40").notice, Some(Notice::Who));
    assert!(only(bench.hello(&hello("a", 1, 2))).prompt);
}

#[test]
fn a_session_that_has_said_goodbye_idles_away_in_silence() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.reply(menu, "exit");
    assert_eq!(bench.after(bench.host.config.idle_timeout), []);
    assert_eq!(bench.host.conversation(), None);
}

#[test]
fn a_frame_that_does_not_end_in_time_ends_a_connection() {
    for (stream, fault) in [(&[0, 0, 0, 9, b'{'][..], Fault::Incomplete), (b"1", Fault::WrongWire)] {
        let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
        bench.heard();
        bench.send(&stream[..1]);
        // A byte now and then does not make it longer.
        bench.after(SECOND);
        bench.send(&stream[1..]);
        let frame = Duration::from_millis(bench.host.config.frame_timeout.millis() - SECOND.millis());
        assert_eq!(only(at_deadline(&mut bench, frame)).notice, Some(Notice::Fault(fault)));
        assert!(bench.host.is_finished());
    }
}

#[test]
fn a_connection_that_is_out_of_step_ends_even_where_nothing_can_be_said() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    bench.stuck = true;
    bench.answer(None, "3");
    bench.send(&answer(Wire::Json, None, "deposit 40")[..10]);
    bench.after(bench.host.config.frame_timeout);
    // The rest of the frame, and what follows, must not be read from the middle.
    bench.send(&answer(Wire::Json, None, "deposit 40")[10..]);
    bench.answer(None, "deposit 40");
    bench.stuck = false;
    assert_eq!(only(bench.heard()).seq, Some(2));
    assert!(bench.host.is_finished());
    assert_eq!(bench.balance(), units(100));
}

#[test]
fn the_outcome_is_told_before_a_frame_that_does_not_end_ends_the_connection() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    bench.slow = true;
    bench.answer(None, "deposit 40");
    bench.send(&[0]);
    assert_eq!(bench.after(Duration::from_secs(100)), []);
    assert_eq!(bench.host.deadline(), None);
    assert_eq!(only(bench.catch_up()).outcome, Some(deposited(40, 140)));
    assert_eq!(only(bench.after(Duration::ZERO)).notice, Some(Notice::Fault(Fault::Incomplete)));
    assert!(bench.host.is_finished());
}

#[test]
fn a_frame_that_does_not_end_in_time_is_dropped_on_a_serial_line() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.send(&answer(Wire::Postcard, menu, "deposit 40")[..5]);
    let frame = bench.host.config.frame_timeout;
    assert_eq!(at_deadline(&mut bench, frame), []);
    assert_eq!(bench.host.counters().discarded, 1);
    assert_eq!(bench.reply(menu, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn an_over_long_body_has_its_time_too() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    assert_eq!(bench.send(&[0, 0, 0x80, 0, b'x']).len(), 2);
    let frame = bench.host.config.frame_timeout;
    assert_eq!(only(at_deadline(&mut bench, frame)).notice, Some(Notice::Fault(Fault::Incomplete)));
}

#[test]
fn a_connection_whose_output_is_not_read_is_closed() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    bench.stuck = true;
    bench.answer(None, "3");
    bench.after(SECOND);
    bench.host.consume(1, bench.now);
    bench.after(SECOND);
    // A driver that could send nothing says so; that is no progress.
    bench.host.consume(0, bench.now);
    let stall = Duration::from_millis(bench.host.config.stall_timeout.millis() - SECOND.millis());
    assert_eq!(at_deadline(&mut bench, stall), []);
    assert!(bench.host.is_finished() && bench.host.output().is_empty());
    assert_eq!(bench.host.deadline(), None);
}

#[test]
fn a_serial_line_that_nobody_reads_never_ends() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    bench.stuck = true;
    bench.answer(menu, "3");
    bench.after(Duration::from_secs(100_000));
    assert!(!bench.host.is_finished());
    bench.stuck = false;
    assert_eq!(only(bench.heard()).re, Some(menu), "no notice behind what was not read");
}

#[test]
fn a_connection_that_is_one_too_many_is_told_so() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.sent.clear();
    bench.host.reject_busy(bench.now);
    assert_eq!(only(bench.heard()).notice, Some(Notice::Busy));
    assert!(bench.host.is_finished());
}
