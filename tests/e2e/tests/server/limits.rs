//! Limits: sessions and open files. Clients beyond them are refused or wait, and the others are served.
use atm_e2e::{
    Client, Program, Server, TIMEOUT, Value, atm, frame, json, raise_file_limit, request_page, text_of,
};
use std::{
    fs,
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

#[test]
fn clients_beyond_max_sessions_are_refused_as_busy() {
    let server = Server::start(&["--max-sessions", "5"]);
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(server.address)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let first = client.read();
        if number < 5 {
            assert_eq!(first["input"], true, "client {number}: {first}");
        } else {
            assert_eq!(
                (&first["notice"], &first["end"]),
                (&json!("busy"), &json!(true)),
                "client {number}: {first}"
            );
            client.expect_end();
        }
    }
    server.program.wait_for_stderr("limit=\"--max-sessions\"");
    for client in &mut clients[..5] {
        assert_eq!(client.balance(), 10_000);
    }
    drop(clients);
    // The sessions are free again, once the server has read the ends of the connections.
    let until = Instant::now() + TIMEOUT;
    let mut again: Vec<Client> = Vec::new();
    while again.len() < 5 {
        assert!(Instant::now() < until, "only {} sessions are free", again.len());
        let mut client = Client::connect(server.address);
        if text_of(&client.read()).starts_with("Welcome") {
            again.push(client);
        }
    }
    drop(again);
    server.stop();
}

#[test]
fn new_names_are_capped_in_number_and_a_minute_and_known_ones_served() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("ledger");
    for on_disk in [false, true] {
        // The second server on the same folder knows the first one's name.
        for (cap, names) in [("--new-terminals", &["a", "b", "c"][..]), ("--max-terminals", &["a", "b", "c"])]
        {
            let mut arguments = vec![cap, "1"];
            if on_disk {
                arguments.extend(["--data", data.to_str().unwrap()]);
            }
            let server = Server::start(&arguments);
            let hello = |name: &str, start| {
                let mut client = server.client();
                client.send(&frame(json!({ "hello": 1, "terminal": name, "start": start }).to_string()));
                let reply = client.read();
                (client, reply)
            };
            for name in names {
                let (mut client, reply) = hello(name, 100);
                if *name == "a" {
                    assert_eq!(reply["hello"], 1, "{cap}: {reply}");
                } else {
                    assert_eq!((&reply["notice"], &reply["end"]), (&json!("busy"), &json!(true)), "{cap}");
                    client.expect_end();
                }
            }
            assert_eq!(hello("a", 101).1["hello"], 1, "{cap}");
            server.program.wait_for_stderr(&format!("turned away: no room for another name limit=\"{cap}\""));
            // Without a name.
            assert_eq!(server.balance(), 10_000);
            server.stop();
        }
    }
}

#[test]
fn sessions_are_limited_by_the_limit_of_open_files() {
    // Of the server's 120 files, 96 are reserved for other uses than sessions. More clients than are left.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 120 && exec \"$@\"", "sh"]);
    let serve = atm(&["serve", "--listen", "127.0.0.1:0", "--log", "error"]);
    command.arg(serve.get_program()).args(serve.get_args());
    let server = Server::of(Program::start(command));
    let mut clients: Vec<Client> = (0..80).map(|_| Client::connect(server.address)).collect();
    let served: Vec<bool> = clients.iter_mut().map(|client| client.read()["input"] == true).collect();
    assert_eq!(served.iter().filter(|served| **served).count(), 24, "the others are refused");
    for (client, _) in clients.iter_mut().zip(&served).filter(|(_, served)| **served) {
        assert_eq!(client.balance(), 10_000);
    }
    drop(clients);
    let until = Instant::now() + TIMEOUT;
    while Client::connect(server.address).read()["input"] != true {
        assert!(Instant::now() < until, "the sessions are not free again");
    }
    server.stop();
}

#[test]
fn thousands_of_clients_are_served_at_once() {
    // A file for each of them in this process, and some for the tests that run at the same time.
    let available = usize::try_from(raise_file_limit().saturating_sub(200)).unwrap_or(usize::MAX);
    let count = available.min(2000);
    let server = Server::start(&["--max-sessions", "3000", "--log", "off"]);
    let since = Instant::now();
    let mut clients: Vec<Client> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| (0..count / 4).map(|_| Client::connect(server.address)).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for client in &mut clients {
        assert_eq!(client.read()["input"], true);
    }
    let greeted = since.elapsed();
    for client in &mut clients {
        client.answer("deposit 1");
    }
    for client in &mut clients {
        assert_eq!(client.read()["operation"], "deposit");
    }
    println!("{} clients: greeted in {greeted:?}, served in {:?}", clients.len(), since.elapsed());
    assert!(greeted < Duration::from_secs(10), "{greeted:?}");
    let expected = 10_000 + 100 * clients.len() as u64;
    drop(clients);
    assert_eq!(server.balance(), expected);
    server.stop();
}

/// The processor time of a process in hundredths of a second: utime and stime of proc_pid_stat(5).
fn cpu_ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_server_at_the_limit_of_open_files_waits_without_spinning() {
    let serve = atm(&["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let mut command = Command::new("sh");
    // The hard limit too, which the server cannot raise.
    command
        .args(["-c", "ulimit -n 60 && exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args());
    let server = Server::of(Program::start(command));
    let address = server.metrics_address();
    // More connections than files: those beyond are not accepted yet.
    let crowd: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    server.program.wait_for_stderr("could not be accepted");
    let scrapers: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(address).unwrap()).collect();
    let (began, before) = (Instant::now(), cpu_ticks(server.program.pid()));
    thread::sleep(Duration::from_secs(1));
    let (spent, elapsed) = (cpu_ticks(server.program.pid()) - before, began.elapsed().as_millis() / 10);
    assert!(u128::from(spent) < elapsed / 5, "{spent} of {elapsed} hundredths of a second");
    drop((crowd, scrapers));
    // Both ports serve again once files are free.
    assert!(request_page(address, "GET /metrics HTTP/1.1").0.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.balance(), 10_000);
    server.stop();
}

#[test]
fn the_longest_message_and_answer_of_the_help_are_taken_and_a_byte_more_is_not() {
    let help = Program::run(atm(&["serve", "--help"]), "").stdout;
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let number = |before: &str| -> usize {
        let (_, rest) = words.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {help}"));
        rest.split([' ', ';']).next().and_then(|number| number.parse().ok()).unwrap()
    };
    let (longest, longest_answer) = (number("A message has at most "), number(" and an answer "));
    let server = Server::start(&["--log", "off"]);
    let mut client = server.client();
    let mut ask = |body: String| {
        client.send(&frame(&body));
        let messages = client.read_to_prompt();
        (messages[0]["error"].clone(), messages.last().map(text_of).unwrap_or_default().to_owned())
    };
    let body = |length: usize| format!("{{\"data\":\"balance\"{:1$}}}", "", length - 18);
    let (error, text) = ask(body(longest));
    assert!(error.is_null() && text.starts_with("Your balance is $100."), "{error} {text}");
    assert_eq!(ask(body(longest + 1)).0, "too-long");
    let answer = |length: usize| format!("{{\"data\":\"{:0>length$}\"}}", "3");
    assert!(ask(answer(longest_answer)).1.starts_with("That is not a valid choice."));
    assert!(ask(answer(longest_answer + 1)).1.starts_with("That answer is too long"), "{longest_answer}");
    drop(client);
    server.stop();
    let server = Server::start(&["--wire", "raw", "--log", "off"]);
    let mut client = Client::connect(server.address);
    client.read_once();
    for (length, start) in [(longest, "Your balance is $100."), (longest + 1, "The message is too long.")] {
        client.send(format!("{:length$}\n", "balance").as_bytes());
        let reply: Value = serde_json::from_slice(&client.read_once()).unwrap();
        assert!(text_of(&reply).starts_with(start), "{length}: {reply}");
    }
    drop(client);
    server.stop();
}
