//! Report: how many operations were acknowledged after the faults of each kind, and how long the first took.
use crate::{control::Watch, faults::Kind};
use atm_e2e::println;
use std::{collections::BTreeMap, time::Duration};

/// What was seen after each fault, by its kind.
#[derive(Default)]
pub(crate) struct Report {
    seen: BTreeMap<Kind, Vec<Watch>>,
}

impl Report {
    pub(crate) fn add(&mut self, kind: Kind, watch: Watch) {
        self.seen.entry(kind).or_default().push(watch);
    }

    /// Prints a line for each kind: seconds as median and greatest.
    pub(crate) fn print(&self) {
        println!(
            "{:<22}{:>7}{:>14}   {:<21}   until each terminal has had one",
            "fault", "times", "acknowledged", "seconds to the first"
        );
        for (kind, seen) in &self.seen {
            let times = |time: fn(&Watch) -> Option<Duration>| spread(seen.iter().filter_map(time).collect());
            println!(
                "{:<22}{:>7}{:>14}   {:<21}   {}",
                kind.name(),
                seen.len(),
                seen.iter().map(|watch| watch.acknowledged).sum::<u64>(),
                times(|watch| watch.first),
                times(|watch| watch.all)
            );
        }
    }
}

/// Median and maximum.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let seconds = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64);
    format!("median {:.2}, max {:.2}", seconds(times.get(times.len() / 2)), seconds(times.last()))
}
