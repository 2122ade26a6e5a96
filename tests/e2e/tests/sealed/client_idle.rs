//! Idle time of a client with a key: it ends the session by a timer of its own, whatever is replayed on the link.
use crate::{
    host::{SealedHost, Station},
    middle::Middle,
};
use atm_e2e::TIMEOUT;
use std::time::{Duration, Instant};

/// Attack 16 of the design: the last answer is replayed to the host, whose replies must not hold the person's session open.
#[test]
fn an_idle_session_ends_while_the_last_answer_is_replayed() {
    let (host, station) = (SealedHost::new(), Station::new());
    let middle = Middle::to(host.listen());
    let mut client = station.at_menu(&[&middle.address.to_string(), "--idle-timeout", "2"]);
    client.type_line("balance");
    client.wait_for_prompts(2);
    let since = Instant::now();
    while client.is_running() {
        assert!(since.elapsed() < TIMEOUT, "the session is still open");
        middle.replay();
        std::thread::sleep(Duration::from_millis(20));
    }
    let done = client.finish();
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("no answer in time: the session ends"), "{done:?}");
    assert!(
        since.elapsed() > Duration::from_secs(1) && done.stdout.matches("Your balance").count() == 1,
        "{done:?}"
    );
}

#[test]
fn an_answer_starts_the_idle_time_anew() {
    let (host, station) = (SealedHost::new(), Station::new());
    let address = host.listen().to_string();
    let mut client = station.at_menu(&[&address, "--idle-timeout", "2"]);
    let since = Instant::now();
    for times in 2..8 {
        std::thread::sleep(Duration::from_millis(500));
        client.type_line("balance");
        client.wait_for_prompts(times);
    }
    assert!(since.elapsed() > Duration::from_secs(2));
    client.end_input();
    assert_eq!(client.finish().code, Some(0));
}
