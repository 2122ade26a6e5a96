//! What packages are made of: manual pages from the command line, and the commands of the container image.
use atm_e2e::{Program, Server, Value, atm, project_root};
use std::{collections::BTreeSet, fs, process::Command};
use tempfile::TempDir;

#[test]
fn each_command_has_a_manual_page_with_its_options() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("man");
    let done = Program::run(atm(&["man", pages.to_str().unwrap()]), "");
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "", ""));
    let mut found: BTreeSet<String> =
        fs::read_dir(&pages).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    for name in [
        "atm",
        "atm-serve",
        "atm-client",
        "atm-demo",
        "atm-man",
        "atm-completions",
        "atm-ledger",
        "atm-ledger-show",
        "atm-ledger-verify",
        "atm-ledger-export",
        "atm-ledger-backup",
        "atm-ledger-restore",
        "atm-terminal",
        "atm-terminal-add",
        "atm-terminal-rotate",
        "atm-terminal-revoke",
        "atm-terminal-list",
        "atm-terminal-provision",
        "atm-access",
        "atm-access-confirm",
        "atm-account",
        "atm-account-open",
        "atm-account-list",
        "atm-account-show",
        "atm-account-freeze",
        "atm-account-unfreeze",
        "atm-account-close",
        "atm-card",
        "atm-card-issue",
        "atm-card-list",
        "atm-card-block",
        "atm-card-unblock",
        "atm-card-set-pin",
        "atm-secrets",
        "atm-secrets-new",
        "atm-secrets-add",
        "atm-secrets-use",
        "atm-secrets-remove",
    ] {
        assert!(found.remove(&format!("{name}.1")), "{name}");
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).unwrap().replace(r"\-", "-");
        let words: Vec<_> = name.split('-').skip(1).chain(["--help"]).collect();
        let help = Program::run(atm(&words), "").stdout;
        let options =
            help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split([' ', '[']).next());
        for option in options {
            assert!(page.contains(&format!("--{option}")), "{name}: --{option}");
        }
    }
    assert_eq!(found, BTreeSet::new());
}

/// The words of an instruction of the Containerfile in its JSON form.
fn instruction(name: &str) -> Vec<String> {
    let file = fs::read_to_string(project_root().join("Containerfile")).unwrap();
    let line = file.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
    let words: Value = serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap();
    words.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_container_image_starts_a_server_and_knows_its_health() {
    assert_eq!(instruction("ENTRYPOINT"), ["atm"]);
    let command = instruction("CMD");
    let words: Vec<_> = command.iter().map(String::as_str).chain(["--check-config"]).collect();
    let checked = Program::run(atm(&words), "");
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), "ok\n"), "{checked:?}");
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&["--data", data.to_str().unwrap(), "--metrics", "127.0.0.1:0"]);
    server.program.wait_for_stderr("/metrics");
    let log = server.program.stderr();
    let (_, port) =
        log.lines().find(|line| line.contains("/metrics")).unwrap().rsplit_once("127.0.0.1:").unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let health = |port: &str| {
        let words = instruction("HEALTHCHECK");
        let mut check = Command::new(&words[0]);
        check.arg(&words[1]).arg(words[2].replace("/9654", &format!("/{port}")));
        Program::run(check, "").code
    };
    assert!(words.contains(&"127.0.0.1:9654"), "{words:?}");
    assert_eq!(health(&port), Some(0));
    server.stop();
    assert_eq!(health(&port), Some(1));
}
