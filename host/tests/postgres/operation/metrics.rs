//! The metrics of faults of the database.
use super::{Host, migrated};
use atm_e2e::Program;
use std::{
    thread,
    time::{Duration, Instant},
};

/// Has the commit of a deposit of $40 wait: it is sent, and its end is not known.
const SLOW_COMMIT: &str = "
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN (NEW.operation = 'deposit' AND NEW.amount = 4000) EXECUTE FUNCTION wait();";

#[test]
fn a_commit_in_doubt_is_counted_until_it_is_settled() {
    let (mut cluster, url) = migrated();
    cluster.sql("ledger", SLOW_COMMIT);
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(&url, "host", folder.path());
    let state = folder.path().join("kiosk-7.state").display().to_string();
    let named = ["--terminal", "kiosk-7", "--state", &state, "--json"];
    let client = host.start_operation(&[&["deposit", "40"], &named[..]].concat());
    let began = Instant::now();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    while cluster.sql("ledger", waiting) != "1" {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", host.program.stderr());
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(host.metric("atm_ledger_in_doubt"), 0);
    cluster.stop();
    host.wait_for_metric("atm_ledger_in_doubt", 1);
    assert_eq!(
        ["doubts", "settled", "reconnects"].map(|name| host.metric(&format!("atm_ledger_{name}_total"))),
        [1, 0, 0]
    );
    cluster.restart();
    host.wait_for_metric("atm_ledger_settled_total", 1);
    assert_eq!(host.metric("atm_ledger_in_doubt"), 0);
    assert_eq!(host.metric("atm_ledger_doubts_total"), 1);
    assert!(host.metric("atm_ledger_reconnects_total") >= 1);
    let output = client.finish();
    assert_eq!(output.code, Some(5), "it is voided: {output:?}");
    assert_eq!(cluster.sql("ledger", "SELECT balance FROM accounts"), "10000");
}

#[test]
fn a_batch_that_another_transaction_is_in_the_way_of_is_counted_and_carried_out_after_it() {
    let (cluster, url) = migrated();
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(&url, "host", folder.path());
    let mut person = Program::start(cluster.client("ledger"));
    person.type_line("BEGIN; SELECT balance FROM accounts FOR UPDATE;");
    person.wait_for("10000");
    let state = folder.path().join("kiosk-7.state").display().to_string();
    let client = host.start_operation(&["deposit", "40", "--terminal", "kiosk-7", "--state", &state]);
    host.wait_for_metric("atm_ledger_retries_total", 1);
    let before = host.metric("atm_ledger_sync_seconds_count");
    person.type_line("COMMIT;");
    assert_eq!(client.finish().code, Some(0));
    assert!(host.metric("atm_ledger_sync_seconds_count") > before);
    assert_eq!(host.metric("atm_ledger_doubts_total"), 0);
}
