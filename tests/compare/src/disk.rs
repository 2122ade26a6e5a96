//! The disk alone: the latency of fdatasync(2), the lower bound of a durable operation.
use super::{DataFolder, Sample, Timing, median, signals};
use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    time::{Duration, Instant},
};

/// Bytes written before each sync, about as many as a commit of a few operations.
const WRITE_SIZE: usize = 4096;

/// Overwrites a page and syncs it, repeatedly. The latency is that of the sync alone.
pub(super) fn measure(data_folder: &DataFolder, timing: Timing) -> Result<Sample, String> {
    let folder = data_folder.temporary()?;
    try_measure(&folder.path().join("page"), timing)
        .map_err(|error| format!("the disk cannot be measured: {error}"))
}

fn try_measure(path: &std::path::Path, timing: Timing) -> io::Result<Sample> {
    let mut file = File::create(path)?;
    // The file's length is synced now: later syncs write data only.
    file.write_all(&[0; WRITE_SIZE])?;
    file.sync_all()?;
    let (mut latencies, mut byte) = (Vec::new(), 0u8);
    let warm = Instant::now() + timing.warm_up;
    let until = warm + timing.duration;
    let mut first = None;
    loop {
        let begin = Instant::now();
        if (begin >= until || signals::stopped()) && !latencies.is_empty() {
            break;
        }
        file.seek(SeekFrom::Start(0))?;
        byte = byte.wrapping_add(1);
        file.write_all(&[byte; WRITE_SIZE])?;
        let begin = Instant::now();
        file.sync_data()?;
        if begin >= warm {
            first.get_or_insert(begin);
            latencies.push(begin.elapsed().as_secs_f64());
        }
    }
    // As for every system, the throughput counts the whole time, the writes included.
    let throughput =
        latencies.len() as f64 / first.map_or(f64::INFINITY, |first| first.elapsed().as_secs_f64());
    latencies.sort_by(f64::total_cmp);
    let p99 = latencies[(latencies.len() - 1) * 99 / 100];
    let time = |seconds| Some(Duration::from_secs_f64(seconds));
    Ok(Sample { throughput, p50: time(median(latencies)), p99: time(p99), cpu_share: None, database: None })
}
