//! Duplicates and lost links: a request that is sent again moves money once, on the `json` wire.
use atm_e2e::{NamedTerminal, Server, frame, json, seeded_rng, text_of};

/// The frame of an answer to prompt `re`.
fn answer(re: u64, text: &str) -> Vec<u8> {
    frame(json!({ "re": re, "data": text }).to_string())
}

#[test]
fn a_duplicate_answer_gets_the_same_reply() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send(&answer(1, "deposit 40"));
    let reply = client.read();
    assert_eq!(reply["balance"], 14_000);
    for _ in 0..3 {
        client.send(&answer(1, "deposit 40"));
        assert_eq!(client.read(), reply, "the same reply");
    }
    // Other content under the same idempotency key is a conflict.
    client.send(&answer(1, "deposit 41"));
    let messages = client.read_to_prompt();
    assert_eq!((&messages[0]["error"], &messages[1]["seq"]), (&json!("conflict"), &json!(2)), "{messages:?}");
    assert_eq!(client.balance(), 14_000);
    // After the next answer, prompt 1 is neither open nor the last one answered.
    client.send(&answer(1, "deposit 40"));
    let messages = client.read_to_prompt();
    assert_eq!((&messages[0]["error"], &messages[1]["seq"]), (&json!("not-open"), &json!(3)), "{messages:?}");
    assert_eq!(client.balance(), 14_000);
    drop(client);
    server.stop();
}

#[test]
fn a_lost_reply_is_sent_again_after_a_reconnect() {
    let server = Server::start(&[]);
    let mut terminal = NamedTerminal::new("kiosk-1");
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    terminal.answer(&mut client, "deposit 40");
    let reply = client.read();
    drop(client);
    // The terminal has not shown the reply.
    let (mut client, again) = terminal.hello(server.address, true);
    for field in ["seq", "re", "data", "outcome", "operation", "amount", "balance"] {
        assert_eq!(again[field], reply[field], "{again}");
    }
    terminal.show(&again);
    terminal.answer(&mut client, "3");
    assert_eq!(client.read()["balance"], 14_000);
    drop(client);
    server.stop();
}

#[test]
fn a_lost_answer_is_retransmitted_after_a_reconnect() {
    let server = Server::start(&[]);
    let mut terminal = NamedTerminal::new("kiosk-2");
    let (client, welcome) = terminal.hello(server.address, false);
    let open = terminal.show(&welcome);
    // The answer is lost before the server receives it.
    terminal.pending = Some(open);
    drop(client);
    let (mut client, again) = terminal.hello(server.address, true);
    assert_eq!(
        (&again["seq"], &again["input"]),
        (&json!(open), &json!(true)),
        "the prompt is still open: {again}"
    );
    terminal.answer(&mut client, "deposit 40");
    assert_eq!(client.read()["balance"], 14_000);
    drop(client);
    server.stop();
}

#[test]
fn after_a_restart_the_welcome_has_the_outcome_of_the_last_answer() {
    let server = Server::start(&[]);
    for (number, received) in [true, false].into_iter().enumerate() {
        let mut terminal = NamedTerminal::new(["kiosk-3", "kiosk-4"][number]);
        let (mut client, welcome) = terminal.hello(server.address, false);
        let open = terminal.show(&welcome);
        if received {
            terminal.answer(&mut client, "deposit 40");
            client.read();
        } else {
            terminal.pending = Some(open);
        }
        // A power loss. The server still has the connection from before.
        terminal.restart();
        let (mut next, welcome) = terminal.hello(server.address, false);
        let outcome = if received { "done" } else { "not-done" };
        assert_eq!((&welcome["re"], &welcome["outcome"]), (&json!(open), &json!(outcome)), "{welcome}");
        assert!(text_of(&welcome).starts_with("About your earlier request:"), "{welcome}");
        assert_eq!(client.read()["notice"], "taken-over");
        client.expect_end();
        // The answer arrives late, on the new connection: it is refused.
        next.send(&answer(open, "deposit 40"));
        assert_eq!(next.read_to_prompt()[0]["error"], "not-open");
        terminal.show(&welcome);
        terminal.answer(&mut next, "3");
        assert_eq!(next.read()["balance"], 14_000);
    }
    server.stop();
}

#[test]
fn on_another_ledger_the_outcome_is_unknown() {
    let mut terminal = NamedTerminal::new("kiosk-5");
    let server = Server::start(&[]);
    let (mut client, welcome) = terminal.hello(server.address, false);
    terminal.show(&welcome);
    terminal.answer(&mut client, "deposit 40");
    client.read();
    drop(client);
    server.stop();
    let server = Server::start(&[]);
    let ledger = terminal.ledger.clone();
    let (client, welcome) = terminal.hello(server.address, true);
    assert_ne!(welcome["ledger"], ledger, "a new ledger has a new identity");
    assert_eq!(welcome["outcome"], "unknown", "{welcome}");
    drop(client);
    server.stop();
}

#[test]
fn a_smaller_terminal_epoch_is_refused_as_name_in_use() {
    let server = Server::start(&[]);
    let mut terminal = NamedTerminal::new("kiosk-6");
    terminal.start = 7;
    let (mut client, _) = terminal.hello(server.address, false);
    let mut late = server.client();
    late.send(&frame(json!({ "hello": 1, "terminal": "kiosk-6", "start": 6, "attempt": 9 }).to_string()));
    let notice = late.read();
    assert_eq!((&notice["notice"], &notice["end"]), (&json!("name-in-use"), &json!(true)), "{notice}");
    late.expect_end();
    drop(late);
    // The later one is still served.
    client.send(&answer(terminal.shown, "3"));
    assert_eq!(client.read_to_prompt()[0]["error"], "not-open");
    // After a hello, an answer without a number is refused.
    client.answer("3");
    assert_eq!(client.read_to_prompt()[0]["error"], "unnumbered");
    drop(client);
    server.stop();
}

#[test]
fn links_that_drop_at_random_lose_and_duplicate_no_deposit() {
    let mut rng = seeded_rng();
    let server = Server::start(&["--log", "off"]);
    let mut terminal = NamedTerminal::new("kiosk-7");
    let (mut expected, mut link) = (10_000, None);
    // The answer without a reply: its prompt and amount.
    let mut unanswered: Option<(u64, u64)> = None;
    let mut done = 0;
    loop {
        let (mut client, reply) = match link.take() {
            Some(link) => link,
            None => terminal.hello(server.address, true),
        };
        let open = reply["seq"].as_u64().unwrap();
        match unanswered {
            Some((re, amount)) if reply["re"] == re && open > re => {
                expected += amount * 100;
                assert_eq!(
                    (&reply["outcome"], &reply["balance"]),
                    (&json!("done"), &json!(expected)),
                    "{reply}"
                );
                (unanswered, done) = (None, done + 1);
                terminal.show(&reply);
            }
            Some((re, _)) => assert_eq!(open, re, "the answer was lost: {reply}"),
            None if open > terminal.shown => drop(terminal.show(&reply)),
            None => {}
        }
        if done == 200 {
            break;
        }
        let (re, amount) = *unanswered.get_or_insert((open, 1 + rng.u64(..50)));
        let whole = answer(re, &format!("deposit {amount}"));
        terminal.pending = Some(re);
        match rng.usize(..4) {
            // The link drops before the answer, within it, or before the reply is read;
            0 => {}
            1 => client.send(&whole[..rng.usize(..whole.len())]),
            2 => client.send(&whole),
            // or not at all.
            _ => {
                client.send(&whole);
                let reply = client.read();
                link = Some((client, reply));
            }
        }
    }
    assert_eq!(server.balance(), expected);
    server.stop();
}

#[test]
fn a_full_ledger_answers_the_hello_of_a_new_name_with_busy() {
    let server = Server::start(&["--log", "off", "--new-terminals", "2000"]);
    let mut full = 0;
    for number in 0..1030 {
        let mut client = server.client();
        let name = format!("kiosk-{number}");
        client.send(&frame(json!({ "hello": 1, "terminal": name, "start": 1, "attempt": 1 }).to_string()));
        let welcome = client.read();
        if welcome["notice"] == "busy" {
            client.expect_end();
            full += 1;
            continue;
        }
        client.send(&answer(welcome["seq"].as_u64().unwrap(), "deposit 1"));
        assert_eq!(client.read()["outcome"], "done");
    }
    // The 1024 names that have a row keep it, and an unnamed session needs none.
    assert_eq!(full, 1030 - 1024);
    let mut client = server.client();
    assert_eq!(client.ask("deposit 1")["balance"], 10_000 + 1025 * 100);
    drop(client);
    server.stop();
}
