//! SQLite through Python's module: threads that share one connection, as those of a server would.
use super::{DataFolder, Sample, Timing};
use atm_e2e::project_root;
use serde_json::Value;
use std::{process::Command, time::Duration};

/// Runs transactions of one update each, all of the same row, in a new file.
pub(super) fn measure(data_folder: &DataFolder, sessions: usize, timing: Timing) -> Result<Sample, String> {
    let folder = data_folder.temporary()?;
    let mut command = Command::new("python3");
    command.arg(project_root().join("tests/compare/python/sqlite.py")).arg(folder.path().join("accounts.db"));
    command.args([
        sessions.to_string(),
        timing.warm_up.as_secs_f64().to_string(),
        timing.duration.as_secs_f64().to_string(),
    ]);
    let output = command.output().map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        return Err(format!("SQLite: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let results: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("SQLite: {error}"))?;
    let figure =
        |name: &str| results[name].as_f64().ok_or_else(|| format!("SQLite reported no {name}: {results}"));
    let time = |name: &str| figure(name).map(|seconds| Some(Duration::from_secs_f64(seconds)));
    Ok(Sample {
        throughput: figure("throughput")?,
        p50: time("p50")?,
        p99: time("p99")?,
        cpu_share: None,
        database: None,
    })
}
