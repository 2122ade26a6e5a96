//! Admission of connections: the limits of sessions, and a reserve beyond them for terminals whose conversation is held.
//!
//! Idle peers can fill the sessions, and a terminal whose connection drops for a moment would be kept out. So a few
//! connections beyond the limit wait in the reserve, without a greeting, for the hello of a conversation that is held.
//! That takes the place of the session that has been at its prompt for longest: an unnamed one, or, if there is none, a
//! named one, whose conversation is parked. Where a terminal proves its name by a key or a certificate, connections without a
//! proof make room first, and for every terminal with one. Any other connection is turned away. When the reserve has no place for another,
//! that is the oldest one of the address that has the most there: no peer pushes out those of other addresses. A name that only the ledger knows is not looked up: that would take a commit's time. The same
//! holds for the sessions of one address, but that none of them is ended.
//!
//! A session that is ended or taken over counts until its output is sent, so at most [`RESERVE`] sessions are beyond the
//! limit.
use super::{Connection, Server, conversations::Location};
use crate::log::SESSION;
use atm_core::{ledger::Name, message::Notice, time::Duration};
use mio::Token;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};
use tracing::{info, warn};

/// Connections in the reserve.
pub const RESERVE: usize = 16;

/// How long a connection in the reserve may take to say hello: a terminal says it at once.
const RESERVE_WAIT: Duration = Duration::from_secs(5);

/// What the peer of a session has shown of itself. A session of less makes room first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Neither a key nor a certificate yet, where one is needed.
    Unproven,
    /// No name.
    Unnamed,
    /// A terminal's name.
    Named,
}

/// Sessions by the address of their peer.
#[derive(Debug, Default)]
pub(super) struct SessionsByAddress(HashMap<IpAddr, usize>);

impl SessionsByAddress {
    fn count(&self, peer: IpAddr) -> usize {
        self.0.get(&network(peer)).copied().unwrap_or(0)
    }

    fn add(&mut self, peer: IpAddr) {
        let count = self.0.entry(network(peer)).or_default();
        *count = count.saturating_add(1);
    }

    fn remove(&mut self, peer: IpAddr) {
        if let Some(count) = self.0.get_mut(&network(peer)) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(&network(peer));
            }
        }
    }
}

/// One peer's addresses: a host may have each one of a network of 2^64 (RFC 4291, section 2.5.1).
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

impl Server {
    /// Makes a connection that was just opened a session, puts it into the reserve, or turns it away.
    pub(super) fn admit_connection(&mut self, token: Token, connection: &mut Connection) {
        let has_place = self.sessions < self.config.max_sessions && !self.is_address_full(connection.peer);
        if self.stop_deadline.is_some() {
            connection.host.shut_down(self.now);
        } else if self.committer.is_full() {
            self.turn_away(token, connection);
        } else if has_place {
            self.open_session(token, connection);
        } else if self.config.wire.is_numbered()
            && (!self.conversations.is_empty() || self.config.sealed_only || self.config.tls.is_some())
        {
            self.reserve.retain(|waiting| self.connections.get(waiting).is_some_and(|it| it.is_in_reserve()));
            if self.reserve.len() >= RESERVE
                && let Some(oldest) = self.remove_from_reserve()
                && let Some(mut waiting) = self.connections.remove(&oldest)
            {
                self.turn_away(oldest, &mut waiting);
                self.connections.insert(oldest, waiting);
                self.ready_queue.push(oldest);
            }
            self.reserve.push_back(token);
            connection.wait_in_reserve(self.now + RESERVE_WAIT, self.now);
        } else {
            self.turn_away(token, connection);
        }
    }

    /// Removes the oldest connection in the reserve, of those whose address has the most there.
    fn remove_from_reserve(&mut self) -> Option<Token> {
        let peer = |token| self.connections.get(token).map(|waiting| network(waiting.peer));
        let count = |token| self.reserve.iter().filter(|other| peer(other) == peer(token)).count();
        // Of several with the greatest count, `max_by_key` returns the last.
        let (index, _) = self.reserve.iter().enumerate().rev().max_by_key(|(_, token)| count(token))?;
        self.reserve.remove(index)
    }

    fn is_address_full(&self, peer: IpAddr) -> bool {
        self.config.max_per_address.is_some_and(|most| self.by_address.count(peer) >= most)
    }

    fn open_session(&mut self, token: Token, connection: &mut Connection) {
        connection.is_session = true;
        self.sessions = self.sessions.saturating_add(1);
        self.by_address.add(connection.peer);
        self.metrics.update(|counters| {
            counters.sessions += 1;
            counters.open_sessions += 1;
        });
        info!(target: SESSION, peer = %connection.peer, session = token.0, "session opened");
    }

    /// Turns away a connection that is no session, and logs the limit that it met.
    pub(super) fn turn_away(&mut self, token: Token, connection: &mut Connection) {
        connection.leave_reserve();
        self.metrics.update(|counters| counters.turned_away += 1);
        let (peer, sessions) = (connection.peer, self.sessions);
        let limit = if self.committer.is_full() {
            "requests that wait for the ledger"
        } else if sessions < self.config.max_sessions && self.is_address_full(peer) {
            "--max-per-address"
        } else {
            "--max-sessions"
        };
        self.log_limits.turned_away.log(1, |unlogged| {
            warn!(target: SESSION, %peer, session = token.0, sessions, limit, unlogged, "turned away: no room for another session");
        });
        connection.host.reject_busy(self.now);
    }

    /// Makes a connection in the reserve a session, if it has said the hello of a conversation that is held, or one that is
    /// proven; turns it away if not, or if there is no session that it can replace.
    pub(super) fn admit_from_reserve(
        &mut self,
        token: Token,
        connection: &mut Connection,
        name: &Name,
    ) -> bool {
        let (held, session) = match self.conversations.location(name) {
            Some(Location::Connected(other)) => {
                let other = self.connections.get(other).filter(|other| other.serves(name));
                (
                    other.and_then(|other| other.host.conversation()),
                    other.is_some_and(|other| other.is_session),
                )
            }
            Some(Location::Parked(conversation, _)) => (Some(&**conversation), false),
            None => (None, false),
        };
        let hello = connection.host.incoming_hello();
        let is_proven = connection.certified.is_some() || hello.is_some_and(|hello| hello.key.is_some());
        let (is_admitted, most) = match held {
            Some(conversation) => (hello.is_some_and(|hello| conversation.admits(hello)), Standing::Named),
            None => (is_proven, Standing::Unproven),
        };
        // A session that holds the conversation ends when it is taken over.
        let has_place = is_admitted
            && self.sessions < self.config.max_sessions.saturating_add(RESERVE)
            && (session
                || !self.is_address_full(connection.peer)
                    && (self.sessions < self.config.max_sessions || self.end_idle_session(most)));
        if has_place {
            connection.leave_reserve();
            self.open_session(token, connection);
        } else {
            self.turn_away(token, connection);
        }
        has_place
    }

    /// Ends the session that has been idle for longest, of those with the least standing, at most `most`; false if there is none.
    fn end_idle_session(&mut self, most: Standing) -> bool {
        let idle = self
            .connections
            .iter()
            .filter_map(|(token, connection)| Some((connection.idle_since()?, *token)));
        let Some(((standing, _), token)) = idle.min().filter(|((standing, _), _)| *standing <= most) else {
            return false;
        };
        let Some(connection) = self.connections.get_mut(&token) else { return false };
        self.ready_queue.push(token);
        if standing == Standing::Unproven {
            info!(target: SESSION, session = token.0, "ended, without a key or a certificate, for a terminal that has one");
            connection.ends_in_silence = true;
            return true;
        }
        info!(
            target: SESSION, session = token.0,
            "ended, at its prompt for longest, for a terminal whose conversation is held"
        );
        let conversation = connection.host.park();
        connection.host.reject(Notice::Busy, self.now);
        if let Some(conversation) = conversation {
            self.park(token, conversation);
        }
        true
    }

    /// Ends a session, if the connection is one: it counts no more.
    pub(super) fn end_session(&mut self, token: Token, connection: &mut Connection) {
        if !std::mem::take(&mut connection.is_session) {
            return;
        }
        self.sessions = self.sessions.saturating_sub(1);
        self.by_address.remove(connection.peer);
        self.metrics.update(|counters| counters.open_sessions = counters.open_sessions.saturating_sub(1));
        let counters = connection.host.counters();
        if counters.frames == 0 && counters.discarded > 0 && connection.is_ended_by_host() {
            let (peer, wire) = (connection.peer, self.config.wire);
            self.log_limits.foreign.log(1, |unlogged| {
                warn!(target: SESSION, %peer, session = token.0, %wire, unlogged, "connection ended: its first bytes are no message of this wire; check --wire on both sides");
            });
        }
        info!(target: SESSION, session = token.0, frames = counters.frames, discarded = counters.discarded, "session closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_counts_as_one_peer() {
        let mut sessions = SessionsByAddress::default();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        for peer in ["2001:db8::1", "2001:db8::ffff:1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"] {
            sessions.add(at(peer));
        }
        let counts = ["2001:db8::2", "2001:db8:0:1::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"];
        assert_eq!(counts.map(|peer| sessions.count(at(peer))), [2, 0, 2, 1, 0]);
        for _ in 0..3 {
            sessions.remove(at("192.0.2.1"));
        }
        assert_eq!((sessions.count(at("192.0.2.1")), sessions.0.len()), (0, 2));
    }
}
