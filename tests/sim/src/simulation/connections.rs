//! Links between the terminals and the hosts: opened by the terminal, closed by the host or found dead.
use super::Simulation;
use atm_core::{
    host::{self, LinkKind},
    time::Duration,
};

impl Simulation {
    /// The configuration of the host's end of a station's links.
    pub(super) fn host_config(&self, index: usize, host: usize) -> host::Config {
        let station = &self.stations[index];
        let mut config = host::Config::new(station.wire(), station.link_kind);
        config.idle_timeout = self.idle_timeout;
        config.frame_timeout = Duration::from_secs(2);
        config.sealed_only = self.attacker.is_some();
        config.salt = self.hosts[host].salt;
        config
    }

    /// A station gets power or a new link, if it is time; true if it was.
    pub(super) fn connect(&mut self, index: usize) -> bool {
        if self.stations[index].returns_at.is_none_or(|at| at > self.now) {
            return false;
        }
        self.stations[index].returns_at = None;
        // Any host serves any terminal; a serial line has one host.
        let host = self.rng.usize(0..self.hosts.len());
        let is_connection = self.stations[index].link_kind == LinkKind::Connection;
        if self.stations[index].links.is_empty() || (is_connection && self.hosts[host].is_up) {
            self.open_link(index, host);
            if is_connection && self.has_faults() && self.rng.u32(0..20) == 0 {
                // A proxy that believes the connection dead repeats its first bytes on another.
                let host = self.rng.usize(0..self.hosts.len());
                self.open_link(index, host);
                self.stations[index].duplicate_hello();
            }
        } else if is_connection {
            let station = &mut self.stations[index];
            // Connection refused: the terminal tries again.
            station.returns_at = Some(self.now + Duration::from_millis(500));
            return true;
        }
        let station = &mut self.stations[index];
        if station.has_power() {
            station.reconnect(self.now, &self.auditor);
        } else {
            station.start(self.now, &mut self.rng, &mut self.auditor);
        }
        true
    }

    /// Opens a link of a station to a host.
    pub(super) fn open_link(&mut self, index: usize, host: usize) {
        let (config, keys) = (self.host_config(index, host), self.card_keys());
        let station = &mut self.stations[index];
        station.open_link(self.next_link_number, host, self.chances, self.rng.u64(..));
        self.next_link_number += 1;
        if self.hosts[host].is_up
            && let Some(link) = station.links.last_mut()
        {
            link.open(config, keys, self.now);
        }
    }

    /// Closes the connections that their hosts have finished or find dead; true if there were any.
    pub(super) fn close_links(&mut self, index: usize) -> bool {
        let kind = self.stations[index].link_kind;
        if kind == LinkKind::Serial {
            return false;
        }
        let links = self.stations[index].links.len();
        let mut progress = false;
        for at in (0..links).rev() {
            // The host finds at a random time that an old connection is dead.
            let found_dead = at + 1 < links && self.rng.u32(0..2_000) == 0;
            let link = &mut self.stations[index].links[at];
            if link.is_finished(kind) || (found_dead && link.host_end.is_some()) {
                if let Some(conversation) = link.host_end.as_mut().and_then(|end| end.host.park()) {
                    let until = self.now + self.idle_timeout;
                    self.hosts[link.host].parked.push((until, conversation));
                }
                link.host_end = None;
                progress = true;
                if at + 1 == links {
                    // The terminal notices the close later, when it has read what was sent before.
                    let noticed_at = self.now + Duration::from_millis(self.rng.u32(1..5_000));
                    let station = &mut self.stations[index];
                    if station.has_power() && station.returns_at.is_none() {
                        station.returns_at = Some(noticed_at);
                    }
                }
            }
            if at + 1 < links && self.stations[index].links[at].host_end.is_none() {
                let link = self.stations[index].links.remove(at);
                self.count_faults(&link);
            }
        }
        progress
    }
}
