//! Forged messages: in clear, and sealed hellos with a wrong tag. The fields of sealed hellos can be read on the line.
use super::{Attacker, FRAME, Target};
use atm_core::{
    codec::postcard,
    ledger::{Name, Outcome, Receipt},
    message::{EXTENDED, Hello, Notice, Reply, VERSION, Welcome},
    money::Amount,
    screen::{Screen, Screens},
    seal::{HELLO, TAG},
};

impl Attacker {
    /// A message for one side of a link.
    pub(super) fn forged(&mut self, target: Target) -> Vec<u8> {
        self.counts.forged += 1;
        let name = self.names[target.station].clone();
        let seen = self.last_hello(&name);
        let mut out = [0; FRAME];
        let written = if target.to_host {
            match self.rng.u32(0..4) {
                0 => postcard::write_hello(&self.hello(&name, seen.as_ref()), &mut out),
                1 => return self.sealed_hello(&name, seen),
                _ => {
                    let re = (self.rng.u32(0..4) > 0).then(|| self.number(seen.as_ref()));
                    // No person types such an amount.
                    let text = if self.rng.bool() { "deposit 7777" } else { "withdraw all" };
                    postcard::write_answer(re, text, &mut out)
                }
            }
        } else {
            match self.rng.u32(0..4) {
                0 => postcard::write_reply(&self.reply(seen.as_ref()), &mut out),
                1 => postcard::write_notice(self.notice(seen.as_ref()), &mut out),
                _ => postcard::write_notice(Notice::Who, &mut out),
            }
        };
        out[..written.unwrap()].to_vec()
    }

    /// The last hello of a terminal on the tape.
    fn last_hello(&self, name: &Name) -> Option<Hello> {
        self.tape.iter().rev().find_map(|recorded| {
            let (hello, _) = recorded.body.split_last_chunk::<TAG>()?;
            let hello = postcard::read_sealed_hello(hello).ok()?;
            (recorded.body[0] == HELLO && hello.terminal.as_ref() == Some(name)).then_some(hello)
        })
    }

    /// A number that may be that of the open prompt.
    fn number(&mut self, seen: Option<&Hello>) -> u64 {
        let shown = seen.map_or(1, |hello| hello.pending.unwrap_or(0).max(hello.shown));
        shown + self.rng.u64(0..12)
    }

    /// A hello in clear, of both versions, also of a plain client.
    fn hello(&mut self, name: &Name, seen: Option<&Hello>) -> Hello {
        let version = if self.rng.bool() { VERSION } else { EXTENDED };
        if self.rng.u32(0..4) == 0 {
            return Hello { version, terminal: Some(name.clone()), ..Hello::EMPTY };
        }
        let seen = seen.cloned().unwrap_or(Hello::EMPTY);
        let start = seen.start + self.rng.u64(0..3);
        Hello { version, terminal: Some(name.clone()), start, attempt: seen.attempt + 1, key: None, ..seen }
    }

    /// A sealed hello with higher counters, and a tag of another one or at random.
    fn sealed_hello(&mut self, name: &Name, seen: Option<Hello>) -> Vec<u8> {
        let Some(mut hello) = seen else { return vec![HELLO] };
        let Some(mut key) = hello.key else { return vec![HELLO] };
        match self.rng.u32(0..4) {
            0 => hello.attempt += 1,
            1 => hello.start += 1,
            2 => key.step += self.rng.u32(1..4),
            _ => key.series = key.series.saturating_add(1),
        }
        hello.terminal = Some(name.clone());
        let mut out = [0; FRAME];
        let length = postcard::write_sealed_hello(&hello, &key, &mut out).unwrap();
        let mut body = out[..length].to_vec();
        let old = self.recorded().unwrap_or_default();
        match old.split_last_chunk::<TAG>() {
            Some((_, tag)) if self.rng.bool() => body.extend(tag),
            _ => body.extend(std::iter::repeat_with(|| self.rng.u8(..)).take(TAG)),
        }
        body
    }

    /// A reply in clear, perhaps a welcome.
    fn reply(&mut self, seen: Option<&Hello>) -> Reply {
        let number = self.number(seen);
        let mut screens = Screens::new();
        let receipt = Receipt::Deposited { amount: Amount::MAX, balance: Amount::MAX };
        screens.extend([Screen::Outcome(Outcome::Done(receipt)), Screen::Menu]);
        let welcome = seen.filter(|_| self.rng.bool()).map(|hello| Welcome {
            ledger: hello.ledger,
            start: hello.start,
            attempt: hello.attempt,
        });
        Reply { seq: number + 1, re: Some(number), screens, welcome }
    }

    /// A notice that would end the session.
    fn notice(&mut self, seen: Option<&Hello>) -> Notice {
        let (start, attempt) = seen.map_or((0, 0), |hello| (hello.start, hello.attempt));
        match self.rng.u32(0..4) {
            0 => Notice::NameInUse { start, attempt },
            1 => Notice::TakenOver { start, attempt },
            2 => Notice::OutOfService,
            _ => Notice::Busy,
        }
    }
}
