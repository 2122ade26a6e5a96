//! Random attacks from a printed seed, against the built client and against examples/sealed_terminal.py, which shares no code
//! with it: whatever he does to the first frames, money moves as the person typed it, and is shown as it moved.
use crate::bank::{Bank, Link, Movement, moved};
use atm_core::seal;
use atm_e2e::{Direction, Frame, Program, Rng, examples, python, seeded_rng};
use atm_host::access::KeyFile;
use std::fs;

const LINES: &str = "deposit 40\nwithdraw 15\ndeposit 8\nwithdraw 2\nbalance\n";

/// Attacks this many frames, and forwards the rest.
fn attack(bank: &Bank, mut rng: Rng, mut frames: u32) {
    let mut seen: Vec<Frame> = Vec::new();
    let mut held: Option<Frame> = None;
    bank.proxy.set_rule(move |frame| {
        let mut sent = held.take().into_iter().collect::<Vec<_>>();
        seen.push(frame.clone());
        if frames == 0 {
            sent.push(frame.clone());
            return sent;
        }
        frames -= 1;
        let any = rng.choice(&seen).unwrap().on(frame.connection);
        match rng.u8(..10) {
            0 => {}
            1 => held = Some(frame.clone()),
            2 => sent.extend([frame.clone(), frame.clone()]),
            3 => sent.extend([any, frame.clone()]),
            4 => sent.extend([frame.clone(), any]),
            5 => sent.extend([frame.reflected(), frame.clone()]),
            6 => {
                let mut body = frame.body.clone();
                let at = rng.usize(..body.len());
                body[at] ^= 1 << rng.u8(..8);
                sent.push(frame.with_body(body));
            }
            7 => {
                // The end of one body behind the beginning of another.
                let at = rng.usize(..frame.body.len().min(any.body.len()));
                sent.push(frame.with_body([&frame.body[..at], &any.body[at..]].concat()));
                sent.push(frame.clone());
            }
            8 => sent
                .extend([Frame { direction: Direction::Down, ..frame.with_body(vec![3, 1]) }, frame.clone()]),
            _ => sent.push(frame.clone()),
        }
        sent
    });
}

fn check(bank: &Bank, shown: &str) {
    let expected: [Movement; 4] =
        [moved("deposit", 40), moved("withdrawal", 15), moved("deposit", 8), moved("withdrawal", 2)];
    assert_eq!(bank.movements(), expected, "{shown}");
    for text in ["deposited: $40.", "withdrawn: $15.", "deposited: $8.", "withdrawn: $2.", "balance is $131."]
    {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(bank.proxy.recorded().iter().all(|frame| frame.body[0] >= seal::HELLO || frame.body == [3, 1]));
}

#[test]
fn random_attacks_on_the_client_move_money_as_it_was_typed() {
    let mut rng = seeded_rng();
    for _ in 0..3 {
        let bank = Bank::new(Link::Sealed);
        attack(&bank, rng.fork(), 14);
        let done = Program::run(bank.client("kiosk-7", &[]), LINES);
        assert_eq!(done.code, Some(0), "{done:?}");
        check(&bank, &done.stdout);
    }
}

#[test]
fn random_attacks_on_a_terminal_in_python_move_money_as_it_was_typed() {
    let mut rng = seeded_rng();
    let bank = Bank::new(Link::Sealed);
    let KeyFile { terminal, key } = KeyFile::read(&bank.key("kiosk-7")).unwrap();
    let digits: String = key.key().bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let (series, file) = (key.series(), bank.path("kiosk-7.json"));
    let text = format!(r#"{{"terminal": "{terminal}", "series": {series}, "step": 0, "key": "{digits}"}}"#);
    fs::write(&file, text).unwrap();
    attack(&bank, rng.fork(), 14);
    let (host, port) = (bank.proxy.address.ip().to_string(), bank.proxy.address.port().to_string());
    let arguments = [&host, &port, file.to_str().unwrap()];
    let Some(command) = python(&examples().join("sealed_terminal.py"), &arguments) else { return };
    let done = Program::run(command, LINES);
    assert_eq!(done.code, Some(0), "{done:?}");
    check(&bank, &done.stdout);
}
