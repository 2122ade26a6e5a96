//! The decoy: its row is locked for an unknown card alone, so that hosts whose cards are known do not wait for each other.
use super::{MemoryMark, admitted, bank::bank, hello, named, units};
use atm_cluster::Cluster;
use atm_core::{
    ledger::{
        AccountNumber, Command, Operation, Request,
        card::{Access, CardKeys, CardRequest, KeyId, Limits},
    },
    time::UnixTime,
};
use atm_host::ledger::{
    batch::{Batch, DECOY},
    postgres::Postgres,
    store::{Store, StoreFault},
};
use std::thread;

/// The keys of the bank's cards, or those and a newer key of tokens.
fn keys(has_newer: bool) -> CardKeys {
    let key = |id, byte| (KeyId(id), [byte; 32].into());
    let (former, pins) = (key(1, 1), key(1, 2));
    if has_newer {
        CardKeys::new(key(2, 3), Some(former), pins, None)
    } else {
        CardKeys::new(former, None, pins, None)
    }
}

const KNOWN: &str = "4111111111111111";
const UNKNOWN: &str = "340000000000009";

fn verify(card: &str, turn: u32, keys: &CardKeys) -> Request {
    let claim = keys.claim(&card.parse().unwrap());
    let proof = keys.proof(&claim, &"2580".parse().unwrap());
    named("kiosk", turn, Command::Card { id: 1, request: CardRequest::Verify { claim, proof } })
}

fn load(store: &mut Postgres, request: &Request) -> Result<Batch, StoreFault> {
    store.load(&mut [request].into_iter())
}

/// Waits until a session waits for the lock of another.
fn wait(cluster: &Cluster) {
    while cluster.sql("ledger", "SELECT count(*) FROM pg_locks WHERE NOT granted") == "0" {
        thread::yield_now();
    }
}

#[test]
fn only_unknown_cards_at_two_hosts_wait_for_each_other() {
    let (cluster, database) = bank();
    let mut hosts = ["host", "second"]
        .map(|name| Postgres::open(database.clone(), name, MemoryMark::new().open()).unwrap());
    let [first, second] = &mut hosts;
    let unknown = verify(UNKNOWN, 1, &keys(false));
    assert!(load(first, &unknown).unwrap().cards.has_card(DECOY));
    let batch = load(second, &verify(KNOWN, 1, &keys(false))).unwrap();
    assert!(batch.cards.has_card(1) && !batch.cards.has_card(DECOY));
    second.abandon();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| load(second, &unknown));
        wait(&cluster);
        first.abandon();
        assert!(waiting.join().unwrap().unwrap().cards.has_card(DECOY));
    });
}

#[test]
fn a_card_that_gets_another_token_while_it_is_waited_for_is_looked_up_again() {
    let (cluster, database) = bank();
    let mut hosts = ["host", "second"]
        .map(|name| Postgres::open(database.clone(), name, MemoryMark::new().open()).unwrap());
    let [first, second] = &mut hosts;
    let hello = named("kiosk", 0, hello(1));
    let mut batch = load(first, &hello).unwrap();
    let turn = admitted(&batch.decide(&hello, UnixTime::from_millis(1)));
    first.save(&batch).unwrap();
    // The session of another terminal goes on with the former token.
    let token = keys(false).claim(&KNOWN.parse().unwrap()).newest();
    let access = Access { token, version: 1, account: AccountNumber(7) };
    let operate = CardRequest::Operate { access, operation: Operation::Deposit(units(1)) };
    let operate = named("branch", 1, Command::Card { id: 1, request: operate });
    let verify = verify(KNOWN, turn, &keys(true));
    batch = load(first, &verify).unwrap();
    batch.limits = Some(Limits { withdrawal: units(100), day: units(100) });
    batch.decide(&verify, UnixTime::from_millis(2));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| load(second, &operate));
        wait(&cluster);
        first.save(&batch).unwrap();
        let found = waiting.join().unwrap();
        assert!(matches!(found, Err(StoreFault::Busy)), "{found:?}");
    });
    assert!(load(second, &operate).unwrap().cards.has_card(DECOY));
}

#[test]
fn an_unknown_card_is_refused_where_the_row_of_the_decoy_was_deleted() {
    let (cluster, database) = bank();
    let mut store = Postgres::open(database, "host", MemoryMark::new().open()).unwrap();
    cluster.sql("ledger", "DELETE FROM cards WHERE card = 0");
    let batch = load(&mut store, &verify(UNKNOWN, 1, &keys(false))).unwrap();
    assert!(batch.cards.has_card(DECOY));
}
