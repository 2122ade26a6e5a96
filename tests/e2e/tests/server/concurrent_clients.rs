//! Eight clients at once, some of them slow, vanishing or hostile: nobody else is disturbed, and the money adds up.
use atm_e2e::{Client, Rng, Server, TIMEOUT, Value, frame, json, random_bytes, seeded_rng, text_of};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What the vanishing client deposits as it goes, in whole units. It may be heard or not, so the sums are only known but for
/// a multiple of this, which is far more than all the others deposit together.
const PARTING: u64 = 1_000_000;

const ROUNDS: usize = 60;

/// What a reply says that it moved, in minor units.
fn moved(reply: &Value) -> i64 {
    let amount = || reply["amount"].as_i64().unwrap();
    match (reply["outcome"].as_str(), reply["operation"].as_str()) {
        (Some("done"), Some("deposit")) => amount(),
        (Some("done"), Some("withdrawal")) => -amount(),
        (Some("refused"), _) => 0,
        other => panic!("{other:?} in {reply}"),
    }
}

/// Deposits and withdraws; returns what that came to.
fn honest(address: SocketAddr, mut random: Rng) -> i64 {
    let (mut client, mut sum) = (Client::greeted(address), 0);
    for _ in 0..ROUNDS {
        let amount = (1 + random.usize(..300)).to_string();
        let asked = Instant::now();
        let reply = match random.usize(..5) {
            0 => {
                assert!(text_of(&client.ask("1")).starts_with("How much would you like to deposit?"));
                client.ask(&amount)
            }
            1 => client.ask(&format!("deposit {amount}")),
            2 => client.ask("withdraw all"),
            _ => client.ask(&format!("withdraw {amount}")),
        };
        assert!(asked.elapsed() < TIMEOUT / 4, "held up for {:?}", asked.elapsed());
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

/// As an honest one, a byte at a time.
fn slow(address: SocketAddr) -> i64 {
    let (mut client, mut sum) = (Client::greeted(address), 0);
    for _ in 0..ROUNDS / 10 {
        for byte in frame(json!({ "data": "deposit 7" }).to_string()) {
            client.send(&[byte]);
            // This client is slow: that is what it is for.
            thread::sleep(Duration::from_millis(1));
        }
        sum += moved(&client.read());
    }
    sum
}

/// Vanishes at every prompt, in the middle of a frame, and with an answer out.
fn vanishing(address: SocketAddr, mut random: Rng, over: &AtomicBool) {
    let whole = frame(json!({ "data": "deposit 5" }).to_string());
    while !over.load(Ordering::Relaxed) {
        let mut client = Client::greeted(address);
        match random.usize(..5) {
            0 => {}
            1 => drop(client.ask("deposit")),
            2 => drop(client.ask("withdraw")),
            3 => client.send(&whole[..1 + random.usize(..whole.len() - 1)]),
            _ => client.answer(&format!("deposit {PARTING}")),
        }
    }
}

/// Sends garbage, and never reads.
fn hostile(address: SocketAddr, mut random: Rng, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let mut client = Client::connect(address);
        let garbage = random_bytes(&mut random, 3000);
        match random.usize(..3) {
            0 => client.try_send(&garbage),
            1 => client.try_send(&frame(garbage)),
            _ => (0..50).all(|_| client.try_send(&frame("{\"data\":3}"))),
        };
    }
}

#[test]
fn the_sums_of_all_clients_fit_the_final_balance() {
    let mut random = seeded_rng();
    let server = Server::start(&["--balance", "500", "--log", "warn"]);
    let (address, over) = (server.address, AtomicBool::new(false));
    let sum: i64 = thread::scope(|scope| {
        for _ in 0..2 {
            let (random, over) = (random.fork(), &over);
            scope.spawn(move || vanishing(address, random, over));
        }
        let (hostile_random, over) = (random.fork(), &over);
        scope.spawn(move || hostile(address, hostile_random, over));
        let mut honest: Vec<_> = (0..4)
            .map(|_| random.fork())
            .map(|random| scope.spawn(move || honest(address, random)))
            .collect();
        honest.push(scope.spawn(move || slow(address)));
        let sums = honest.into_iter().map(|client| client.join()).collect::<Vec<_>>();
        over.store(true, Ordering::Relaxed);
        sums.into_iter().map(|sum| sum.expect("an honest client was served")).sum()
    });
    // Whether it was heard as it vanished, the server alone knows; but a whole number of times it was.
    let rest = |balance: i64| balance.rem_euclid(PARTING as i64 * 100);
    let balance = i64::try_from(server.balance()).unwrap();
    assert_eq!(rest(balance), rest(50_000 + sum), "balance {balance}, moved {sum}");
    server.stop();
}
