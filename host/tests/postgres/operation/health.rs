//! The health of a host to which no request comes: it asks the database by itself.
use super::{Host, migrated};
use std::time::Duration;

/// How long an idle host may take to notice that its database is gone: a probe every 2 s, and 10 s for an exchange.
const NOTICED: Duration = Duration::from_secs(15);

#[test]
fn an_idle_host_notices_that_its_database_is_gone_or_silent_and_when_it_is_back() {
    let (mut cluster, url) = migrated();
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(&url, "host", folder.path());
    assert_eq!((host.health(), host.metric("atm_ledger_open")), ((true, "ok\n".to_owned()), 1));
    cluster.stop();
    let (took, text) = host.wait_for_health(false);
    assert!(took < NOTICED && text == "the ledger is closed by a fault\n", "{took:?} {text}");
    assert_eq!(host.metric("atm_ledger_open"), 0);
    cluster.restart();
    host.wait_for_health(true);
    // Its connections stay open, and nothing comes.
    cluster.halt();
    let (took, text) = host.wait_for_health(false);
    assert!(took < NOTICED, "{took:?} {text}");
    assert_eq!(host.metric("atm_ledger_open"), 0);
    cluster.resume();
    host.wait_for_health(true);
    assert_eq!(host.metric("atm_ledger_open"), 1);
    assert_eq!(host.operate(&["deposit", "40"]).code, Some(0));
    assert_eq!(host.metric("atm_ledger_doubts_total"), 0, "no commit was in doubt");
    assert!(
        host.program.stderr().contains("the ledger's database does not answer"),
        "{}",
        host.program.stderr()
    );
}
