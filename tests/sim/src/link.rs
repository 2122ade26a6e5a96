//! A link between a terminal and a host: two faulty directions, and the host's endpoint at one end.
use super::auditor::Auditor;
use atm_core::{
    host::{self, Host, IN, LinkKind, OUT},
    ledger::{Name, SessionId, card::CardKeys},
    time::Instant,
};
use firmware_sim::fault_injector::{Chances, FaultyLink};

/// A link.
pub(super) struct SimulatedLink {
    /// Unique in the run.
    pub(super) number: u64,
    /// The index of the host.
    pub(super) host: usize,
    pub(super) to_host: FaultyLink,
    pub(super) to_terminal: FaultyLink,
    /// `None` while the host has no power, and once it has closed the link.
    pub(super) host_end: Option<HostEnd>,
    /// What was sent since the attacker recorded last.
    pub(super) sent: Vec<Sent>,
}

/// What one side of a link has sent.
pub(super) struct Sent {
    pub(super) to_host: bool,
    pub(super) bytes: Vec<u8>,
}

/// The host's end of a link.
pub(super) struct HostEnd {
    pub(super) host: Host<IN, OUT>,
    /// Bytes that arrived and that the endpoint has not taken yet.
    unread: Vec<u8>,
    /// The terminals that it has had a conversation with since its last output.
    terminals: Vec<Name>,
}

impl HostEnd {
    fn note_terminal(&mut self) {
        let conversation = self.host.conversation();
        let name = conversation.and_then(|held| held.origin().terminal());
        self.terminals.extend(name.filter(|name| !self.terminals.contains(name)).cloned());
    }
}

impl SimulatedLink {
    pub(super) fn new(number: u64, host: usize, chances: Chances, baud: u32, seed: u64) -> Self {
        let (to_host, to_terminal) =
            (FaultyLink::new(chances, baud, seed), FaultyLink::new(chances, baud, seed.rotate_left(17)));
        Self { number, host, to_host, to_terminal, host_end: None, sent: Vec::new() }
    }

    /// The host opens its end.
    pub(super) fn open(&mut self, config: host::Config, cards: Option<CardKeys>, now: Instant) {
        let session = SessionId { host: u32::try_from(self.host).unwrap_or(u32::MAX), number: self.number };
        let mut host = Host::new(config, session, now);
        if let Some(keys) = cards {
            host.serve_cards(keys);
        }
        self.host_end = Some(HostEnd { host, unread: Vec::new(), terminals: Vec::new() });
    }

    /// When bytes arrive or the host's deadline passes next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let host = self.host_end.as_ref().and_then(|end| end.host.deadline());
        [self.to_host.due(), self.to_terminal.due(), host].into_iter().flatten().min()
    }

    /// The terminal sends `bytes`.
    pub(super) fn send_to_host(&mut self, bytes: Vec<u8>, now: Instant) {
        self.to_host.send(&bytes, now);
        self.sent.push(Sent { to_host: true, bytes });
    }

    /// Moves bytes into the host and out of it; true if there were any, or its deadline has passed.
    pub(super) fn pump(&mut self, now: Instant, auditor: &mut Auditor) -> bool {
        let mut progress = false;
        let arrived = std::iter::from_fn(|| self.to_host.receive(now)).flatten().collect::<Vec<u8>>();
        // Without a host, what arrives is lost.
        let Some(end) = &mut self.host_end else { return false };
        end.unread.extend(arrived);
        end.note_terminal();
        if end.host.deadline().is_some_and(|deadline| deadline <= now) {
            end.host.tick(now);
            progress = true;
        }
        if !end.unread.is_empty() {
            let taken = end.host.feed(&end.unread, now);
            end.unread.drain(..taken);
            progress |= taken > 0;
        }
        if !end.host.output().is_empty() {
            let output = end.host.output().to_vec();
            end.note_terminal();
            auditor.sent_bytes(&output);
            auditor.made(&std::mem::take(&mut end.terminals), &output);
            end.host.consume(output.len(), now);
            self.to_terminal.send(&output, now);
            self.sent.push(Sent { to_host: false, bytes: output });
            progress = true;
        }
        progress
    }

    /// Is this a connection that the host wants to close?
    pub(super) fn is_finished(&self, kind: LinkKind) -> bool {
        kind == LinkKind::Connection && self.host_end.as_ref().is_some_and(|end| end.host.is_finished())
    }
}
