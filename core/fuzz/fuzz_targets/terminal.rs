//! Fuzzes the terminal's endpoint with any bytes and any calls: no panic, no endless loop, replies in order.
#![no_main]
use arbitrary::Arbitrary;
use atm_core::{
    host::LinkKind,
    terminal::{Config, Event, OUT, Profile, Retransmit, Terminal},
    time::{Duration, Instant},
    wire::Wire,
};
use atm_core_fuzz::frame;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum EndpointCall {
    Feed(Vec<u8>),
    Frame(Vec<u8>),
    Answer(String),
    Consume(u8),
    Wait(u32),
    Reconnect,
    GiveUp,
    End,
}

#[derive(Debug, Arbitrary)]
struct Input {
    wire: u8,
    serial: bool,
    hello: bool,
    retransmits: bool,
    calls: Vec<EndpointCall>,
}

fuzz_target!(|input: Input| {
    let wire = [Wire::Json, Wire::Raw, Wire::Postcard][usize::from(input.wire % 3)];
    let config = Config {
        profile: input.hello.then(Profile::default),
        retransmit: input.retransmits.then(|| Retransmit::for_baud(9600)),
        frame_timeout: Duration::from_secs(1),
        ..Config::new(wire, if input.serial { LinkKind::Serial } else { LinkKind::Connection })
    };
    let mut now = Instant::default();
    let mut terminal = Terminal::<256, OUT>::new(config, now);
    let mut unfed: Vec<u8> = Vec::new();
    let mut shown = 0;
    for call in input.calls {
        match call {
            EndpointCall::Feed(bytes) => unfed.extend(bytes),
            EndpointCall::Frame(body) => unfed.extend(frame(wire, &body)),
            EndpointCall::Answer(text) => {
                if let Some(prompt) = terminal.prompt() {
                    let _ = terminal.answer(prompt, &text, now);
                }
            }
            EndpointCall::Consume(count) => terminal.consume(usize::from(count).min(terminal.output().len())),
            EndpointCall::Wait(millis) => {
                now = now + Duration::from_millis(millis % 100_000);
                terminal.tick(now);
            }
            EndpointCall::Reconnect => {
                terminal.reconnect(now);
                unfed.clear();
                if !input.hello {
                    shown = 0;
                }
            }
            EndpointCall::GiveUp => terminal.give_up(),
            EndpointCall::End => terminal.end(),
        }
        let mut turns = 0;
        loop {
            let taken = terminal.feed(&unfed, now);
            unfed.drain(..taken);
            let mut events = false;
            let ledger = terminal.memory().ledger;
            while let Some(event) = terminal.poll_event(now) {
                events = true;
                if let Event::LedgerSetBack { .. } = event {
                    shown = 0;
                }
                if let Event::Message(message) = event {
                    let _ = message.text.to_string();
                    if let Some(welcome) = message.welcome
                        && welcome.ledger != ledger
                    {
                        shown = 0;
                    }
                    // Replies are shown in order; only a refused answer opens its prompt again.
                    if let Some(seq) = message.seq {
                        assert!(seq >= shown, "{seq} after {shown}");
                        shown = seq;
                    }
                }
                turns += 1;
                assert!(turns < 10_000, "the events never end");
            }
            if taken == 0 && !events {
                break;
            }
        }
    }
});
