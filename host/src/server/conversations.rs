//! Conversation table: locates each named terminal's conversation, at a connection or parked until the
//! terminal returns.
use atm_core::{
    host::Conversation,
    ledger::{Name, Origin},
    time::Instant,
};
use mio::Token;
use std::collections::{BTreeSet, HashMap};

/// Where a conversation is held.
#[derive(Debug)]
pub(super) enum Location {
    /// By the endpoint of this connection.
    Connected(Token),
    /// In this table, until then: its connection was lost or ended.
    Parked(Box<Conversation>, Instant),
}

/// The conversations of named terminals.
#[derive(Debug, Default)]
pub(super) struct ConversationTable {
    locations: HashMap<Name, Location>,
    names: HashMap<Token, Name>,
    /// The parked conversations, the one that expires next first.
    parked: BTreeSet<(Instant, Name)>,
}

impl ConversationTable {
    /// Whether no conversation is held, at a connection or parked.
    pub(super) fn is_empty(&self) -> bool {
        self.locations.is_empty()
    }

    pub(super) fn location(&self, name: &Name) -> Option<&Location> {
        self.locations.get(name)
    }

    pub(super) fn location_mut(&mut self, name: &Name) -> Option<&mut Location> {
        self.locations.get_mut(name)
    }

    /// Removes a parked conversation and returns it.
    pub(super) fn unpark(&mut self, name: &Name) -> Option<Conversation> {
        match self.locations.remove(name)? {
            Location::Parked(conversation, until) => {
                self.parked.remove(&(until, name.clone()));
                Some(*conversation)
            }
            Location::Connected(_) => None,
        }
    }

    /// Locates the conversation of `name` at the connection `token`.
    pub(super) fn connect(&mut self, name: Name, token: Token) {
        self.disconnect(token);
        if let Some(Location::Connected(before)) =
            self.locations.insert(name.clone(), Location::Connected(token))
        {
            self.names.remove(&before);
        }
        self.names.insert(token, name);
    }

    /// Parks a conversation whose connection was lost, until `until`. Beyond `max_parked` conversations, the
    /// oldest is dropped.
    pub(super) fn park(
        &mut self,
        token: Token,
        conversation: Conversation,
        until: Instant,
        max_parked: usize,
    ) {
        let Origin::Terminal(name) = conversation.origin().clone() else { return };
        // Another connection has taken the conversation over: what is held there is newer.
        if self.names.remove(&token).is_none() {
            return;
        }
        self.locations.insert(name.clone(), Location::Parked(Box::new(conversation), until));
        self.parked.insert((until, name));
        while self.parked.len() > max_parked {
            self.drop_oldest_parked();
        }
    }

    /// Forgets a connection that was closed and holds no conversation.
    pub(super) fn disconnect(&mut self, token: Token) {
        if let Some(name) = self.names.remove(&token)
            && matches!(self.locations.get(&name), Some(Location::Connected(held)) if *held == token)
        {
            self.locations.remove(&name);
        }
    }

    /// When [`expire`](Self::expire) is to be called.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.parked.first().map(|(until, _)| *until)
    }

    /// Drops the conversations whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.next_deadline().is_some_and(|until| until <= now) {
            self.drop_oldest_parked();
        }
    }

    fn drop_oldest_parked(&mut self) {
        if let Some((_, name)) = self.parked.pop_first() {
            self.locations.remove(&name);
        }
    }
}
