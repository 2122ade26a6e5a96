//! A person's transaction in `psql` that is left open and keeps rows locked.
use super::{Host, migrated};
use atm_e2e::Program;

#[test]
fn a_transaction_that_is_left_open_is_named_and_the_host_goes_on_when_it_has_ended() {
    let (cluster, url) = migrated();
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(&url, "host", folder.path());
    let mut person = Program::start(cluster.client("ledger"));
    person.type_line("SELECT 'process ' || pg_backend_pid() || ' of';");
    let process = person.wait_until(|text| text.ends_with("of\n").then(|| text.trim().to_owned()));
    // The journal's row, while no request comes.
    person.type_line("BEGIN; SELECT 'locked' FROM journals FOR UPDATE;");
    person.wait_for("locked");
    let (_, text) = host.wait_for_health(false);
    assert_eq!(text, "another transaction keeps rows of the ledger locked\n");
    assert_eq!(host.metric("atm_ledger_open"), 0);
    let log = host.program.stderr();
    let line = log.lines().find(|line| line.contains("the ledger's rows are locked")).expect(&log);
    for text in [&process, r#"psql"#, "idle in transaction for ", "pg_terminate_backend"] {
        assert!(line.contains(text), "{text}: {line}");
    }
    person.type_line("ROLLBACK;");
    host.wait_for_health(true);
    assert!(host.program.stderr().contains("the other transaction has ended"));
    // The account's row, with a request that waits.
    person.type_line("BEGIN; SELECT 'account' FROM accounts FOR UPDATE;");
    person.wait_for("account");
    let state = folder.path().join("kiosk-7.state").display().to_string();
    let client = host.start_operation(&["deposit", "40", "--terminal", "kiosk-7", "--state", &state]);
    host.wait_for_health(false);
    assert_eq!(host.program.stderr().matches("the ledger's rows are locked").count(), 2);
    person.type_line("COMMIT;");
    assert_eq!(client.finish().code, Some(0));
    host.wait_for_health(true);
    assert_eq!(cluster.sql("ledger", "SELECT balance, version FROM accounts"), "14000|2");
}
