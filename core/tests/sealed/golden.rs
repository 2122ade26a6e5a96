//! PROTOCOL.md, section 6.6: its bytes were made by examples/sealed_terminal.py, and are those of the core.
use crate::world::frame;
use atm_core::{
    codec::postcard,
    ledger::{LedgerId, Outcome},
    message::{EXTENDED, Hello, KeyId, Notice, Reply, Welcome},
    money::Amount,
    screen::{Screen, Screens},
    seal::{self, Header, Key, TerminalKey},
};
use std::fmt::Write;

const PAGE: &str = include_str!("../../PROTOCOL.md");

/// A block of the section.
fn block(text: &mut String, title: &str, rows: &[(&str, &[u8])]) {
    write!(text, "{title}:\n\n```text\n").unwrap();
    for (name, bytes) in rows {
        for (index, line) in bytes.chunks(32).enumerate() {
            let line: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{:<8} {}", if index == 0 { name } else { "" }, line.join(" ")).unwrap();
        }
    }
    text.push_str("```\n\n");
}

fn sealed(key: &Key, index: u8, header: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = [0; 128];
    out[seal::content_at(header.len())..][..content.len()].copy_from_slice(content);
    let length = seal::seal(key, index, header, &mut out, content.len());
    out[..length.unwrap()].to_vec()
}

fn written(write: impl FnOnce(&mut [u8]) -> Result<usize, atm_core::codec::BufferTooSmall>) -> Vec<u8> {
    let mut out = [0; 256];
    let length = write(&mut out).unwrap();
    out[..length].to_vec()
}

fn reply(seq: u64, re: u64, welcome: Option<Welcome>, screens: &[Screen]) -> Vec<u8> {
    let screens = Screens::from_slice(screens).unwrap();
    written(|out| postcard::write_reply(&Reply { seq, re: Some(re), screens, welcome }, out))
}

fn golden() -> String {
    let mut text = String::new();
    let master = Key::from(std::array::from_fn(|index| index as u8));
    let first = TerminalKey::derive(&master, 1u32.try_into().unwrap(), &"kiosk-7".parse().unwrap());
    let key = first.next().unwrap();
    let title = "The keys of `kiosk-7` in series 1, from a master key of the bytes 0 to 31";
    block(&mut text, title, &[("K_0", first.key().bytes()), ("K_1", key.key().bytes())]);

    let ledger = LedgerId(0x0123_4567_89ab_cdef);
    let id = KeyId { series: key.series(), step: key.step(), salt: 0x1122_3344_5566_7788 };
    let hello = Hello {
        version: EXTENDED,
        terminal: Some("kiosk-7".parse().unwrap()),
        start: 3,
        attempt: 1,
        ledger: Some(ledger),
        shown: 300,
        pending: Some(300),
        ..Hello::EMPTY
    };
    let body = written(|out| postcard::write_sealed_hello(&hello, &id, out));
    let proof = key.prove(&body);
    let framed = frame(&[&body[..], proof.tag()].concat());
    let rows = [("body", &body[..]), ("tag", proof.tag()), ("frame", &framed)];
    block(&mut text, "A hello at step 1, with an answer pending, and its frame", &rows);

    let header = Header::new(ledger.0, 512);
    let (early, keys) = (proof.early(), proof.session(header));
    // The seed is not shown by the core: the keys that follow from it are.
    let (_, section) = PAGE.split_once("\nseed     ").unwrap();
    let seed: Vec<u8> = section[..95].split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let title = "What follows from it, and from a welcome of origin `0123456789abcdef` and number 512";
    let rows = [
        ("seed", &seed[..]),
        ("early", early.bytes()),
        ("header", header.bytes()),
        ("up", keys.up.bytes()),
        ("down", keys.down.bytes()),
    ];
    block(&mut text, title, &rows);

    let welcome = Some(Welcome { ledger: Some(ledger), start: 3, attempt: 1 });
    let outcome = [Screen::EarlierRequest, Screen::Outcome(Outcome::NotDone), Screen::Menu];
    let prompt = [Screen::WithdrawPrompt { balance: Amount::from_units(100).unwrap() }];
    let bodies = [
        (
            "`working` before the welcome",
            &early,
            seal::EARLY,
            written(|out| postcard::write_notice(Notice::Working { re: None }, out)),
        ),
        ("The welcome, with the outcome of an earlier request", &keys.down, seal::WELCOME, {
            reply(512, 300, welcome, &outcome)
        }),
        (
            "The answer `2` to prompt 512",
            &keys.up,
            seal::SEALED,
            written(|out| postcard::write_answer(Some(512), "2", out)),
        ),
        ("The reply to it", &keys.down, seal::SEALED, reply(513, 512, None, &prompt)),
    ];
    for (title, key, index, content) in bodies {
        let head: &[u8] = if index == seal::WELCOME { header.bytes() } else { &[] };
        let body = sealed(key, index, head, &content);
        let rows = [("content", &content[..]), ("body", &body), ("frame", &frame(&body))];
        block(&mut text, &format!("{title}, and its frame"), &rows);
    }
    text
}

#[test]
fn the_core_makes_the_golden_bytes_of_the_page() {
    let (_, section) = PAGE.split_once("Frames are without the zero before them.\n\n").unwrap();
    let (section, _) = section.split_once("## 7. Golden bytes").unwrap();
    assert!(section == golden(), "PROTOCOL.md, 6.6, must be:\n{}", golden());
}
