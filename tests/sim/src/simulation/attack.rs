//! The attacker's place in a run: it hears every link, and injects frames into any, and into connections of its own.
use super::Simulation;
use crate::attacker::{Attacker, Target};
use atm_core::{
    host::{KeyRequest, LinkKind},
    seal::{Key, TerminalKey},
};

/// The hosts' secret.
const MASTER: [u8; Key::LENGTH] = [7; Key::LENGTH];

/// The most steps that a host computes a key forward.
const MAX_STEPS: u32 = 4096;

/// The first key of a series of a terminal.
pub(crate) fn first_key(name: &atm_core::ledger::Name, series: u32) -> Option<TerminalKey> {
    Some(TerminalKey::derive(&Key::from(MASTER), series.try_into().ok()?, name))
}

impl Simulation {
    /// The key that a hello claims, if a key of that series was issued.
    pub(super) fn key(&self, claim: &KeyRequest) -> Option<TerminalKey> {
        let station = self.stations.iter().find(|station| station.name == claim.terminal)?;
        let series = claim.series.get();
        let key = first_key(&claim.terminal, series).filter(|_| series <= station.series())?;
        key.forward(claim.step, MAX_STEPS)
    }

    /// The attacker records what was sent on the links of a station.
    pub(super) fn record(&mut self, index: usize) {
        for link in &mut self.stations[index].links {
            let sent = link.sent.drain(..);
            if let Some(attacker) = &mut self.attacker {
                sent.for_each(|sent| attacker.record(index, sent));
            }
        }
    }

    /// The attacker injects a frame, if it is time; true if it was.
    pub(super) fn attack(&mut self) -> bool {
        let Some(attacker) = self.attacker.as_mut().filter(|attacker| is_due(attacker, self.now)) else {
            return false;
        };
        let Some((target, frame)) = attacker.act(self.now) else { return true };
        let Target { station: index, to_host, on_own_link } = target;
        self.auditor.trace(self.now, || {
            let side = if to_host { "host" } else { "terminal" };
            let name = &self.stations[index].name;
            format!("attacker, {name}'s {side}{}: {frame:02x?}", if on_own_link { ", own link" } else { "" })
        });
        let is_connection = self.stations[index].link_kind == LinkKind::Connection;
        if to_host && on_own_link && is_connection && self.stations[index].links.len() < 6 {
            // It is older than the terminal's, which reads only the newest.
            let host = self.rng.usize(0..self.hosts.len());
            self.open_link(index, host);
            let links = &mut self.stations[index].links;
            let own = links.pop();
            links.splice(0..0, own);
        }
        let links = &mut self.stations[index].links;
        let link = if on_own_link { links.first_mut() } else { links.last_mut() };
        if let Some(link) = link {
            let side = if to_host { &mut link.to_host } else { &mut link.to_terminal };
            side.send(&frame, self.now);
        }
        true
    }
}

fn is_due(attacker: &Attacker, now: atm_core::time::Instant) -> bool {
    attacker.next.is_some_and(|at| at <= now)
}
