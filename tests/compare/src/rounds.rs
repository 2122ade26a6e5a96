//! Rounds: each measures every system once, in a random order, so that disturbances of the machine affect all
//! of them.
use super::{
    Sample, Timing,
    cores::{self, Side},
    median, signals,
    system::System,
};
use fastrand::Rng;
use std::{collections::BTreeMap, time::Duration};

/// The results of all rounds.
#[derive(Debug, Default)]
pub struct Results {
    /// The names of the systems, in the order of the tables.
    pub systems: Vec<&'static str>,
    /// The numbers of sessions, in the order of the tables.
    pub sessions: Vec<usize>,
    samples: BTreeMap<(&'static str, usize), Vec<Sample>>,
}

impl Results {
    /// Measures each system with each number of sessions, `rounds` times, in orders drawn from `seed`.
    /// `report_progress` is called with each next step.
    ///
    /// # Errors
    /// The first system that failed, and why; or a signal.
    pub fn measure(
        systems: &[System],
        sessions: &[usize],
        (rounds, seed): (usize, u64),
        timing: Timing,
        report_progress: &mut dyn FnMut(String),
    ) -> Result<Self, String> {
        let mut results = Self {
            systems: systems.iter().map(|system| system.name).collect(),
            sessions: sessions.to_vec(),
            ..Self::default()
        };
        cores::run_for(Side::Load)?;
        let mut rng = Rng::with_seed(seed);
        for round in 0..rounds {
            for &sessions in sessions {
                // What one system leaves behind (a warm disk, dirty pages) affects another one in each round.
                let mut order: Vec<&System> =
                    systems.iter().filter(|system| system.is_measured_with(sessions)).collect();
                rng.shuffle(&mut order);
                for system in order {
                    signals::check()?;
                    report_progress(format!(
                        "round {} of {rounds}: {}, {sessions} sessions",
                        round + 1,
                        system.name
                    ));
                    let sample = system.measure(sessions, timing)?;
                    // A measurement that a signal has stopped does not count.
                    signals::check()?;
                    results.samples.entry((system.name, sessions)).or_default().push(sample);
                }
            }
        }
        Ok(results)
    }

    /// The samples of a system, one per round; none if it was left out.
    pub fn samples(&self, system: &str, sessions: usize) -> &[Sample] {
        let system = self.systems.iter().find(|name| **name == system);
        system.and_then(|name| self.samples.get(&(*name, sessions))).map_or(&[], Vec::as_slice)
    }

    /// The median throughput of a system.
    pub fn throughput(&self, system: &str, sessions: usize) -> Option<f64> {
        let samples = self.samples(system, sessions);
        (!samples.is_empty()).then(|| median(samples.iter().map(|sample| sample.throughput).collect()))
    }

    /// The median of a latency of a system, in seconds.
    pub fn latency(
        &self,
        system: &str,
        sessions: usize,
        of: impl Fn(&Sample) -> Option<Duration>,
    ) -> Option<f64> {
        let times: Vec<f64> =
            self.samples(system, sessions).iter().filter_map(of).map(|time| time.as_secs_f64()).collect();
        (!times.is_empty()).then(|| median(times))
    }

    /// The ratio of two systems, computed per round: a disturbance most likely affects both systems of a
    /// round.
    pub fn ratio(
        &self,
        (one, other): (&str, &str),
        sessions: usize,
        of: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Ratio> {
        let pairs = self.samples(one, sessions).iter().zip(self.samples(other, sessions));
        let mut ratios: Vec<f64> =
            pairs.filter_map(|(one, other)| Some(of(one)? / of(other).filter(|of| *of > 0.0)?)).collect();
        ratios.sort_by(f64::total_cmp);
        Some(Ratio {
            least: *ratios.first()?,
            most: *ratios.last()?,
            lower: *ratios.get((ratios.len() - 1) / 2)?,
            upper: *ratios.get(ratios.len() / 2)?,
        })
    }
}

/// The ratio of two systems: the median of all rounds, the least and the greatest. An even number of rounds
/// has two values in the middle; a target is checked with the worse one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median, or the lower of the two middle values.
    pub lower: f64,
    /// The median, or the upper of the two middle values.
    pub upper: f64,
    /// The least value.
    pub least: f64,
    /// The greatest value.
    pub most: f64,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Results with a throughput for each round.
    pub(crate) fn results(throughputs: &[(&'static str, usize, &[f64])]) -> Results {
        let mut results = Results::default();
        for (name, sessions, throughputs) in throughputs {
            if !results.systems.contains(name) {
                results.systems.push(name);
            }
            if !results.sessions.contains(sessions) {
                results.sessions.push(*sessions);
            }
            let sample = |throughput: &f64| Sample {
                throughput: *throughput,
                p50: None,
                p99: Some(Duration::from_secs_f64(1.0 / throughput)),
                cpu_share: None,
                database: None,
            };
            results.samples.insert((name, *sessions), throughputs.iter().map(sample).collect());
        }
        results
    }

    #[test]
    fn a_ratio_is_computed_per_round() {
        let all = results(&[("a", 8, &[10.0, 20.0, 90.0]), ("b", 8, &[10.0, 10.0, 100.0])]);
        let ratio = all.ratio(("a", "b"), 8, |sample| Some(sample.throughput)).unwrap();
        assert_eq!(ratio, Ratio { lower: 1.0, upper: 1.0, least: 0.9, most: 2.0 });
        let two = results(&[("a", 8, &[10.0, 20.0]), ("b", 8, &[10.0, 10.0])]);
        let ratio = two.ratio(("a", "b"), 8, |sample| Some(sample.throughput)).unwrap();
        assert_eq!((ratio.lower, ratio.upper), (1.0, 2.0));
        assert_eq!(
            (all.throughput("a", 8), all.throughput("a", 9), all.throughput("c", 8)),
            (Some(20.0), None, None)
        );
        assert_eq!(all.ratio(("a", "c"), 8, |sample| Some(sample.throughput)), None);
        assert_eq!(all.latency("a", 8, |sample| sample.p99), Some(0.05));
        assert_eq!(all.latency("a", 8, |sample| sample.p50), None);
    }
}
