//! Money moves once, whatever is repeated and wherever the line drops: named terminals on the `json` wire.
use atm_e2e::{Client, Server, Value, frame, json, seeded_rng, text_of};

/// A terminal of this test: what it must not forget.
struct Terminal {
    name: &'static str,
    start: u64,
    attempt: u32,
    ledger: Value,
    shown: u64,
    pending: Option<u64>,
}

impl Terminal {
    fn new(name: &'static str) -> Self {
        Self { name, start: 1, attempt: 0, ledger: Value::Null, shown: 0, pending: None }
    }

    /// Says hello on a new connection; returns it with the welcome.
    fn hello(&mut self, server: &Server, resume: bool) -> (Client, Value) {
        self.attempt += 1;
        let mut client = server.client();
        let hello = json!({
            "hello": 1, "terminal": self.name, "start": self.start, "attempt": self.attempt,
            "ledger": self.ledger, "shown": self.shown, "pending": self.pending, "resume": resume,
        });
        client.send(&frame(hello.to_string()));
        let welcome = client.read();
        assert_eq!((&welcome["hello"], &welcome["start"]), (&json!(1), &json!(self.start)), "{welcome}");
        self.ledger = welcome["ledger"].clone();
        (client, welcome)
    }

    /// Shows a reply; returns the number of its prompt.
    fn show(&mut self, reply: &Value) -> u64 {
        let seq = reply["seq"].as_u64().unwrap();
        assert!(seq > self.shown, "a number is used once: {reply}");
        (self.shown, self.pending) = (seq, None);
        seq
    }

    fn answer(&mut self, client: &mut Client, re: u64, text: &str) {
        self.pending = Some(re);
        client.send(&answer(re, text));
    }
}

fn answer(re: u64, text: &str) -> Vec<u8> {
    frame(json!({ "re": re, "data": text }).to_string())
}

#[test]
fn an_answer_that_comes_twice_is_done_once() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send(&answer(1, "deposit 40"));
    let reply = client.read();
    assert_eq!(reply["balance"], 14_000);
    for _ in 0..3 {
        client.send(&answer(1, "deposit 40"));
        assert_eq!(client.read(), reply, "its reply again");
    }
    // Something else under the same number is a conflict; what is older is not open.
    client.send(&answer(1, "deposit 41"));
    let told = client.read_to_prompt();
    assert_eq!((&told[0]["error"], &told[1]["seq"]), (&json!("conflict"), &json!(2)), "{told:?}");
    assert_eq!(client.balance(), 14_000);
    client.send(&answer(1, "deposit 40"));
    let told = client.read_to_prompt();
    assert_eq!((&told[0]["error"], &told[1]["seq"]), (&json!("not-open"), &json!(3)), "{told:?}");
    assert_eq!(client.balance(), 14_000);
    drop(client);
    server.stop();
}

#[test]
fn a_reply_that_was_lost_with_its_line_is_told_on_the_next() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::new("kiosk-1");
    let (mut client, welcome) = terminal.hello(&server, false);
    let open = terminal.show(&welcome);
    terminal.answer(&mut client, open, "deposit 40");
    let reply = client.read();
    drop(client);
    // It never saw the reply: the same one comes again.
    let (mut client, again) = terminal.hello(&server, true);
    for field in ["seq", "re", "data", "outcome", "operation", "amount", "balance"] {
        assert_eq!(again[field], reply[field], "{again}");
    }
    let open = terminal.show(&again);
    terminal.answer(&mut client, open, "3");
    assert_eq!(client.read()["balance"], 14_000);
    drop(client);
    server.stop();
}

#[test]
fn an_answer_that_was_lost_with_its_line_is_sent_again() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::new("kiosk-2");
    let (client, welcome) = terminal.hello(&server, false);
    let open = terminal.show(&welcome);
    // It is never sent.
    terminal.pending = Some(open);
    drop(client);
    let (mut client, again) = terminal.hello(&server, true);
    assert_eq!(
        (&again["seq"], &again["input"]),
        (&json!(open), &json!(true)),
        "the prompt is still open: {again}"
    );
    terminal.answer(&mut client, open, "deposit 40");
    assert_eq!(client.read()["balance"], 14_000);
    drop(client);
    server.stop();
}

#[test]
fn after_a_restart_a_terminal_is_told_what_became_of_its_answer() {
    let server = Server::start(&[]);
    for (number, heard) in [true, false].into_iter().enumerate() {
        let mut terminal = Terminal::new(["kiosk-3", "kiosk-4"][number]);
        let (mut client, welcome) = terminal.hello(&server, false);
        let open = terminal.show(&welcome);
        if heard {
            terminal.answer(&mut client, open, "deposit 40");
            client.read();
        } else {
            terminal.pending = Some(open);
        }
        // It loses power. The line of its last life is still there.
        (terminal.start, terminal.attempt) = (2, 0);
        let (mut next, welcome) = terminal.hello(&server, false);
        let outcome = if heard { "done" } else { "not-done" };
        assert_eq!((&welcome["re"], &welcome["outcome"]), (&json!(open), &json!(outcome)), "{welcome}");
        assert!(text_of(&welcome).starts_with("About your earlier request:"), "{welcome}");
        assert_eq!(client.read()["notice"], "taken-over");
        client.expect_end();
        // The answer comes after all, on the new line: it is not done any more.
        next.send(&answer(open, "deposit 40"));
        assert_eq!(next.read_to_prompt()[0]["error"], "not-open");
        let seq = terminal.show(&welcome);
        terminal.answer(&mut next, seq, "3");
        assert_eq!(next.read()["balance"], 14_000);
    }
    server.stop();
}

#[test]
fn another_server_does_not_know() {
    let mut terminal = Terminal::new("kiosk-5");
    let server = Server::start(&[]);
    let (mut client, welcome) = terminal.hello(&server, false);
    let open = terminal.show(&welcome);
    terminal.answer(&mut client, open, "deposit 40");
    client.read();
    drop(client);
    server.stop();
    let server = Server::start(&[]);
    let ledger = terminal.ledger.clone();
    let (client, welcome) = terminal.hello(&server, true);
    assert_ne!(welcome["ledger"], ledger, "it began anew, and so did its identity");
    assert_eq!(welcome["outcome"], "unknown", "{welcome}");
    drop(client);
    server.stop();
}

#[test]
fn an_earlier_life_of_a_name_is_turned_away() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::new("kiosk-6");
    terminal.start = 7;
    let (mut client, _) = terminal.hello(&server, false);
    let mut late = server.client();
    late.send(&frame(json!({ "hello": 1, "terminal": "kiosk-6", "start": 6, "attempt": 9 }).to_string()));
    let told = late.read();
    assert_eq!((&told["notice"], &told["end"]), (&json!("name-in-use"), &json!(true)), "{told}");
    late.expect_end();
    drop(late);
    // The later one goes on.
    client.send(&answer(terminal.shown, "3"));
    assert_eq!(client.read_to_prompt()[0]["error"], "not-open");
    // After a hello, an answer names its prompt.
    client.answer("3");
    assert_eq!(client.read_to_prompt()[0]["error"], "unnumbered");
    drop(client);
    server.stop();
}

#[test]
fn lines_that_drop_at_random_move_no_cent_twice() {
    let mut random = seeded_rng();
    let server = Server::start(&["--log", "off"]);
    let mut terminal = Terminal::new("kiosk-7");
    let (mut expected, mut line) = (10_000, None);
    // What is out: the prompt and the answer's amount.
    let mut out: Option<(u64, u64)> = None;
    let mut done = 0;
    loop {
        let (mut client, told) = match line.take() {
            Some(line) => line,
            None => terminal.hello(&server, true),
        };
        let open = told["seq"].as_u64().unwrap();
        match out {
            Some((re, amount)) if told["re"] == re && open > re => {
                expected += amount * 100;
                assert_eq!(
                    (&told["outcome"], &told["balance"]),
                    (&json!("done"), &json!(expected)),
                    "{told}"
                );
                (out, done) = (None, done + 1);
                terminal.show(&told);
            }
            Some((re, _)) => assert_eq!(open, re, "it was not heard: {told}"),
            None if open > terminal.shown => drop(terminal.show(&told)),
            None => {}
        }
        if done == 200 {
            break;
        }
        let (re, amount) = *out.get_or_insert((open, 1 + random.u64(..50)));
        let whole = answer(re, &format!("deposit {amount}"));
        terminal.pending = Some(re);
        match random.usize(..4) {
            // Lost before it was sent, on its way, and with its reply;
            0 => {}
            1 => client.send(&whole[..random.usize(..whole.len())]),
            2 => client.send(&whole),
            // and not at all.
            _ => {
                client.send(&whole);
                let reply = client.read();
                line = Some((client, reply));
            }
        }
    }
    assert_eq!(server.balance(), expected);
    server.stop();
}

#[test]
fn more_names_than_the_ledger_can_remember() {
    let server = Server::start(&["--log", "off"]);
    let mut full = 0;
    for number in 0..1030 {
        let mut client = server.client();
        let name = format!("kiosk-{number}");
        client.send(&frame(json!({ "hello": 1, "terminal": name, "start": 1, "attempt": 1 }).to_string()));
        let open = client.read()["seq"].as_u64().unwrap();
        client.send(&answer(open, "deposit 1"));
        let reply = client.read();
        if reply["outcome"] != "done" {
            assert_eq!(
                (&reply["outcome"], &reply["reason"], &reply["input"]),
                (&json!("refused"), &json!("full"), &json!(true))
            );
            full += 1;
        }
    }
    // Nobody who is remembered is forgotten for it, and whoever has no name needs no record.
    assert_eq!(full, 1030 - 1024);
    let mut client = server.client();
    assert_eq!(client.ask("deposit 1")["balance"], 10_000 + 1025 * 100);
    drop(client);
    server.stop();
}
