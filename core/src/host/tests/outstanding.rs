//! Outstanding requests: what waits for the response, and that the outcome is sent before a session or a link
//! ends.
use super::*;
use crate::ledger::Rejection;

#[test]
fn a_duplicate_gets_working_while_a_request_is_outstanding() {
    for wire in [Wire::Json, Wire::Postcard] {
        let (mut driver, open) = TestDriver::at_menu(wire);
        driver.hold_requests = true;
        assert_eq!(driver.answer(open, "deposit 40"), []);
        for _ in 0..3 {
            assert_eq!(driver.reply(open, "deposit 40").notice, Some(Notice::Working { re: Some(open) }));
        }
        assert_eq!(driver.requests.len(), 1, "one request");
        let reply = only(driver.release_requests());
        assert_eq!((reply.re, reply.outcome), (Some(open), Some(deposited(40, 140))));
    }
}

#[test]
fn other_answers_and_faults_wait_for_the_outcome() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    driver.hold_requests = true;
    let stream = [
        answer(Wire::Json, None, "deposit 40"),
        vec![0, 0, 0, 1, b'x'],
        answer(Wire::Json, None, "deposit 2"),
    ];
    assert_eq!(driver.send(&stream.concat()), []);
    let received = driver.release_requests();
    assert_eq!(kinds(&received), [Ok(2), Err(Notice::Fault(Fault::NotJson)), Ok(2), Ok(3)]);
    assert_eq!(received[3].outcome, Some(deposited(2, 142)));
}

#[test]
fn noise_on_a_serial_line_does_not_block_a_duplicate() {
    let (mut driver, open) = TestDriver::at_menu(Wire::Postcard);
    driver.hold_requests = true;
    driver.answer(open, "deposit 40");
    assert_eq!(driver.send(b"noise\0"), []);
    assert_eq!(driver.reply(open, "deposit 40").notice, Some(Notice::Working { re: Some(open) }));
}

#[test]
fn idle_time_runs_only_at_an_open_prompt() {
    let (mut driver, open) = TestDriver::at_menu(Wire::Json);
    driver.hold_requests = true;
    driver.answer(open, "deposit 40");
    assert_eq!(driver.host.deadline(), None);
    assert_eq!(driver.after(Duration::from_secs(100_000)), []);
    assert_eq!(only(driver.release_requests()).outcome, Some(deposited(40, 140)));
    let deadline = driver.now + driver.host.config.idle_timeout;
    assert_eq!(driver.host.deadline(), Some(deadline));
}

#[test]
fn a_shutdown_comes_after_the_outcome() {
    for link in [LinkKind::Connection, LinkKind::Serial] {
        let mut driver = TestDriver::new(Wire::Json, link);
        driver.hello(&hello("a", 1, 1));
        let open = last_seq(&driver.host);
        driver.hold_requests = true;
        driver.answer(open, "deposit 40");
        driver.host.shut_down(driver.now);
        assert_eq!(driver.received(), []);
        assert!(!driver.host.is_finished());
        let received = driver.release_requests();
        assert_eq!(received[0].outcome, Some(deposited(40, 140)));
        assert_eq!(received[1].notice, Some(Notice::Stopping));
        assert!(driver.host.is_finished());
    }
}

#[test]
fn a_shutdown_at_a_prompt_sends_one_notice_and_takes_no_more_answers() {
    for wire in [Wire::Json, Wire::Raw, Wire::Postcard] {
        let mut driver = TestDriver::new(wire, LinkKind::Connection);
        driver.received();
        driver.host.shut_down(driver.now);
        let goodbye = only(driver.received());
        assert!(!goodbye.prompt && goodbye.text.contains("stopping"), "{goodbye:?}");
        assert_eq!(driver.answer(None, "deposit 40"), []);
        assert_eq!((driver.balance(), driver.unfed.len()), (units(100), 0));
        assert!(driver.host.is_finished());
    }
}

#[test]
fn a_session_that_is_over_gets_no_stopping_notice() {
    let (mut driver, open) = TestDriver::at_menu(Wire::Postcard);
    driver.reply(open, "exit");
    driver.host.shut_down(driver.now);
    assert_eq!(driver.received(), []);
    assert!(driver.host.is_finished());
}

#[test]
fn exit_ends_a_connection_and_leaves_a_serial_line_open() {
    for (link, finished) in [(LinkKind::Connection, true), (LinkKind::Serial, false)] {
        let mut driver = TestDriver::new(Wire::Json, link);
        driver.hello(&hello("", 1, 1));
        let open = last_seq(&driver.host);
        assert!(driver.reply(open, "exit").ends);
        assert_eq!(driver.host.is_finished(), finished);
        assert!(!driver.quit);
    }
}

#[test]
fn quit_is_reported_to_the_driver_where_it_is_permitted() {
    let mut config = Config::new(Wire::Json, LinkKind::Connection);
    let mut driver = TestDriver::with(config);
    driver.received();
    let refused = driver.reply(None, "quit");
    assert!(refused.prompt && refused.text.starts_with("You are not permitted"));
    assert!(!driver.quit);

    config.policy.may_quit = true;
    let mut driver = TestDriver::with(config);
    driver.received();
    assert!(driver.reply(None, "quit").ends);
    assert!(driver.quit && driver.host.is_finished());
}

#[test]
fn the_endpoint_is_not_finished_before_quit_is_reported() {
    let mut config = Config::new(Wire::Json, LinkKind::Connection);
    config.policy.may_quit = true;
    let mut driver = TestDriver::with(config);
    driver.received();
    driver.host.feed(&answer(Wire::Json, None, "quit"), driver.now);
    driver.host.end(driver.now);
    let goodbye = driver.host.output().len();
    assert!(goodbye > 0);
    driver.host.consume(goodbye, driver.now);
    assert!(!driver.host.is_finished());
    assert_eq!(driver.host.poll_event(), Some(Event::Quit));
    assert!(driver.host.is_finished());
}

#[test]
fn quit_is_reported_once() {
    let mut config = Config::new(Wire::Postcard, LinkKind::Serial);
    config.policy.may_quit = true;
    let mut driver = TestDriver::with(config);
    let open = only(driver.hello(&hello("a", 1, 1))).seq.unwrap();
    let goodbye = driver.reply(open, "quit");
    assert!(std::mem::take(&mut driver.quit));
    assert_eq!(driver.reply(open, "quit"), goodbye);
    assert!(!driver.quit);
}

#[test]
fn a_response_to_another_request_is_refused() {
    let (mut driver, open) = TestDriver::at_menu(Wire::Json);
    driver.hold_requests = true;
    driver.answer(open, "deposit 40");
    let request = driver.requests[0].clone();
    let response = driver.ledger.apply(&request).unwrap();
    let (ticket, id) = (request.ticket, open);
    let settled = |id| Response::Settled { id, outcome: Outcome::NotDone };
    for (ticket, response) in [
        (Ticket { number: ticket.number + 1, ..ticket }, response),
        (Ticket { number: ticket.number - 1, ..ticket }, response),
        (Ticket { link: ticket.link + 1, ..ticket }, response),
        (ticket, settled(id + 1)),
        (ticket, Response::Reserved(Numbers::NONE)),
        (ticket, Response::Rejected(Rejection::Full)),
    ] {
        assert!(!driver.host.complete(ticket, response, driver.now), "{ticket:?} {response:?}");
    }
    assert!(driver.host.complete(ticket, response, driver.now));
    assert!(!driver.host.complete(ticket, response, driver.now), "the outcome was sent already");
    assert_eq!(only(driver.received()).outcome, Some(deposited(40, 140)));
}

#[test]
fn the_endpoint_is_not_finished_while_a_request_is_outstanding() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    driver.hold_requests = true;
    driver.answer(None, "deposit 40");
    driver.host.end(driver.now);
    assert!(!driver.host.is_finished());
    assert_eq!(only(driver.release_requests()).outcome, Some(deposited(40, 140)));
    assert!(driver.host.is_finished());
}

#[test]
fn every_request_of_a_link_has_a_ticket_of_its_own() {
    let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Serial);
    driver.hold_requests = true;
    let mut tickets = vec![];
    for (terminal, start) in [("a", 1), ("b", 1), ("a", 2), ("b", 2)] {
        driver.hello(&hello(terminal, start, 1));
        let request = driver.requests.pop().unwrap();
        assert!(!tickets.contains(&request.ticket), "{tickets:?}");
        tickets.push(request.ticket);
        driver.settle(&request);
        driver.received();
    }
}
