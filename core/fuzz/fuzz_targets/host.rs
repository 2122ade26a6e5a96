//! Fuzzes the host's endpoint with any bytes and any order of calls, with open access and by card: no panic, no endless loop, and
//! by card no digit of a number or a PIN in its Debug text.
#![no_main]
use arbitrary::Arbitrary;
use atm_core::{
    host::{Config, Event, Host, IN, LinkKind, OUT},
    ledger::{Ledger, LedgerId, Numbers, Outcome, RamLedger, Rejection, Request, Response, SessionId, Ticket},
    message::{Capabilities, EXTENDED, Hello},
    money::Amount,
    time::{Duration, Instant},
    wire::Wire,
};
use atm_core_fuzz::{cards, frame};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum EndpointCall {
    Feed(Vec<u8>),
    /// A body in a valid frame, so that the input reaches the session.
    Frame(Vec<u8>),
    Answer(Option<u8>, String),
    /// A hello of a terminal that hides what is typed at a secret prompt.
    Hello(u8, u8),
    /// An answer that has a meaning in a card's session, to the prompt of this number.
    Type(u8, u8),
    Consume(u8),
    Wait(u16),
    /// The ledger's response to the outstanding request.
    Settle,
    /// A response of any kind, to any request.
    AnyResponse(u8, u8),
    Retry,
    Admit,
    AdmitNew,
    Refuse,
    Park,
    End,
    ShutDown,
}

#[derive(Debug, Arbitrary)]
struct Input {
    wire: u8,
    serial: bool,
    may_quit: bool,
    cards: bool,
    calls: Vec<EndpointCall>,
}

fuzz_target!(|input: Input| {
    let wire = [Wire::Json, Wire::Raw, Wire::Postcard][usize::from(input.wire % 3)];
    let link = if input.serial { LinkKind::Serial } else { LinkKind::Connection };
    let mut config = Config::new(wire, link);
    config.policy.may_quit = input.may_quit;
    let mut now = Instant::default();
    let mut ledger = RamLedger::<2>::new(LedgerId(1), Amount::from_minor(10_000).expect("it is small"));
    let mut card_ledger = cards::ledger();
    let mut host = Host::<IN, OUT>::new(config, SessionId::new(1), now);
    if input.cards {
        host.serve_cards(cards::keys());
    }
    let mut pending: Option<Request> = None;
    let mut unfed: Vec<u8> = Vec::new();
    for call in input.calls {
        match call {
            EndpointCall::Feed(bytes) => unfed.extend(bytes),
            EndpointCall::Frame(body) => unfed.extend(frame(wire, &body)),
            EndpointCall::Answer(re, text) => unfed.extend(answer(wire, re, &text)),
            EndpointCall::Type(re, text) => {
                let texts = [&cards::NUMBERS[..], &cards::PINS, &["7", "8", "yes", "back", "1", "4", "5", "6", "all"]].concat();
                unfed.extend(answer(wire, Some(re), texts[usize::from(text) % texts.len()]));
            }
            EndpointCall::Hello(start, attempt) => {
                let hello = Hello {
                    version: EXTENDED,
                    terminal: "a".parse().ok(),
                    start: start.into(),
                    attempt: attempt.into(),
                    capabilities: Capabilities::SECRET_PROMPTS,
                    ..Hello::EMPTY
                };
                let mut out = [0; 512];
                let written = match wire {
                    Wire::Json => atm_core::codec::json::write_hello(&hello, &mut out),
                    Wire::Postcard => atm_core::codec::postcard::write_hello(&hello, &mut out),
                    Wire::Raw => Ok(0),
                };
                let length = written.expect("the buffer has room");
                unfed.extend(frame(wire, &out[..length]));
            }
            EndpointCall::Consume(count) => host.consume(usize::from(count).min(host.output().len()), now),
            EndpointCall::Wait(millis) => {
                now = now + Duration::from_millis(u32::from(millis));
                host.tick(now);
                assert!(
                    host.deadline().is_none_or(|deadline| deadline > now),
                    "tick handles every deadline that has passed"
                );
            }
            EndpointCall::Settle => {
                if let Some(request) = pending.take() {
                    let applied = if input.cards { card_ledger.apply(&request) } else { ledger.apply(&request) };
                    let response = applied.expect("a commit in memory cannot fail");
                    host.complete(request.ticket, response, now);
                }
            }
            EndpointCall::AnyResponse(number, kind) => {
                let ticket = Ticket { link: 1, number: u32::from(number) };
                let settled = Response::Settled { id: u64::from(kind), outcome: Outcome::NotDone };
                let response = match kind % 4 {
                    0 => Response::Fenced,
                    1 => Response::Reserved(Numbers::NONE),
                    2 => Response::Rejected(Rejection::Unsound),
                    _ => settled,
                };
                host.complete(ticket, response, now);
            }
            EndpointCall::Retry => host.retry_request(),
            EndpointCall::AdmitNew => host.admit_new(now),
            EndpointCall::Admit => host.admit(None, now),
            EndpointCall::Refuse => host.refuse(now),
            EndpointCall::Park => drop(host.park()),
            EndpointCall::End if unfed.is_empty() => host.end(now),
            EndpointCall::End => {}
            EndpointCall::ShutDown => host.shut_down(now),
        }
        let taken = host.feed(&unfed, now);
        unfed.drain(..taken);
        match host.poll_event() {
            Some(Event::Request(request)) => pending = Some(request),
            Some(Event::Quit) => assert!(input.may_quit),
            Some(Event::Key(_)) => host.provide_key(None, now),
            Some(Event::Hello(_)) | None => {}
        }
        assert!(host.output().len() <= OUT);
        if input.cards {
            let shown = format!("{host:?}");
            assert!(cards::NUMBERS.iter().chain(&cards::PINS).all(|secret| !shown.contains(secret)), "{shown}");
        }
    }
});

/// An answer in its frame.
fn answer(wire: Wire, re: Option<u8>, text: &str) -> Vec<u8> {
    let mut out = [0; 512];
    let re = re.map(u64::from);
    let written = match wire {
        Wire::Json => atm_core::codec::json::write_answer(re, text, &mut out),
        Wire::Postcard => atm_core::codec::postcard::write_answer(re, text, &mut out),
        Wire::Raw => Ok(0),
    };
    written.map_or(Vec::new(), |length| frame(wire, &out[..length]))
}
