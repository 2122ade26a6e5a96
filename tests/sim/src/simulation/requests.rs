//! What the endpoints of a simulated day ask for, and how it comes to them.
use super::Simulation;
use crate::ledger::PowerLost;
use atm_core::{
    host::{Conversation, Event},
    ledger::{Name, Origin, Request, Response},
    message::Hello,
    time::Duration,
};
use atm_host::ledger::keeper::Answer;

impl Simulation {
    /// Requests reach the ledger and its responses the endpoints, each in its time.
    pub(super) fn serve_ledger(&mut self) -> bool {
        let mut moved = false;
        self.parked.retain(|(until, conversation)| *until > self.now || conversation.is_busy());
        let mut batch = Vec::new();
        while self.asked.front().is_some_and(|(due, _)| *due <= self.now) {
            batch.extend(self.asked.pop_front().map(|(_, request)| request));
        }
        moved |= !batch.is_empty();
        for (request, response) in self.commit(batch) {
            let due = self.now + Duration::from_millis(self.rng.u32(0..50));
            let due = self.answered.back().map_or(due, |(last, ..)| due.max(*last));
            self.answered.push_back((due, request, response));
        }
        let now = self.now;
        for (_, request) in self.echoes.extract_if(.., |(due, _)| *due <= now).collect::<Vec<_>>() {
            self.commit(vec![request]);
            moved = true;
        }
        while self.answered.front().is_some_and(|(due, ..)| *due <= self.now) {
            let Some((_, request, response)) = self.answered.pop_front() else { break };
            self.respond(&request, response);
            moved = true;
        }
        moved
    }

    /// Nobody is answered where the host loses power meanwhile.
    fn commit(&mut self, batch: Vec<Request>) -> Vec<Answer> {
        if batch.is_empty() {
            return Vec::new();
        }
        match self.ledger.commit(batch, &mut self.rng, &mut self.auditor) {
            Ok(answers) => {
                for (request, response) in &answers {
                    self.auditor.trace(self.now, || format!("ledger: {request:?} -> {response:?}"));
                }
                answers
            }
            Err(PowerLost) => {
                if self.host_up {
                    self.crash_host(self.now + Duration::from_millis(500));
                }
                Vec::new()
            }
        }
    }

    /// An outcome goes to the terminal's present endpoint.
    fn respond(&mut self, request: &Request, response: Response) {
        let origin = request.origin();
        for link in self.stations.iter_mut().flat_map(|station| &mut station.links) {
            if let Some(end) = &mut link.end
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
            self.ask(next);
        }
    }

    fn ask(&mut self, request: Request) {
        let late = if self.rng.u32(0..10) == 0 { self.rng.u32(0..5_000) } else { self.rng.u32(0..20) };
        let due = self.now + Duration::from_millis(late);
        let due = self.asked.back().map_or(due, |(last, _)| due.max(*last));
        // A driver that has lost sight of a request asks again, and both may arrive: ids make that safe.
        if self.next_crash.is_some() && self.rng.u32(0..50) == 0 {
            self.echoes.push((due + Duration::from_millis(self.rng.u32(1..10_000)), request.clone()));
        }
        self.asked.push_back((due, request));
    }

    /// Sees to what an endpoint asks for.
    pub(super) fn see_to(&mut self, index: usize, at: usize) -> bool {
        let link = &mut self.stations[index].links[at];
        let Some(end) = &mut link.end else { return false };
        let Some(event) = end.host.poll_event() else { return false };
        self.auditor.trace(self.now, || format!("host, link {}: {event:?}", link.number));
        match event {
            Event::Request(request) => self.ask(request),
            Event::Quit => self.auditor.violation("an unauthorised person stopped the host".to_owned()),
            Event::Arrival(name) => {
                let Some(hello) = end.host.incoming_hello().cloned() else { return true };
                match self.held_elsewhere(&name, &hello, (index, at)) {
                    Ok(conversation) => {
                        if let Some(end) = &mut self.stations[index].links[at].end {
                            end.host.admit(conversation, self.now);
                        }
                    }
                    Err(()) => {
                        if let Some(end) = &mut self.stations[index].links[at].end {
                            end.host.refuse(self.now);
                        }
                    }
                }
            }
        }
        true
    }

    /// Fetches a terminal's conversation from wherever it is held.
    fn held_elsewhere(
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
                let Some(end) = &mut link.end else { continue };
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
