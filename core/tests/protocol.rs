//! Checks PROTOCOL.md against the code: the codecs write its golden bytes, read them back, and have its fault
//! codes.
#![cfg(all(feature = "json", feature = "postcard"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use atm_core::{
    codec::{BufferTooSmall, json, postcard},
    frame::{Decoded, cobs},
    ledger::{LedgerId, Outcome, Receipt, Refusal},
    message::{Capabilities, Dispenser, Fault, Hello, Notice, Reply, TerminalMessage, Welcome},
    money::Amount,
    screen::{Screen, Screens},
};
use std::fmt::Write;

const PAGE: &str = include_str!("../PROTOCOL.md");

enum Message {
    Hello(Hello),
    Answer(Option<u64>, &'static str),
    Reply(Reply),
    Notice(Notice),
}

fn amount(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn reply(seq: u64, re: Option<u64>, welcome: Option<Welcome>, screens: &[Screen]) -> Message {
    Message::Reply(Reply { seq, re, welcome, screens: Screens::from_slice(screens).unwrap() })
}

fn messages() -> Vec<(&'static str, Message)> {
    let ledger = Some(LedgerId(0x0123_4567_89ab_cdef));
    let hello = Hello {
        version: 1,
        terminal: Some("kiosk-7".parse().unwrap()),
        start: 3,
        attempt: 1,
        ledger,
        shown: 300,
        pending: Some(300),
        resume: false,
        ..Hello::EMPTY
    };
    let unnamed = Hello { terminal: None, ledger: None, shown: 0, pending: None, start: 1, ..hello.clone() };
    let capabilities = Capabilities::SECRET_PROMPTS.with(Capabilities::DISPENSER);
    let dispenser = Some(Dispenser { serial: 0xbeef, count: 300 });
    let equipped = Hello { version: 2, capabilities, dispenser, ..hello.clone() };
    let welcome = Some(Welcome { ledger, start: 3, attempt: 1 });
    let withdrawn = Outcome::Done(Receipt::Withdrawn { amount: amount(40), balance: amount(60) });
    let short = Outcome::Refused(Refusal::Insufficient { balance: amount(60) });
    vec![
        ("The first hello of a terminal without a name", Message::Hello(unnamed)),
        ("A hello after a restart, with an answer pending", Message::Hello(hello)),
        ("A hello of version 2, with a dispenser", Message::Hello(equipped)),
        ("An answer", Message::Answer(Some(513), "40")),
        ("An answer of a client without a hello", Message::Answer(None, "2")),
        ("A welcome with the menu", reply(512, None, welcome, &[Screen::Menu])),
        (
            "A welcome with the outcome of an earlier request",
            reply(
                512,
                Some(300),
                welcome,
                &[Screen::EarlierRequest, Screen::Outcome(Outcome::NotDone), Screen::Menu],
            ),
        ),
        ("A prompt", reply(513, Some(512), None, &[Screen::WithdrawPrompt { balance: amount(100) }])),
        ("An outcome", reply(514, Some(513), None, &[Screen::Outcome(withdrawn), Screen::Menu])),
        (
            "A refusal",
            reply(
                515,
                Some(514),
                None,
                &[Screen::Outcome(short), Screen::WithdrawPrompt { balance: amount(60) }],
            ),
        ),
        ("The end of a session", reply(516, Some(515), None, &[Screen::Goodbye])),
        ("`working`", Message::Notice(Notice::Working { re: Some(513) })),
        ("`who`", Message::Notice(Notice::Who)),
        ("`taken-over`", Message::Notice(Notice::TakenOver { start: 3, attempt: 1 })),
        ("A fault", Message::Notice(Notice::Fault(Fault::NotOpen))),
    ]
}

fn body(write: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>) -> Vec<u8> {
    let mut out = [0; 1024];
    let length = write(&mut out).unwrap();
    out[..length].to_vec()
}

fn json_body(message: &Message) -> Vec<u8> {
    body(|out| match message {
        Message::Hello(hello) => json::write_hello(hello, out),
        Message::Answer(re, text) => json::write_answer(*re, text, out),
        Message::Reply(reply) => json::write_reply(reply, out),
        Message::Notice(notice) => json::write_notice(*notice, out),
    })
}

fn postcard_body(message: &Message) -> Vec<u8> {
    body(|out| match message {
        Message::Hello(hello) => postcard::write_hello(hello, out),
        Message::Answer(re, text) => postcard::write_answer(*re, text, out),
        Message::Reply(reply) => postcard::write_reply(reply, out),
        Message::Notice(notice) => postcard::write_notice(*notice, out),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let gap = if text.is_empty() { "" } else { " " };
        write!(text, "{gap}{byte:02x}").unwrap();
        text
    })
}

/// The section of golden bytes as the codecs write it.
fn golden() -> String {
    let mut text = String::new();
    for (title, message) in messages() {
        let json = json_body(&message);
        let body = postcard_body(&message);
        let mut frame = [0; 256];
        let length = cobs::encode(&mut frame, |out| {
            out[..body.len()].copy_from_slice(&body);
            Ok(body.len())
        })
        .unwrap();
        let header = hexadecimal(&u32::try_from(json.len()).unwrap().to_be_bytes());
        write!(
            text,
            "{title}:\n\n```text\njson      {header} {}\npostcard  {}\n```\n\n",
            String::from_utf8(json).unwrap(),
            hexadecimal(&frame[..length])
        )
        .unwrap();
    }
    text.trim_end().to_owned()
}

#[test]
fn the_codecs_write_the_golden_bytes_of_the_page() {
    let (_, section) = PAGE.split_once("behind its length in hexadecimal.\n\n").unwrap();
    assert!(section.trim_end() == golden(), "PROTOCOL.md must end in:\n{}", golden());
}

#[test]
fn the_golden_bytes_of_the_page_decode_to_their_messages() {
    let hex = |text: &str| -> Vec<u8> {
        text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    };
    let frames = PAGE.lines().filter_map(|line| line.strip_prefix("postcard  ")).map(hex);
    let mut count = 0;
    for (frame, (title, message)) in frames.zip(messages()) {
        let mut decoder = cobs::Decoder::default();
        let mut body = heapless::Vec::<u8, 256>::new();
        assert_eq!(decoder.push(&mut body, &frame), (frame.len(), Decoded::Frame), "{title}");
        match message {
            Message::Hello(hello) => {
                assert_eq!(postcard::read_terminal(&body), Ok(Some(TerminalMessage::Hello(hello))));
            }
            Message::Answer(re, text) => match postcard::read_terminal(&body) {
                Ok(Some(TerminalMessage::Answer { re: read, answer })) => {
                    assert_eq!((read, answer.text()), (re, Some(text)), "{title}");
                }
                other => panic!("{title}: {other:?}"),
            },
            Message::Reply(reply) => {
                let message = postcard::read_host(&body).unwrap().unwrap();
                assert_eq!(
                    (message.seq, message.re, message.welcome),
                    (Some(reply.seq), reply.re, reply.welcome)
                );
                assert_eq!(
                    (message.outcome, message.prompt),
                    (reply.outcome(), reply.is_prompt()),
                    "{title}"
                );
            }
            Message::Notice(notice) => {
                assert_eq!(postcard::read_host(&body).unwrap().unwrap().notice, Some(notice), "{title}");
            }
        }
        count += 1;
    }
    assert_eq!(count, messages().len());
}

#[test]
fn the_page_lists_every_fault_by_its_index() {
    for index in 0u8.. {
        let body = [3, 7, index];
        let Ok(Some(message)) = postcard::read_host(&body) else {
            let faults = if cfg!(feature = "cards") { 17 } else { 16 };
            assert_eq!(index, faults, "the page has a row for each fault");
            break;
        };
        let Some(Notice::Fault(fault)) = message.notice else { panic!("{message:?}") };
        assert!(PAGE.contains(&format!("| {index} | `{}` |", fault.code())), "{fault:?}");
    }
}
