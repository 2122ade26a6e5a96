//! examples/sealed_terminal.py, which was written from PROTOCOL.md: it seals the same bytes, and a session with it works.
use crate::world::{LEDGER, key};
use atm_core::{
    host::{Config, Event, Host, LinkKind, POSTCARD_IN, POSTCARD_OUT},
    ledger::{Ledger, RamLedger, SessionId},
    money::Amount,
    seal::{self, Header, Key, TerminalKey},
    time::Instant,
    wire::Wire,
};
use std::{
    fmt::Write as _,
    fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    num::NonZeroU32,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/sealed_terminal.py")
}

/// Runs the example with this input; `None` where there is no Python.
fn python(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("python3");
    command.arg(example()).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        child => child.unwrap(),
    };
    // The example reads its input line by line, and its output is short or comes at the end.
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// `ATM_SEAL_MESSAGES=10000` makes it longer: a message takes Python six milliseconds.
#[test]
fn python_seals_random_messages_to_the_same_bytes() {
    let count: u64 = std::env::var("ATM_SEAL_MESSAGES").map_or(200, |text| text.parse().unwrap());
    let (mut input, mut expected) = (String::new(), String::new());
    let mut state = 1u64;
    let mut random = |below: usize| {
        // Knuth's MMIX generator.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..count {
        let mut bytes = |length: usize| -> Vec<u8> { (0..length).map(|_| random(256) as u8).collect() };
        let key = Key::from(<[u8; 32]>::try_from(bytes(32)).unwrap());
        let index = [seal::HELLO, seal::SEALED, seal::WELCOME, seal::EARLY][usize::from(bytes(1)[0] % 4)];
        let has_header = [seal::HELLO, seal::WELCOME].contains(&index);
        let header = bytes(if has_header { Header::LENGTH } else { 0 });
        let length = usize::from(bytes(1)[0]) % seal::BUCKET;
        let content = bytes(length);
        let output = if index == seal::HELLO {
            let key = TerminalKey::new(key.clone(), NonZeroU32::MIN, 0);
            let proof = key.prove(&[&[index], &content[..]].concat());
            let session = proof.session(Header::from_bytes(header[..].try_into().unwrap()));
            let keys = [key.next().unwrap().key().clone(), proof.early(), session.up, session.down];
            [&proof.tag()[..], &keys.map(|key| *key.bytes()).concat()].concat()
        } else {
            let mut out = [0; 128];
            out[seal::content_at(header.len())..][..length].copy_from_slice(&content);
            let sealed = seal::seal(&key, index, &header, &mut out, length).unwrap();
            out[..sealed].to_vec()
        };
        writeln!(expected, "{}", hex(&output)).unwrap();
        writeln!(input, "{} {:02x} -{} -{}", hex(key.bytes()), index, hex(&header), hex(&content)).unwrap();
    }
    if let Some(output) = python(&["--seal"], &input) {
        assert!(output == expected, "the implementations differ");
    }
}

/// A server for one sealed terminal, a connection after the other.
struct Server {
    address: String,
    stop: Arc<AtomicBool>,
    ledger: Arc<Mutex<RamLedger<1>>>,
}

impl Server {
    /// Loses the keys after each `lifetime` requests to the ledger, as a server that is killed and started again.
    fn start(lifetime: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let ledger = Arc::new(Mutex::new(RamLedger::new(LEDGER, Amount::from_units(100).unwrap())));
        let server = Self { address, stop: stop.clone(), ledger: ledger.clone() };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(SeqCst) {
                    return;
                }
                serve(stream.unwrap(), &ledger, lifetime);
            }
        });
        server
    }

    fn balance(&self) -> Amount {
        self.ledger.lock().unwrap().balance()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        // Wakes the accept loop.
        let _ = TcpStream::connect(&self.address);
    }
}

fn serve(mut stream: TcpStream, ledger: &Mutex<RamLedger<1>>, lifetime: u32) {
    let begin = std::time::Instant::now();
    let now = || Instant::from_millis(u64::try_from(begin.elapsed().as_millis()).unwrap());
    let config = Config { sealed_only: true, ..Config::new(Wire::Postcard, LinkKind::Connection) };
    let new = |number| Host::<POSTCARD_IN, POSTCARD_OUT>::new(config, SessionId::new(number), now());
    let (mut host, mut requests, mut sessions) = (new(1), 0, 1);
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (mut chunk, mut unread) = ([0; 256], 0..0);
    while !host.is_finished() {
        if let Some(event) = host.poll_event() {
            match event {
                Event::Request(request) => {
                    let response = ledger.lock().unwrap().apply(&request).unwrap();
                    host.complete(request.ticket, response, now());
                    requests += 1;
                    if requests == lifetime {
                        (requests, sessions) = (0, sessions + 1);
                        host = new(sessions);
                    }
                }
                Event::Hello(_) => host.admit_new(now()),
                Event::Key(claim) => {
                    let key = key(claim.terminal.as_str(), 1).forward(claim.step, 4096);
                    host.provide_key(key.as_ref(), now());
                }
                Event::Quit => host.shut_down(now()),
            }
        } else if !host.output().is_empty() {
            let count = stream.write(host.output()).unwrap();
            host.consume(count, now());
        } else if !unread.is_empty() {
            unread.start += host.feed(&chunk[unread.clone()], now());
        } else {
            match stream.read(&mut chunk) {
                Ok(0) => host.end(now()),
                Ok(count) => unread = 0..count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    host.tick(now());
                }
                Err(_) => return,
            }
        }
    }
}

struct KeyFile(PathBuf);

impl KeyFile {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("atm-sealed-{}-{name}.json", std::process::id()));
        let secret = hex(key("kiosk-7", 1).key().bytes());
        fs::write(&path, format!(r#"{{"terminal":"kiosk-7","series":1,"step":0,"key":"{secret}"}}"#))
            .unwrap();
        Self(path)
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn session(server: &Server, file: &KeyFile, input: &str) -> Option<String> {
    let (host, port) = server.address.split_once(':').unwrap();
    python(&[host, port, file.0.to_str().unwrap()], input)
}

#[test]
fn a_session_of_the_example_moves_money_and_the_next_one_has_another_key() {
    let (server, file) = (Server::start(u32::MAX), KeyFile::new("session"));
    let Some(shown) = session(&server, &file, "1\n40\n2\n15\n3\nexit\n") else { return };
    for text in
        ["1. Deposit", "Amount deposited: $40. Your balance is $140.", "Amount withdrawn: $15.", "Goodbye."]
    {
        assert!(shown.contains(text), "{text} in {shown}");
    }
    let before = file.text();
    assert!(before.contains(r#""step": 0"#), "{before}");
    let shown = session(&server, &file, "3\nexit\n").unwrap();
    assert!(shown.contains("Your balance is $125.") && !shown.contains("warning"), "{shown}");
    assert!(
        file.text().contains(r#""step": 1"#)
            && !file.text().contains(&before[before.find("key").unwrap()..][..30])
    );
    assert_eq!(server.balance(), Amount::from_units(125).unwrap());
}

/// It asks for the outcome under a new hello, and does nothing twice.
#[test]
fn the_example_survives_a_host_that_loses_its_keys() {
    let (server, file) = (Server::start(4), KeyFile::new("restarts"));
    let Some(shown) = session(&server, &file, "1\n1\n1\n2\n1\n4\n1\n8\n1\n16\n1\n32\n3\nexit\n") else {
        return;
    };
    let done = server.balance().checked_sub(Amount::from_units(100).unwrap()).unwrap().units();
    for bit in 0..6 {
        let amount = 1u64 << bit;
        let is_shown = shown.contains(&format!("Amount deposited: ${amount}."));
        assert_eq!(is_shown, done & amount != 0, "${amount}: {shown}");
    }
    assert!(done.count_ones() >= 3, "{shown}");
}
