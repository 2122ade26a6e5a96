//! The comparison: it measures what it says, writes what it measured, and says what it lacks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use atm_e2e::{Program, Signal};
use std::{env, fs, os::unix::fs::PermissionsExt, process::Command};

fn compare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(arguments);
    command
}

#[test]
fn what_the_machine_has_not_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let others = ["--without", "redis,postgres,python,sqlite"];
    let few = [
        "--short",
        "--sessions",
        "1,8",
        "--durable-sessions",
        "1",
        "--idle",
        "50",
        "--seed",
        "7",
        "--out",
        out.to_str().unwrap(),
    ];
    let done = Program::run(compare(&[&few[..], &others].concat()), "");
    assert_eq!(done.code, Some(0), "{done:?}");
    let page = fs::read_to_string(out.join("compare.md")).unwrap();
    for line in [
        "| atm, json | ",
        "| echo, threads | ",
        "| echo, event loop | ",
        "| one fdatasync after the other | ",
    ] {
        assert!(page.contains(line) && done.stdout.contains(line), "{line}: {page}");
    }
    for aim in [
        "of the faster echo's",
        "of one fdatasync",
        "resident memory of an idle session, 50 sessions",
        "is told so",
    ] {
        let line = page.lines().find(|line| line.starts_with("| ") && line.contains(aim));
        let line = line.unwrap_or_else(|| panic!("{aim}: {page}"));
        assert!(line.ends_with("| met |") || line.ends_with("| **missed** |"), "{line}");
    }
    assert!(
        !page.contains("Redis") && page.contains("50 sessions, connected in one burst: all but 0 greeted"),
        "{page}"
    );
    for told in ["Linux", "disk: ", "rustc ", "commit ", "--seed 7"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    for picture in ["memory-rate.svg", "memory-p99.svg", "durable-rate.svg"] {
        assert!(page.contains(picture));
        assert!(fs::read_to_string(out.join(picture)).unwrap().contains("<polyline"));
    }
}

#[test]
fn what_lacks_is_told_with_its_package() {
    let mut command = compare(&["--short"]);
    let done = Program::run(
        {
            command.env("PATH", "");
            command
        },
        "",
    );
    assert_eq!(done.code, Some(1), "{done:?}");
    for word in ["apt-get install redis-server", "apt-get install python3", "--without"] {
        assert!(done.stderr.contains(word), "{word}: {done:?}");
    }
    assert_eq!(done.stdout, "");
}

#[test]
fn a_signal_ends_it_and_leaves_nothing() {
    let disk = tempfile::tempdir().unwrap();
    let out = disk.path().join("made");
    let (folder, out) = (disk.path().to_str().unwrap(), out.to_str().unwrap());
    let others = ["--without", "redis,postgres,python,sqlite", "--parts", "durable,memory"];
    let long = ["--duration", "3600", "--rounds", "1000", "--disk", folder, "--out", out];
    let program = Program::start(compare(&[&long[..], &others].concat()));
    program.wait_for("orders of the rounds");
    program.signal(Signal::TERM);
    let done = program.finish();
    assert_eq!(done.code, Some(130), "{done:?}");
    assert!(done.stderr.contains("stopped by a signal"), "{done:?}");
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["made"]);
    let page = fs::read_to_string(disk.path().join("made/compare.md")).unwrap();
    assert!(page.contains("## Not finished\n\nstopped by a signal"), "{page}");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_anything_is_measured() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = file.path().join("made");
    let others = ["--without", "redis,postgres,python,sqlite", "--out", out.to_str().unwrap()];
    let done = Program::run(compare(&others), "");
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert!(done.stderr.contains(out.to_str().unwrap()), "{done:?}");
}

#[test]
fn a_server_that_does_not_start_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("redis-server");
    fs::write(&program, "#!/bin/sh\ntest \"$1\" = --version\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = env::var_os("PATH").unwrap_or_default();
    let paths =
        env::join_paths([folder.path().to_owned()].into_iter().chain(env::split_paths(&path))).unwrap();
    let mut command = compare(&["--short", "--parts", "memory", "--without", "postgres,python,sqlite"]);
    command.env("PATH", paths);
    let done = Program::run(command, "");
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("\ncompare: ") && !done.stderr.contains("panicked"), "{done:?}");
}
