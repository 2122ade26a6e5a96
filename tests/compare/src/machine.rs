//! The machine and the versions of all programs, for the readers of the results.
use super::{DataFolder, competitor::Competitor, postgres};
use atm_e2e::project_root;
use std::{fs, path::Path, process::Command};

/// The machine, the measured disk, the versions of the programs, this project's commit and the date, as a
/// Markdown list. Programs that are left out are not listed.
pub fn machine(data_folder: &DataFolder, without: &[Competitor]) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let with = |competitors: &[Competitor]| competitors.iter().any(|one| !without.contains(one));
    let redis = || first_line("redis-server", &["--version"]).map(|line| until(&line, " sha=").to_owned());
    let postgres = || first_line(postgres::programs().ok()?.join("postgres"), &["--version"]);
    let python = "import platform, sqlite3 as s; print('Python', platform.python_version() + ', SQLite', s.sqlite_version)";
    let programs = [
        first_line("rustc", &["--version"]),
        with(&[Competitor::Redis]).then(redis).flatten(),
        with(&[Competitor::Postgres]).then(postgres).flatten(),
        with(&[Competitor::Python, Competitor::Sqlite])
            .then(|| first_line("python3", &["-c", python]))
            .flatten(),
    ];
    let programs: Vec<String> = programs.into_iter().flatten().collect();
    let unknown = || "unknown".to_owned();
    format!(
        "* {cores} cores of {model}, Linux {}; load average before: {load}\n* disk: {}\n* {}\n* commit {}, {}\n",
        kernel.trim(),
        disk(&data_folder.0).unwrap_or_else(unknown),
        programs.join("; "),
        first_line("git", &["describe", "--always", "--dirty"]).unwrap_or_else(unknown),
        first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_else(unknown)
    )
}

/// The first line that a program prints, run in the project's folder; `None` if it is missing or fails.
fn first_line(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(project_root()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    text.lines().next().map(str::to_owned)
}

fn until<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or(text, |(before, _)| before)
}

/// The type of a folder's file system, and whether the kernel reports its disk as rotational.
fn disk(folder: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (device, kind) = mount(&mounts, folder)?;
    let block = Path::new("/sys/dev/block").join(device);
    // For a partition, the attributes of its disk are in the folder above (sysfs-block in the kernel's ABI
    // documentation).
    let rotational = ["queue/rotational", "../queue/rotational"]
        .iter()
        .find_map(|name| fs::read_to_string(fs::canonicalize(&block).ok()?.join(name)).ok());
    let rotational = match rotational.as_deref().map(str::trim) {
        Some("0") => "not rotational",
        Some("1") => "reported as rotational",
        _ => "disk type unknown",
    };
    Some(format!("{kind}, {rotational}"))
}

/// The device and the type of a folder's file system: the last one with the longest mount point
/// (proc_pid_mountinfo(5)).
fn mount<'a>(mounts: &'a str, folder: &Path) -> Option<(&'a str, &'a str)> {
    let all = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let (mut left, mut right) = (left.split(' ').skip(2), right.split(' '));
        let (device, point) = (left.next()?, left.nth(1)?);
        folder.starts_with(point).then_some((point.len(), (device, right.next()?)))
    });
    all.max_by_key(|(length, _)| *length).map(|(_, mount)| mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_longest_mount_point() {
        let mounts = "22 1 8:1 / / rw,noatime shared:1 - ext4 /dev/sda1 rw\n\
                      30 22 0:25 / /tmp rw - tmpfs tmpfs rw,size=1k\n\
                      31 22 8:17 / /data rw master:1 - xfs /dev/sdb1 rw\n";
        assert_eq!(mount(mounts, "/database".as_ref()), Some(("8:1", "ext4")));
        assert_eq!(mount(mounts, "/data/x".as_ref()), Some(("8:17", "xfs")));
        assert_eq!(mount(mounts, "/tmp".as_ref()), Some(("0:25", "tmpfs")));
    }
}
