//! Completion scripts have the commands, the options and the values of every closed set, and the shells take them.
use atm_e2e::{Program, atm};
use std::{fs, process::Command};
use tempfile::TempDir;

/// What is typed before the Tab key, and what the shells then offer.
const CASES: [(&str, &[&str]); 16] = [
    ("serve --wire ", &["json", "raw", "postcard"]),
    ("client --wire ", &["json", "raw", "postcard"]),
    ("demo --wire po", &["postcard"]),
    ("serve --log ", &["off", "error", "warn", "info", "debug"]),
    ("serve --allow-remote-quit ", &["true", "false"]),
    ("serve --allow-remote-quit f", &["false"]),
    ("ledger export --format ", &["json", "csv"]),
    ("completions f", &["fish"]),
    ("ledger re", &["restore"]),
    ("client b", &["balance"]),
    ("client ", &["balance", "deposit", "withdraw"]),
    ("serve --accep", &["--accept-loss"]),
    ("serve --access ", &["open", "card"]),
    ("card un", &["unblock"]),
    ("account fr", &["freeze"]),
    ("secrets add ", &["tokens", "pins"]),
];

fn script(shell: &str) -> String {
    let output = Program::run(atm(&["completions", shell]), "");
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{shell}");
    output.stdout
}

/// Runs a shell with a program that reads the script; `None` where the shell is not installed.
fn run(shell: &str, program: &str) -> Option<String> {
    if !Command::new(shell).arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no {shell} on this machine");
        return None;
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("script"), script(shell)).unwrap();
    let mut command = Command::new(shell);
    command.args(["-c", program]).current_dir(folder.path());
    let output = Program::run(command, "");
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    Some(output.stdout)
}

/// Checks what a shell has offered for each line, each after an empty line.
fn assert_offered(shell: &str, lines: &[(String, &[&str])], offered: &str) {
    let offers: Vec<_> = offered.split("\n\n").collect();
    assert_eq!(offers.len(), lines.len(), "{offered}");
    for ((line, expected), offered) in lines.iter().zip(offers) {
        let mut offered: Vec<_> = offered.lines().filter_map(|line| line.split('\t').next()).collect();
        // Bash offers the options beside the values of an argument that is none.
        if expected.iter().all(|value| !value.starts_with('-')) {
            offered.retain(|value| !value.starts_with('-'));
        }
        let mut expected = expected.to_vec();
        offered.sort_unstable();
        expected.sort_unstable();
        assert_eq!(offered, expected, "{shell}: {line}");
    }
}

#[test]
fn every_script_has_the_options_and_their_values() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(script(shell).contains("max-sessions"), "{shell}");
    }
    let zsh = script("zsh");
    for values in ["(json raw postcard)", "(off error warn info debug)", "(true false)", "(json csv)"] {
        assert!(zsh.contains(values), "{values}");
    }
    assert!(zsh.contains(":(bash elvish fish powershell zsh)"), "{zsh}");
    assert_eq!(zsh.matches("(json raw postcard)").count(), 3);
}

#[test]
fn bash_completes_values_after_a_blank_and_after_an_equals_sign() {
    // Calls the function as bash does, which splits words at `=` (bash(1), COMP_WORDBREAKS).
    let define = "source ./script
        [[ $(complete -p atm) =~ -F\\ ([^ ]+) ]]
        offer() {
            COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            ${BASH_REMATCH[1]} \"$1\" \"${*: -1}\" \"${*: -2:1}\"
            printf '%s\\n' \"${COMPREPLY[@]}\"
        }";
    let mut lines = Vec::new();
    for (line, values) in CASES {
        let (words, last) = line.rsplit_once(' ').unwrap();
        lines.push((format!("atm {words} '{last}'"), values));
        if words.contains(" --") {
            lines.push((format!("atm {words} = '{last}'"), values));
        }
    }
    let offers: Vec<_> = lines.iter().map(|(words, _)| format!("offer {words}\n")).collect();
    if let Some(offered) = run("bash", &format!("{define}\n{}", offers.join("echo\n"))) {
        assert_offered("bash", &lines, &offered);
    }
}

#[test]
fn fish_completes_values() {
    let lines = CASES.map(|(line, values)| (format!("atm {line}"), values));
    let offers: Vec<_> = lines.iter().map(|(line, _)| format!("complete -C '{line}'\n")).collect();
    if let Some(offered) = run("fish", &format!("source ./script\n{}", offers.join("echo\n"))) {
        assert_offered("fish", &lines, &offered);
    }
}

#[test]
fn zsh_accepts_its_script() {
    // `compdef` is of zsh's completion system.
    if let Some(loaded) = run("zsh", "compdef() { print $* }; source ./script") {
        assert_eq!(loaded, "_atm atm\n");
    }
}
