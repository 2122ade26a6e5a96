//! Noise between frames: on `postcard` it costs nothing; on `json`, which has no delimiter, less than a second.
use super::*;

/// A byte before each frame, as an RS-485 transceiver makes it when it turns around, and more than one.
const NOISE: [&[u8]; 7] =
    [&[0xff], &[0x7e], &[0x00], &[0x01], &[0x00, 0x00, 0x00], &[0x02, 0x03, 0xff], &[0x55; 40]];

#[test]
fn noise_before_and_after_every_postcard_frame_costs_no_time() {
    for noise in NOISE {
        for name in [Some("a"), None] {
            let mut pair =
                Pair::new(sealed(config(Wire::Postcard, LinkKind::Serial, name, Memory::default())));
            pair.noise = noise;
            assert!(only(pair.run()).text().starts_with("Welcome"), "{noise:x?}");
            pair.types("1");
            assert_eq!(only(pair.types("40")).outcome(), deposited(40, 140), "{noise:x?}");
            assert!(only(pair.types("exit")).text().starts_with("Goodbye"), "{noise:x?}");
            let started = Instant::from_millis(5000);
            assert_eq!(pair.now, started, "nothing waited for a retransmission");
        }
    }
}

#[test]
fn a_frame_on_an_idle_line_begins_with_a_zero_and_one_behind_it_does_not() {
    let pair = Pair::serial(Wire::Postcard);
    let mut outbox = Outbox::<64>::new(Wire::Postcard);
    outbox.answer(Some(7), "40").unwrap();
    let first = outbox.output().to_vec();
    outbox.consume(1);
    outbox.answer(Some(7), "40").unwrap();
    assert_eq!(outbox.output(), [&first[1..], &first[1..]].concat(), "the line is not idle");
    assert_eq!((first[0], pair.terminal.output()[0]), (0, 0));
    outbox.consume(usize::MAX);
    outbox.answer(Some(7), "40").unwrap();
    assert_eq!(outbox.output(), first, "all of it was sent");
}

#[test]
fn zeros_between_frames_change_nothing() {
    let mut pair = Pair::at_menu(Wire::Postcard);
    let (terminal, host) = (pair.terminal.clone(), pair.host.clone());
    for zeros in [&[0][..], &[0; 3], &[0; 2000]] {
        assert_eq!(feed(&mut pair.terminal, zeros, pair.now), []);
        assert_eq!(pair.host.feed(zeros, pair.now), zeros.len());
        assert!(pair.terminal == terminal && pair.host == host, "no fault is counted, no reply is sent");
    }
}

#[test]
fn a_stray_byte_before_a_json_frame_costs_less_than_a_second() {
    for noise in NOISE {
        let mut pair = Pair::serial(Wire::Json);
        let disturbed = |pair: &mut Pair, act: fn(&mut Pair)| {
            let began = pair.now;
            pair.noise = noise;
            act(pair);
            let mut shown = pair.run();
            pair.noise = &[];
            while shown.iter().all(|shown| matches!(shown, Shown::Fault(_)))
                && pair.now < began + Duration::from_secs(10)
            {
                shown.extend(pair.wait(Duration::from_millis(10)));
            }
            assert!(
                began.until(pair.now) < Duration::from_secs(1),
                "{noise:x?}: {:?}",
                began.until(pair.now)
            );
            shown.retain(|shown| !matches!(shown, Shown::Fault(_)));
            only(shown)
        };
        assert!(disturbed(&mut pair, |_| ()).text().starts_with("Welcome"));
        let deposit = |pair: &mut Pair| {
            let prompt = pair.terminal.prompt().unwrap();
            pair.terminal.answer(prompt, "deposit 40", pair.now).unwrap();
        };
        assert_eq!(disturbed(&mut pair, deposit).outcome(), deposited(40, 140));
        // The noise comes with the reply alone.
        let only_reply = |pair: &mut Pair| {
            let noise = std::mem::take(&mut pair.noise);
            let prompt = pair.terminal.prompt().unwrap();
            pair.terminal.answer(prompt, "deposit 2", pair.now).unwrap();
            pair.carry_to_host();
            pair.serve_host();
            pair.noise = noise;
        };
        assert_eq!(disturbed(&mut pair, only_reply).outcome(), deposited(2, 142));
    }
}
