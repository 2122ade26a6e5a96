//! Fragmentation: however the stream is cut into writes, the replies are the same.
use atm_e2e::{Client, Server, Value, frame, json};
use std::{thread, time::Duration};

/// Answers that open every prompt, with errors; the balance at the end is that at the start.
const ANSWERS: [&str; 9] = ["1", "forty", "40", "sing", "2", "back", "withdraw 40", "3", "exit"];

fn frames() -> Vec<Vec<u8>> {
    ANSWERS.iter().map(|text| frame(json!({ "data": text }).to_string())).collect()
}

/// The greeting and every reply, one at a time.
fn expected(server: &Server) -> Vec<Value> {
    let mut client = Client::connect(server.address);
    let mut replies = vec![client.read()];
    for frame in frames() {
        client.send(&frame);
        replies.push(client.read());
    }
    client.expect_end();
    replies
}

fn rest_of(client: &mut Client) -> Vec<Value> {
    std::iter::from_fn(|| client.read_or_end()).collect()
}

fn assert_same(replies: &[Value], expected: &[Value], how: &str) {
    for (reply, expected) in replies.iter().zip(expected) {
        assert_eq!(reply, expected, "{how}");
    }
    assert_eq!(replies.len(), expected.len(), "{how}");
}

/// Cuts the stream in two at every `step`th byte from `first` on, each time on a new connection.
fn cut_in_two(first: usize, step: usize) {
    let server = Server::start(&["--log", "off"]);
    let (expected, frames) = (expected(&server), frames());
    let stream = frames.concat();
    let ends = frames.iter().scan(0, |end, frame| {
        *end += frame.len();
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    for cut in (first..stream.len()).step_by(step) {
        let mut client = Client::connect(server.address);
        client.send(&stream[..cut]);
        // The replies to the complete frames prove that these were read; after a moment, the part of a frame behind them most
        // likely was too.
        let complete = ends.iter().filter(|end| **end <= cut).count();
        let mut replies: Vec<Value> = (0..=complete).map(|_| client.read()).collect();
        thread::sleep(Duration::from_millis(1));
        client.send(&stream[cut..]);
        replies.extend(rest_of(&mut client));
        assert_same(&replies, &expected, &format!("cut at {cut}"));
    }
    server.stop();
}

#[test]
fn a_stream_cut_at_every_odd_byte() {
    cut_in_two(1, 2);
}

#[test]
fn a_stream_cut_at_every_even_byte() {
    cut_in_two(2, 2);
}

#[test]
fn all_answers_in_one_write() {
    let server = Server::start(&[]);
    let expected = expected(&server);
    let mut client = Client::connect(server.address);
    client.send(&frames().concat());
    assert_same(&rest_of(&mut client), &expected, "one write");
    drop(client);
    server.stop();
}

#[test]
fn one_byte_a_write() {
    let server = Server::start(&[]);
    let expected = expected(&server);
    let mut client = Client::connect(server.address);
    for byte in frames().concat() {
        client.send(&[byte]);
    }
    assert_same(&rest_of(&mut client), &expected, "one byte a write");
    drop(client);
    server.stop();
}

#[test]
fn many_answers_in_one_write_are_served_one_after_another() {
    const TIMES: u64 = 500;
    let server = Server::start(&["--balance", "0"]);
    let mut client = server.client();
    client.send(&frame(json!({ "data": "deposit 1" }).to_string()).repeat(TIMES as usize));
    for number in 1..=TIMES {
        assert_eq!(client.read()["balance"], number * 100);
    }
    assert_eq!(server.balance(), TIMES * 100);
    drop(client);
    server.stop();
}

#[test]
fn a_half_closed_client_gets_all_its_replies() {
    const TIMES: usize = 300;
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send(&frame("{\"data\":\"deposit 1\"}").repeat(TIMES));
    client.half_close();
    for number in 1..=TIMES {
        assert_eq!(client.read()["balance"], 10_000 + number * 100);
    }
    client.expect_end();
    server.stop();
}
