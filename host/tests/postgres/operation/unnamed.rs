//! Operations of unnamed sessions while the database is gone or silent: their clients learn "unknown", and they are not carried out later.
use super::{Host, migrated};

#[test]
fn an_unnamed_deposit_while_the_database_is_gone_or_silent_is_unknown_and_is_not_done_later() {
    let (mut cluster, url) = migrated();
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(&url, "host", folder.path());
    let deposit = || {
        let output = host.operate(&["deposit", "40"]);
        assert_eq!(output.code, Some(4), "{output:?}");
    };
    cluster.stop();
    deposit();
    deposit();
    cluster.restart();
    host.wait_for_health(true);
    assert_eq!(host.operate(&["deposit", "1"]).code, Some(0));
    cluster.halt();
    deposit();
    cluster.resume();
    host.wait_for_health(true);
    assert_eq!(host.operate(&["deposit", "2"]).code, Some(0));
    assert_eq!(cluster.sql("ledger", "SELECT balance, version FROM accounts"), "10300|3");
}
