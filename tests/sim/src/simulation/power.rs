//! Power losses of terminals and of hosts, their restarts, and set-backs of the ledger.
use super::Simulation;
use atm_core::{
    host::LinkKind,
    time::{Duration, Instant},
};

impl Simulation {
    /// Power losses and restarts that are due; true if there were any.
    pub(super) fn switch_power(&mut self) -> bool {
        let mut progress = false;
        if self.next_power_loss.is_some_and(|at| at <= self.now) {
            progress = true;
            self.next_power_loss = Some(self.now + Duration::from_millis(self.rng.u32(1..20_000)));
            let back = self.now + Duration::from_millis(self.rng.u32(10..3_000));
            let victim = self.rng.usize(0..=self.stations.len());
            if let Some(station) = self.stations.get_mut(victim) {
                if station.has_power() {
                    self.report.power_losses += 1;
                    self.auditor.trace(self.now, || format!("{} loses power", station.name));
                    station.crash();
                    station.returns_at = Some(back);
                }
            } else {
                let host = self.rng.usize(0..self.hosts.len());
                if self.hosts[host].is_up {
                    self.crash_host(host, back);
                }
            }
        }
        for host in 0..self.hosts.len() {
            if self.hosts[host].restarts_at.is_some_and(|at| at <= self.now) {
                progress = true;
                self.restart_host(host);
            }
        }
        progress
    }

    /// A host gets power again.
    fn restart_host(&mut self, host: usize) {
        self.hosts[host].restarts_at = None;
        self.hosts[host].is_up = true;
        self.hosts[host].salt = self.rng.u64(..);
        // Serial lines stay connected; connections are made anew by the terminals.
        for index in 0..self.stations.len() {
            if self.stations[index].link_kind == LinkKind::Serial {
                let (config, keys) = (self.host_config(index, host), self.card_keys());
                let now = self.now;
                if let Some(link) = self.stations[index].links.last_mut().filter(|link| link.host == host) {
                    // To the ledger and the other hosts, this is another link.
                    link.number = self.next_link_number;
                    self.next_link_number += 1;
                    link.open(config, keys, now);
                }
            }
        }
    }

    /// A host loses power: it keeps nothing, and restarts at `back`.
    pub(super) fn crash_host(&mut self, host: usize, back: Instant) {
        self.report.power_losses += 1;
        self.auditor.trace(self.now, || format!("host {host} loses power"));
        let requests = self.hosts[host].crash(back);
        self.ledger.lose_power(host, requests, self.wall(host), &mut self.rng, &mut self.auditor);
        for station in &mut self.stations {
            let is_connected = station.links.last().is_some_and(|link| link.host == host);
            for link in station.links.iter_mut().filter(|link| link.host == host) {
                link.host_end = None;
            }
            if is_connected
                && station.link_kind == LinkKind::Connection
                && station.has_power()
                && station.returns_at.is_none()
            {
                station.returns_at = Some(back + Duration::from_millis(self.rng.u32(1..2_000)));
            }
        }
    }

    /// Copies the ledger, or sets it back to its copy, if it is time; true if it was. Terminals live on, and half of
    /// the times the hosts too.
    pub(super) fn set_back(&mut self) -> bool {
        if self.next_set_back.is_none_or(|at| at > self.now) {
            return false;
        }
        self.next_set_back = Some(self.now + Duration::from_millis(self.rng.u32(1..60_000)));
        if self.rng.bool() {
            self.auditor.trace(self.now, || "the ledger is copied".to_owned());
            self.ledger.copy(&mut self.auditor);
            return true;
        }
        if self.rng.bool() {
            for host in 0..self.hosts.len() {
                let back = self.now + Duration::from_millis(self.rng.u32(10..3_000));
                if self.hosts[host].is_up {
                    self.crash_host(host, back);
                }
            }
        }
        self.auditor.trace(self.now, || "the ledger is set back".to_owned());
        self.ledger.set_back(&mut self.auditor);
        true
    }
}
