//! The drivers of one station's endpoints and of the ledger: they deliver frames, requests and responses.
use super::{
    audit::Violation,
    bounds::Bounds,
    cards::CardBank,
    channel::{self, Frame},
    ledger::ModelLedger,
    station::{Host, ModelLink, NOW, Station, key},
};
use atm_core::{
    host::{self, LinkKind},
    ledger::{Command, Request, Response},
    terminal::{Event, MessageText},
};

/// More rounds than an endpoint needs to process one event.
const MAX_ROUNDS: usize = 100;

/// A station with the ledger. `capacity` is the number of frames in flight in each direction of a link.
#[derive(Clone, Debug, Hash)]
pub(super) struct Driver {
    pub(super) station: Station,
    pub(super) ledger: ModelLedger,
    pub(super) capacity: usize,
}

/// Does the terminal lose power before it has stored what it received?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TerminalPower {
    Stays,
    Fails,
}

/// Does the request ask for an operation?
pub(super) fn is_operation(request: &Request) -> bool {
    matches!(request.command, Command::Operate { .. } | Command::Card { .. })
}

impl Driver {
    /// The terminal starts for the first time.
    pub(super) fn start(&mut self, bounds: &Bounds) {
        self.drain_terminal(TerminalPower::Stays, bounds);
        self.drain_newest_host();
    }

    /// Delivers everything on a reliable link at once, up to the commit of an operation.
    pub(super) fn run_reliably(&mut self, bounds: &Bounds) {
        for _ in 0..MAX_ROUNDS {
            let at = self.station.links.len().saturating_sub(1);
            let Some(link) = self.station.links.last_mut() else { return };
            if let Some(frame) = link.to_terminal.take() {
                self.deliver_to_terminal(&frame, TerminalPower::Stays, bounds);
            } else if let Some(frame) = link.to_host.take() {
                self.deliver_to_host(at, &frame);
            } else {
                let next = self.station.hosts.first().and_then(|host| host.requests.first());
                let is_operation = next.is_some_and(is_operation);
                if !self.deliver_response(0) && (is_operation || !self.commit_next(0)) {
                    return;
                }
            }
        }
    }

    // Driver of the terminal.

    /// The person types `text` at the open prompt; false if no prompt is open.
    pub(super) fn type_answer(&mut self, text: &str, bounds: &Bounds) -> bool {
        let Some(Some(prompt)) = self.station.terminal.prompt() else { return false };
        if self.station.terminal.answer(Some(prompt), text, NOW).is_err() {
            return false;
        }
        self.station.audit.typed(prompt, text);
        self.drain_terminal(TerminalPower::Stays, bounds);
        true
    }

    /// A frame reaches the terminal.
    pub(super) fn deliver_to_terminal(&mut self, frame: &Frame, power: TerminalPower, bounds: &Bounds) {
        let mut rest: &[u8] = frame;
        for _ in 0..MAX_ROUNDS {
            let taken = self.station.terminal.feed(rest, NOW);
            rest = rest.get(taken..).unwrap_or_default();
            self.drain_events();
            if rest.is_empty() {
                break;
            }
        }
        self.drain_terminal(power, bounds);
    }

    /// The terminal's deadline passes: it retransmits what has no reply; false if it has no deadline.
    pub(super) fn tick(&mut self, bounds: &Bounds) -> bool {
        let due = self.station.terminal.deadline().is_some_and(|deadline| deadline <= NOW);
        if due {
            self.station.terminal.tick(NOW);
            self.drain_terminal(TerminalPower::Stays, bounds);
        }
        due
    }

    /// The terminal gives up and the person leaves, or the next person comes after the end of a session.
    pub(super) fn next_person(&mut self, bounds: &Bounds) {
        if !self.station.terminal.is_over() {
            self.station.audit.person_left();
            self.station.terminal.give_up();
        }
        let anew = bounds.link == LinkKind::Connection && self.station.terminal.is_over();
        self.reconnect(bounds, anew.then(|| self.station.server()));
    }

    /// The terminal says hello again, on a new link if `server` is the host to connect to.
    pub(super) fn reconnect(&mut self, bounds: &Bounds, server: Option<usize>) {
        if self.station.terminal.is_over() {
            self.station.audit.person_left();
        }
        if let Some(server) = server {
            self.station.open_link(server, bounds);
        }
        self.station.terminal.reconnect(NOW);
        self.drain_terminal(TerminalPower::Stays, bounds);
        self.drain_newest_host();
    }

    /// The terminal loses power and restarts.
    pub(super) fn crash_terminal(&mut self, bounds: &Bounds) {
        self.station.crash_terminal(bounds);
        self.drain_terminal(TerminalPower::Stays, bounds);
        self.drain_newest_host();
    }

    /// What every driver of a terminal does after a call: shows events, then stores memory, then sends
    /// output.
    pub(super) fn drain_terminal(&mut self, power: TerminalPower, bounds: &Bounds) {
        self.drain_events();
        if power == TerminalPower::Fails {
            self.crash_terminal(bounds);
            return;
        }
        self.station.stored = self.station.terminal.memory();
        for _ in 0..MAX_ROUNDS {
            let output = self.station.terminal.output().to_vec();
            if output.is_empty() {
                return;
            }
            self.station.terminal.consume(output.len());
            self.station.attacker.hear(&output);
            if let Some(attempt) = channel::hello_attempt(&output) {
                self.station.hellos = attempt;
            }
            if let Some(link) = self.station.links.last_mut() {
                link.to_host.send(&output, self.capacity);
            }
        }
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.station.terminal.poll_event(NOW) {
            if let Event::LedgerSetBack { .. } = event {
                self.station.audit.violate(Violation::SetBack);
            }
            let Event::Message(message) = event else { continue };
            let Some(seq) = message.seq else { continue };
            let screens = match &message.text {
                MessageText::Screens(screens) => screens.as_slice(),
                _ => &[],
            };
            self.station.audit.shown(seq, message.re, message.outcome, screens);
        }
    }

    // Driver of the host.

    /// A frame reaches the host's end of a link; false if the host does not accept it yet.
    pub(super) fn deliver_to_host(&mut self, at: usize, frame: &Frame) -> bool {
        let Some(host) = self.station.links.get_mut(at).and_then(|link| link.host.as_mut()) else {
            return false;
        };
        let taken = host.feed(frame, NOW);
        self.drain_host(at);
        taken == frame.len()
    }

    /// The idle time of a prompt ends; false if none runs.
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

    /// The host closes a dead link and parks the conversation.
    pub(super) fn close_link(&mut self, at: usize) {
        let Some(link) = self.station.links.get_mut(at) else { return };
        let conversation = link.host.take().and_then(|mut host| host.park());
        if conversation.is_some()
            && let Some(host) = self.station.hosts.get_mut(link.server)
        {
            host.parked = conversation;
        }
    }

    /// Drains the host on a link that was just opened.
    fn drain_newest_host(&mut self) {
        self.drain_host(self.station.links.len().saturating_sub(1));
    }

    /// What every driver of a host does after a call: handles events and sends output until there is neither.
    pub(super) fn drain_host(&mut self, at: usize) {
        for _ in 0..MAX_ROUNDS {
            let present = at + 1 == self.station.links.len();
            let Some(ModelLink { server, host: Some(host), to_terminal, .. }) =
                self.station.links.get_mut(at)
            else {
                return;
            };
            let event = host.poll_event();
            let output = host.output().to_vec();
            if !output.is_empty() {
                self.station.attacker.hear(&output);
                // The terminal does not read its older links.
                if present {
                    to_terminal.send(&output, self.capacity);
                }
                host.consume(output.len(), NOW);
            }
            match event {
                Some(host::Event::Request(request)) => {
                    let server = *server;
                    self.station.hosts[server].requests.push(request);
                }
                Some(host::Event::Hello(_)) => self.admit(at),
                Some(host::Event::Key(claim)) => {
                    let key = key(&self.station.name, claim.step);
                    host.provide_key(Some(&key).filter(|_| claim.terminal == self.station.name), NOW);
                }
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

    /// Admits a hello, with the conversation that is parked or held on an older link, or refuses it.
    fn admit(&mut self, at: usize) {
        let Some(link) = self.station.links.get(at) else { return };
        let Some(hello) = link.host.as_ref().and_then(Host::incoming_hello).cloned() else { return };
        let server = link.server;
        let held = self.station.held_at(server).filter(|held| *held != at);
        let parked = self.station.hosts.get(server).and_then(|host| host.parked.as_ref());
        let elsewhere =
            held.and_then(|held| self.station.links.get(held)).and_then(|link| link.host.as_ref());
        let admits = parked
            .or(elsewhere.and_then(Host::conversation))
            .is_none_or(|conversation| conversation.admits(&hello));
        let mut conversation = None;
        if admits {
            conversation = self.station.hosts.get_mut(server).and_then(|host| host.parked.take());
            if let (None, Some(held)) = (&conversation, held) {
                let older = self.station.links.get_mut(held).and_then(|link| link.host.as_mut());
                conversation = older.and_then(|host| host.take_over(NOW));
                self.drain_host(held);
            }
        }
        let Some(host) = self.station.links.get_mut(at).and_then(|link| link.host.as_mut()) else { return };
        match admits {
            true => host.admit(conversation, NOW),
            false => host.refuse(NOW),
        }
    }

    // Driver of the ledger.

    /// The ledger commits a request of a host, and the audit sees it.
    pub(super) fn commit(&mut self, server: usize, request: &Request) -> Option<Response> {
        let before = self.ledger.balance();
        let rows = self.ledger.cards.as_ref().map(CardBank::rows);
        let Ok(response) = self.ledger.apply(request) else {
            self.station.audit.violate(Violation::LedgerFailed);
            return None;
        };
        self.station.audit.responded(server, request, &response);
        let moves = match (&mut self.ledger.cards, rows) {
            (Some(cards), Some(rows)) => self.station.audit.judge_cards(request, &response, cards, &rows),
            _ => before != self.ledger.balance(),
        };
        self.station.audit.committed(request, &response, (before, self.ledger.balance()), moves);
        Some(response)
    }

    /// The ledger commits the next request of a host; false if there is none.
    pub(super) fn commit_next(&mut self, server: usize) -> bool {
        let Some(host) = self.station.hosts.get_mut(server).filter(|host| !host.requests.is_empty()) else {
            return false;
        };
        let request = host.requests.remove(0);
        if let Some(response) = self.commit(server, &request)
            && let Some(host) = self.station.hosts.get_mut(server)
        {
            host.responses.push((request.ticket, response));
        }
        true
    }

    /// The next response reaches the endpoint of the host that holds the conversation now, or the parked one; false
    /// if there is none.
    pub(super) fn deliver_response(&mut self, server: usize) -> bool {
        let held = self.station.held_at(server);
        let Some(side) = self.station.hosts.get_mut(server).filter(|side| !side.responses.is_empty()) else {
            return false;
        };
        let (ticket, response) = side.responses.remove(0);
        if let Some(at) = held {
            if let Some(host) = self.station.links.get_mut(at).and_then(|link| link.host.as_mut()) {
                host.complete(ticket, response, NOW);
            }
            self.drain_host(at);
        } else if let Some(conversation) = &mut side.parked {
            side.requests.extend(conversation.complete_parked(ticket, response));
        }
        true
    }

    /// The ledger is replaced by its copy; false if there is none.
    pub(super) fn set_back(&mut self) -> bool {
        self.station.set_backs -= 1;
        self.station.audit.set_back();
        self.ledger.set_back()
    }

    /// The ledger is copied.
    pub(super) fn copy_ledger(&mut self) {
        self.station.audit.copy();
        self.ledger.copy();
    }
}
