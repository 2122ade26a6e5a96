//! Malformed input on the `json` wire: each fault is reported, the open prompt is sent again, and no money moves.
use atm_e2e::{Client, Rng, Server, TIMEOUT, Value, frame, json, random_bytes, seeded_rng, text_of};
use std::{thread, time::Instant};

/// Malformed frames, each with its name and its error code. The next frame after each of them is decoded.
fn table() -> Vec<(String, Vec<u8>, &'static str)> {
    let mut table: Vec<(String, Vec<u8>, &'static str)> = vec![
        ("length 0".into(), vec![0; 4], "empty"),
        ("one byte over the limit".into(), frame([b' '; 513]), "too-long"),
        (
            "an answer over the limit".into(),
            frame(json!({ "data": "9".repeat(2000) }).to_string()),
            "too-long",
        ),
        ("the longest frame that is skipped".into(), frame(vec![b'{'; 64 * 1024]), "too-long"),
        (
            "frames inside a skipped one".into(),
            frame(frame("{\"data\":\"deposit 1\"}").repeat(100)),
            "too-long",
        ),
        ("200 brackets".into(), frame("[".repeat(200)), "not-json"),
        ("200 brackets in a field".into(), frame(format!("{{\"data\":{}", "[".repeat(200))), "too-deep"),
        (
            "200 closed brackets".into(),
            frame(format!("{{\"x\":{}{}}}", "[".repeat(200), "]".repeat(200))),
            "too-deep",
        ),
        ("braces".into(), frame("{\"data\":".repeat(60)), "too-deep"),
        ("truncated UTF-8".into(), frame(b"{\"data\":\"\xe2\x82\"}"), "not-utf8"),
        ("not UTF-8".into(), frame([0xff; 40]), "not-utf8"),
        ("a surrogate as UTF-8".into(), frame(b"{\"data\":\"\xed\xa0\x80\"}"), "not-utf8"),
        ("control characters".into(), frame("{\"data\":\"deposit\t1\"}"), "not-json"),
        ("zeros".into(), frame([0; 64]), "not-json"),
    ];
    let texts = [
        ("", "empty"),
        (" ", "not-json"),
        ("deposit 1", "not-json"),
        ("\"deposit 1\"", "not-json"),
        ("40", "not-json"),
        ("null", "not-json"),
        ("true", "not-json"),
        ("[]", "not-json"),
        ("[{\"data\":\"deposit 1\"}]", "not-json"),
        ("{", "not-json"),
        ("{\"data\":\"deposit 1\"", "not-json"),
        ("{\"data\":\"deposit 1\",}", "not-json"),
        ("{'data':'deposit 1'}", "not-json"),
        ("{\"data\":\"deposit 1\"}}", "not-json"),
        ("{\"data\":\"deposit 1\"}{\"data\":\"deposit 1\"}", "not-json"),
        ("{\"data\":NaN}", "not-json"),
        ("{\"data\":\"\\ud800\"}", "not-json"),
        ("{\"data\":\"\\udc00\\ud800\"}", "not-json"),
        ("{\"data\":\"\\u+031\"}", "not-json"),
        ("{\"data\":\"\\x31\"}", "not-json"),
        ("{}", "not-a-message"),
        ("{\"date\":\"deposit 1\"}", "not-a-message"),
        ("{\"data\":40}", "not-a-message"),
        ("{\"data\":null}", "not-a-message"),
        ("{\"data\":true}", "not-a-message"),
        ("{\"data\":[\"deposit 1\"]}", "not-a-message"),
        ("{\"data\":{\"data\":\"deposit 1\"}}", "not-a-message"),
        ("{\"data\":\"deposit 1\",\"data\":\"deposit 1\"}", "not-a-message"),
        ("{\"re\":\"1\",\"data\":\"deposit 1\"}", "not-a-message"),
        ("{\"re\":-1,\"data\":\"deposit 1\"}", "not-a-message"),
        ("{\"re\":1.0,\"data\":\"deposit 1\"}", "not-a-message"),
        ("{\"re\":18446744073709551616,\"data\":\"deposit 1\"}", "not-a-message"),
        ("{\"re\":9007199254740991,\"data\":\"deposit 1\"}", "not-a-message"),
        ("{\"re\":9007199254740990,\"data\":\"deposit 1\"}", "not-open"),
        ("{\"re\":0,\"data\":\"deposit 1\"}", "not-open"),
        ("{\"hello\":3}", "version"),
        ("{\"hello\":256}", "version"),
        ("{\"hello\":1,\"terminal\":\"no spaces\"}", "bad-name"),
        ("{\"hello\":1,\"terminal\":\"\"}", "bad-name"),
        ("{\"hello\":\"1\"}", "not-a-message"),
    ];
    table.extend(texts.map(|(text, code)| (text.to_owned(), frame(text), code)));
    table
}

/// Reads the two messages after a fault: the error, and the open prompt under its number.
fn expect_error(client: &mut Client, prompt: &Value, code: &str, name: &str) {
    let messages = client.read_to_prompt();
    let [error, again] = &messages[..] else { panic!("{name}: {messages:?}") };
    assert_eq!((&error["error"], &error["input"]), (&json!(code), &json!(false)), "{name}: {error}");
    assert!(text_of(error).contains(' '), "{name}: not a sentence: {error}");
    assert_eq!(again["seq"], prompt["seq"], "{name}: the open prompt is another");
    // Only the question, without the notices that stood before it.
    assert!(text_of(prompt).ends_with(text_of(again)), "{name}: {again}");
}

#[test]
fn each_fault_is_reported_and_the_open_prompt_sent_again() {
    let server = Server::start(&["--log", "off"]);
    for (setup, question) in [
        ("3", "Welcome"),
        ("deposit", "How much would you like to deposit"),
        ("withdraw", "Balance: $100. How much"),
    ] {
        for (name, bytes, code) in table() {
            let mut client = server.client();
            let prompt = client.ask(setup);
            assert!(text_of(&prompt).contains(question), "{prompt}");
            client.send(&bytes);
            expect_error(&mut client, &prompt, code, &name);
            // The decoder is still in step.
            client.send(&bytes);
            expect_error(&mut client, &prompt, code, &name);
            client.ask("back");
            assert_eq!(client.balance(), 10_000, "{name}");
        }
    }
    server.stop();
}

#[test]
fn all_faults_in_one_write_are_each_reported() {
    let server = Server::start(&["--log", "off"]);
    let mut client = server.client();
    let prompt = client.ask("1");
    let table = table();
    client.send(&table.iter().flat_map(|(_, bytes, _)| bytes.clone()).collect::<Vec<u8>>());
    for (name, _, code) in &table {
        expect_error(&mut client, &prompt, code, name);
    }
    assert!(text_of(&client.ask("40")).starts_with("Amount deposited: $40. Your balance is $140."));
    drop(client);
    server.stop();
}

#[test]
fn a_stream_without_resynchronisation_is_reported_and_closed() {
    let server = Server::start(&["--log", "off"]);
    let nested = format!("{{\"data\":{}", "[".repeat(100_000));
    let huge = frame(nested);
    let endless = [&[0xff; 4][..], &[b'1'; 300_000]].concat();
    let table: [(&str, &[u8], &str); 7] = [
        ("100,000 brackets", &huge, "too-long"),
        ("one byte more than is skipped", &frame(vec![b' '; 64 * 1024 + 1]), "too-long"),
        ("the longest length", &endless, "too-long"),
        ("the original client's JSON", b"{\"input\": false, \"data\": \"deposit 1\"}", "wrong-wire"),
        ("a line", b"balance\n", "wrong-wire"),
        ("a web browser", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "wrong-wire"),
        ("blanks", b"    ", "wrong-wire"),
    ];
    for (name, bytes, code) in table {
        let mut client = server.client();
        // The server may close before it has read all, but not before it has sent the reason.
        client.try_send(bytes);
        let error = client.read();
        assert_eq!((&error["error"], &error["input"]), (&json!(code), &json!(false)), "{name}: {error}");
        if code == "wrong-wire" {
            assert!(text_of(&error).contains("--wire"), "{name}: {error}");
        }
        client.expect_end();
    }
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn a_client_that_sends_without_end_is_disconnected() {
    let server = Server::start(&["--log", "off"]);
    let exit = frame("{\"data\":\"exit\"}");
    thread::scope(|scope| {
        for start in [&[0xff; 4], &b"GET "[..], &exit] {
            let mut client = server.client();
            client.send(start);
            scope.spawn(move || {
                let until = Instant::now() + TIMEOUT;
                while client.try_send(&[b' '; 1 << 16]) {
                    assert!(Instant::now() < until, "the server still reads");
                }
            });
        }
    });
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn a_frame_cut_by_the_end_of_the_stream_is_incomplete() {
    let server = Server::start(&["--log", "off"]);
    let whole = frame("{\"data\":\"deposit 1\"}");
    for length in 1..whole.len() {
        let mut client = server.client();
        let prompt = client.ask("3");
        client.send(&whole[..length]);
        client.half_close();
        expect_error(&mut client, &prompt, "incomplete", &format!("cut after {length} bytes"));
        client.expect_end();
    }
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn unusual_but_valid_json_is_served() {
    let server = Server::start(&["--log", "off"]);
    let bodies = [
        r#"{"data":"deposit 1"}"#,
        r#" { "data" : "deposit 1" } "#,
        r#"{"data":"deposit 1","more":{"a":[1,2.5e3,{"b":null}],"c":"\ud83d\ude00"},"é":false}"#,
        r#"{"x":"{\"data\":\"deposit 5\"}","data":"deposit 1"}"#,
        r#"{"data":"\u0064\u0065posit\u00201"}"#,
        r#"{"data":"  DEPOSIT \t 1 \r\n"}"#,
        r#"{"re":null,"data":"deposit 1"}"#,
    ];
    let mut client = server.client();
    for (count, body) in bodies.into_iter().enumerate() {
        client.send(&frame(body));
        let reply = client.read();
        assert_eq!(reply["balance"], 10_100 + 100 * count, "{body}: {reply}");
    }
    // With the number of its prompt.
    let open = client.ask("3")["seq"].as_u64().unwrap();
    client.send(&frame(json!({ "re": open, "data": "deposit 1" }).to_string()));
    assert_eq!(client.read()["re"], open);
    // An echoing link returns the host's own messages: these are dropped.
    client.send(&frame(json!({ "input": true, "data": "deposit 1" }).to_string()));
    assert_eq!(client.balance(), 10_800);
    drop(client);
    server.stop();
}

/// Random bytes, random frames, frames of JSON tokens in random order, and valid answers with random bytes changed.
fn junk(rng: &mut Rng) -> Vec<u8> {
    let bytes = random_bytes(rng, 700);
    match rng.usize(..6) {
        0 => bytes,
        1 => frame(bytes),
        2 => frame(json!({ "data": String::from_utf8_lossy(&bytes) }).to_string()),
        3 => {
            let pieces = [
                "{", "}", "[", "]", "\"", ":", ",", "\"data\"", "\"re\"", "1", "-", "\\", "\\u", "null", " ",
                "é",
            ];
            let count = rng.usize(..40);
            frame((0..count).map(|_| *rng.choice(&pieces).unwrap()).collect::<String>())
        }
        _ => {
            let mut body = json!({ "re": rng.usize(..5), "data": "balance" }).to_string().into_bytes();
            for _ in 0..=rng.usize(..3) {
                let at = rng.usize(..body.len());
                body[at] = rng.u8(..);
            }
            frame(body)
        }
    }
}

#[test]
fn random_input_moves_no_money() {
    let mut rng = seeded_rng();
    let server = Server::start(&["--log", "off"]);
    for _ in 0..150 {
        let mut client = Client::connect(server.address);
        for _ in 0..rng.usize(..20) {
            if !client.try_send(&junk(&mut rng)) {
                break;
            }
        }
        if rng.bool() {
            // The server sends complete messages, and closes the connection.
            if client.try_half_close() {
                while let Some(message) = client.read_or_end() {
                    assert!(message["input"].is_boolean() && message["data"].is_string(), "{message}");
                }
            }
        }
    }
    assert_eq!(server.balance(), 10_000, "no money moved");
    server.stop();
}
