//! Attacker on sealed links: records every frame of every link for the whole run, and replays, changes, splices, reflects
//! and forges frames. It has no key; what it sends has a right checksum, mostly.
use super::link::Sent;
use atm_core::{
    frame::{Decoded, cobs},
    ledger::Name,
    seal::HELLO,
    time::{Duration, Instant},
};
use fastrand::Rng;

mod forgery;

/// Bytes of a frame with the longest body.
const FRAME: usize = 512;

/// The body of a frame that crossed a link.
struct Recorded {
    station: usize,
    to_host: bool,
    body: Vec<u8>,
}

/// Where a frame is injected.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) station: usize,
    pub(super) to_host: bool,
    /// A connection of the attacker's own to the host, instead of the terminal's link.
    pub(super) on_own_link: bool,
}

/// Frames of one side of one link, replayed in their order.
struct Replay {
    target: Target,
    station: usize,
    to_host: bool,
    /// The place on the tape from which the next one is searched.
    from: usize,
}

/// What the attacker has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttackCounts {
    /// Frames replayed as they were, on any link and in any direction.
    pub replayed: u64,
    /// Frames of recorded parts: changed, truncated, spliced.
    pub changed: u64,
    /// Frames in clear, and hellos with a wrong tag.
    pub forged: u64,
}

impl AttackCounts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.replayed += other.replayed;
        self.changed += other.changed;
        self.forged += other.forged;
    }
}

/// The attacker of a run.
pub(super) struct Attacker {
    rng: Rng,
    names: Vec<Name>,
    tape: Vec<Recorded>,
    replay: Option<Replay>,
    /// The longest pause between two frames, in milliseconds.
    pause: u32,
    /// When the next frame is injected; `None` once the attacker has stopped.
    pub(super) next: Option<Instant>,
    pub(super) counts: AttackCounts,
}

impl Attacker {
    pub(super) fn new(names: Vec<Name>, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let pause = *rng.choice(&[200, 1_000, 5_000]).unwrap_or(&1_000);
        Self {
            rng,
            names,
            tape: Vec::new(),
            replay: None,
            pause,
            next: Some(Instant::default()),
            counts: AttackCounts::default(),
        }
    }

    /// Records what was sent on a link of a station.
    pub(super) fn record(&mut self, station: usize, sent: Sent) {
        for frame in sent.bytes.split_inclusive(|byte| *byte == cobs::DELIMITER) {
            let body = decode(frame);
            if body.first() == Some(&HELLO) && sent.to_host {
                self.answer_equal_hello(station, &body);
            }
            if !body.is_empty() {
                self.tape.push(Recorded { station, to_host: sent.to_host, body });
            }
        }
    }

    /// A terminal says a hello that it has said before, perhaps in a life that its memory has lost: now and then it gets at once
    /// what the hosts have sent it then.
    fn answer_equal_hello(&mut self, station: usize, hello: &[u8]) {
        let is_equal = |recorded: &Recorded| recorded.to_host && recorded.body == hello;
        let Some(first) = self.tape.iter().position(is_equal) else { return };
        if self.next.is_some() && self.rng.bool() {
            let target = Target { station, to_host: false, on_own_link: false };
            self.replay = Some(Replay { target, station, to_host: false, from: first + 1 });
            self.next = Some(Instant::default());
        }
    }

    /// The frame that is injected now, and where; `None` if it is not time.
    pub(super) fn act(&mut self, now: Instant) -> Option<(Target, Vec<u8>)> {
        self.next.filter(|at| *at <= now)?;
        self.next = Some(now + Duration::from_millis(self.rng.u32(1..self.pause)));
        if let Some((target, body)) = self.continue_replay() {
            self.counts.replayed += 1;
            return Some((target, encode(&body)));
        }
        let target = Target {
            station: self.rng.usize(0..self.names.len()),
            to_host: self.rng.bool(),
            on_own_link: self.rng.u32(0..4) == 0,
        };
        let body = match self.rng.u32(0..100) {
            0..10 => self.start_replay(target)?,
            10..45 => self.replayed()?,
            45..55 => self.with_flipped_bits()?,
            55..60 => self.with_other_length()?,
            60..70 => self.spliced()?,
            70..74 => self.with_other_index()?,
            _ => self.forged(target),
        };
        let mut frame = encode(&body);
        if self.rng.u32(0..30) == 0 {
            frame.truncate(self.rng.usize(0..frame.len()));
        }
        Some((target, frame))
    }

    /// A body of the tape, half of the time one of the last.
    fn any(&mut self) -> Option<usize> {
        let first = if self.rng.bool() { self.tape.len().saturating_sub(12) } else { 0 };
        (first < self.tape.len()).then(|| self.rng.usize(first..self.tape.len()))
    }

    fn recorded(&mut self) -> Option<Vec<u8>> {
        self.any().map(|at| self.tape[at].body.clone())
    }

    fn replayed(&mut self) -> Option<Vec<u8>> {
        self.counts.replayed += 1;
        self.recorded()
    }

    /// Begins to replay a session, or the rest of one, to the same side as then or to the other: from any frame, or from a
    /// terminal's hello.
    fn start_replay(&mut self, target: Target) -> Option<Vec<u8>> {
        let mut first = self.any()?;
        if self.rng.bool() {
            let is_hello = |recorded: &Recorded| recorded.to_host && recorded.body[0] == HELLO;
            first = self.tape[..=first].iter().rposition(is_hello)?;
        }
        let Recorded { station, to_host, ref body } = self.tape[first];
        let body = body.clone();
        let target = if self.rng.u32(0..8) == 0 { target } else { Target { station, to_host, ..target } };
        self.replay = Some(Replay { target, station, to_host, from: first + 1 });
        self.counts.replayed += 1;
        Some(body)
    }

    fn continue_replay(&mut self) -> Option<(Target, Vec<u8>)> {
        let replay = self.replay.as_mut()?;
        let is_next =
            |recorded: &Recorded| (recorded.station, recorded.to_host) == (replay.station, replay.to_host);
        let found = (replay.from..self.tape.len()).find(|at| is_next(&self.tape[*at]));
        let Some(at) = found.filter(|_| self.rng.u32(0..12) > 0) else {
            self.replay = None;
            return None;
        };
        replay.from = at + 1;
        Some((replay.target, self.tape[at].body.clone()))
    }

    fn with_flipped_bits(&mut self) -> Option<Vec<u8>> {
        let mut body = self.recorded()?;
        for _ in 0..self.rng.usize(1..=3) {
            let at = self.rng.usize(0..body.len());
            body[at] ^= 1 << self.rng.u8(0..8);
        }
        self.counts.changed += 1;
        Some(body)
    }

    fn with_other_length(&mut self) -> Option<Vec<u8>> {
        let mut body = self.recorded()?;
        body.resize(self.rng.usize(1..body.len() + 4), 0);
        self.counts.changed += 1;
        Some(body)
    }

    /// The beginning of one body with the end of another: at any place, or between header, tag and content.
    fn spliced(&mut self) -> Option<Vec<u8>> {
        let (head, tail) = (self.recorded()?, self.recorded()?);
        let shorter = head.len().min(tail.len());
        let at = match self.rng.u32(0..4) {
            0 => self.rng.usize(0..=shorter),
            1 => 1,
            2 => 17,
            _ => 33,
        };
        let mut body = head;
        body.truncate(at.min(shorter));
        body.extend_from_slice(tail.get(body.len()..).unwrap_or_default());
        self.counts.changed += 1;
        Some(body)
    }

    /// A body under another index, or a welcome with another header.
    fn with_other_index(&mut self) -> Option<Vec<u8>> {
        let mut body = self.recorded()?;
        let place = if self.rng.bool() { 0 } else { 9 };
        if let Some(byte) = body.get_mut(place) {
            *byte = self.rng.u8(0..8);
        }
        self.counts.changed += 1;
        Some(body)
    }
}

/// The sealed hellos in a terminal's output.
pub(super) fn hellos(output: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let frames = output.split_inclusive(|byte| *byte == cobs::DELIMITER).map(decode);
    frames.filter(|body| body.first() == Some(&HELLO))
}

/// The body of a frame; empty if it is damaged.
fn decode(frame: &[u8]) -> Vec<u8> {
    let mut body = heapless::Vec::<u8, FRAME>::new();
    let (_, decoded) = cobs::Decoder::default().push(&mut body, frame);
    if decoded == Decoded::Frame { body.to_vec() } else { Vec::new() }
}

/// The frame of a body, behind a zero.
fn encode(body: &[u8]) -> Vec<u8> {
    let mut out = [0; FRAME];
    let length = cobs::encode(&mut out[1..], |out| {
        out[..body.len()].copy_from_slice(body);
        Ok(body.len())
    });
    out[..=length.unwrap()].to_vec()
}
