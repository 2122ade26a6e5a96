//! Processes of a server: signals to all of them, and what a killed one leaves in the system.
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, path::Path, process::Command};

/// Sends a signal to a postmaster and to all its processes. They are sessions of their own, so there is no group to send it to
/// (`setsid` in PostgreSQL's `fork_process.c`).
pub(crate) fn signal_all(postmaster: u32, signal: Signal) {
    let postmaster = pid(postmaster);
    // While it is stopped it starts no other.
    send(postmaster, Signal::STOP);
    for process in children(postmaster) {
        send(process, signal);
    }
    send(postmaster, signal);
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

fn send(process: Pid, signal: Signal) {
    // It may have ended.
    let _ = kill_process(process, signal);
}

/// The processes of a parent: the fourth field of `/proc/PID/stat` (proc_pid_stat(5)).
fn children(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_nonzero().to_string();
    let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let numbers = entries.filter_map(|name| name.to_str()?.parse::<u32>().ok());
    let is_child = |number: &u32| {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // The name before it is in parentheses, and may have blanks.
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)) == Some(&parent)
    };
    numbers.filter(is_child).map(pid).collect()
}

/// Removes the shared memory (System V) of a server that was killed. Its number is in the seventh line of `postmaster.pid`, which a
/// server that stops in order removes.
pub(crate) fn remove_segment(data: &Path) {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let number = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1));
    if let Some(number) = number {
        // A session that was still ending may have removed it.
        let _ = Command::new("ipcrm").args(["-m", number]).output();
    }
}
