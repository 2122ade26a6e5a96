//! The JSON codec against golden bytes, against `serde_json`, and under faulty bodies.
use super::*;
use crate::{
    ledger::Name,
    message::Reply,
    screen::{Screen, ScreenText, Screens},
};
use std::{format, string::String, string::ToString, vec::Vec};

#[cfg(feature = "cards")]
mod cards;
mod faults;
mod golden;
mod reference;

fn amount(minor: u64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn written(write: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>) -> String {
    let mut out = [0; 2048];
    let length = write(&mut out).unwrap();
    String::from_utf8(out[..length].to_vec()).unwrap()
}

fn answer_of(body: &str) -> (Option<u64>, Answer) {
    match read_terminal(body.as_bytes()) {
        Ok(Some(TerminalMessage::Answer { re, answer })) => (re, answer),
        other => panic!("{body}: {other:?}"),
    }
}

fn reply(screens: &[Screen]) -> Reply {
    Reply { seq: 8, re: Some(7), screens: screens.iter().copied().collect::<Screens>(), welcome: None }
}

/// Every outcome, with small, usual and the largest amounts.
fn outcomes() -> Vec<Outcome> {
    let mut outcomes = Vec::from([Outcome::NotDone, Outcome::Unknown]);
    for (amount, balance) in
        [(amount(1), amount(0)), (amount(4_000), amount(14_050)), (Amount::MAX, Amount::MAX)]
    {
        outcomes.extend([
            Outcome::Done(Receipt::Balance { balance }),
            Outcome::Done(Receipt::Deposited { amount, balance }),
            Outcome::Done(Receipt::Withdrawn { amount, balance }),
            Outcome::Refused(Refusal::Insufficient { balance }),
            Outcome::Refused(Refusal::BalanceLimit { balance }),
            Outcome::Refused(Refusal::Conflict),
            Outcome::Refused(Refusal::Full),
        ]);
    }
    outcomes
}

fn notices() -> [Notice; 11] {
    let (start, attempt) = (3, 2);
    [
        Notice::Working { re: Some(7) },
        Notice::Working { re: None },
        Notice::Who,
        Notice::TakenOver { start, attempt },
        Notice::NameInUse { start, attempt },
        Notice::Busy,
        Notice::OutOfService,
        Notice::Idle,
        Notice::Stopping,
        Notice::Fault(Fault::NotJson),
        Notice::Fault(Fault::Conflict),
    ]
}
