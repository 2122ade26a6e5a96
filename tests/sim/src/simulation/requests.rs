//! The host's driver: carries requests to the ledger and responses back, and moves conversations.
use super::Simulation;
use crate::ledger::PowerLost;
use atm_core::{
    host::{Conversation, Event},
    ledger::{Name, Origin, Request, Response},
    message::Hello,
    time::Duration,
};

impl Simulation {
    /// Delivers the requests and responses that are due; true if there were any.
    pub(super) fn serve_ledger(&mut self) -> bool {
        let mut progress = false;
        self.parked.retain(|(until, conversation)| *until > self.now || conversation.is_busy());
        let mut batch = Vec::new();
        while self.requests.front().is_some_and(|(due, _)| *due <= self.now) {
            batch.extend(self.requests.pop_front().map(|(_, request)| request));
        }
        progress |= !batch.is_empty();
        for (request, response) in self.commit(batch) {
            let due = self.now + Duration::from_millis(self.rng.u32(0..50));
            let due = self.responses.back().map_or(due, |(last, ..)| due.max(*last));
            self.responses.push_back((due, request, response));
        }
        let now = self.now;
        for (_, request) in self.duplicate_requests.extract_if(.., |(due, _)| *due <= now).collect::<Vec<_>>()
        {
            self.commit(vec![request]);
            progress = true;
        }
        while self.responses.front().is_some_and(|(due, ..)| *due <= self.now) {
            let Some((_, request, response)) = self.responses.pop_front() else { break };
            self.respond(&request, response);
            progress = true;
        }
        progress
    }

    /// Commits a batch; no responses if the host loses power meanwhile.
    fn commit(&mut self, batch: Vec<Request>) -> Vec<(Request, Response)> {
        if batch.is_empty() {
            return Vec::new();
        }
        match self.ledger.commit(batch, &mut self.rng, &mut self.auditor) {
            Ok(responses) => {
                for (request, response) in &responses {
                    self.auditor.trace(self.now, || format!("ledger: {request:?} -> {response:?}"));
                }
                responses
            }
            Err(PowerLost) => {
                if self.host_up {
                    self.crash_host(self.now + Duration::from_millis(500));
                }
                Vec::new()
            }
        }
    }

    /// Delivers a response to the endpoint that holds the conversation now, or to the parked one.
    fn respond(&mut self, request: &Request, response: Response) {
        let origin = request.origin();
        for link in self.stations.iter_mut().flat_map(|station| &mut station.links) {
            if let Some(end) = &mut link.host_end
                && end.host.conversation().is_some_and(|conversation| *conversation.origin() == origin)
            {
                end.host.complete(request, response, self.now);
                return;
            }
        }
        if let Some((_, conversation)) =
            self.parked.iter_mut().find(|(_, conversation)| *conversation.origin() == origin)
            && let Some(next) = conversation.complete_parked(request, response)
        {
            self.send_request(next);
        }
    }

    /// Sends a request to the ledger, sometimes late, and sometimes twice.
    fn send_request(&mut self, request: Request) {
        let delay = if self.rng.u32(0..10) == 0 { self.rng.u32(0..5_000) } else { self.rng.u32(0..20) };
        let due = self.now + Duration::from_millis(delay);
        let due = self.requests.back().map_or(due, |(last, _)| due.max(*last));
        // A driver may retransmit a request of which it has lost track: the idempotency key makes that safe.
        if self.next_power_loss.is_some() && self.rng.u32(0..50) == 0 {
            self.duplicate_requests
                .push((due + Duration::from_millis(self.rng.u32(1..10_000)), request.clone()));
        }
        self.requests.push_back((due, request));
    }

    /// Handles an event of the host's end of a link; true if there was one.
    pub(super) fn handle_event(&mut self, index: usize, at: usize) -> bool {
        let link = &mut self.stations[index].links[at];
        let Some(end) = &mut link.host_end else { return false };
        let Some(event) = end.host.poll_event() else { return false };
        self.auditor.trace(self.now, || format!("host, link {}: {event:?}", link.number));
        match event {
            Event::Request(request) => self.send_request(request),
            Event::Quit => self.auditor.violation("an unauthorised person stopped the host".to_owned()),
            Event::Hello(name) => {
                let Some(hello) = end.host.incoming_hello().cloned() else { return true };
                match self.take_conversation(&name, &hello, (index, at)) {
                    Ok(conversation) => {
                        if let Some(end) = &mut self.stations[index].links[at].host_end {
                            end.host.admit(conversation, self.now);
                        }
                    }
                    Err(()) => {
                        if let Some(end) = &mut self.stations[index].links[at].host_end {
                            end.host.refuse(self.now);
                        }
                    }
                }
            }
        }
        true
    }

    /// Takes a terminal's conversation, if there is one, from where it is parked or held.
    ///
    /// # Errors
    /// The conversation does not admit the hello.
    fn take_conversation(
        &mut self,
        name: &Name,
        hello: &Hello,
        here: (usize, usize),
    ) -> Result<Option<Conversation>, ()> {
        let origin = Origin::Terminal(name.clone());
        if let Some(place) = self.parked.iter().position(|(_, conversation)| *conversation.origin() == origin)
        {
            return match self.parked[place].1.admits(hello) {
                true => Ok(Some(self.parked.swap_remove(place).1)),
                false => Err(()),
            };
        }
        for (index, station) in self.stations.iter_mut().enumerate() {
            for (at, link) in station.links.iter_mut().enumerate() {
                let Some(end) = &mut link.host_end else { continue };
                if (index, at) == here
                    || end.host.conversation().is_none_or(|conversation| *conversation.origin() != origin)
                {
                    continue;
                }
                return match end.host.conversation().is_some_and(|conversation| conversation.admits(hello)) {
                    true => Ok(end.host.take_over(self.now)),
                    false => Err(()),
                };
            }
        }
        Ok(None)
    }
}
