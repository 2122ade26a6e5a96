//! `atm client` at a hostile host: what it prints is bounded, it ends in time, and shown text looks like what it is.
use super::piped_client::{prompt, scripted_server};
use atm_e2e::{Program, atm, frame, json};
use std::thread;

#[test]
fn invalid_messages_without_end_fill_no_log() {
    for (wire, junk) in [("json", frame("no JSON")), ("postcard", b"\x03junk\0".to_vec())] {
        let (address, server) = scripted_server(Vec::new());
        let client = Program::start(atm(&["client", "--connect", &address.to_string(), "--wire", wire]));
        let mut server = server.join().unwrap();
        let flood = junk.repeat(1000);
        // The client of the postcard wire closes the connection.
        for _ in 0..100 {
            if !server.try_send(&flood) {
                break;
            }
        }
        drop(server);
        let done = client.finish();
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{wire}: {done:?}");
        assert!(done.stderr.len() < 1000, "{wire}: {} bytes", done.stderr.len());
        if wire == "json" {
            assert!(done.stderr.contains("the server has sent 100000 invalid messages"), "{done:?}");
        }
    }
}

#[test]
fn a_host_that_works_for_ever_holds_no_pipe() {
    let (address, server) = scripted_server(prompt(1));
    let arguments = ["client", "--connect", &address.to_string(), "--reply-timeout", "1"];
    let mut client = Program::start(atm(&arguments));
    client.type_line("deposit 40");
    let mut server = server.join().unwrap();
    assert_eq!(server.read()["data"], "deposit 40");
    let working =
        frame(json!({ "re": 1, "input": false, "data": "Working on it.", "notice": "working" }).to_string());
    let host = thread::spawn(move || while server.try_send(&working) {});
    let done = client.finish();
    let err = "no reply within 1 s\nstopped at line 1 (\"deposit 40\"): there is no reply\n\
               unknown: check the balance\n";
    assert_eq!((done.code, done.stderr.as_str()), (Some(4), err));
    host.join().unwrap();
}

#[test]
fn characters_that_hide_or_reorder_an_amount_are_shown_escaped() {
    let hidden: Vec<char> = ('\u{200b}'..='\u{200f}')
        .chain('\u{202a}'..='\u{202e}')
        .chain('\u{2066}'..='\u{2069}')
        .chain(['\u{feff}', '\u{2060}', '\u{61c}', '\u{ad}', '\u{2028}'])
        .collect();
    let data: String = hidden.iter().flat_map(|c| ['1', *c]).collect();
    let message = json!({ "input": true, "data": data }).to_string();
    for (wire, greeting) in [
        ("json", frame(json!({ "seq": 1, "input": true, "data": data }).to_string())),
        ("raw", message.into_bytes()),
        ("raw", [data.as_bytes(), b"\n"].concat()),
    ] {
        let (address, server) = scripted_server(greeting);
        let client = Program::start(atm(&["client", "--connect", &address.to_string(), "--wire", wire]));
        drop(server.join().unwrap());
        let done = client.finish();
        let shown: String = hidden.iter().map(|c| format!("1{}", c.escape_unicode())).collect();
        assert!(done.stdout.starts_with(&format!("{shown}\n")), "{wire}: {done:?}");
    }
}

#[test]
fn the_text_of_a_reply_is_bounded() {
    let (address, server) = scripted_server(prompt(1));
    let host = thread::spawn(move || {
        let mut server = server.join().unwrap();
        server.read();
        let piece = frame(json!({ "input": false, "data": "x".repeat(60_000) }).to_string());
        (0..40).for_each(|_| server.send(&piece));
        server.send(&prompt(2));
        server.read_or_end();
    });
    let done = Program::run(atm(&["client", &address.to_string(), "deposit", "40"]), "");
    assert!((960_000..=1024 * 1024).contains(&done.stdout.len()), "{} bytes", done.stdout.len());
    assert_eq!(done.code, Some(4), "{}", done.stderr);
    assert!(done.stderr.starts_with("the server sends too much text: no more is shown"), "{}", done.stderr);
    host.join().unwrap();
}
