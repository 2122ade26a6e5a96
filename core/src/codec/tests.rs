//! What both codecs have in common: the bound of numbers, and the encoders' error.
#![cfg(all(feature = "json", feature = "postcard"))]
use super::*;
use crate::{
    ledger::Numbers,
    message::{Answer, Fault, Hello, Reply, TerminalMessage},
};
use std::{string::ToString, vec, vec::Vec};

#[test]
fn an_encoder_error_names_its_cause() {
    assert_eq!(BufferTooSmall.to_string(), "the buffer is too small for the message");
}

type Written = Result<usize, BufferTooSmall>;

fn written(write: impl FnOnce(&mut [u8]) -> Written) -> Vec<u8> {
    let mut out = [0; 512];
    let length = write(&mut out).unwrap();
    out[..length].to_vec()
}

const HELLO: Hello = Hello {
    version: 1,
    terminal: None,
    start: 1,
    attempt: 1,
    ledger: None,
    shown: 1,
    pending: None,
    resume: false,
    ..Hello::EMPTY
};

#[test]
fn a_number_of_a_terminals_message_is_below_the_bound_in_every_field() {
    type Write = [fn(&Hello, &mut [u8]) -> Written; 2];
    type Read = [fn(&[u8]) -> Result<Option<TerminalMessage>, Fault>; 2];
    type WriteAnswer = [fn(Option<u64>, &str, &mut [u8]) -> Written; 2];
    let write: Write = [json::write_hello, postcard::write_hello];
    let write_answer: WriteAnswer = [json::write_answer, postcard::write_answer];
    let read: Read = [json::read_terminal, postcard::read_terminal];
    for (codec, read) in read.into_iter().enumerate() {
        for (number, is_valid) in NUMBERS {
            let expected = |message| if is_valid { Ok(Some(message)) } else { Err(Fault::NotAMessage) };
            for hello in [
                Hello { start: number, ..HELLO },
                Hello { shown: number, ..HELLO },
                Hello { pending: Some(number), ..HELLO },
            ] {
                let body = written(|out| write[codec](&hello, out));
                assert_eq!(read(&body), expected(TerminalMessage::Hello(hello)), "{codec} {number}");
            }
            let body = written(|out| write_answer[codec](Some(number), "40", out));
            let answer = TerminalMessage::Answer { re: Some(number), answer: Answer::new("40") };
            assert_eq!(read(&body), expected(answer), "{codec} {number}");
        }
    }
}

#[test]
fn a_number_of_a_hosts_message_is_below_the_bound_in_every_field() {
    let welcome = |start| Some(Welcome { ledger: None, start, attempt: 1 });
    let reply = |seq, re, welcome| Reply { seq, re, screens: Screens::new(), welcome };
    for (number, is_valid) in NUMBERS {
        let mut bodies = vec![];
        for reply in
            [reply(number, None, None), reply(1, Some(number), None), reply(1, None, welcome(number))]
        {
            bodies.push(written(|out| json::write_reply(&reply, out)));
            bodies.push(written(|out| postcard::write_reply(&reply, out)));
        }
        for notice in [
            Notice::Working { re: Some(number) },
            Notice::TakenOver { start: number, attempt: 1 },
            Notice::NameInUse { start: number, attempt: 1 },
        ] {
            bodies.push(written(|out| json::write_notice(notice, out)));
            bodies.push(written(|out| postcard::write_notice(notice, out)));
        }
        for body in bodies {
            let read = if body[0] == b'{' { json::read_host(&body) } else { postcard::read_host(&body) };
            if is_valid {
                assert!(read.as_ref().is_ok_and(Option::is_some), "{number} {body:x?}: {read:?}");
            } else {
                assert_eq!(read, Err(Fault::NotAMessage), "{number} {body:x?}");
            }
        }
    }
}

/// Numbers, and whether a message may have them.
const NUMBERS: [(u64, bool); 7] = [
    (0, true),
    (Numbers::MAX - 2, true),
    (Numbers::MAX - 1, true),
    (Numbers::MAX, false),
    (Numbers::MAX + 1, false),
    (1 << 63, false),
    (u64::MAX, false),
];
