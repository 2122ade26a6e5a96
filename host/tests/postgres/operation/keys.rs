//! Cards whose keys the secrets file lacks, in a database and in a folder: the start, the list and an unblocking say so.
use super::{atm, migrated};
use atm_e2e::{Program, Signal};
use std::fs;

fn printed(arguments: &[&str]) -> String {
    let output = Program::run(atm(arguments), "");
    assert_eq!(output.code, Some(0), "{arguments:?} {output:?}");
    output.stdout
}

#[test]
fn cards_of_other_keys_are_warned_of_at_the_start_and_shown_in_the_list() {
    let (_cluster, url) = migrated();
    let folder = tempfile::tempdir().unwrap();
    let [own, other, data, mark] =
        ["own", "other", "data", "mark"].map(|name| folder.path().join(name).display().to_string());
    for file in [&own, &other] {
        printed(&["secrets", "new", file]);
    }
    // A ledger in a folder is made by a server.
    let server = |options: &[&str], secrets: &str| {
        let options = [
            &["serve", "--listen", "127.0.0.1:0", "--sealed", "--access", "card", "--secrets", secrets],
            options,
        ]
        .concat();
        let server = Program::start(atm(&options));
        server.wait_for("listening on ");
        server.signal(Signal::TERM);
        let output = server.finish();
        assert_eq!(output.code, Some(0), "{output:?}");
        output.stderr
    };
    server(&["--data", &data], &own);
    for (place, served) in [
        (vec!["--data", data.as_str()], vec!["--data", data.as_str()]),
        (vec!["--database", url.as_str()], vec!["--database", url.as_str(), "--data", mark.as_str()]),
    ] {
        let order = |arguments: &[&str], secrets: &str| {
            printed(&[arguments, &place, &["--secrets", secrets]].concat())
        };
        printed(&[&["account", "open", "--owner", "Ada"], &place[..]].concat());
        let mut numbers = Vec::new();
        for _ in 0..7 {
            let card = order(&["card", "issue", "--account", "1000", "--json"], &own);
            numbers.extend(
                card.split('"')
                    .map(str::to_owned)
                    .filter(|text| text.len() == 16 && text.parse::<u64>().is_ok()),
            );
        }
        assert_eq!(numbers.len(), 7);
        order(&["card", "block", "2"], &own);
        assert!(!server(&served, &own).contains("the secrets file has no keys"));
        let log = server(&served, &other);
        let warned = log.lines().find(|line| line.contains("the secrets file has no keys")).expect(&log);
        // That of the blocked card is lost or not: it is not served.
        assert!(warned.contains("WARN") && warned.contains("cards=6 first=\"1 3 4 5 6\""), "{warned}");
        assert!(numbers.iter().all(|number| !log.contains(number)), "{log}");
        let list = order(&["card", "list"], &other);
        assert_eq!((list.matches("no keys").count(), list.matches("blocked").count()), (6, 1), "{list}");
        assert!(!order(&["card", "list"], &own).contains("no keys"));
        let objects = order(&["card", "list", "--json"], &other);
        assert_eq!(objects.matches("\"has_keys\":false").count(), 7, "{objects}");
        assert!(order(&["card", "unblock", "2"], &other).contains("has no keys of it"));
        order(&["card", "block", "2"], &own);
        assert!(!order(&["card", "unblock", "2"], &own).contains("has no keys of it"));
    }
    assert!(fs::metadata(&mark).unwrap().is_dir());
}
