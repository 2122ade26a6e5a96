//! One link between a terminal and the host, and the host's end of it.
use atm_core::{
    host::{self, Host, IN, LinkKind, OUT},
    time::Instant,
};
use firmware_sim::fault_injector::{Chances, FaultyLink};

/// A link, by a number that no other has.
pub(super) struct SimulatedLink {
    pub(super) number: u64,
    pub(super) up: FaultyLink,
    pub(super) down: FaultyLink,
    pub(super) end: Option<End>,
}

/// The host's end.
pub(super) struct End {
    pub(super) host: Host<IN, OUT>,
    /// What came in and was not taken yet.
    held: Vec<u8>,
}

impl SimulatedLink {
    pub(super) fn new(number: u64, chances: Chances, baud: u32, seed: u64) -> Self {
        let (up, down) =
            (FaultyLink::new(chances, baud, seed), FaultyLink::new(chances, baud, seed.rotate_left(17)));
        Self { number, up, down, end: None }
    }

    /// The host takes up its end.
    pub(super) fn open(&mut self, config: host::Config, now: Instant) {
        self.end = Some(End { host: Host::new(config, self.number, now), held: Vec::new() });
    }

    /// When something happens here next.
    pub(super) fn due(&self) -> Option<Instant> {
        let end = self.end.as_ref().and_then(|end| end.host.deadline());
        [self.up.due(), self.down.due(), end].into_iter().flatten().min()
    }

    /// Moves bytes into the host and out of it; true where anything moved.
    pub(super) fn pump(&mut self, now: Instant) -> bool {
        let mut moved = false;
        let arrived = std::iter::from_fn(|| self.up.receive(now)).flatten().collect::<Vec<u8>>();
        // What comes while nobody is there is lost.
        let Some(end) = &mut self.end else { return false };
        end.held.extend(arrived);
        if end.host.deadline().is_some_and(|deadline| deadline <= now) {
            end.host.tick(now);
            moved = true;
        }
        if !end.held.is_empty() {
            let taken = end.host.feed(&end.held, now);
            end.held.drain(..taken);
            moved |= taken > 0;
        }
        if !end.host.output().is_empty() {
            let output = end.host.output().to_vec();
            end.host.consume(output.len(), now);
            self.down.send(&output, now);
            moved = true;
        }
        moved
    }

    /// Is this a connection whose host is done with it?
    pub(super) fn is_finished(&self, kind: LinkKind) -> bool {
        kind == LinkKind::Connection && self.end.as_ref().is_some_and(|end| end.host.is_finished())
    }
}
