//! A host of a run: its queues to the ledger, its parked conversations and its power. Its endpoints are at the links.
use crate::auditor::Sender;
use atm_core::{
    host::Conversation,
    ledger::{Epoch, Name, Origin, Request, Response, Ticket},
    time::Instant,
};
use std::collections::{HashMap, HashSet, VecDeque};

/// A request on its way to the ledger.
#[derive(Debug)]
pub(super) struct SentRequest {
    /// When it arrives.
    pub(super) due: Instant,
    pub(super) sender: Sender,
    pub(super) request: Request,
}

/// A response on its way back.
#[derive(Debug)]
pub(super) struct SentResponse {
    /// When it arrives.
    pub(super) due: Instant,
    pub(super) ticket: Ticket,
    pub(super) origin: Origin,
    pub(super) response: Response,
}

/// A host.
#[derive(Debug)]
pub(super) struct SimulatedHost {
    pub(super) number: u32,
    /// Random bytes of its start.
    pub(super) salt: u64,
    pub(super) is_up: bool,
    pub(super) restarts_at: Option<Instant>,
    pub(super) requests: VecDeque<SentRequest>,
    pub(super) responses: VecDeque<SentResponse>,
    /// Parked conversations, and when each expires.
    pub(super) parked: Vec<(Instant, Conversation)>,
    /// The requests whose responses were taken.
    pub(super) completed: HashSet<Ticket>,
    /// The epoch of the last hello that each terminal's conversation was given by the driver.
    pub(super) epochs: HashMap<Name, Epoch>,
}

impl SimulatedHost {
    pub(super) fn new(number: u32) -> Self {
        Self {
            number,
            salt: 0x5a17 + u64::from(number),
            is_up: true,
            restarts_at: None,
            requests: VecDeque::new(),
            responses: VecDeque::new(),
            parked: Vec::new(),
            completed: HashSet::new(),
            epochs: HashMap::new(),
        }
    }

    /// When something happens here next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let request = self.requests.front().map(|sent| sent.due);
        let response = self.responses.front().map(|sent| sent.due);
        let parked = self.parked.iter().map(|(until, _)| *until).min();
        [request, response, parked, self.restarts_at].into_iter().flatten().min()
    }

    /// Takes the requests that have arrived.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(Sender, Request)> {
        let mut batch = Vec::new();
        while self.requests.front().is_some_and(|sent| sent.due <= now) {
            batch.extend(self.requests.pop_front().map(|sent| (sent.sender, sent.request)));
        }
        batch
    }

    /// The host loses power until `back`: it keeps nothing. Returns its requests, which may still be committed.
    pub(super) fn crash(&mut self, back: Instant) -> Vec<(Sender, Request)> {
        self.is_up = false;
        self.restarts_at = Some(back);
        self.parked.clear();
        self.responses.clear();
        std::mem::take(&mut self.requests).into_iter().map(|sent| (sent.sender, sent.request)).collect()
    }
}
