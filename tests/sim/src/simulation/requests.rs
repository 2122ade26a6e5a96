//! The hosts' driver: carries requests to the ledger and responses back, and moves conversations.
use super::{
    Simulation,
    host::{SentRequest, SentResponse},
};
use crate::{auditor::Sender, ledger::PowerLost};
use atm_core::{
    host::{Conversation, Event},
    ledger::{Command, Name, Origin, Request, Response},
    message::Hello,
    time::Duration,
};

/// Can this be a request of a terminal with a key?
fn is_sealed(request: &Request) -> bool {
    let is_clear = matches!(&request.command, Command::Hello(claim) if claim.epoch.series == 0);
    matches!(request.origin, Origin::Terminal(_)) && !is_clear
}

impl Simulation {
    /// Delivers the requests and responses that are due; true if there were any.
    pub(super) fn serve_ledger(&mut self) -> bool {
        let mut progress = false;
        for host in 0..self.hosts.len() {
            progress |= self.serve_host(host);
        }
        let now = self.now;
        let duplicates = self.duplicate_requests.extract_if(.., |(_, sent)| sent.due <= now);
        for (host, sent) in duplicates.collect::<Vec<_>>() {
            let responses = self.commit(host, vec![(sent.sender, sent.request)]);
            // The host may have answered the terminal since.
            self.queue_responses(host, responses);
            progress = true;
        }
        progress
    }

    fn serve_host(&mut self, host: usize) -> bool {
        let now = self.now;
        self.hosts[host].parked.retain(|(until, conversation)| *until > now || conversation.is_busy());
        let batch = self.hosts[host].take_due(now);
        let mut progress = !batch.is_empty();
        let responses = self.commit(host, batch);
        self.queue_responses(host, responses);
        while self.hosts[host].responses.front().is_some_and(|sent| sent.due <= now) {
            let Some(sent) = self.hosts[host].responses.pop_front() else { break };
            self.respond(host, sent);
            progress = true;
        }
        progress
    }

    /// Sends responses back to their host.
    fn queue_responses(&mut self, host: usize, responses: Vec<(Request, Response)>) {
        // A host that lost power meanwhile has lost its connection to the ledger.
        if !self.hosts[host].is_up {
            return;
        }
        for (Request { ticket, origin, .. }, response) in responses {
            let due = self.now + Duration::from_millis(self.rng.u32(0..50));
            let last = self.hosts[host].responses.back().map(|sent| sent.due);
            let due = last.map_or(due, |last| due.max(last));
            self.hosts[host].responses.push_back(SentResponse { due, ticket, origin, response });
        }
    }

    /// Commits a batch; no responses if the host loses power meanwhile.
    fn commit(&mut self, host: usize, batch: Vec<(Sender, Request)>) -> Vec<(Request, Response)> {
        if batch.is_empty() {
            return Vec::new();
        }
        match self.ledger.commit(host, batch, self.wall(host), &mut self.rng, &mut self.auditor) {
            Ok(responses) => {
                for (request, response) in &responses {
                    self.auditor
                        .trace(self.now, || format!("ledger, host {host}: {request:?} -> {response:?}"));
                }
                responses
            }
            Err(PowerLost) => {
                if self.hosts[host].is_up {
                    self.crash_host(host, self.now + Duration::from_millis(500));
                }
                Vec::new()
            }
        }
    }

    /// Delivers a response to the endpoint of the host that holds the conversation now, or to the parked one.
    fn respond(&mut self, host: usize, sent: SentResponse) {
        let SentResponse { ticket, origin, response, .. } = sent;
        for link in self.stations.iter_mut().flat_map(|station| &mut station.links) {
            if link.host == host
                && let Some(end) = &mut link.host_end
                && end.host.conversation().is_some_and(|conversation| *conversation.origin() == origin)
            {
                if end.host.complete(ticket, response, self.now) && !self.hosts[host].completed.insert(ticket)
                {
                    self.auditor.violation(format!("{origin:?}: two responses to {ticket:?} were taken"));
                }
                return;
            }
        }
        let mut parked = self.hosts[host].parked.iter_mut().map(|(_, conversation)| conversation);
        if let Some(conversation) = parked.find(|conversation| *conversation.origin() == origin)
            && let Some(next) = conversation.complete_parked(ticket, response)
        {
            self.send_request(host, next);
        }
    }

    /// Sends a request to the ledger, sometimes late, and sometimes twice.
    fn send_request(&mut self, host: usize, request: Request) {
        if self.attacker.is_some() && !is_sealed(&request) {
            self.auditor.violation(format!("{request:?} does not come from a sealed link"));
        }
        self.auditor.requested(&request, self.idle_timeout, self.now);
        let sender = self.auditor.sent(self.hosts[host].number, &request);
        let delay = if self.rng.u32(0..10) == 0 { self.rng.u32(0..5_000) } else { self.rng.u32(0..20) };
        let due = self.now + Duration::from_millis(delay);
        let due = self.hosts[host].requests.back().map_or(due, |last| due.max(last.due));
        // A driver may retransmit a request of which it has lost track: the idempotency key makes that safe.
        if self.has_faults() && self.rng.u32(0..50) == 0 {
            let due = due + Duration::from_millis(self.rng.u32(1..10_000));
            self.duplicate_requests.push((host, SentRequest { due, sender, request: request.clone() }));
        }
        self.hosts[host].requests.push_back(SentRequest { due, sender, request });
    }

    /// Handles an event of the host's end of a link; true if there was one.
    pub(super) fn handle_event(&mut self, index: usize, at: usize) -> bool {
        let link = &mut self.stations[index].links[at];
        let Some(end) = &mut link.host_end else { return false };
        let Some(event) = end.host.poll_event() else { return false };
        let host = link.host;
        self.auditor.trace(self.now, || format!("host {host}, link {}: {event:?}", link.number));
        match event {
            Event::Request(request) => self.send_request(host, request),
            Event::Key(claim) => {
                let key = self.key(&claim);
                if let Some(end) = &mut self.stations[index].links[at].host_end {
                    end.host.provide_key(key.as_ref(), self.now);
                }
            }
            Event::Quit => self.auditor.violation("an unauthorised person stopped the host".to_owned()),
            Event::Hello(name) => {
                let Some(hello) = end.host.incoming_hello().cloned() else { return true };
                let taken = self.take_conversation(&name, &hello, (index, at));
                if let Some(end) = &mut self.stations[index].links[at].host_end {
                    match taken {
                        Ok(conversation) => end.host.admit(conversation, self.now),
                        Err(()) => end.host.refuse(self.now),
                    }
                }
            }
        }
        true
    }

    /// Takes a terminal's conversation, if the host of the link `here` has one, from where it is parked or held.
    ///
    /// # Errors
    /// The conversation does not admit the hello.
    fn take_conversation(
        &mut self,
        name: &Name,
        hello: &Hello,
        here: (usize, usize),
    ) -> Result<Option<Conversation>, ()> {
        let host = self.stations[here.0].links[here.1].host;
        let origin = Origin::Terminal(name.clone());
        let is_its = |conversation: &Conversation| *conversation.origin() == origin;
        let parked = &mut self.hosts[host].parked;
        let mut taken = Ok(None);
        if let Some(place) = parked.iter().position(|(_, conversation)| is_its(conversation)) {
            taken = if parked[place].1.admits(hello) {
                let (_, conversation) = parked.swap_remove(place);
                Ok(Some(conversation).filter(|held| !held.is_idle(self.idle_timeout, self.now)))
            } else {
                Err(())
            };
        } else {
            for (index, station) in self.stations.iter_mut().enumerate() {
                for (at, link) in station.links.iter_mut().enumerate() {
                    let Some(end) = &mut link.host_end else { continue };
                    if link.host == host
                        && (index, at) != here
                        && let Some(conversation) = end.host.conversation().filter(|held| is_its(held))
                    {
                        taken = if conversation.admits(hello) {
                            Ok(end.host.take_over(self.now))
                        } else {
                            Err(())
                        };
                    }
                }
            }
        }
        if let Ok(held) = &taken
            && self.hosts[host].epochs.insert(name.clone(), hello.epoch()) == Some(hello.epoch())
            && held.as_ref().is_some_and(|held| !held.is_over())
        {
            self.auditor.violation(format!("{name}: an equal hello took over: {:?}", hello.epoch()));
        }
        taken
    }
}
