//! Fuzzes both endpoints of a sealed link, with any bytes, bodies that are sealed under the right keys with any content, and
//! changed ones: no panic, no endless loop, and nothing unsealed moves money.
#![no_main]
use arbitrary::Arbitrary;
use atm_core::{
    frame::{Decoded, cobs},
    host::{self, Event, Host, LinkKind},
    ledger::{Ledger, LedgerId, RamLedger, SessionId},
    money::Amount,
    seal::{self, Header, Key, SessionKeys, TerminalKey},
    terminal::{self, Profile, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};
use atm_core_fuzz::frame;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Call {
    /// A body in a valid frame.
    ToHost(Vec<u8>),
    ToTerminal(Vec<u8>),
    /// Content under the keys of the session.
    SealedToHost(Vec<u8>),
    SealedToTerminal(Vec<u8>, bool),
    /// A frame that crossed the link, with one byte changed by an exclusive or.
    Replay { up: bool, at: u8, byte: u8, by: u8, to_host: bool },
    Type(String),
    Carry,
    Wait(u16),
    Restart,
}

fn body(frame: &[u8]) -> Vec<u8> {
    let mut body = heapless::Vec::<u8, 1024>::new();
    match cobs::Decoder::default().push(&mut body, frame) {
        (_, Decoded::Frame) => body.to_vec(),
        _ => Vec::new(),
    }
}

struct Link {
    key: TerminalKey,
    host: Host<{ host::POSTCARD_IN }, { host::POSTCARD_OUT }>,
    terminal: Terminal<{ host::OUT }, { terminal::OUT }>,
    ledger: RamLedger<1>,
    now: Instant,
    up: Vec<Vec<u8>>,
    down: Vec<Vec<u8>>,
}

impl Link {
    fn to_host(&mut self, mut bytes: &[u8]) {
        for _ in 0..100 {
            let taken = self.host.feed(bytes, self.now);
            bytes = &bytes[taken..];
            while let Some(event) = self.host.poll_event() {
                match event {
                    Event::Request(request) => {
                        let response = self.ledger.apply(&request).expect("it is in memory");
                        self.host.complete(request.ticket, response, self.now);
                    }
                    Event::Hello(_) => self.host.admit_new(self.now),
                    Event::Key(claim) => {
                        let key = self.key.forward(claim.step, 8);
                        self.host.provide_key(key.as_ref(), self.now);
                    }
                    Event::Quit => {}
                }
            }
            let output = self.host.output().to_vec();
            self.host.consume(output.len(), self.now);
            if taken == 0 && output.is_empty() {
                break;
            }
            self.to_terminal(&output);
            self.down.extend(output.split_inclusive(|byte| *byte == 0).filter(|frame| frame.len() > 1).map(Vec::from));
        }
        assert!(bytes.is_empty(), "the host takes all input");
    }

    fn to_terminal(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.terminal.feed(bytes, self.now);
            bytes = &bytes[taken..];
            let mut events = 0;
            while self.terminal.poll_event(self.now).is_some() {
                events += 1;
                assert!(events < 100, "events come for ever");
            }
        }
    }

    fn carry(&mut self) {
        let output = self.terminal.output().to_vec();
        self.terminal.consume(output.len());
        self.up.extend(output.split_inclusive(|byte| *byte == 0).filter(|frame| frame.len() > 1).map(Vec::from));
        self.to_host(&output);
    }

    /// The keys of the last session.
    fn session(&self) -> Option<SessionKeys> {
        let last = |tape: &[Vec<u8>], index| tape.iter().rev().map(|frame| body(frame)).find(|body| body.first() == Some(&index));
        let welcome = last(&self.down, seal::WELCOME)?;
        let header = Header::from_bytes(*welcome.get(1..)?.first_chunk()?);
        Some(self.key.verify(&last(&self.up, seal::HELLO)?)?.session(header))
    }
}

fn sealed(key: &Key, index: u8, header: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let mut out = [0; 128];
    out.get_mut(seal::content_at(header.len())..)?.get_mut(..content.len())?.copy_from_slice(content);
    let length = seal::seal(key, index, header, &mut out, content.len()).ok()?;
    Some(frame(Wire::Postcard, &out[..length]))
}

fuzz_target!(|calls: Vec<Call>| {
    let key = TerminalKey::derive(&Key::from([7; 32]), 1.try_into().expect("not zero"), &"a".parse().expect("a name"));
    let now = Instant::from_millis(1000);
    let config = host::Config { sealed_only: true, ..host::Config::for_serial(Wire::Postcard, 115_200) };
    let profile = Profile { name: "a".parse().ok(), start: 1, key: Some(key.clone()), ..Profile::default() };
    let person = terminal::Config { profile: Some(profile), ..terminal::Config::for_serial(Wire::Postcard, 115_200) };
    let mut link = Link {
        key,
        host: Host::new(config, SessionId::new(1), now),
        terminal: Terminal::new(person, now),
        ledger: RamLedger::new(LedgerId(1), Amount::from_minor(10_000).expect("it is small")),
        now,
        up: Vec::new(),
        down: Vec::new(),
    };
    for call in calls {
        match call {
            Call::ToHost(body) => {
                let before = link.ledger.balance();
                link.to_host(&frame(Wire::Postcard, &body));
                assert!(link.ledger.balance() == before, "it is not authentic");
            }
            Call::ToTerminal(body) => link.to_terminal(&frame(Wire::Postcard, &body)),
            Call::SealedToHost(content) => {
                let frame = link.session().and_then(|keys| sealed(&keys.up, seal::SEALED, &[], &content));
                link.to_host(&frame.unwrap_or_default());
            }
            Call::SealedToTerminal(content, is_welcome) => {
                let frame = link.session().and_then(|keys| match is_welcome {
                    true => sealed(&keys.down, seal::WELCOME, keys.header.bytes(), &content),
                    false => sealed(&keys.down, seal::SEALED, &[], &content),
                });
                link.to_terminal(&frame.unwrap_or_default());
            }
            Call::Replay { up, at, byte, by, to_host } => {
                let tape = if up { &link.up } else { &link.down };
                let Some(mut body) = tape.get(usize::from(at) % tape.len().max(1)).map(|frame| body(frame)) else { continue };
                let place = usize::from(byte) % body.len().max(1);
                if let Some(byte) = body.get_mut(place) {
                    *byte ^= by;
                }
                let bytes = frame(Wire::Postcard, &body);
                if to_host { link.to_host(&bytes) } else { link.to_terminal(&bytes) }
            }
            Call::Type(text) => {
                if let Some(prompt) = link.terminal.prompt() {
                    let _ = link.terminal.answer(prompt, &text, link.now);
                }
            }
            Call::Carry => link.carry(),
            Call::Wait(millis) => {
                link.now = link.now + Duration::from_millis(millis.into());
                link.terminal.tick(link.now);
                link.host.tick(link.now);
            }
            Call::Restart => link.host = Host::new(config, SessionId::new(2), link.now),
        }
    }
});
