//! Broken TLS connections: a stream without `close_notify` and changed bytes are a lost link, and money moves exactly once.
use crate::{
    authority::Authority,
    client::{TlsClient, first_hello},
};
use atm_e2e::{Server, Value, frame, json};
use std::{
    io::{ErrorKind, Write},
    net::Shutdown,
};

fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("kiosk-7", &["kiosk-7"]);
    authority
}

/// A hello after `welcome`, with its prompt answered.
fn second_hello(welcome: &Value) -> Value {
    json!({
        "hello": 1, "terminal": "kiosk-7", "start": 1, "attempt": 2, "ledger": welcome["ledger"],
        "shown": welcome["seq"], "pending": welcome["seq"], "resume": true,
    })
}

/// Deposits 40 on a connection that `end` ends, and again on the next one; returns the balance after that.
fn deposit_twice(server: &Server, authority: &Authority, end: impl Fn(&mut TlsClient, Vec<u8>)) -> Value {
    let mut client = TlsClient::connect(server.address, authority, Some("kiosk-7"));
    let welcome = client.hello(&first_hello("kiosk-7"));
    let answer = frame(json!({ "re": welcome["seq"], "data": "deposit 40" }).to_string());
    let ciphertext = client.encrypt(&answer);
    end(&mut client, ciphertext);
    let mut next = TlsClient::connect(server.address, authority, Some("kiosk-7"));
    let mut reply = next.hello(&second_hello(&welcome));
    if reply["seq"] == welcome["seq"] {
        // The answer has not arrived.
        reply = next.ask(&welcome, "deposit 40");
    }
    assert_eq!(reply["re"], welcome["seq"], "{reply}");
    assert_eq!(reply["outcome"], "done", "{reply}");
    let balance = next.ask(&reply, "balance")["balance"].clone();
    drop((client, next));
    balance
}

#[test]
fn an_operation_before_a_truncation_is_done_exactly_once() {
    let authority = authority();
    for cut in [0, 1, 5, 20, usize::MAX] {
        let server = authority.serve(&[]);
        let balance = deposit_twice(&server, &authority, |client, ciphertext| {
            client.socket.write_all(ciphertext.get(..cut).unwrap_or(&ciphertext)).unwrap();
            client.socket.shutdown(Shutdown::Write).unwrap();
        });
        assert_eq!(balance, 14_000, "after {cut} bytes");
        server.stop();
    }
}

#[test]
fn a_truncated_stream_is_no_end_of_a_session() {
    let authority = authority();
    let server = authority.serve(&[]);
    let mut client = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    let welcome = client.hello(&first_hello("kiosk-7"));
    client.socket.shutdown(Shutdown::Write).unwrap();
    // Nothing more comes, and the stream of the server ends without `close_notify` too.
    let error = client.try_read().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
    server.program.wait_for_stderr("session closed");
    // The conversation is kept: it is resumed at its prompt.
    let mut next = TlsClient::connect(server.address, &authority, Some("kiosk-7"));
    let mut hello = second_hello(&welcome);
    hello["pending"] = Value::Null;
    assert_eq!(next.hello(&hello)["seq"], welcome["seq"]);
    drop(next);
    server.stop();
}

#[test]
fn a_changed_byte_ends_the_connection_and_moves_no_money() {
    let authority = authority();
    // In the record's type, its length, its ciphertext, its tag.
    for place in [0, 3, 10, usize::MAX] {
        let server = authority.serve(&[]);
        let balance = deposit_twice(&server, &authority, |client, mut ciphertext| {
            let place = place.min(ciphertext.len() - 1);
            ciphertext[place] ^= 0x80;
            client.socket.write_all(&ciphertext).unwrap();
            let error = client.try_read().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "an alert: {error}");
        });
        assert_eq!(balance, 14_000, "at {place}");
        server.program.wait_for_stderr("connection ended: TLS failed");
        server.stop();
    }
}

#[test]
fn a_record_sent_twice_moves_money_once() {
    let authority = authority();
    let server = authority.serve(&[]);
    let balance = deposit_twice(&server, &authority, |client, ciphertext| {
        client.socket.write_all(&ciphertext.repeat(2)).unwrap();
        // The first may have been served before the second was read.
        let end = std::iter::repeat_with(|| client.try_read()).find(Result::is_err);
        assert_eq!(end.unwrap().unwrap_err().kind(), ErrorKind::InvalidData);
    });
    assert_eq!(balance, 14_000);
    server.stop();
}
