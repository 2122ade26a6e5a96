//! Whatever a client sends on the `json` wire: it is told what is wrong and asked again, and no money moves.
use atm_e2e::{Client, Rng, Server, TIMEOUT, Value, frame, json, random_bytes, seeded_rng, text_of};
use std::{thread, time::Instant};

/// Inputs, each with the code of what is wrong with it. The stream is in step after each of them.
fn table() -> Vec<(String, Vec<u8>, &'static str)> {
    let mut table: Vec<(String, Vec<u8>, &'static str)> = vec![
        ("length 0".into(), vec![0; 4], "empty"),
        ("a byte over the limit".into(), frame([b' '; 513]), "too-long"),
        (
            "an answer over the limit".into(),
            frame(json!({ "data": "9".repeat(2000) }).to_string()),
            "too-long",
        ),
        ("the longest that is skipped".into(), frame(vec![b'{'; 64 * 1024]), "too-long"),
        (
            "frames within what is skipped".into(),
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
        ("cut UTF-8".into(), frame(b"{\"data\":\"\xe2\x82\"}"), "not-utf8"),
        ("no UTF-8".into(), frame([0xff; 40]), "not-utf8"),
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
        ("{\"re\":9007199254740992,\"data\":\"deposit 1\"}", "not-open"),
        ("{\"re\":0,\"data\":\"deposit 1\"}", "not-open"),
        ("{\"hello\":2}", "version"),
        ("{\"hello\":256}", "version"),
        ("{\"hello\":1,\"terminal\":\"no spaces\"}", "bad-name"),
        ("{\"hello\":1,\"terminal\":\"\"}", "bad-name"),
        ("{\"hello\":\"1\"}", "not-a-message"),
    ];
    table.extend(texts.map(|(text, code)| (text.to_owned(), frame(text), code)));
    table
}

/// Reads what is said of a fault: first what is wrong, then the open prompt again.
fn told(client: &mut Client, prompt: &Value, code: &str, name: &str) {
    let told = client.read_to_prompt();
    assert_eq!(told.len(), 2, "{name}: {told:?}");
    assert_eq!((&told[0]["error"], &told[0]["input"]), (&json!(code), &json!(false)), "{name}: {told:?}");
    assert!(text_of(&told[0]).contains(' '), "{name}: it says what is wrong in words: {told:?}");
    assert_eq!(told[1]["seq"], prompt["seq"], "{name}: the prompt that was open is open");
    // Only the question, and not the news that stood before it.
    assert!(text_of(prompt).ends_with(text_of(&told[1])), "{name}: {told:?}");
}

#[test]
fn each_fault_is_told_and_the_open_prompt_asked_again() {
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
            told(&mut client, &prompt, code, &name);
            // A second time, and it is still in step.
            client.send(&bytes);
            told(&mut client, &prompt, code, &name);
            client.ask("back");
            assert_eq!(client.balance(), 10_000, "{name}");
        }
    }
    server.stop();
}

#[test]
fn all_faults_on_one_connection() {
    let server = Server::start(&["--log", "off"]);
    let mut client = server.client();
    let prompt = client.ask("1");
    let table = table();
    client.send(&table.iter().flat_map(|(_, bytes, _)| bytes.clone()).collect::<Vec<u8>>());
    for (name, _, code) in &table {
        told(&mut client, &prompt, code, name);
    }
    assert!(text_of(&client.ask("40")).starts_with("Amount deposited: $40. Your balance is $140."));
    drop(client);
    server.stop();
}

#[test]
fn what_cannot_be_skipped_is_told_and_closed() {
    let server = Server::start(&["--log", "off"]);
    let nested = format!("{{\"data\":{}", "[".repeat(100_000));
    let huge = frame(nested);
    let endless = [&[0xff; 4][..], &[b'1'; 300_000]].concat();
    let table: [(&str, &[u8], &str); 7] = [
        ("100,000 brackets", &huge, "too-long"),
        ("a byte more than is skipped", &frame(vec![b' '; 64 * 1024 + 1]), "too-long"),
        ("the longest length", &endless, "too-long"),
        ("the original's JSON", b"{\"input\": false, \"data\": \"deposit 1\"}", "wrong-wire"),
        ("a line", b"balance\n", "wrong-wire"),
        ("a web browser", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "wrong-wire"),
        ("blanks", b"    ", "wrong-wire"),
    ];
    for (name, bytes, code) in table {
        let mut client = server.client();
        // It may be cut off before it has sent all, but not before it was told why.
        client.try_send(bytes);
        let told = client.read();
        assert_eq!((&told["error"], &told["input"]), (&json!(code), &json!(false)), "{name}: {told}");
        if code == "wrong-wire" {
            assert!(text_of(&told).contains("--wire"), "{name}: {told}");
        }
        client.expect_end();
    }
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn whoever_sends_without_end_is_cut_off() {
    let server = Server::start(&["--log", "off"]);
    let exit = frame("{\"data\":\"exit\"}");
    thread::scope(|scope| {
        for start in [&[0xff; 4], &b"GET "[..], &exit] {
            let mut client = server.client();
            client.send(start);
            scope.spawn(move || {
                let until = Instant::now() + TIMEOUT;
                while client.try_send(&[b' '; 1 << 16]) {
                    assert!(Instant::now() < until, "it is still listened to");
                }
            });
        }
    });
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn a_frame_that_is_cut_off_is_told() {
    let server = Server::start(&["--log", "off"]);
    let whole = frame("{\"data\":\"deposit 1\"}");
    for length in 1..whole.len() {
        let mut client = server.client();
        let prompt = client.ask("3");
        client.send(&whole[..length]);
        client.half_close();
        told(&mut client, &prompt, "incomplete", &format!("cut after {length} bytes"));
        client.expect_end();
    }
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn what_may_look_strange_is_served() {
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
    // With the number of its prompt, too.
    let open = client.ask("3")["seq"].as_u64().unwrap();
    client.send(&frame(json!({ "re": open, "data": "deposit 1" }).to_string()));
    assert_eq!(client.read()["re"], open);
    // What an echoing line sends back is no answer, and says nothing.
    client.send(&frame(json!({ "input": true, "data": "deposit 1" }).to_string()));
    assert_eq!(client.balance(), 10_800);
    drop(client);
    server.stop();
}

/// Something that may be anything, but tends to look like what the server reads.
fn junk(random: &mut Rng) -> Vec<u8> {
    let bytes = random_bytes(random, 700);
    match random.usize(..6) {
        0 => bytes,
        1 => frame(bytes),
        2 => frame(json!({ "data": String::from_utf8_lossy(&bytes) }).to_string()),
        3 => {
            let pieces = [
                "{", "}", "[", "]", "\"", ":", ",", "\"data\"", "\"re\"", "1", "-", "\\", "\\u", "null", " ",
                "é",
            ];
            let count = random.usize(..40);
            frame((0..count).map(|_| *random.choice(&pieces).unwrap()).collect::<String>())
        }
        _ => {
            // A good answer with some bytes changed.
            let mut body = json!({ "re": random.usize(..5), "data": "balance" }).to_string().into_bytes();
            for _ in 0..=random.usize(..3) {
                let at = random.usize(..body.len());
                body[at] = random.u8(..);
            }
            frame(body)
        }
    }
}

#[test]
fn random_bytes_are_survived() {
    let mut random = seeded_rng();
    let server = Server::start(&["--log", "off"]);
    for _ in 0..150 {
        let mut client = Client::connect(server.address);
        for _ in 0..random.usize(..20) {
            if !client.try_send(&junk(&mut random)) {
                break;
            }
        }
        if random.bool() {
            // Whatever it was, the server has its say in whole messages, and closes.
            if client.try_half_close() {
                while let Some(message) = client.read_or_end() {
                    assert!(message["input"].is_boolean() && message["data"].is_string(), "{message}");
                }
            }
        }
    }
    assert_eq!(server.balance(), 10_000, "nothing of it was a deposit or a withdrawal");
    server.stop();
}
