//! SQLite, by the module that comes with Python: threads that share a connection, as the threads of a server would.
use super::{DataFolder, Sample, Timing};
use atm_e2e::project_root;
use serde_json::Value;
use std::{process::Command, time::Duration};

/// Updates one row for some time, a transaction each, in a file of its own.
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
    let told: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("SQLite: {error}"))?;
    let figure = |name: &str| told[name].as_f64().ok_or_else(|| format!("SQLite told no {name}: {told}"));
    let time = |name: &str| figure(name).map(|seconds| Some(Duration::from_secs_f64(seconds)));
    Ok(Sample { rate: figure("rate")?, p50: time("p50")?, p99: time("p99")?, busy: None })
}
