//! Rule 5: what happens while an operation is out, and that its outcome is told before anything ends.
use super::*;

#[test]
fn a_repeat_is_told_that_it_is_worked_on() {
    for wire in [Wire::Json, Wire::Postcard] {
        let (mut bench, open) = Bench::at_menu(wire);
        bench.slow = true;
        assert_eq!(bench.answer(open, "deposit 40"), []);
        for _ in 0..3 {
            assert_eq!(bench.reply(open, "deposit 40").notice, Some(Notice::Working { re: Some(open) }));
        }
        assert_eq!(bench.requests.len(), 1, "asked once");
        let reply = only(bench.catch_up());
        assert_eq!((reply.re, reply.outcome), (Some(open), Some(deposited(40, 140))));
    }
}

#[test]
fn other_answers_and_faults_wait_for_the_outcome() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    bench.slow = true;
    let stream = [
        answer(Wire::Json, None, "deposit 40"),
        vec![0, 0, 0, 1, b'x'],
        answer(Wire::Json, None, "deposit 2"),
    ];
    assert_eq!(bench.send(&stream.concat()), []);
    let heard = bench.catch_up();
    assert_eq!(kinds(&heard), [Ok(2), Err(Notice::Fault(Fault::NotJson)), Ok(2), Ok(3)]);
    assert_eq!(heard[3].outcome, Some(deposited(2, 142)));
}

#[test]
fn noise_on_a_serial_line_holds_up_nothing() {
    let (mut bench, open) = Bench::at_menu(Wire::Postcard);
    bench.slow = true;
    bench.answer(open, "deposit 40");
    assert_eq!(bench.send(b"noise\0"), []);
    assert_eq!(bench.reply(open, "deposit 40").notice, Some(Notice::Working { re: Some(open) }));
}

#[test]
fn idle_time_runs_only_at_an_open_prompt() {
    let (mut bench, open) = Bench::at_menu(Wire::Json);
    bench.slow = true;
    bench.answer(open, "deposit 40");
    assert_eq!(bench.host.deadline(), None);
    assert_eq!(bench.after(Duration::from_secs(100_000)), []);
    assert_eq!(only(bench.catch_up()).outcome, Some(deposited(40, 140)));
    let deadline = bench.now + bench.host.config.idle_timeout;
    assert_eq!(bench.host.deadline(), Some(deadline));
}

#[test]
fn a_shutdown_comes_after_the_outcome() {
    for link in [LinkKind::Connection, LinkKind::Serial] {
        let mut bench = Bench::new(Wire::Json, link);
        bench.hello(&hello("a", 1, 1));
        let open = bench.host.conversation().unwrap().last_reply().unwrap().seq;
        bench.slow = true;
        bench.answer(open, "deposit 40");
        bench.host.shut_down(bench.now);
        assert_eq!(bench.heard(), []);
        assert!(!bench.host.is_finished());
        let heard = bench.catch_up();
        assert_eq!(heard[0].outcome, Some(deposited(40, 140)));
        assert_eq!(heard[1].notice, Some(Notice::Stopping));
        assert!(bench.host.is_finished());
    }
}

#[test]
fn a_shutdown_at_a_prompt_says_so_once_and_takes_no_more_answers() {
    for wire in [Wire::Json, Wire::Raw, Wire::Postcard] {
        let mut bench = Bench::new(wire, LinkKind::Connection);
        bench.heard();
        bench.host.shut_down(bench.now);
        let goodbye = only(bench.heard());
        assert!(!goodbye.prompt && goodbye.text.contains("stopping"), "{goodbye:?}");
        assert_eq!(bench.answer(None, "deposit 40"), []);
        assert_eq!((bench.balance(), bench.unfed.len()), (units(100), 0));
        assert!(bench.host.is_finished());
    }
}

#[test]
fn a_session_that_has_said_goodbye_is_not_told_that_the_host_stops() {
    let (mut bench, open) = Bench::at_menu(Wire::Postcard);
    bench.reply(open, "exit");
    bench.host.shut_down(bench.now);
    assert_eq!(bench.heard(), []);
    assert!(bench.host.is_finished());
}

#[test]
fn exit_ends_a_connection_and_leaves_a_serial_line_open() {
    for (link, finished) in [(LinkKind::Connection, true), (LinkKind::Serial, false)] {
        let mut bench = Bench::new(Wire::Json, link);
        bench.hello(&hello("", 1, 1));
        let open = bench.host.conversation().unwrap().last_reply().unwrap().seq;
        assert!(bench.reply(open, "exit").ends);
        assert_eq!(bench.host.is_finished(), finished);
        assert!(!bench.quit);
    }
}

#[test]
fn quit_asks_the_driver_to_stop_where_it_is_permitted() {
    let mut config = Config::new(Wire::Json, LinkKind::Connection);
    let mut bench = Bench::with(config);
    bench.heard();
    let refused = bench.reply(None, "quit");
    assert!(refused.prompt && refused.text.starts_with("You are not permitted"));
    assert!(!bench.quit);

    config.policy.may_quit = true;
    let mut bench = Bench::with(config);
    bench.heard();
    assert!(bench.reply(None, "quit").ends);
    assert!(bench.quit && bench.host.is_finished());
}

#[test]
fn the_line_is_not_finished_before_the_driver_was_asked_to_stop() {
    let mut config = Config::new(Wire::Json, LinkKind::Connection);
    config.policy.may_quit = true;
    let mut bench = Bench::with(config);
    bench.heard();
    bench.host.feed(&answer(Wire::Json, None, "quit"), bench.now);
    bench.host.end(bench.now);
    let goodbye = bench.host.output().len();
    assert!(goodbye > 0);
    bench.host.consume(goodbye, bench.now);
    assert!(!bench.host.is_finished());
    assert_eq!(bench.host.poll_event(), Some(Event::Quit));
    assert!(bench.host.is_finished());
}

#[test]
fn quit_is_asked_for_only_once() {
    let mut config = Config::new(Wire::Postcard, LinkKind::Serial);
    config.policy.may_quit = true;
    let mut bench = Bench::with(config);
    let open = only(bench.hello(&hello("a", 1, 1))).seq.unwrap();
    let goodbye = bench.reply(open, "quit");
    assert!(std::mem::take(&mut bench.quit));
    assert_eq!(bench.reply(open, "quit"), goodbye);
    assert!(!bench.quit);
}

#[test]
fn a_response_that_nobody_waits_for_is_refused() {
    let (mut bench, open) = Bench::at_menu(Wire::Json);
    bench.slow = true;
    bench.answer(open, "deposit 40");
    let asked = bench.requests[0].clone();
    let response = bench.ledger.apply(&asked).unwrap();
    let Request::Operate { id, operation, .. } = asked.clone() else { panic!("{asked:?}") };
    let settled = |id| Response::Settled { id, outcome: Outcome::NotDone };
    for (request, response) in [
        (Request::Operate { origin: Origin::Terminal(name("b")), id, operation }, response),
        (Request::Operate { origin: Origin::Terminal(name("a")), id: id + 1, operation }, settled(id + 1)),
        (asked.clone(), settled(id + 1)),
        (Request::Settle { terminal: name("a"), id }, settled(id)),
        (Request::Open { terminal: name("a") }, response),
    ] {
        assert!(!bench.host.complete(&request, response, bench.now), "{request:?}");
    }
    assert!(bench.host.complete(&asked, response, bench.now));
    assert!(!bench.host.complete(&asked, response, bench.now), "it was told already");
    assert_eq!(only(bench.heard()).outcome, Some(deposited(40, 140)));
}

#[test]
fn the_line_is_not_finished_while_an_operation_is_out() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    bench.slow = true;
    bench.answer(None, "deposit 40");
    bench.host.end(bench.now);
    assert!(!bench.host.is_finished());
    assert_eq!(only(bench.catch_up()).outcome, Some(deposited(40, 140)));
    assert!(bench.host.is_finished());
}

#[test]
fn what_became_of_another_request_is_not_taken_for_the_one_that_was_asked_for() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Serial);
    bench.slow = true;
    bench.ledger.apply(&Request::Open { terminal: name("a") }).unwrap();
    bench.hello(&knowing(2, 1, 5, 5, false));
    let open = bench.requests.pop().unwrap();
    bench.settle(&open);
    bench.heard();
    let asked = bench.requests.pop().unwrap();
    assert_eq!(asked, Request::Settle { terminal: name("a"), id: 5 });
    let other = Request::Settle { terminal: name("a"), id: 6 };
    let settled = |id| Response::Settled { id, outcome: Outcome::NotDone };
    let others = Request::Settle { terminal: name("b"), id: 5 };
    for (request, id) in [(&asked, 6), (&other, 5), (&other, 6), (&others, 5)] {
        assert!(!bench.host.complete(request, settled(id), bench.now), "{request:?} {id}");
    }
    assert!(bench.host.complete(&asked, settled(5), bench.now));
    assert_eq!(only(bench.heard()).outcome, Some(Outcome::NotDone));
}
