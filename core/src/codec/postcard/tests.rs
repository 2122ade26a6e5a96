//! Golden tests: every message byte for byte; round trips, truncated and arbitrary bytes.
use super::*;
use crate::{
    frame::cobs,
    host::{self, Host},
    ledger::{Ledger, LedgerId, Name, Numbers, Outcome, RamLedger, Receipt, Refusal, SessionId},
    message::MAX_ANSWER,
    money::Amount,
    time::Instant,
    wire::Wire,
};
use proptest::prelude::*;
use std::{format, string::String, string::ToString, vec, vec::Vec};

#[cfg(feature = "cards")]
mod cards;

fn written(write: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>) -> Vec<u8> {
    let mut out = [0; 512];
    let length = write(&mut out).unwrap();
    out[..length].to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn hello() -> Hello {
    Hello {
        version: 1,
        terminal: Some("kiosk-7".parse::<Name>().unwrap()),
        start: 3,
        attempt: 2,
        ledger: Some(LedgerId(0xbeef)),
        shown: 300,
        pending: Some(300),
        resume: true,
        ..Hello::EMPTY
    }
}

fn reply(screens: &[Screen]) -> Reply {
    Reply { seq: 300, re: Some(299), screens: screens.iter().copied().collect(), welcome: None }
}

/// Every kind of message, encoded, and the expected bytes.
fn golden() -> Vec<(Vec<u8>, &'static str)> {
    let first = Hello {
        terminal: None,
        ledger: None,
        shown: 0,
        pending: None,
        resume: false,
        start: 0,
        attempt: 1,
        ..hello()
    };
    let screen = |screen| written(|out| write_reply(&reply(&[screen]), out));
    let outcome = |outcome| screen(Screen::Outcome(outcome));
    let (amount, balance) = (units(40), units(140));
    let welcome = Some(Welcome { ledger: Some(LedgerId(0xbeef)), start: 3, attempt: 2 });
    let menu = Reply { welcome, re: None, ..reply(&[Screen::Menu]) };
    let notice = |notice| written(|out| write_notice(notice, out));
    vec![
        (
            written(|out| write_hello(&hello(), out)),
            "00 01 01 07 6b 69 6f 73 6b 2d 37 03 02 01 ef fd 02 ac 02 01 ac 02 01",
        ),
        (written(|out| write_hello(&first, out)), "00 01 00 00 01 00 00 00 00"),
        (written(|out| write_answer(Some(300), "40", out)), "01 01 ac 02 02 34 30"),
        (written(|out| write_answer(None, "", out)), "01 00 00"),
        (written(|out| write_reply(&menu, out)), "02 ac 02 00 01 01 ef fd 02 03 02 01 00"),
        (written(|out| write_reply(&reply(&[]), out)), "02 ac 02 01 ab 02 00 00"),
        (screen(Screen::Menu), "02 ac 02 01 ab 02 00 01 00"),
        (screen(Screen::DepositPrompt), "02 ac 02 01 ab 02 00 01 01"),
        (screen(Screen::WithdrawPrompt { balance }), "02 ac 02 01 ab 02 00 01 02 b0 6d"),
        (outcome(Outcome::Done(Receipt::Balance { balance })), "02 ac 02 01 ab 02 00 01 03 00 00 b0 6d"),
        (
            outcome(Outcome::Done(Receipt::Deposited { amount, balance })),
            "02 ac 02 01 ab 02 00 01 03 00 01 a0 1f b0 6d",
        ),
        (
            outcome(Outcome::Done(Receipt::Withdrawn { amount, balance })),
            "02 ac 02 01 ab 02 00 01 03 00 02 a0 1f b0 6d",
        ),
        (
            outcome(Outcome::Refused(Refusal::Insufficient { balance })),
            "02 ac 02 01 ab 02 00 01 03 01 00 b0 6d",
        ),
        (
            outcome(Outcome::Refused(Refusal::BalanceLimit { balance })),
            "02 ac 02 01 ab 02 00 01 03 01 01 b0 6d",
        ),
        (outcome(Outcome::Refused(Refusal::Conflict)), "02 ac 02 01 ab 02 00 01 03 01 02"),
        (outcome(Outcome::Refused(Refusal::Full)), "02 ac 02 01 ab 02 00 01 03 01 03"),
        (outcome(Outcome::NotDone), "02 ac 02 01 ab 02 00 01 03 02"),
        (outcome(Outcome::Unknown), "02 ac 02 01 ab 02 00 01 03 03"),
        (screen(Screen::EarlierRequest), "02 ac 02 01 ab 02 00 01 04"),
        (screen(Screen::InvalidChoice), "02 ac 02 01 ab 02 00 01 05"),
        (screen(Screen::NotAnAmount), "02 ac 02 01 ab 02 00 01 06"),
        (screen(Screen::NotPositive), "02 ac 02 01 ab 02 00 01 07"),
        (screen(Screen::OverLimit { limit: amount }), "02 ac 02 01 ab 02 00 01 08 a0 1f"),
        (screen(Screen::AnswerTooLong), "02 ac 02 01 ab 02 00 01 09"),
        (screen(Screen::NoFunds), "02 ac 02 01 ab 02 00 01 0a"),
        (screen(Screen::QuitNotPermitted), "02 ac 02 01 ab 02 00 01 0b"),
        (screen(Screen::Goodbye), "02 ac 02 01 ab 02 00 01 0c"),
        (screen(Screen::Stopping), "02 ac 02 01 ab 02 00 01 0d"),
        (notice(Notice::Working { re: Some(300) }), "03 00 01 ac 02"),
        (notice(Notice::Who), "03 01"),
        (notice(Notice::TakenOver { start: 3, attempt: 2 }), "03 02 03 02"),
        (notice(Notice::NameInUse { start: 3, attempt: 2 }), "03 03 03 02"),
        (notice(Notice::Busy), "03 04"),
        (notice(Notice::Idle), "03 05"),
        (notice(Notice::Stopping), "03 06"),
        (notice(Notice::OutOfService), "03 08"),
        (notice(Notice::Fault(Fault::Empty)), "03 07 00"),
        (notice(Notice::Fault(Fault::TooLong)), "03 07 01"),
        (notice(Notice::Fault(Fault::WrongWire)), "03 07 02"),
        (notice(Notice::Fault(Fault::Incomplete)), "03 07 03"),
        (notice(Notice::Fault(Fault::Damaged)), "03 07 04"),
        (notice(Notice::Fault(Fault::NotUtf8)), "03 07 05"),
        (notice(Notice::Fault(Fault::NotJson)), "03 07 06"),
        (notice(Notice::Fault(Fault::TooDeep)), "03 07 07"),
        (notice(Notice::Fault(Fault::NotAMessage)), "03 07 08"),
        (notice(Notice::Fault(Fault::BadName)), "03 07 09"),
        (notice(Notice::Fault(Fault::Version)), "03 07 0a"),
        (notice(Notice::Fault(Fault::Unnumbered)), "03 07 0b"),
        (notice(Notice::Fault(Fault::NotOpen)), "03 07 0c"),
        (notice(Notice::Fault(Fault::Conflict)), "03 07 0d"),
        (notice(Notice::Fault(Fault::OtherName)), "03 07 0e"),
        (notice(Notice::Fault(Fault::NotEnrolled)), "03 07 0f"),
        #[cfg(feature = "cards")]
        (notice(Notice::Fault(Fault::ByCard)), "03 07 10"),
    ]
}

#[test]
fn every_message_byte_for_byte() {
    for (bytes, expected) in golden() {
        assert_eq!(hex(&bytes), expected);
    }
}

#[test]
fn a_truncated_or_extended_message_is_refused() {
    for (bytes, text) in golden().into_iter().step_by(crate::STRIDE.min(7)) {
        let reads = |bytes: &[u8]| match bytes.first() {
            Some(&(HELLO | ANSWER)) => read_terminal(bytes).is_ok(),
            _ => read_host(bytes).is_ok(),
        };
        assert!(reads(&bytes), "{text}");
        for end in 0..bytes.len() {
            assert!(!reads(&bytes[..end]), "{} of {text}", hex(&bytes[..end]));
        }
        for extra in (0..=255).step_by(crate::STRIDE) {
            assert!(!reads(&[&bytes[..], &[extra]].concat()), "{extra:02x} after {text}");
        }
    }
}

#[test]
fn a_message_of_the_other_direction_is_an_echo() {
    for (bytes, text) in golden() {
        let from_terminal = text.starts_with("00") || text.starts_with("01");
        assert_eq!(read_terminal(&bytes).unwrap().is_some(), from_terminal, "{text}");
        assert_eq!(read_host(&bytes).unwrap().is_some(), !from_terminal, "{text}");
        // The first byte decides, even without the rest.
        let read =
            if from_terminal { read_host(&bytes[..1]).is_ok() } else { read_terminal(&bytes[..1]).is_ok() };
        assert!(read, "{text}");
    }
}

#[test]
fn a_hello_of_another_version_is_recognised_by_its_first_bytes() {
    for body in [&[0, 3][..], &[0, 0, 1, 2, 3], &[0, 255, 255, 255, 255, 255]] {
        assert_eq!(read_terminal(body), Err(Fault::Version));
    }
    for body in
        [&[][..], &[0], &[0, 1], &[0, 1, 2], &[0, 2], &[0, 2, 1, 2], &[4], &[128, 0], &[1, 0, 1, 0xff]]
    {
        assert_eq!(read_terminal(body), Err(Fault::NotAMessage), "{body:?}");
    }
    // With the fields of this version it decodes, and the endpoint refuses it.
    let later = Hello { version: 3, ..hello() };
    assert_eq!(
        read_terminal(&written(|out| write_hello(&later, out))),
        Ok(Some(TerminalMessage::Hello(later)))
    );
}

#[test]
fn a_hello_of_version_2_says_what_equipment_there_is() {
    let plain = Hello { version: 2, ..hello() };
    let dispenser = Some(Dispenser { serial: u64::MAX, count: 300 });
    let equipped = Hello { capabilities: Capabilities::DISPENSER, dispenser, ..plain.clone() };
    let version_1 = hex(&written(|out| write_hello(&hello(), out))).replacen("00 01", "00 02", 1);
    for (hello, rest) in [(plain, " 00 00"), (equipped, " 02 01 ff ff ff ff ff ff ff ff ff 01 ac 02")] {
        let body = written(|out| write_hello(&hello, out));
        assert_eq!(hex(&body), format!("{version_1}{rest}"));
        assert_eq!(read_terminal(&body), Ok(Some(TerminalMessage::Hello(hello))));
        for length in 1..body.len() {
            assert_eq!(read_terminal(&body[..length]), Err(Fault::NotAMessage), "{length}");
        }
        assert_eq!(read_terminal(&[&body[..], &[0]].concat()), Err(Fault::NotAMessage));
    }
    // Version 1 has no more fields.
    let body = [written(|out| write_hello(&hello(), out)), vec![0, 0]].concat();
    assert_eq!(read_terminal(&body), Err(Fault::NotAMessage));
}

#[test]
fn an_over_long_answer_decodes_as_too_long() {
    for (length, long) in [(MAX_ANSWER, false), (MAX_ANSWER + 1, true), (400, true)] {
        let body = written(|out| write_answer(Some(1), &"x".repeat(length), out));
        let Ok(Some(TerminalMessage::Answer { answer, .. })) = read_terminal(&body) else { panic!() };
        assert_eq!(answer.text().is_none(), long, "{length}");
    }
}

#[test]
fn a_buffer_that_is_too_small_is_an_error() {
    let whole = written(|out| write_hello(&hello(), out)).len();
    for capacity in (0..whole).step_by(crate::STRIDE) {
        assert_eq!(write_hello(&hello(), &mut [0; 64][..capacity]), Err(BufferTooSmall));
    }
}

/// From one menu to the next, frames included.
#[test]
fn a_withdrawal_takes_at_most_80_bytes() {
    let now = Instant::default();
    let config = host::Config::new(Wire::Postcard, host::LinkKind::Serial);
    let mut host = Host::<{ host::IN }, { host::OUT }>::new(config, SessionId::new(1), now);
    let mut ledger = RamLedger::<1>::new(LedgerId(u64::MAX), units(100_000));
    let mut exchange = |body: &[u8]| {
        let mut bytes = [0; 128];
        let length = cobs::encode(&mut bytes, |out| {
            out[..body.len()].copy_from_slice(body);
            Ok(body.len())
        })
        .unwrap();
        host.feed(&bytes[..length], now);
        // A hello needs two events: its arrival and the request for numbers. An answer needs one.
        for _ in 0..2 {
            match host.poll_event() {
                Some(host::Event::Request(request)) => {
                    let response = ledger.apply(&request).unwrap();
                    host.complete(request.ticket, response, now);
                }
                Some(_) => host.admit(None, now),
                None => {}
            }
        }
        let reply = host.output().to_vec();
        host.consume(reply.len(), now);
        (length + reply.len(), reply)
    };
    // Numbers of four digits, as on a machine in use: every start gets a new block.
    let mut seq = 0;
    for start in 1..=5 {
        let hello = Hello { ledger: None, pending: None, start, ..hello() };
        seq = seq_of(&exchange(&written(|out| write_hello(&hello, out))).1);
    }
    assert!(seq > 1000);
    let mut answer = |text: &str| {
        let cost = exchange(&written(|out| write_answer(Some(seq), text, out)));
        seq += 1;
        cost
    };
    let (asked, _) = answer("2");
    let (done, reply) = answer("40");
    assert_eq!(seq_of(&reply), seq);
    assert!(asked + done <= 80, "{asked} + {done}");
}

fn seq_of(frame: &[u8]) -> u64 {
    let mut decoder = cobs::Decoder::default();
    let mut body = heapless::Vec::<u8, 128>::new();
    decoder.push(&mut body, frame);
    read_host(&body).unwrap().unwrap().seq.unwrap()
}

fn amount() -> impl Strategy<Value = Amount> {
    (0..=Amount::MAX.minor()).prop_map(|minor| Amount::from_minor(minor).unwrap())
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        amount().prop_map(|balance| Outcome::Done(Receipt::Balance { balance })),
        (amount(), amount())
            .prop_map(|(amount, balance)| Outcome::Done(Receipt::Deposited { amount, balance })),
        (amount(), amount())
            .prop_map(|(amount, balance)| Outcome::Done(Receipt::Withdrawn { amount, balance })),
        amount().prop_map(|balance| Outcome::Refused(Refusal::Insufficient { balance })),
        amount().prop_map(|balance| Outcome::Refused(Refusal::BalanceLimit { balance })),
        Just(Outcome::Refused(Refusal::Full)),
        Just(Outcome::NotDone),
        Just(Outcome::Unknown),
    ]
}

proptest! {
    #[test]
    #[cfg_attr(miri, ignore = "text from a pattern over all of Unicode takes it minutes to make")]
    fn any_answer_decodes_to_the_same(re in prop::option::of(0..Numbers::MAX), text in "\\PC{0,90}") {
        let body = written(|out| write_answer(re, &text, out));
        let read = TerminalMessage::Answer { re, answer: Answer::new(&text) };
        prop_assert_eq!(read_terminal(&body), Ok(Some(read)));
    }

    #[test]
    fn any_hello_decodes_to_the_same(
        version: u8, terminal in prop::option::of("[A-Za-z0-9._-]{1,32}"), start in 0..Numbers::MAX, attempt: u32,
        ledger: Option<u64>, shown in 0..Numbers::MAX, pending in prop::option::of(0..Numbers::MAX), resume: bool,
    ) {
        let terminal = terminal.map(|name| name.parse().unwrap());
        let hello = Hello {
            version, terminal, start, attempt, ledger: ledger.map(LedgerId), shown, pending, resume,
            ..Hello::EMPTY
        };
        let body = written(|out| write_hello(&hello, out));
        prop_assert_eq!(read_terminal(&body), Ok(Some(TerminalMessage::Hello(hello))));
    }

    #[test]
    fn any_reply_decodes_to_the_same(
        seq in 0..Numbers::MAX, re in prop::option::of(0..Numbers::MAX), outcome in outcome(), earlier: bool, prompt: bool,
        welcome in prop::option::of((prop::option::of(any::<u64>()), 0..Numbers::MAX, any::<u32>())),
    ) {
        let welcome = welcome.map(|(ledger, start, attempt)| Welcome { ledger: ledger.map(LedgerId), start, attempt });
        let screens: Screens = earlier.then_some(Screen::EarlierRequest).into_iter()
            .chain([Screen::Outcome(outcome)]).chain(prompt.then_some(Screen::Menu)).collect();
        let reply = Reply { seq, re, screens: screens.clone(), welcome };
        let body = written(|out| write_reply(&reply, out));
        let message = read_host(&body).unwrap().unwrap();
        prop_assert_eq!((message.seq, message.re, message.welcome), (Some(seq), re, welcome));
        prop_assert_eq!((message.prompt, message.ends, message.notice), (prompt, !prompt, None));
        prop_assert_eq!(message.outcome, Some(outcome));
        prop_assert_eq!(message.text.to_string(), crate::screen::ScreenText(&screens).to_string());
    }

    #[test]
    fn any_bytes_decode_or_are_refused(body in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..16], 0..60)) {
        // A decoded hello may have had a longer varint than needed: encoded again, it decodes to the same.
        if let Ok(Some(message)) = read_host(&body) {
            prop_assert!(message.seq.is_some() != message.notice.is_some());
        }
        if let Ok(Some(TerminalMessage::Hello(hello))) = read_terminal(&body) {
            let again = written(|out| write_hello(&hello, out));
            prop_assert_eq!(read_terminal(&again), Ok(Some(TerminalMessage::Hello(hello))));
        }
    }
}

/// The terminal ends on this fault; on any other fault it would retransmit the hello for ever.
#[test]
fn a_bad_name_is_the_fault_bad_name() {
    let whole = written(|out| write_hello(&hello(), out));
    let named = |name: &[u8]| {
        let length = u8::try_from(name.len()).unwrap();
        [&whole[..3], &[length], name, &whole[11..]].concat()
    };
    assert_eq!(named(b"kiosk-7"), whole);
    for name in [&b""[..], b"a b", b"a/b", "\u{e9}".as_bytes(), b"\xff", &[b'a'; 33]] {
        assert_eq!(read_terminal(&named(name)), Err(Fault::BadName), "{name:?}");
    }
    // A valid or missing name, with another error.
    for bytes in [&whole[..8], &whole[..whole.len() - 1], &[0, 1], &[0, 1, 2, 1, b' ']] {
        assert_eq!(read_terminal(bytes), Err(Fault::NotAMessage), "{bytes:?}");
    }
}
