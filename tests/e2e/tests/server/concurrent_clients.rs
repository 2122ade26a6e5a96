//! Concurrent clients, some slow, disconnecting or hostile: each is served independently, and the balance is the sum.
use atm_e2e::{Client, Rng, Server, TIMEOUT, Value, frame, json, random_bytes, seeded_rng, text_of};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What a disconnecting client deposits last, in dollars. The server may read it or not, so the balance is known only modulo
/// this amount, which is more than all other clients deposit together.
const LAST_DEPOSIT: u64 = 1_000_000;

const ROUNDS: usize = 60;

/// The money that a reply reports as moved, in minor units.
fn moved(reply: &Value) -> i64 {
    let amount = || reply["amount"].as_i64().unwrap();
    match (reply["outcome"].as_str(), reply["operation"].as_str()) {
        (Some("done"), Some("deposit")) => amount(),
        (Some("done"), Some("withdrawal")) => -amount(),
        (Some("refused"), _) => 0,
        other => panic!("{other:?} in {reply}"),
    }
}

/// Deposits and withdraws; returns the sum in minor units.
fn regular_client(address: SocketAddr, mut rng: Rng) -> i64 {
    let (mut client, mut sum) = (Client::greeted(address), 0);
    for _ in 0..ROUNDS {
        let amount = (1 + rng.usize(..300)).to_string();
        let sent = Instant::now();
        let reply = match rng.usize(..5) {
            0 => {
                assert!(text_of(&client.ask("1")).starts_with("How much would you like to deposit?"));
                client.ask(&amount)
            }
            1 => client.ask(&format!("deposit {amount}")),
            2 => client.ask("withdraw all"),
            _ => client.ask(&format!("withdraw {amount}")),
        };
        assert!(sent.elapsed() < TIMEOUT / 4, "delayed for {:?}", sent.elapsed());
        sum += moved(&reply);
        assert_eq!(reply["input"], true);
        if text_of(&reply).contains("How much would you like to withdraw?") {
            client.ask("back");
        }
    }
    assert_eq!(text_of(&client.ask("exit")), "Goodbye.");
    client.expect_end();
    sum
}

/// Deposits, one byte a write; returns the sum in minor units.
fn slow_client(address: SocketAddr) -> i64 {
    let (mut client, mut sum) = (Client::greeted(address), 0);
    for _ in 0..ROUNDS / 10 {
        for byte in frame(json!({ "data": "deposit 7" }).to_string()) {
            client.send(&[byte]);
            thread::sleep(Duration::from_millis(1));
        }
        sum += moved(&client.read());
    }
    sum
}

/// Disconnects at a prompt, inside a frame, or with an answer out.
fn disconnecting_client(address: SocketAddr, mut rng: Rng, stop: &AtomicBool) {
    let whole = frame(json!({ "data": "deposit 5" }).to_string());
    while !stop.load(Ordering::Relaxed) {
        let mut client = Client::greeted(address);
        match rng.usize(..5) {
            0 => {}
            1 => drop(client.ask("deposit")),
            2 => drop(client.ask("withdraw")),
            3 => client.send(&whole[..1 + rng.usize(..whole.len() - 1)]),
            _ => client.answer(&format!("deposit {LAST_DEPOSIT}")),
        }
    }
}

/// Sends random bytes, and never reads.
fn hostile_client(address: SocketAddr, mut rng: Rng, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut client = Client::connect(address);
        let garbage = random_bytes(&mut rng, 3000);
        match rng.usize(..3) {
            0 => client.try_send(&garbage),
            1 => client.try_send(&frame(garbage)),
            _ => (0..50).all(|_| client.try_send(&frame("{\"data\":3}"))),
        };
    }
}

#[test]
fn the_balance_is_the_sum_of_all_clients() {
    let mut rng = seeded_rng();
    let server = Server::start(&["--balance", "500", "--log", "warn"]);
    let (address, stop) = (server.address, AtomicBool::new(false));
    let sum: i64 = thread::scope(|scope| {
        for _ in 0..2 {
            let (rng, stop) = (rng.fork(), &stop);
            scope.spawn(move || disconnecting_client(address, rng, stop));
        }
        let (hostile_rng, stop) = (rng.fork(), &stop);
        scope.spawn(move || hostile_client(address, hostile_rng, stop));
        let mut regular: Vec<_> =
            (0..4).map(|_| rng.fork()).map(|rng| scope.spawn(move || regular_client(address, rng))).collect();
        regular.push(scope.spawn(move || slow_client(address)));
        let sums = regular.into_iter().map(|client| client.join()).collect::<Vec<_>>();
        stop.store(true, Ordering::Relaxed);
        sums.into_iter().map(|sum| sum.expect("a regular client was served")).sum()
    });
    // How many of the last deposits the server has read is not known.
    let remainder = |balance: i64| balance.rem_euclid(LAST_DEPOSIT as i64 * 100);
    let balance = i64::try_from(server.balance()).unwrap();
    assert_eq!(remainder(balance), remainder(50_000 + sum), "balance {balance}, moved {sum}");
    server.stop();
}
