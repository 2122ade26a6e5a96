//! Power losses of terminals and of the host, and their restarts.
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
            if victim == self.stations.len() && self.host_up {
                self.crash_host(back);
            } else if let Some(station) = self.stations.get_mut(victim)
                && station.has_power()
            {
                self.report.power_losses += 1;
                self.auditor.trace(self.now, || format!("{} loses power", station.name));
                station.crash();
                station.returns_at = Some(back);
            }
        }
        if self.host_restarts_at.is_some_and(|at| at <= self.now) {
            progress = true;
            self.host_restarts_at = None;
            self.host_up = true;
            // Serial lines stay connected; connections are made anew by the terminals.
            for index in 0..self.stations.len() {
                if self.stations[index].link_kind == LinkKind::Serial {
                    let config = self.host_config(index);
                    let now = self.now;
                    if let Some(link) = self.stations[index].links.last_mut() {
                        link.open(config, now);
                    }
                }
            }
        }
        progress
    }

    /// The host loses power: it keeps only what is committed, and restarts at `back`.
    pub(super) fn crash_host(&mut self, back: Instant) {
        self.report.power_losses += 1;
        self.auditor.trace(self.now, || "the host loses power".to_owned());
        self.host_up = false;
        self.host_restarts_at = Some(back);
        self.parked.clear();
        self.responses.clear();
        let requests = std::mem::take(&mut self.requests).into_iter().map(|(_, request)| request).collect();
        self.ledger.lose_power(requests, &mut self.rng, &mut self.auditor);
        for station in &mut self.stations {
            let connection = station.link_kind == LinkKind::Connection;
            for link in &mut station.links {
                link.host_end = None;
            }
            if connection && station.has_power() && station.returns_at.is_none() {
                station.returns_at = Some(back + Duration::from_millis(self.rng.u32(1..2_000)));
            }
        }
    }
}
