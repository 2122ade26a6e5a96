//! A second process under a host's name: the first, to which no request comes, stops and says why.
use super::{Host, migrated};

#[test]
fn an_idle_host_whose_name_another_process_takes_stops_and_says_why() {
    let (cluster, url) = migrated();
    let folder = tempfile::tempdir().unwrap();
    let [data, copy] = ["data", "copy"].map(|name| folder.path().join(name));
    let first = Host::start(&url, "branch-7", &data);
    // As on another machine with a copy of the mark: the lock of the folder is not there.
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(data.join("ledger.mark"), copy.join("ledger.mark")).unwrap();
    let second = Host::start(&url, "branch-7", &copy);
    let epoch = cluster.sql("ledger", "SELECT epoch FROM journals WHERE name = 'branch-7'");
    assert_eq!(epoch, "2");
    let output = first.program.finish();
    assert_eq!(output.code, Some(1), "{output:?}");
    let log = output.stderr;
    let reasons: Vec<_> =
        log.lines().filter(|line| line.contains("another process has taken the journal over")).collect();
    let [logged, error] = reasons[..] else { panic!("{log}") };
    assert!(logged.contains("ERROR atm::ledger: the ledger is closed for good"), "{logged}");
    let (_, reason) = error.split_once("atm: the server failed: ").expect(error);
    assert!(logged.contains(reason), "{log}");
    for text in [
        "the host branch-7 (journal 3) in the database ledger",
        "epoch was 1 at 20",
        "and is 2 at 20",
        "--host-name",
        "--data",
    ] {
        assert!(reason.contains(text), "{text}: {reason}");
    }
    assert_eq!(second.operate(&["deposit", "40"]).code, Some(0));
}
