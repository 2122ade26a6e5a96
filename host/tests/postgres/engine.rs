//! The engine: which versions and tables are used, and what each session sets whatever the database has set.
use super::{
    MemoryMark,
    commands::{printed, refused},
    create, deposit, migrate, named, open, turn,
};
use atm_cluster::{Cluster, Proxy};
use atm_core::ledger::Ledger;
use atm_host::ledger::{postgres::Database, store::StoreFault};
use std::{sync::Arc, time::Duration};

#[test]
fn another_version_is_refused_unless_it_is_asked_for() {
    let cluster = Cluster::start();
    migrate(&create(&cluster, "ledger"));
    let proxy = Proxy::start(&cluster, 6_000);
    let url = proxy.url("ledger");
    printed(&["ledger", "verify", "--database", &url]);
    for other in ["PostgreSQL 16.", "PostgreSQL 9.6", "CockroachDB CC"] {
        proxy.replace("PostgreSQL 15.", other);
        for command in [&["ledger", "verify"][..], &["ledger", "migrate"], &["account", "list"]] {
            let reason = refused(&[command, &["--database", &url]].concat());
            assert!(reason.contains(other) && reason.contains("--untested-engine"), "{reason}");
        }
        let database = Database::new(&url, None, false).unwrap();
        let fault = open(&database, "host", &MemoryMark::new(), &Arc::default()).err().unwrap();
        assert!(matches!(fault, StoreFault::Unusable(_)), "{fault}");
        printed(&["ledger", "verify", "--untested-engine", "--database", &url]);
    }
}

#[test]
fn a_server_that_takes_no_writes_is_not_used() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    // As on a standby.
    cluster.sql("postgres", "ALTER DATABASE ledger SET default_transaction_read_only = on");
    let mark = MemoryMark::new();
    let fault = open(&database, "host", &mark, &Arc::default()).err().unwrap();
    assert!(matches!(fault, StoreFault::Failed(_)), "{fault}");
    assert!(!fault.is_final());
    cluster.sql("postgres", "ALTER DATABASE ledger SET default_transaction_read_only = off");
    assert!(open(&database, "host", &MemoryMark::new(), &Arc::default()).is_ok());
}

#[test]
fn each_session_sets_what_its_transactions_need() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger").with_deadline(Duration::from_secs(8));
    migrate(&database);
    let settings = [
        ("synchronous_commit", "off", "on"),
        ("default_transaction_isolation", "serializable", "read committed"),
        ("transaction_isolation", "", "read committed"),
        ("lock_timeout", "0", "4s"),
        ("idle_in_transaction_session_timeout", "0", "8s"),
        ("search_path", "other", "public"),
        ("client_min_messages", "error", "warning"),
    ];
    for (name, other, _) in settings.iter().filter(|(_, other, _)| !other.is_empty()) {
        cluster.sql("postgres", &format!("ALTER DATABASE ledger SET {name} = '{other}'"));
    }
    let names: Vec<_> = settings.iter().map(|(name, ..)| format!("'{name}'")).collect();
    cluster.sql(
        "ledger",
        &format!(
            "SET search_path = public; CREATE TABLE found (name text, value text);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO public.found SELECT name, current_setting(name) FROM unnest(ARRAY[{}]) AS name; RETURN NEW; END $$;
             CREATE TRIGGER note BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION note()",
            names.join(", ")
        ),
    );
    let mut host = open(&database, "host", &MemoryMark::new(), &Arc::default()).unwrap();
    let turn = turn(&mut host, "kiosk");
    host.apply(&named("kiosk", turn, deposit(1, 1))).unwrap();
    for (name, _, expected) in settings {
        let found = cluster.sql("ledger", &format!("SELECT value FROM public.found WHERE name = '{name}'"));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn tables_that_were_changed_by_hand_are_refused() {
    let cluster = Cluster::start();
    let database = create(&cluster, "ledger");
    migrate(&database);
    let mark = MemoryMark::new();
    let opened = || open(&database, "host", &mark, &Arc::default());
    for (change, back) in [
        (
            "ALTER TABLE cards DROP COLUMN day",
            "ALTER TABLE cards ADD COLUMN day BIGINT NOT NULL DEFAULT 0; ALTER TABLE cards ALTER COLUMN day DROP DEFAULT",
        ),
        ("ALTER TABLE terminals ADD COLUMN note TEXT", "ALTER TABLE terminals DROP COLUMN note"),
        ("ALTER TABLE entries RENAME COLUMN time TO at", "ALTER TABLE entries RENAME COLUMN at TO time"),
        (
            "ALTER TABLE journals ALTER COLUMN epoch TYPE integer",
            "ALTER TABLE journals ALTER COLUMN epoch TYPE bigint",
        ),
        (
            "ALTER TABLE journals ALTER COLUMN hash TYPE varchar(64)",
            "ALTER TABLE journals ALTER COLUMN hash TYPE text",
        ),
        (
            "ALTER TABLE journals ALTER COLUMN owner DROP NOT NULL",
            "ALTER TABLE journals ALTER COLUMN owner SET NOT NULL",
        ),
        (
            "ALTER TABLE terminals ALTER COLUMN closed DROP DEFAULT",
            "ALTER TABLE terminals ALTER COLUMN closed SET DEFAULT 0",
        ),
        (
            "ALTER TABLE accounts ALTER COLUMN state SET DEFAULT 'closed'",
            "ALTER TABLE accounts ALTER COLUMN state SET DEFAULT 'open'",
        ),
        (
            "ALTER TABLE accounts DROP CONSTRAINT accounts_balance_check",
            "ALTER TABLE accounts ADD CHECK (balance >= 0)",
        ),
        (
            "ALTER TABLE accounts ADD CONSTRAINT rich CHECK (balance > 5)",
            "ALTER TABLE accounts DROP CONSTRAINT rich",
        ),
        (
            "ALTER TABLE terminals DROP CONSTRAINT terminals_pkey",
            "ALTER TABLE terminals ADD PRIMARY KEY (terminal)",
        ),
        ("ALTER TABLE cards DROP CONSTRAINT cards_token_key", "ALTER TABLE cards ADD UNIQUE (token)"),
        (
            "ALTER TABLE entries DROP COLUMN position",
            "ALTER TABLE entries ADD COLUMN position BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE",
        ),
        ("UPDATE ledger SET format = format + 1", "UPDATE ledger SET format = format - 1"),
        ("ALTER TABLE cards RENAME TO other", "ALTER TABLE other RENAME TO cards"),
    ] {
        cluster.sql("ledger", change);
        let fault = opened().err().unwrap_or_else(|| panic!("{change}"));
        assert!(matches!(fault, StoreFault::Unusable(_)), "{change}: {fault}");
        cluster.sql("ledger", back);
        assert!(opened().is_ok(), "{change}: {:?}", opened().err());
    }
}
