//! The `raw` wire of the original program: the client sends plain text, the server one JSON object a reply.
use atm_e2e::{Client, Server, Value, text_of};

/// Reads once: it must be one complete object that fits the original client's buffer of 1024 bytes.
fn read_object(client: &mut Client) -> Value {
    let bytes = client.read_once();
    assert!(bytes.len() < 1024, "{} bytes fill the original client's buffer", bytes.len());
    let object: Value = serde_json::from_slice(&bytes).expect("one read is one object");
    assert!(object["input"].is_boolean() && object["data"].is_string(), "{object}");
    object
}

/// Connects and reads the greeting.
fn greeted(server: &Server) -> Client {
    let mut client = Client::connect(server.address);
    assert!(text_of(&read_object(&mut client)).starts_with("Welcome to the ATM"));
    client
}

/// Sends an answer; returns the reply's text.
fn ask(client: &mut Client, bytes: &[u8]) -> String {
    client.send(bytes);
    let reply = read_object(client);
    let ends = text_of(&reply).contains("Goodbye");
    assert_eq!(reply["input"], !ends, "{reply}");
    text_of(&reply).to_owned()
}

/// Sends an answer; the reply's text must begin with `start`.
fn expect(client: &mut Client, bytes: &[u8], start: &str) {
    let text = ask(client, bytes);
    assert!(text.starts_with(start), "{text:?} instead of {start:?}");
}

#[test]
fn without_line_ends_each_read_is_an_answer() {
    let server = Server::start(&["--wire", "raw"]);
    let mut client = greeted(&server);
    expect(&mut client, b"1", "How much would you like to deposit?");
    expect(&mut client, b"40", "Amount deposited: $40. Your balance is $140.\n\nWelcome");
    expect(&mut client, b"2", "Balance: $140. How much");
    expect(&mut client, b"500", "There is not enough money: your balance is $140.");
    expect(&mut client, b"all", "Amount withdrawn: $140. Your balance is $0.");
    expect(&mut client, b"withdraw", "There is nothing to withdraw");
    expect(&mut client, "größer".as_bytes(), "That is not a valid choice.");
    expect(&mut client, " balance ".as_bytes(), "Your balance is $0.");
    assert_eq!(ask(&mut client, b"exit"), "Goodbye.");
    assert!(client.read_once().is_empty());
    drop(client);
    server.stop();
}

#[test]
fn after_a_first_line_end_each_line_is_an_answer() {
    let server = Server::start(&["--wire", "raw"]);
    let mut client = greeted(&server);
    expect(&mut client, b"deposit 1\n", "Amount deposited: $1.");
    // From here on, a read is no longer an answer.
    client.send(b"depo");
    client.send(b"sit 2");
    expect(&mut client, b"\r\n", "Amount deposited: $2.");
    // Several lines in one read are several answers, with a reply each.
    client.send(b"deposit 3\ndeposit 4\nbal");
    let mut bytes = client.read_once();
    while !String::from_utf8_lossy(&bytes).contains("Your balance is $110.") {
        bytes.extend(client.read_once());
    }
    let replies: Vec<Value> =
        serde_json::Deserializer::from_slice(&bytes).into_iter().map(Result::unwrap).collect();
    assert_eq!(replies.len(), 2);
    assert!(text_of(&replies[0]).starts_with("Amount deposited: $3. Your balance is $106."));
    expect(&mut client, b"ance\n", "Your balance is $110.");
    drop(client);
    server.stop();
}

#[test]
fn a_piped_script_is_served_to_its_end() {
    let server = Server::start(&["--wire", "raw"]);
    // As `printf … | nc -N`: all lines in one write, the last one without a line end, then half-closed.
    let mut client = Client::connect(server.address);
    client.send(b"1\n40\nwithdraw 15\n3");
    client.half_close();
    let all = String::from_utf8(client.read_to_end()).unwrap();
    let replies: Vec<Value> =
        serde_json::Deserializer::from_str(&all).into_iter().map(Result::unwrap).collect();
    assert_eq!(replies.len(), 5, "{all}");
    assert!(text_of(&replies[4]).starts_with("Your balance is $125."));
    drop(client);
    server.stop();
}

#[test]
fn every_reply_fits_the_original_clients_buffer() {
    // The largest amounts, which have the longest texts.
    let server =
        Server::start(&["--wire", "raw", "--balance", "90071992547409.91", "--limit", "90071992547409.91"]);
    let mut client = greeted(&server);
    let long =
        [&[b'9'; 63][..], &[b'x'; 64], &[b'x'; 65], &[b'"'; 64], &[0xff; 64], &[b'9'; 500], &[b'9'; 1400]];
    for setup in [None, Some("deposit"), Some("withdraw")] {
        for answer in long {
            if let Some(setup) = setup {
                ask(&mut client, setup.as_bytes());
            }
            let text = ask(&mut client, answer);
            assert!(!text.starts_with("Amount"), "{text}");
            if setup.is_some() {
                ask(&mut client, b"back");
            }
        }
    }
    expect(&mut client, b"deposit 90071992547409", "The account cannot hold that much more");
    ask(&mut client, b"back");
    expect(&mut client, b"withdraw 90071992547410", "That is over the limit");
    ask(&mut client, b"back");
    expect(&mut client, b"withdraw 90071992547409", "Amount withdrawn: $90071992547409.");
    expect(&mut client, b"3", "Your balance is $0.91.");
    drop(client);
    server.stop();
}

#[test]
fn invalid_utf8_is_reported_and_the_prompt_sent_again() {
    let server = Server::start(&["--wire", "raw"]);
    let mut client = greeted(&server);
    expect(&mut client, b"deposit", "How much");
    let text = ask(&mut client, b"\xff\xfe40");
    assert!(text.contains("not UTF-8") && text.contains("How much would you like to deposit?"), "{text}");
    expect(&mut client, b"40", "Amount deposited: $40.");
    drop(client);
    server.stop();
}
