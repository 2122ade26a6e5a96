//! However a conversation is cut into packets, it is the same conversation.
use atm_e2e::{Client, Server, Value, frame, json};
use std::{thread, time::Duration};

/// Every prompt, errors too, and no money moved in the end.
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

fn same(replies: &[Value], expected: &[Value], how: &str) {
    for (reply, expected) in replies.iter().zip(expected) {
        assert_eq!(reply, expected, "{how}");
    }
    assert_eq!(replies.len(), expected.len(), "{how}");
}

/// Cuts the conversation in two at every `step`th byte from `first` on, on a connection each.
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
        // The replies to what is whole are proof that it was read, and so was most likely the part of a frame behind
        // it, after a moment.
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let mut replies: Vec<Value> = (0..=whole).map(|_| client.read()).collect();
        thread::sleep(Duration::from_millis(1));
        client.send(&stream[cut..]);
        replies.extend(rest_of(&mut client));
        same(&replies, &expected, &format!("cut at {cut}"));
    }
    server.stop();
}

#[test]
fn cut_in_two_at_every_odd_byte() {
    cut_in_two(1, 2);
}

#[test]
fn cut_in_two_at_every_even_byte() {
    cut_in_two(2, 2);
}

#[test]
fn all_in_one_write() {
    let server = Server::start(&[]);
    let expected = expected(&server);
    let mut client = Client::connect(server.address);
    client.send(&frames().concat());
    same(&rest_of(&mut client), &expected, "merged");
    drop(client);
    server.stop();
}

#[test]
fn a_byte_a_write() {
    let server = Server::start(&[]);
    let expected = expected(&server);
    let mut client = Client::connect(server.address);
    for byte in frames().concat() {
        client.send(&[byte]);
    }
    same(&rest_of(&mut client), &expected, "a byte a write");
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
