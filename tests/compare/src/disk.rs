//! What the disk itself takes.
use super::{DataFolder, Sample, Timing, median, signals};
use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    time::{Duration, Instant},
};

/// Bytes that are written before each sync: what a commit of a few operations writes.
const WRITTEN: usize = 4096;

/// Writes a page over the one before and syncs it (`fdatasync`), again and again: what is measured is the sync alone.
pub(super) fn measure(data_folder: &DataFolder, timing: Timing) -> Result<Sample, String> {
    let folder = data_folder.temporary()?;
    try_measure(&folder.path().join("page"), timing)
        .map_err(|error| format!("the disk cannot be measured: {error}"))
}

fn try_measure(path: &std::path::Path, timing: Timing) -> io::Result<Sample> {
    let mut file = File::create(path)?;
    // Its length is on the disk before: only data are synced from then on.
    file.write_all(&[0; WRITTEN])?;
    file.sync_all()?;
    let (mut taken, mut turn) = (Vec::new(), 0u8);
    let warm = Instant::now() + timing.warm_up;
    let until = warm + timing.duration;
    let mut first = None;
    loop {
        let begin = Instant::now();
        if (begin >= until || signals::stopped()) && !taken.is_empty() {
            break;
        }
        file.seek(SeekFrom::Start(0))?;
        turn = turn.wrapping_add(1);
        file.write_all(&[turn; WRITTEN])?;
        let begin = Instant::now();
        file.sync_data()?;
        if begin >= warm {
            first.get_or_insert(begin);
            taken.push(begin.elapsed().as_secs_f64());
        }
    }
    // As everybody's: how many in the time that it took, and the write belongs to it.
    let rate = taken.len() as f64 / first.map_or(f64::INFINITY, |first| first.elapsed().as_secs_f64());
    taken.sort_by(f64::total_cmp);
    let slow = taken[(taken.len() - 1) * 99 / 100];
    let (middle, time) = (median(taken), |seconds| Some(Duration::from_secs_f64(seconds)));
    Ok(Sample { rate, p50: time(middle), p99: time(slow), busy: None })
}
