//! What cannot be served: each fault is told, and the open prompt is asked again.
use super::*;
use std::format;

/// A frame of the `json` wire.
fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

#[test]
fn every_bad_body_gets_its_error_and_the_open_prompt() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    let menu = only(bench.heard());
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
        (json(r#"{"hello":2}"#), Fault::Version),
        (json(r#"{"hello":1,"terminal":"a b"}"#), Fault::BadName),
        (json(nested(100)), Fault::TooDeep),
        (json(nested(10_000)), Fault::TooLong),
        (json([b'x'; IN + 1]), Fault::TooLong),
        (json(vec![b'x'; 65_536]), Fault::TooLong),
    ] {
        let heard = bench.send(&stream);
        assert_eq!(kinds(&heard), [Err(Notice::Fault(fault)), Ok(1)]);
        assert_eq!(heard[1], menu);
    }
    assert_eq!(bench.balance(), units(100));
    assert_eq!(bench.reply(None, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn unknown_fields_are_no_fault() {
    let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
    bench.heard();
    let heard = bench.send(&json(r#"{"x":[{"data":"1"}],"data":"deposit 40","y":null}"#));
    assert_eq!(only(heard).outcome, Some(deposited(40, 140)));
}

#[test]
fn what_cannot_be_skipped_closes_the_connection_with_the_error_first() {
    for (stream, fault) in [
        (&65_537u32.to_be_bytes()[..], Fault::TooLong),
        (&[0xff; 4], Fault::TooLong),
        (b"{\"da", Fault::WrongWire),
        (b"GET / HTTP/1.1\r\n\r\n", Fault::WrongWire),
    ] {
        let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
        bench.heard();
        assert_eq!(only(bench.send(stream)).notice, Some(Notice::Fault(fault)));
        assert!(bench.host.is_finished());
        assert_eq!(bench.answer(None, "deposit 40"), []);
        assert!(bench.unfed.is_empty());
    }
}

#[test]
fn a_broken_stream_on_a_serial_line_is_in_step_again_after_the_time_of_a_frame() {
    let (mut bench, menu) = Bench::at_menu(Wire::Json);
    assert_eq!(bench.send(&[0xff; 4])[0].notice, Some(Notice::Fault(Fault::TooLong)));
    for more in [true, false] {
        let mut bench = bench.clone();
        if more {
            assert_eq!(bench.answer(menu, "3"), [], "nothing in it is understood");
        }
        assert_eq!(bench.after(bench.host.config.frame_timeout), []);
        assert_eq!(bench.reply(menu, "3").re, Some(menu));
    }
}

#[test]
fn noise_on_postcard_is_counted_and_met_with_silence_up_to_the_next_frame() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let mut damaged = answer(Wire::Postcard, menu, "deposit 40");
    damaged[3] ^= 0x80;
    let long = [&[1; 2 * IN][..], &[0]].concat();
    for (count, noise) in [&damaged[..], b"noise\0", &long, &[0, 0, 0]].into_iter().enumerate() {
        assert_eq!(bench.send(noise), []);
        let expected = if count < 3 { count + 1 } else { 3 };
        assert_eq!(bench.host.counters().discarded as usize, expected);
    }
    assert_eq!(bench.reply(menu, "deposit 40").outcome, Some(deposited(40, 140)));
}

#[test]
fn a_whole_frame_of_another_protocol_is_told_on_postcard() {
    let (mut bench, menu) = Bench::at_menu(Wire::Postcard);
    let framed = |body: &[u8]| {
        let mut frame = [0; 64];
        let length = crate::frame::cobs::encode(&mut frame, |out| {
            out[..body.len()].copy_from_slice(body);
            Ok(body.len())
        })
        .unwrap();
        frame[..length].to_vec()
    };
    for (body, fault) in [(&[9, 9][..], Fault::NotAMessage), (&[0, 2, 5, 5], Fault::Version)] {
        let heard = bench.send(&framed(body));
        assert_eq!(kinds(&heard), [Err(Notice::Fault(fault)), Ok(menu)]);
    }
}

#[test]
fn on_raw_every_answer_gets_one_object() {
    let mut bench = Bench::new(Wire::Raw, LinkKind::Connection);
    bench.heard();
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
        let heard = only(bench.send(read));
        assert!(heard.prompt && heard.text.starts_with(text), "{read:?}: {}", heard.text);
    }
    let goodbye = only(bench.send(b"exit\n"));
    assert!(!goodbye.prompt && bench.host.is_finished());
}

#[test]
fn on_raw_merged_lines_get_an_object_each() {
    let mut bench = Bench::new(Wire::Raw, LinkKind::Connection);
    bench.heard();
    let texts: Vec<_> = bench.send(b"1\n40\n3\nexit\n2\n").into_iter().map(|heard| heard.text).collect();
    assert_eq!(texts.len(), 4);
    assert!(texts[2].starts_with("Your balance is $140."));
    assert_eq!(texts[3], "Goodbye.");
}

#[test]
fn a_peer_that_only_half_closes_gets_everything_answered() {
    for wire in [Wire::Json, Wire::Postcard] {
        let mut bench = Bench::new(wire, LinkKind::Connection);
        bench.heard();
        let stream: Vec<_> = ["1", "40", "3"].iter().flat_map(|text| answer(wire, None, text)).collect();
        bench.stuck = true;
        bench.send(&stream);
        bench.stuck = false;
        bench.drive();
        bench.host.end(bench.now);
        assert_eq!(kinds(&bench.heard()), [Ok(2), Ok(3), Ok(4)]);
        assert!(bench.host.is_finished());
        assert_eq!(bench.balance(), units(140));
    }
    let mut raw = Bench::new(Wire::Raw, LinkKind::Connection);
    raw.heard();
    assert_eq!(raw.send(b"1\n40").len(), 1);
    raw.host.end(raw.now);
    assert!(only(raw.heard()).text.starts_with("Amount deposited"), "a last line needs no newline");
    assert!(raw.host.is_finished());
}

#[test]
fn what_is_cut_off_by_the_end_is_told() {
    for (stream, fault) in [(&[0, 0, 0, 9, b'{'][..], Fault::Incomplete), (b"40", Fault::WrongWire)] {
        let mut bench = Bench::new(Wire::Json, LinkKind::Connection);
        bench.heard();
        bench.send(stream);
        bench.host.end(bench.now);
        assert_eq!(kinds(&bench.heard()), [Err(Notice::Fault(fault)), Ok(1)]);
        assert!(bench.host.is_finished());
    }
}

#[test]
fn a_fault_after_goodbye_asks_nothing_again() {
    let (mut bench, menu) = Bench::at_menu(Wire::Json);
    bench.reply(menu, "exit");
    assert_eq!(kinds(&bench.send(&[0, 0, 0, 1, b'x'])), [Err(Notice::Fault(Fault::NotJson))]);
}
