//! Host list: in which order a terminal tries the hosts of one ledger, so that a fleet spreads over them and each host of the list is tried
//! once before any is tried again.
//!
//! The order of a terminal with a name follows from the name: by rendezvous hashing
//! (<https://en.wikipedia.org/wiki/Rendezvous_hashing>) each host is the first of as many names, and the names of one that is gone spread over
//! the others. A client without a name takes the list's order.
use atm_core::{
    ledger::Name,
    time::{Duration, Instant},
};
use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hasher},
};

/// How long after it has left its first host a terminal returns to it at the earliest, at the end of a session. A host that is silent takes ten
/// seconds of a person's time, each time that it is tried.
const RETURN_AFTER: Duration = Duration::from_secs(60);

/// The hosts, the present one, and those that were not yet tried in this round over the list.
pub(super) struct Hosts {
    /// In the order in which they are tried; never empty.
    addresses: Vec<String>,
    present: String,
    untried: VecDeque<String>,
    /// The host that has served the terminal last; its first one before any has.
    served_by: String,
    /// When another host than the first one began to serve it.
    away_since: Option<Instant>,
}

/// A terminal's move from one host to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The address of the host before.
    pub from: String,
    /// The address of the present host.
    pub to: String,
}

impl Hosts {
    /// The hosts of a list that is not empty; for a terminal with a name in that name's order.
    pub(super) fn new(addresses: &[String], name: Option<&Name>) -> Self {
        let mut addresses = addresses.to_vec();
        if let Some(name) = name {
            addresses.sort_by_cached_key(|address| weight(name, address));
        }
        let first = addresses.first().cloned().unwrap_or_default();
        let (present, served_by) = (first.clone(), first);
        let mut hosts = Self { addresses, present, untried: VecDeque::new(), served_by, away_since: None };
        hosts.begin_round();
        hosts
    }

    /// The address of the host that is tried, or was connected to last.
    pub(super) fn present(&self) -> &str {
        &self.present
    }

    /// Are there several?
    pub(super) fn are_several(&self) -> bool {
        self.addresses.len() > 1
    }

    /// All addresses, for a person.
    pub(super) fn names(&self) -> String {
        self.addresses.join(", ")
    }

    /// Begins a round over the list with the present host.
    pub(super) fn begin_round(&mut self) {
        self.untried = self.addresses.iter().filter(|address| **address != self.present).cloned().collect();
    }

    /// Goes on to the next host of this round. False at its end: the next round begins with the terminal's first host.
    pub(super) fn go_on(&mut self) -> bool {
        let next = self.untried.pop_front();
        let is_in_round = next.is_some();
        self.present = next.unwrap_or_else(|| self.first());
        if !is_in_round {
            self.begin_round();
        }
        is_in_round
    }

    /// Goes back to the terminal's first host, if that is due.
    pub(super) fn return_to_first(&mut self, now: Instant) {
        if self.away_since.is_some_and(|since| since + RETURN_AFTER <= now) {
            self.away_since = None;
            self.present = self.first();
            self.begin_round();
        }
    }

    /// Notes that the present host serves the terminal; returns the move, if another one did before.
    pub(super) fn on_served(&mut self, now: Instant) -> Option<Move> {
        let is_away = self.present != self.first();
        self.away_since = is_away.then(|| self.away_since.unwrap_or(now));
        let from = std::mem::replace(&mut self.served_by, self.present.clone());
        (from != self.present).then(|| Move { from, to: self.present.clone() })
    }

    fn first(&self) -> String {
        self.addresses.first().cloned().unwrap_or_default()
    }
}

/// The weight of a host for a name; the least one is the first. It may be another in a program that another compiler has built, which costs nothing.
fn weight(name: &Name, address: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_str().as_bytes());
    // No name has a zero.
    hasher.write_u8(0);
    hasher.write(address.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const LIST: [&str; 3] = ["a:1", "b:1", "c:1"];

    fn hosts(list: &[&str], name: Option<&str>) -> Hosts {
        let list: Vec<_> = list.iter().map(|address| (*address).to_owned()).collect();
        Hosts::new(&list, name.map(|name| name.parse().unwrap()).as_ref())
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(1000 * seconds)
    }

    /// Goes through a round.
    fn rest_of_round(hosts: &mut Hosts) -> Vec<String> {
        let mut round = Vec::new();
        while hosts.go_on() {
            round.push(hosts.present().to_owned());
        }
        round
    }

    #[test]
    fn a_fleet_spreads_and_so_do_the_terminals_of_a_host_that_is_gone() {
        let mut orders = BTreeMap::new();
        for number in 0..6_000 {
            let name = format!("kiosk-{number}");
            let mut order = hosts(&LIST, Some(&name));
            assert_eq!(order.addresses, hosts(&["c:1", "a:1", "b:1"], Some(&name)).addresses);
            let mut round = vec![order.present().to_owned()];
            round.extend(rest_of_round(&mut order));
            *orders.entry(round).or_insert(0) += 1;
        }
        assert_eq!(orders.len(), 6, "{orders:?}");
        assert!(orders.values().all(|count| (850..1150).contains(count)), "{orders:?}");
    }

    #[test]
    fn a_host_more_moves_only_the_terminals_that_it_gets() {
        let (mut moved, four) = (0, ["a:1", "b:1", "c:1", "d:1"]);
        for number in 0..4_000 {
            let name = format!("kiosk-{number}");
            let [before, after] = [&LIST[..], &four].map(|list| hosts(list, Some(&name)).first());
            assert!(before == after || after == "d:1", "{name} moves from {before} to {after}");
            moved += u64::from(before != after);
        }
        assert!((850..1150).contains(&moved), "{moved}");
    }

    #[test]
    fn each_host_is_tried_once_in_a_round_and_the_next_round_begins_with_the_first() {
        let mut hosts = hosts(&LIST, None);
        assert_eq!((hosts.present(), hosts.names().as_str()), ("a:1", "a:1, b:1, c:1"));
        for _ in 0..2 {
            assert_eq!(rest_of_round(&mut hosts), ["b:1", "c:1"]);
            assert_eq!(hosts.present(), "a:1");
        }
        // From the present host it is the first one's turn.
        assert!(hosts.go_on());
        hosts.begin_round();
        assert_eq!(hosts.present(), "b:1");
        assert_eq!(rest_of_round(&mut hosts), ["a:1", "c:1"]);
    }

    #[test]
    fn one_host_is_the_whole_round() {
        let mut hosts = hosts(&["a:1"], Some("kiosk-7"));
        assert!(!hosts.are_several() && !hosts.go_on());
        assert_eq!(hosts.present(), "a:1");
        assert_eq!(hosts.on_served(at(1)), None);
    }

    #[test]
    fn a_move_is_reported_once_and_the_first_host_is_returned_to_after_a_minute() {
        let mut hosts = hosts(&LIST, None);
        assert_eq!(hosts.on_served(at(0)), None);
        assert!(hosts.go_on());
        let moved = Some(Move { from: "a:1".into(), to: "b:1".into() });
        assert_eq!((hosts.on_served(at(10)), hosts.on_served(at(40))), (moved, None));
        hosts.return_to_first(at(69));
        assert_eq!(hosts.present(), "b:1");
        hosts.return_to_first(at(70));
        assert_eq!(hosts.present(), "a:1");
        // It is still gone, so the minute begins anew.
        assert!(hosts.go_on());
        assert_eq!(hosts.on_served(at(80)), None);
        hosts.return_to_first(at(139));
        assert_eq!(hosts.present(), "b:1");
        hosts.return_to_first(at(140));
        let moved = Some(Move { from: "b:1".into(), to: "a:1".into() });
        assert_eq!(hosts.on_served(at(141)), moved);
    }
}
