//! The memory of another process, for tests of what it has left there.
use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::FileExt,
};

/// What a process has written into its memory, by region (proc_pid_maps(5)). `None` where this user may not read it: that of a process that makes
/// no core dump is for root alone.
pub fn memory(pid: u32) -> Option<Vec<(String, Vec<u8>)>> {
    let file = match File::open(format!("/proc/{pid}/mem")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        file => file.unwrap(),
    };
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut regions = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut content = Vec::new();
        for page in (start..end).step_by(4096) {
            let mut bytes = [0; 4096];
            // A page that was never written is of zeros.
            if file.read_exact_at(&mut bytes, page).is_ok() && bytes != [0; 4096] {
                content.extend(bytes);
            }
        }
        regions.push((line.to_owned(), content));
    }
    Some(regions)
}
