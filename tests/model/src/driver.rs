//! A station and the ledger while something happens there: the drivers of the real endpoints.
use super::{
    audit::Violation,
    bounds::Bounds,
    channel::{self, Frame},
    ledger::ModelLedger,
    station::{Host, ModelLink, NOW, Station},
};
use atm_core::{
    host::{self, LinkKind},
    ledger::{Origin, Request},
    terminal::{Event, MessageText},
};

/// How long two endpoints may talk without anything coming in before it is called a loop.
const TURNS: usize = 100;

/// A station, the ledger, and how many frames a channel holds.
#[derive(Clone, Debug, Hash)]
pub(super) struct Driver {
    pub(super) station: Station,
    pub(super) ledger: ModelLedger,
    pub(super) capacity: usize,
}

/// Does the terminal's power fail before it has stored what it heard?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Power {
    Stays,
    Fails,
}

impl Driver {
    /// The power comes for the first time.
    pub(super) fn start(&mut self, bounds: &Bounds) {
        self.drain_terminal(Power::Stays, bounds);
        self.drain_newest_host();
    }

    /// What follows on a link that does what it should, up to where an operation is to be committed.
    pub(super) fn run_reliably(&mut self, bounds: &Bounds) {
        for _ in 0..TURNS {
            let at = self.station.links.len().saturating_sub(1);
            let Some(link) = self.station.links.last_mut() else { return };
            if let Some(frame) = link.to_terminal.take() {
                self.deliver_to_terminal(&frame, Power::Stays, bounds);
            } else if let Some(frame) = link.to_host.take() {
                self.deliver_to_host(at, &frame);
            } else {
                let waits = matches!(self.station.requests.first(), Some(Request::Operate { .. }));
                if !self.deliver_response() && (waits || !self.commit_next()) {
                    return;
                }
            }
        }
    }

    // The terminal's driver.

    /// The person types `text` at the open prompt; false where none is open.
    pub(super) fn type_answer(&mut self, text: &str, bounds: &Bounds) -> bool {
        let Some(Some(prompt)) = self.station.terminal.prompt() else { return false };
        if self.station.terminal.answer(Some(prompt), text, NOW).is_err() {
            return false;
        }
        self.station.audit.typed(prompt, text);
        self.drain_terminal(Power::Stays, bounds);
        true
    }

    /// A frame reaches the terminal.
    pub(super) fn deliver_to_terminal(&mut self, frame: &Frame, power: Power, bounds: &Bounds) {
        let mut rest: &[u8] = frame;
        for _ in 0..TURNS {
            let taken = self.station.terminal.feed(rest, NOW);
            rest = rest.get(taken..).unwrap_or_default();
            self.drain_events();
            if rest.is_empty() {
                break;
            }
        }
        self.drain_terminal(power, bounds);
    }

    /// The terminal's clock rings: it repeats what has no reply.
    pub(super) fn tick(&mut self, bounds: &Bounds) -> bool {
        let due = self.station.terminal.deadline().is_some_and(|deadline| deadline <= NOW);
        if due {
            self.station.terminal.tick(NOW);
            self.drain_terminal(Power::Stays, bounds);
        }
        due
    }

    /// The terminal gives up on the person, or the next one comes after the end of a session.
    pub(super) fn next_person(&mut self, bounds: &Bounds) {
        if !self.station.terminal.is_over() {
            self.station.audit.person_left();
            self.station.terminal.give_up();
        }
        self.reconnect(bounds, bounds.link == LinkKind::Connection && self.station.terminal.is_over());
    }

    /// The terminal says hello again, on a new link if there is to be one.
    pub(super) fn reconnect(&mut self, bounds: &Bounds, anew: bool) {
        if self.station.terminal.is_over() {
            self.station.audit.person_left();
        }
        if anew {
            self.station.open_link(bounds);
        }
        self.station.terminal.reconnect(NOW);
        self.drain_terminal(Power::Stays, bounds);
        self.drain_newest_host();
    }

    /// The terminal loses its power.
    pub(super) fn crash_terminal(&mut self, bounds: &Bounds) {
        self.station.crash_terminal(bounds);
        self.drain_terminal(Power::Stays, bounds);
        self.drain_newest_host();
    }

    /// Everything that the terminal's driver does after a call, in its order: show, store, send.
    pub(super) fn drain_terminal(&mut self, power: Power, bounds: &Bounds) {
        self.drain_events();
        if power == Power::Fails {
            self.crash_terminal(bounds);
            return;
        }
        self.station.stored = self.station.terminal.memory();
        for _ in 0..TURNS {
            let output = self.station.terminal.output().to_vec();
            if output.is_empty() {
                return;
            }
            self.station.terminal.consume(output.len());
            if let Some(attempt) = channel::attempt(&output) {
                self.station.hellos = attempt;
            }
            if let Some(link) = self.station.links.last_mut() {
                link.to_host.send(&output, self.capacity);
            }
        }
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.station.terminal.poll_event(NOW) {
            let Event::Message(said) = event else { continue };
            let Some(seq) = said.seq else { continue };
            let asks = match &said.text {
                MessageText::Screens(screens) => screens.last().filter(|screen| screen.is_prompt()).copied(),
                _ => None,
            };
            self.station.audit.shown(seq, said.re, said.outcome, asks);
        }
    }

    // The host's driver.

    /// A frame reaches the host's end of a link; false where it is not taken yet.
    pub(super) fn deliver_to_host(&mut self, at: usize, frame: &Frame) -> bool {
        let Some(host) = self.station.links.get_mut(at).and_then(|link| link.host.as_mut()) else {
            return false;
        };
        let taken = host.feed(frame, NOW);
        self.drain_host(at);
        taken == frame.len()
    }

    /// The idle time of a prompt is over; false where none runs.
    pub(super) fn idle_timeout(&mut self, at: usize) -> bool {
        let Some(host) = self.station.links.get_mut(at).and_then(|link| link.host.as_mut()) else {
            return false;
        };
        if host.deadline().is_none_or(|deadline| deadline > NOW) {
            return false;
        }
        host.tick(NOW);
        self.drain_host(at);
        true
    }

    /// The host notices that nobody is at the other end of a link any more.
    pub(super) fn close_link(&mut self, at: usize) {
        let conversation =
            self.station.links.get_mut(at).and_then(|link| link.host.take()).and_then(|mut host| host.park());
        if conversation.is_some() {
            self.station.parked = conversation;
        }
    }

    /// What the host says on a link that was just opened.
    fn drain_newest_host(&mut self) {
        self.drain_host(self.station.links.len().saturating_sub(1));
    }

    /// Everything that the host's driver does after a call.
    pub(super) fn drain_host(&mut self, at: usize) {
        for _ in 0..TURNS {
            let present = at + 1 == self.station.links.len();
            let Some(ModelLink { host: Some(host), to_terminal, .. }) = self.station.links.get_mut(at) else {
                return;
            };
            let event = host.poll_event();
            let output = host.output().to_vec();
            if !output.is_empty() {
                // Nobody reads what comes down a link that was left.
                if present {
                    to_terminal.send(&output, self.capacity);
                }
                host.consume(output.len(), NOW);
            }
            match event {
                Some(host::Event::Request(request)) => self.station.requests.push(request),
                Some(host::Event::Arrival(_)) => self.admit(at),
                Some(host::Event::Quit) => {}
                None if output.is_empty() => {
                    if host.is_finished() {
                        self.close_link(at);
                    }
                    return;
                }
                None => {}
            }
        }
    }

    /// A terminal came here whose conversation may be held elsewhere.
    fn admit(&mut self, at: usize) {
        let host = self.station.links.get(at).and_then(|link| link.host.as_ref());
        let Some(hello) = host.and_then(Host::incoming_hello).cloned() else { return };
        let held = self.station.held_at().filter(|held| *held != at);
        let parked = &self.station.parked;
        let elsewhere =
            held.and_then(|held| self.station.links.get(held)).and_then(|link| link.host.as_ref());
        let yields = parked
            .as_ref()
            .or(elsewhere.and_then(Host::conversation))
            .is_none_or(|conversation| conversation.admits(&hello));
        let mut conversation = None;
        if yields {
            conversation = self.station.parked.take();
            if let (None, Some(held)) = (&conversation, held) {
                let older = self.station.links.get_mut(held).and_then(|link| link.host.as_mut());
                conversation = older.and_then(|host| host.take_over(NOW));
                self.drain_host(held);
            }
        }
        let Some(host) = self.station.links.get_mut(at).and_then(|link| link.host.as_mut()) else { return };
        match yields {
            true => host.admit(conversation, NOW),
            false => host.refuse(NOW),
        }
    }

    // The ledger.

    /// The ledger carries out a request.
    pub(super) fn commit(&mut self, request: &Request) -> Option<atm_core::ledger::Response> {
        let before = self.ledger.balance();
        let Ok(response) = self.ledger.apply(request) else {
            self.station.audit.violate(Violation::LedgerFailed);
            return None;
        };
        self.station.audit.committed(request, &response, before, self.ledger.balance());
        Some(response)
    }

    /// The next request reaches the ledger.
    pub(super) fn commit_next(&mut self) -> bool {
        if self.station.requests.is_empty() {
            return false;
        }
        let request = self.station.requests.remove(0);
        if let Some(response) = self.commit(&request) {
            self.station.responses.push((request, response));
        }
        true
    }

    /// The next response reaches the terminal's present endpoint, or its parked conversation.
    pub(super) fn deliver_response(&mut self) -> bool {
        if self.station.responses.is_empty() {
            return false;
        }
        let (request, response) = self.station.responses.remove(0);
        debug_assert_eq!(request.origin(), Origin::Terminal(self.station.name.clone()));
        if let Some(at) = self.station.held_at() {
            if let Some(host) = self.station.links.get_mut(at).and_then(|link| link.host.as_mut()) {
                host.complete(&request, response, NOW);
            }
            self.drain_host(at);
        } else if let Some(conversation) = &mut self.station.parked {
            let next = conversation.complete_parked(&request, response);
            self.station.requests.extend(next);
        }
        true
    }
}
