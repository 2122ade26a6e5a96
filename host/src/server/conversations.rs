//! Where each named terminal's conversation is held: on a connection, or parked until the terminal comes back.
use atm_core::{
    host::Conversation,
    ledger::{Name, Origin},
    time::Instant,
};
use mio::Token;
use std::collections::{HashMap, VecDeque};

/// Where a conversation is held.
#[derive(Debug)]
pub(super) enum Location {
    /// By the endpoint of this connection.
    Connected(Token),
    /// Here: its line dropped.
    Parked(Box<Conversation>),
}

/// The conversations of named terminals.
#[derive(Debug, Default)]
pub(super) struct ConversationTable {
    locations: HashMap<Name, Location>,
    names: HashMap<Token, Name>,
    /// When whom to forget; all are parked for the same time, so the first is the oldest. A terminal that came back in
    /// between is found connected, or parked under a later time.
    parked: VecDeque<(Instant, Name)>,
}

impl ConversationTable {
    pub(super) fn location(&self, name: &Name) -> Option<&Location> {
        self.locations.get(name)
    }

    pub(super) fn location_mut(&mut self, name: &Name) -> Option<&mut Location> {
        self.locations.get_mut(name)
    }

    /// Takes a parked conversation.
    pub(super) fn unpark(&mut self, name: &Name) -> Option<Conversation> {
        match self.locations.remove(name)? {
            Location::Parked(conversation) => {
                self.parked.retain(|(_, parked)| parked != name);
                Some(*conversation)
            }
            Location::Connected(_) => None,
        }
    }

    /// `name` is at `token` from now on.
    pub(super) fn connect(&mut self, name: Name, token: Token) {
        self.disconnect(token);
        if let Some(Location::Connected(before)) =
            self.locations.insert(name.clone(), Location::Connected(token))
        {
            self.names.remove(&before);
        }
        self.names.insert(token, name);
    }

    /// Parks a conversation whose connection is gone, until `until`; at most `most` of them, the oldest goes first.
    pub(super) fn park(
        &mut self,
        token: Token,
        conversation: Conversation,
        until: Instant,
        max_parked: usize,
    ) {
        let Origin::Terminal(name) = conversation.origin().clone() else { return };
        // Taken over in the meantime: what is held elsewhere is newer.
        if self.names.remove(&token).is_none() {
            return;
        }
        self.locations.insert(name.clone(), Location::Parked(Box::new(conversation)));
        self.parked.push_back((until, name));
        while self.parked.len() > max_parked {
            self.drop_oldest_parked();
        }
    }

    /// The connection is gone and holds nothing.
    pub(super) fn disconnect(&mut self, token: Token) {
        if let Some(name) = self.names.remove(&token)
            && matches!(self.locations.get(&name), Some(Location::Connected(held)) if *held == token)
        {
            self.locations.remove(&name);
        }
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.parked.front().map(|(until, _)| *until)
    }

    /// Forgets whom nobody came back for.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.next_deadline().is_some_and(|until| until <= now) {
            self.drop_oldest_parked();
        }
    }

    fn drop_oldest_parked(&mut self) {
        if let Some((_, name)) = self.parked.pop_front()
            && matches!(self.locations.get(&name), Some(Location::Parked(_)))
        {
            self.locations.remove(&name);
        }
    }
}
