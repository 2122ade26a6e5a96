//! An attacker on a sealed link replays what a session by card has sent: it ends on time, no try is burnt, and no money moves.
use crate::branch::Branch;
use atm_e2e::{Direction, Frame, FrameProxy, TIMEOUT};
use atm_host::client::Target;
use std::time::{Duration, Instant};

/// Waits until the server has closed a session, and replays this frame meanwhile.
fn replay_until_closed(proxy: &FrameProxy, frames: &[Frame], log: impl Fn() -> String) -> Duration {
    let since = Instant::now();
    while !log().contains("session closed") {
        assert!(since.elapsed() < TIMEOUT, "the session is still open: {}", log());
        frames.iter().for_each(|frame| proxy.send(frame));
        // The pace of the replay: there is nothing to wait for.
        std::thread::sleep(Duration::from_millis(50));
    }
    since.elapsed()
}

fn sent(proxy: &FrameProxy) -> Vec<Frame> {
    proxy.recorded().into_iter().filter(|frame| frame.direction == Direction::Up).collect()
}

#[test]
fn a_session_ends_on_time_whatever_of_it_is_replayed() {
    let branch = Branch::new();
    for name in ["last", "all"] {
        let server = branch.serve(&["--idle-timeout", "2"]);
        let proxy = FrameProxy::to(server.address);
        branch.enrol(name);
        let mut terminal = branch.terminal(name, Target::Tcp(vec![proxy.address.to_string()]));
        terminal.log_in(&branch.cards[0]);
        terminal.ask("balance");
        let frames = sent(&proxy);
        let replayed = if name == "last" { &frames[frames.len() - 1..] } else { &frames[..] };
        let took = replay_until_closed(&proxy, replayed, || server.program.stderr());
        assert!(took >= Duration::from_millis(1_500), "{took:?}");
        drop(terminal);
        server.stop();
    }
    assert_eq!(branch.balance(1000), 25_000);
}

#[test]
fn a_wrong_pin_that_is_replayed_counts_once() {
    let branch = Branch::new();
    let server = branch.serve(&[]);
    let proxy = FrameProxy::to(server.address);
    branch.enrol("kiosk-1");
    let mut terminal = branch.terminal("kiosk-1", Target::Tcp(vec![proxy.address.to_string()]));
    terminal.ask(&branch.cards[0].0);
    assert!(terminal.ask("0070").text.starts_with("The card and the PIN were not accepted."));
    let frames = sent(&proxy);
    let wrong = frames.last().unwrap();
    for _ in 0..20 {
        proxy.send(wrong);
    }
    // What comes after them on the same connection is served: all of them were.
    let text = terminal.ask("back").text;
    assert!(text.contains("Please type the number of your card."), "{text}");
    let list = branch.order(&["card", "list", "--json"]).stdout;
    assert!(list.contains("\"blocked\":false,\"tries\":1,\"refusals\":1,"), "{list}");
    drop(terminal);
    server.stop();
}
