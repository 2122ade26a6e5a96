//! The comparison: its page has all results and targets, and it reports missing programs and failures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use atm_e2e::{Program, Signal};
use std::{env, fs, os::unix::fs::PermissionsExt, process::Command};

fn compare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(arguments);
    command
}

#[test]
fn the_page_has_the_results_of_all_systems_that_are_not_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let former = atm_e2e::atm(&[]).get_program().to_owned();
    let options = ["--without", "redis,postgres,python,sqlite", "--former", former.to_str().unwrap()];
    let short = [
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
    let done = Program::run(compare(&[&short[..], &options].concat()), "");
    assert_eq!(done.code, Some(0), "{done:?}");
    let page = fs::read_to_string(out.join("compare.md")).unwrap();
    for line in [
        "| atm, json | ",
        "| echo, threads | ",
        "| echo, event loop | ",
        "| fdatasync alone | ",
        "| atm, named terminals | ",
        "| former atm, named terminals | ",
        "| json, TLS | ",
        "| postcard, sealed | ",
        "| postcard, sealed / postcard, clear | ",
    ] {
        assert!(page.contains(line) && done.stdout.contains(line), "{line}: {page}");
    }
    for target in [
        "relative to the faster echo server",
        "p50 latency: atm, one answer a deposit / fdatasync alone, 1 session",
        "resident memory per idle session, 50 sessions",
        "gets a notice",
    ] {
        let line = page.lines().find(|line| line.starts_with("| ") && line.contains(target));
        let line = line.unwrap_or_else(|| panic!("{target}: {page}"));
        assert!(line.ends_with("| met |") || line.ends_with("| **missed** |"), "{line}");
    }
    assert!(
        !page.contains("Redis") && page.contains("50 sessions, connected in one burst: all but 0 greeted"),
        "{page}"
    );
    for text in ["Linux", "disk: ", "rustc ", "commit ", "--seed 7"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    for chart in ["memory-rate.svg", "memory-p99.svg", "durable-rate.svg"] {
        assert!(page.contains(chart));
        assert!(fs::read_to_string(out.join(chart)).unwrap().contains("<polyline"));
    }
}

#[test]
fn missing_programs_are_reported_with_their_packages() {
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
    let options = ["--short", "--without", "redis,postgres,python,sqlite", "--former", "/nowhere/atm"];
    let done = Program::run(compare(&options), "");
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert!(done.stderr.contains("/nowhere/atm does not run"), "{done:?}");
}

#[test]
fn a_signal_ends_the_comparison_and_leaves_only_the_page() {
    let disk = tempfile::tempdir().unwrap();
    let out = disk.path().join("made");
    let (folder, out) = (disk.path().to_str().unwrap(), out.to_str().unwrap());
    let options = ["--without", "redis,postgres,python,sqlite", "--parts", "durable,memory"];
    let long = ["--duration", "3600", "--rounds", "1000", "--disk", folder, "--out", out];
    let program = Program::start(compare(&[&long[..], &options].concat()));
    program.wait_for("order of the systems");
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
fn an_unwritable_folder_is_reported_before_anything_is_measured() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = file.path().join("made");
    let options = ["--without", "redis,postgres,python,sqlite", "--out", out.to_str().unwrap()];
    let done = Program::run(compare(&options), "");
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert!(done.stderr.contains(out.to_str().unwrap()), "{done:?}");
}

#[test]
fn a_server_that_does_not_start_is_reported_as_an_error() {
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
