//! Faulty messages: each gets its fault and the open prompt again, and moves no money.
use super::*;
use std::format;

/// A frame of the `json` wire.
fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

#[test]
fn a_bad_body_gets_its_fault_and_the_open_prompt() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    let menu = only(driver.received());
    let nested = |n| format!(r#"{{"data":{}"#, "[".repeat(n));
    for (stream, fault) in [
        (json(""), Fault::Empty),
        (json("x"), Fault::NotJson),
        (json("{}"), Fault::NotAMessage),
        (json("[]"), Fault::NotJson),
        (json(r#"{"data":40}"#), Fault::NotAMessage),
        (json(b"\xff"), Fault::NotUtf8),
        (json(r#"{"data":"\ud800"}"#), Fault::NotJson),
        (json(r#"{"data":"40"}x"#), Fault::NotJson),
        (json(r#"{"hello":3}"#), Fault::Version),
        (json(r#"{"hello":1,"terminal":"a b"}"#), Fault::BadName),
        (json(nested(100)), Fault::TooDeep),
        (json(nested(10_000)), Fault::TooLong),
        (json([b'x'; IN + 1]), Fault::TooLong),
        (json(vec![b'x'; 65_536]), Fault::TooLong),
    ] {
        let received = driver.send(&stream);
        assert_eq!(kinds(&received), [Err(Notice::Fault(fault)), Ok(1)]);
        assert_eq!(received[1], menu);
    }
    assert_eq!(driver.balance(), units(100));
    assert_eq!(driver.reply(None, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn unknown_fields_are_ignored() {
    let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
    driver.received();
    let received = driver.send(&json(r#"{"x":[{"data":"1"}],"data":"deposit 40","y":null}"#));
    assert_eq!(only(received).outcome, Some(deposited(40, 140)));
}

#[test]
fn a_stream_that_cannot_get_in_step_closes_the_connection_after_the_fault() {
    for (stream, fault) in [
        (&65_537u32.to_be_bytes()[..], Fault::TooLong),
        (&[0xff; 4], Fault::TooLong),
        (b"{\"da", Fault::WrongWire),
        (b"GET / HTTP/1.1\r\n\r\n", Fault::WrongWire),
    ] {
        let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
        driver.received();
        assert_eq!(only(driver.send(stream)).notice, Some(Notice::Fault(fault)));
        assert!(driver.host.is_finished());
        assert_eq!(driver.answer(None, "deposit 40"), []);
        assert!(driver.unfed.is_empty());
    }
}

#[test]
fn a_broken_stream_on_a_serial_line_is_in_step_again_after_the_frame_timeout() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Json);
    assert_eq!(driver.send(&[0xff; 4])[0].notice, Some(Notice::Fault(Fault::TooLong)));
    for more in [true, false] {
        let mut driver = driver.clone();
        if more {
            assert_eq!(driver.answer(menu, "3"), [], "the stream is out of step");
        }
        assert_eq!(driver.after(driver.host.config.frame_timeout), []);
        assert_eq!(driver.reply(menu, "3").re, Some(menu));
    }
}

#[test]
fn noise_on_postcard_is_counted_and_gets_no_answer() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let mut damaged = answer(Wire::Postcard, menu, "deposit 40");
    damaged[3] ^= 0x80;
    let long = [&[1; 2 * IN][..], &[0]].concat();
    for (count, noise) in [&damaged[..], b"noise\0", &long, &[0, 0, 0]].into_iter().enumerate() {
        assert_eq!(driver.send(noise), []);
        let expected = if count < 3 { count + 1 } else { 3 };
        assert_eq!(driver.host.counters().discarded as usize, expected);
    }
    assert_eq!(driver.reply(menu, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn on_a_connection_a_bad_first_frame_ends_it_before_the_next_is_acted_on() {
    let good = answer(Wire::Postcard, None, "deposit 40");
    let mut damaged = good.clone();
    damaged[3] ^= 0x80;
    let post = b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n\0";
    for noise in [&damaged[..], b"noise\0", &[&[1; 2 * IN][..], &[0]].concat(), post] {
        let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Connection);
        driver.received();
        let received = driver.send(&[noise, &good[..]].concat());
        assert_eq!(only(received).notice, Some(Notice::Fault(Fault::WrongWire)));
        assert!(driver.host.is_finished());
        assert_eq!(driver.balance(), units(100));
        // Behind a whole frame it is noise. A zero before a frame is none.
        let mut driver = TestDriver::new(Wire::Postcard, LinkKind::Connection);
        driver.received();
        assert_eq!(only(driver.send(&[&[0], &good[..]].concat())).outcome, Some(deposited(40, 140)));
        assert_eq!(driver.send(noise), []);
        assert_eq!(driver.reply(None, "deposit 40").outcome, Some(deposited(40, 180)));
    }
}

#[test]
fn a_rejected_connection_ends_behind_its_greeting_and_requests_nothing() {
    for wire in [Wire::Json, Wire::Raw, Wire::Postcard] {
        for is_greeted in [true, false] {
            let mut driver = TestDriver::new(wire, LinkKind::Connection);
            assert_eq!(driver.received().len(), 1);
            driver.output_blocked = !is_greeted;
            driver.hold_requests = true;
            driver.host.feed(&answer(wire, None, "deposit 40"), driver.now);
            driver.host.reject(Notice::Fault(Fault::WrongWire), driver.now);
            assert_eq!(driver.host.poll_event(), None, "{wire}");
            driver.output_blocked = false;
            let last = driver.received().pop().unwrap();
            assert!(last.text.contains("--wire") || last.notice == Some(Notice::Fault(Fault::WrongWire)));
            assert!(driver.host.is_finished());
        }
    }
}

#[test]
fn a_frame_of_another_protocol_gets_a_fault_on_postcard() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Postcard);
    let framed = |body: &[u8]| {
        let mut frame = [0; 64];
        let length = crate::frame::cobs::encode(&mut frame, |out| {
            out[..body.len()].copy_from_slice(body);
            Ok(body.len())
        })
        .unwrap();
        frame[..length].to_vec()
    };
    for (body, fault) in [(&[9, 9][..], Fault::NotAMessage), (&[0, 3, 5, 5], Fault::Version)] {
        let received = driver.send(&framed(body));
        assert_eq!(kinds(&received), [Err(Notice::Fault(fault)), Ok(menu)]);
    }
}

#[test]
fn on_raw_every_answer_gets_one_object() {
    let mut driver = TestDriver::new(Wire::Raw, LinkKind::Connection);
    driver.received();
    for (read, text) in [
        (&b"3"[..], "Your balance is $100.\n\nWelcome"),
        (b"nonsense", "That is not a valid choice.\n\nWelcome"),
        (b"\xff", "The message is not UTF-8.\n\nWelcome"),
        (&[b'x'; IN + 1], "The message is too long.\n\nWelcome"),
        (&[b'x'; 65], "That answer is too long.\n\nWelcome"),
        (b"quit", "You are not permitted to stop the server.\n\nWelcome"),
        (b"  1 \r\n", "How much would you like to deposit?"),
        (b"40\n", "Amount deposited: $40. Your balance is $140.\n\nWelcome"),
        (b"\n", "That is not a valid choice.\n\nWelcome"),
    ] {
        let received = only(driver.send(read));
        assert!(received.prompt && received.text.starts_with(text), "{read:?}: {}", received.text);
    }
    let goodbye = only(driver.send(b"exit\n"));
    assert!(!goodbye.prompt && driver.host.is_finished());
}

#[test]
fn on_raw_merged_lines_get_an_object_each() {
    let mut driver = TestDriver::new(Wire::Raw, LinkKind::Connection);
    driver.received();
    let texts: Vec<_> =
        driver.send(b"1\n40\n3\nexit\n2\n").into_iter().map(|received| received.text).collect();
    assert_eq!(texts.len(), 4);
    assert!(texts[2].starts_with("Your balance is $140."));
    assert_eq!(texts[3], "Goodbye.");
}

#[test]
fn a_half_closed_connection_gets_all_its_replies() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut driver = TestDriver::new(wire, LinkKind::Connection);
        driver.received();
        let stream: Vec<_> = ["1", "40", "3"].iter().flat_map(|text| answer(wire, None, text)).collect();
        driver.output_blocked = true;
        driver.send(&stream);
        driver.output_blocked = false;
        driver.drive();
        driver.host.end(driver.now);
        assert_eq!(kinds(&driver.received()), [Ok(2), Ok(3), Ok(4)]);
        assert!(driver.host.is_finished());
        assert_eq!(driver.balance(), units(140));
    }
    let mut raw = TestDriver::new(Wire::Raw, LinkKind::Connection);
    raw.received();
    assert_eq!(raw.send(b"1\n40").len(), 1);
    raw.host.end(raw.now);
    assert!(only(raw.received()).text.starts_with("Amount deposited"), "a last line needs no newline");
    assert!(raw.host.is_finished());
}

#[test]
fn a_message_cut_off_by_the_end_gets_a_fault() {
    for (stream, fault) in [(&[0, 0, 0, 9, b'{'][..], Fault::Incomplete), (b"40", Fault::WrongWire)] {
        let mut driver = TestDriver::new(Wire::Json, LinkKind::Connection);
        driver.received();
        driver.send(stream);
        driver.host.end(driver.now);
        assert_eq!(kinds(&driver.received()), [Err(Notice::Fault(fault)), Ok(1)]);
        assert!(driver.host.is_finished());
    }
}

#[test]
fn a_fault_after_the_goodbye_gets_no_prompt() {
    let (mut driver, menu) = TestDriver::at_menu(Wire::Json);
    driver.reply(menu, "exit");
    assert_eq!(kinds(&driver.send(&[0, 0, 0, 1, b'x'])), [Err(Notice::Fault(Fault::NotJson))]);
}
