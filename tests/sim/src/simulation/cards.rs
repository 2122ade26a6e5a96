//! Access by card in a run: an operator's orders, the clocks of the hosts, and the search for secrets in Debug texts and files.
use super::Simulation;
use crate::{auditor::Order, bank};
use atm_core::{
    ledger::card::CardKeys,
    time::{Duration, Instant, UnixTime},
};
use fastrand::Rng;

/// A midnight, in milliseconds since 1970.
const MIDNIGHT: i64 = 20_718 * 86_400_000;

/// The hosts' clocks are so many milliseconds apart.
const APART: i64 = 3_600_000;

/// The wall clock of the hosts, and when an operator gives the next order or a clock jumps.
pub(super) struct Operator {
    offset: i64,
    pub(super) next: Instant,
}

impl Operator {
    /// In most runs midnight comes while they last, on the clock of the first host or of the second.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let apart = if rng.bool() { APART } else { 0 };
        Self { offset: MIDNIGHT - apart - rng.i64(0..300_000), next: Instant::default() }
    }
}

impl Simulation {
    /// The keys with which hosts serve cards.
    pub(super) fn card_keys(&self) -> Option<CardKeys> {
        self.operator.as_ref().map(|_| bank::keys())
    }

    /// The wall clock of a host.
    pub(super) fn wall(&self, host: usize) -> UnixTime {
        let now = i64::try_from(self.now.millis()).unwrap_or(i64::MAX);
        let offset = self.operator.as_ref().map_or(0, |operator| operator.offset + APART * host as i64);
        UnixTime::from_millis(u64::try_from(now + offset).unwrap_or(0))
    }

    /// An operator gives an order, or a clock jumps, if it is time; true if it was.
    pub(super) fn operate(&mut self) -> bool {
        let (now, has_faults) = (self.now, self.has_faults());
        let Some(operator) = self.operator.as_mut().filter(|operator| operator.next <= now) else {
            return false;
        };
        let wait = if has_faults { self.rng.u32(1..20_000) } else { 5_000 };
        operator.next = now + Duration::from_millis(wait);
        let Some(cards) = self.auditor.cards_mut() else { return true };
        let blocked: Vec<_> = (0..cards.bank().cards.len()).filter(|card| cards.is_blocked(*card)).collect();
        if !has_faults || self.rng.bool() {
            // Or soon no card would be of use.
            for card in blocked {
                self.ledger.order(card, &Order::Unblock);
                cards.ordered(card, &Order::Unblock);
            }
        }
        if !has_faults {
            return true;
        }
        let card = self.rng.usize(0..cards.bank().cards.len());
        let account = self.rng.usize(0..cards.bank().accounts.len());
        let order = match self.rng.u32(0..12) {
            0..2 => Order::Block,
            2..4 => Order::Unblock,
            4..6 => Order::SetPin(bank::pin(&mut self.rng)),
            6..9 => {
                let is_frozen = self.rng.u32(0..3) == 0;
                self.ledger.freeze(account, is_frozen);
                cards.frozen(account, is_frozen);
                return true;
            }
            9 => {
                let hours = [-30, -1, 0, 1, 30][self.rng.usize(0..5)];
                operator.offset += hours * APART + self.rng.i64(-90_000..90_000);
                return true;
            }
            _ => return true,
        };
        self.ledger.order(card, &order);
        cards.ordered(card, &order);
        true
    }

    /// Searches the Debug texts of everything that is held, now and then.
    pub(super) fn search_secrets(&mut self) {
        if self.operator.is_none() || self.rng.u32(0..200) > 0 {
            return;
        }
        let mut texts: Vec<_> = self.hosts.iter().map(|host| format!("{host:?}")).collect();
        for station in &self.stations {
            texts.push(station.debug());
            let ends = station.links.iter().filter_map(|link| link.host_end.as_ref());
            texts.extend(ends.map(|end| format!("{:?}", end.host)));
        }
        texts.extend(self.ledger.debug());
        for text in texts {
            self.auditor.shown_by_debug(&text);
        }
        for file in self.ledger.files() {
            self.auditor.stored_bytes(&file);
        }
    }
}
