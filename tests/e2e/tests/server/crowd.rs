//! Crowds: peers that fill the sessions, come from one address or never read, and a terminal that is served beside them.
use atm_e2e::{Client, Server, Value, frame, json};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use std::{
    io::{ErrorKind, Write},
    net::{Ipv4Addr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// The hello of kiosk-7, which has shown a reply of this ledger.
fn hello(attempt: u64, shown: &Value) -> Vec<u8> {
    hello_of("kiosk-7", attempt, shown)
}

fn hello_of(name: &str, attempt: u64, shown: &Value) -> Vec<u8> {
    let hello = json!({
        "hello": 1, "terminal": name, "start": 1, "attempt": attempt, "ledger": shown["ledger"],
        "shown": shown["seq"], "resume": true,
    });
    frame(hello.to_string())
}

fn expect_busy(mut client: Client) {
    assert_eq!(client.read()["notice"], "busy");
    client.expect_end();
}

/// Sends a message again and again, until nothing was taken for a second; returns how many bytes were. The replies are not
/// read.
fn fill(mut stream: &TcpStream, message: &[u8]) -> usize {
    // The peer's own buffers are small, so that the rest of what it sends is held by the server.
    set_socket_send_buffer_size(stream, 1).unwrap();
    set_socket_recv_buffer_size(stream, 1).unwrap();
    stream.set_nonblocking(true).unwrap();
    let (mut sent, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        match stream.write(message.get(sent % message.len()..).unwrap()) {
            Ok(count) => (sent, since) = (sent + count, Instant::now()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
    stream.set_nonblocking(false).unwrap();
    sent
}

#[test]
fn a_terminal_whose_connection_dropped_is_served_while_idle_peers_fill_the_sessions() {
    let server = Server::start(&["--max-sessions", "5", "--log", "off"]);
    let new = json!({ "ledger": null, "seq": 0 });
    let mut kiosk = server.client();
    kiosk.send(&hello(1, &new));
    let welcome = kiosk.read();
    kiosk.send(&frame(json!({ "re": welcome["seq"], "data": "1" }).to_string()));
    let prompt = kiosk.read();
    // Its connection drops, and the server knows.
    kiosk.half_close();
    kiosk.expect_end();
    let mut idle: Vec<Client> = (0..5).map(|_| server.client()).collect();
    // What is no answer does not make a session less idle.
    idle[0].send(&frame("not JSON"));
    assert_eq!(idle[0].read()["error"], "not-json");
    assert_eq!(idle[0].read()["input"], true);
    // No other peer is served beyond the limit, whatever it says.
    let others = [
        frame("{\"data\":\"deposit 1\"}"),
        frame("{\"data\":\"quit\"}"),
        frame("{\"hello\":1}"),
        frame("{\"hello\":1,\"terminal\":\"kiosk-8\"}"),
        frame("not JSON"),
        hello(1, &new),
        Vec::new(),
    ];
    for bytes in others {
        let mut other = Client::connect(server.address);
        other.send(&bytes);
        expect_busy(other);
    }
    // One that says nothing goes as soon as there is no room for another.
    let mut waiting: Vec<Client> = (0..17).map(|_| Client::connect(server.address)).collect();
    expect_busy(waiting.remove(0));
    let mut kiosk = Client::connect(server.address);
    let shown = json!({ "ledger": welcome["ledger"], "seq": prompt["seq"] });
    kiosk.send(&hello(2, &shown));
    let resumed = kiosk.read();
    assert_eq!((&resumed["hello"], &resumed["seq"]), (&json!(1), &prompt["seq"]), "{resumed}");
    // The session that was idle for longest has ended; the others go on.
    expect_busy(idle.remove(0));
    for client in &mut idle {
        assert_eq!(client.balance(), 10_000);
    }
    // The server does not know yet that this connection is gone too.
    let mut again = Client::connect(server.address);
    again.send(&hello(3, &shown));
    assert_eq!(again.read()["hello"], 1);
    again.send(&frame(json!({ "re": prompt["seq"], "data": "40" }).to_string()));
    assert_eq!(again.read()["outcome"], "done");
    for client in &mut idle {
        assert_eq!(client.balance(), 14_000);
    }
    drop((idle, waiting, kiosk, again));
    server.stop();
}

#[test]
fn a_crowd_of_one_address_pushes_no_connection_of_another_out_of_the_reserve() {
    let server = Server::start(&["--max-sessions", "1", "--log", "off"]);
    let new = json!({ "ledger": null, "seq": 0 });
    let mut kiosk = server.client();
    kiosk.send(&hello(1, &new));
    let welcome = kiosk.read();
    kiosk.half_close();
    kiosk.expect_end();
    let idle = server.client();
    // It says hello late.
    let mut kiosk = Client::connect_from(Ipv4Addr::new(127, 0, 0, 2), server.address);
    let mut crowd: Vec<Client> = (0..40).map(|_| Client::connect(server.address)).collect();
    // All but 15 were turned away.
    crowd.drain(..25).for_each(expect_busy);
    kiosk.send(&hello(2, &json!({ "ledger": welcome["ledger"], "seq": welcome["seq"] })));
    assert_eq!(kiosk.read()["hello"], 1);
    drop((idle, crowd, kiosk));
    server.stop();
}

#[test]
fn a_terminal_whose_connection_dropped_is_served_while_named_ones_fill_the_sessions() {
    let server = Server::start(&["--max-sessions", "5", "--log", "off"]);
    let new = json!({ "ledger": null, "seq": 0 });
    let names: Vec<String> = (0..6).map(|number| format!("other-{number}")).collect();
    // More conversations are held than there may be sessions.
    let mut welcomes: Vec<Value> = Vec::new();
    for name in names.iter().map(String::as_str).chain(["kiosk-7"]).chain(names.iter().map(String::as_str)) {
        let mut terminal = server.client();
        terminal.send(&hello_of(name, if welcomes.len() > 6 { 2 } else { 1 }, &new));
        welcomes.push(terminal.read());
        terminal.half_close();
        terminal.expect_end();
    }
    let (kiosk_welcome, welcomes) = (welcomes[6].clone(), welcomes.split_off(7));
    let mut others: Vec<Client> = Vec::new();
    for (name, welcome) in names.iter().zip(&welcomes).take(5) {
        let mut other = server.client();
        other.send(&hello_of(name, 3, welcome));
        assert_eq!(other.read()["seq"], welcome["seq"]);
        others.push(other);
    }
    let mut kiosk = Client::connect(server.address);
    kiosk.send(&hello(2, &kiosk_welcome));
    assert_eq!(kiosk.read()["seq"], kiosk_welcome["seq"], "its conversation was held");
    // The one at its prompt for longest has made room, and its conversation is held too.
    expect_busy(others.remove(0));
    let mut again = Client::connect(server.address);
    again.send(&hello_of(&names[0], 4, &welcomes[0]));
    assert_eq!(again.read()["seq"], welcomes[0]["seq"]);
    expect_busy(others.remove(0));
    drop((others, kiosk, again));
    server.stop();
}

#[test]
fn sessions_that_are_taken_over_unread_are_bounded() {
    let server = Server::start(&["--max-sessions", "5", "--stall-timeout", "600", "--log", "off"]);
    let idle: Vec<Client> = (0..4).map(|_| server.client()).collect();
    let (mut held, mut shown) = (Vec::new(), json!({ "ledger": null, "seq": 0 }));
    // 17 of them hold unread replies, one within the limit. Others may have been served, and have ended, where the server was
    // slow to fill its buffers.
    let is_bounded = (1..=100).any(|attempt| {
        let mut kiosk = if attempt == 1 { server.client() } else { Client::connect(server.address) };
        set_socket_recv_buffer_size(kiosk.stream(), 1).unwrap();
        kiosk.send(&hello(attempt, &shown));
        let welcome = kiosk.read();
        if welcome["notice"] == "busy" {
            return true;
        }
        kiosk.send(&frame("not JSON").repeat(200));
        // The server sends replies until the peer's system takes no more, which delays its acknowledgements (tcp(7)).
        thread::sleep(Duration::from_millis(100));
        shown = welcome;
        held.push(kiosk);
        false
    });
    assert!(is_bounded && held.len() >= 17, "{}", held.len());
    drop((idle, held));
    server.stop();
}

#[test]
fn the_sessions_of_one_address_are_limited() {
    let server = Server::start(&["--max-per-address", "2", "--log", "off"]);
    let mut clients: Vec<Client> = (0..2).map(|_| server.client()).collect();
    expect_busy(Client::connect(server.address));
    assert_eq!(clients[0].ask("exit")["end"], true);
    clients.remove(0).expect_end();
    // A terminal takes its own session over, of which the server does not know that it is gone.
    let mut kiosk = server.client();
    kiosk.send(&hello(1, &json!({ "ledger": null, "seq": 0 })));
    let welcome = kiosk.read();
    let mut again = Client::connect(server.address);
    again.send(&hello(2, &welcome));
    assert_eq!(again.read()["seq"], welcome["seq"]);
    expect_busy(Client::connect(server.address));
    drop((clients, kiosk, again));
    server.stop();
}

#[test]
fn a_peer_that_never_reads_holds_little_memory() {
    let server = Server::start(&["--log", "off"]);
    let client = Client::connect(server.address);
    let stream = client.stream();
    let answer = frame("{\"data\":\"balance\"}");
    let sent = fill(stream, &answer);
    println!("{sent} bytes of answers were sent");
    assert!(sent < 20 * 1024, "{sent} bytes of answers are held, or the replies to them");
    // It is served again once it reads.
    let mut reader = Client::new(stream.try_clone().unwrap());
    for _ in 0..=sent / answer.len() {
        assert_eq!(reader.read()["input"], true);
    }
    drop((client, reader));
    assert_eq!(server.balance(), 10_000);
    server.stop();
}
