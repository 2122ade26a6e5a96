//! A ledger that was set back under a named terminal: `atm client` and examples/terminal.py say so, show the menu, and move
//! money once from there on.
//!
//! The host is a scripted one that numbers its replies from a lower number after the loss: `atm serve` starts above what a
//! terminal has shown.
use super::named_terminal::StateDir;
use atm_core::{
    codec::{json, postcard},
    frame::{Decoded, cobs},
    ledger::{LedgerId, Outcome, Receipt},
    message::{Reply, TerminalMessage, Welcome},
    money::Amount,
    screen::Screen,
    terminal::MessageText,
    wire::Wire,
};
use atm_e2e::{Output, TIMEOUT, Value, frame, json as json_value};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

const LEDGER: LedgerId = LedgerId(0xaa);
const WARNING: &str = "warning: the ATM's ledger was set back to an earlier state: check the balance\n";
const WARNING_PENDING: &str = "warning: the ATM's ledger was set back to an earlier state; the outcome of the last request \
                               is unknown: check the balance\n";

/// What the host does on one connection.
struct Script {
    /// The number of the welcome.
    seq: u64,
    /// The answer whose outcome the welcome reports as unknown.
    re: Option<u64>,
    /// How many answers get a reply; the next one ends the connection without one.
    replies: usize,
}

/// The deposits that the host received, with the numbers of their prompts.
type Received = Vec<(u64, String)>;

/// A host that serves one connection after the other, each by its script.
fn start_host(wire: Wire, scripts: Vec<Script>) -> (SocketAddr, JoinHandle<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let mut received = Received::new();
        for script in scripts {
            let mut connection = Connection { stream: listener.accept().unwrap().0, wire };
            connection.stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            connection.serve(&script, &mut received);
        }
        received
    });
    (address, serving)
}

struct Connection {
    stream: TcpStream,
    wire: Wire,
}

impl Connection {
    fn serve(&mut self, script: &Script, received: &mut Received) {
        let Some(TerminalMessage::Hello(hello)) = self.read() else { panic!("no hello") };
        let unknown = script.re.map(|_| [Screen::EarlierRequest, Screen::Outcome(Outcome::Unknown)]);
        let mut last = Reply {
            seq: script.seq,
            re: script.re,
            screens: unknown.into_iter().flatten().chain([Screen::Menu]).collect(),
            welcome: Some(Welcome { ledger: Some(LEDGER), start: hello.start, attempt: hello.attempt }),
        };
        self.write(&last);
        let mut replies = 0;
        while let Some(message) = self.read() {
            let TerminalMessage::Answer { re: Some(re), answer } = message else { continue };
            if re == last.seq {
                let Some(amount) = answer.text().unwrap().strip_prefix("deposit ") else { return };
                received.push((re, amount.to_owned()));
                if replies == script.replies {
                    return;
                }
                let amount = Amount::from_units(amount.parse().unwrap()).unwrap();
                let outcome = Outcome::Done(Receipt::Deposited { amount, balance: amount });
                let screens = [Screen::Outcome(outcome), Screen::Menu].into_iter().collect();
                last = Reply { seq: re + 1, re: Some(re), screens, welcome: None };
                replies += 1;
            }
            // A retransmission gets the same reply.
            self.write(&last);
        }
    }

    /// The terminal's next message; `None` at the end of the stream.
    fn read(&mut self) -> Option<TerminalMessage> {
        let message = match self.wire {
            Wire::Postcard => {
                let (mut body, mut decoder) = (heapless::Vec::<u8, 512>::new(), cobs::Decoder::default());
                while decoder.push(&mut body, &self.read_exact::<1>()?).1 != Decoded::Frame {}
                postcard::read_terminal(&body)
            }
            _ => {
                let mut body = vec![0; u32::from_be_bytes(self.read_exact()?) as usize];
                self.stream.read_exact(&mut body).ok()?;
                json::read_terminal(&body)
            }
        };
        Some(message.unwrap().expect("no echo"))
    }

    fn read_exact<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn write(&mut self, reply: &Reply) {
        let bytes = match self.wire {
            Wire::Postcard => {
                let mut bytes = vec![0; 1024];
                let length = cobs::encode(&mut bytes, |out| postcard::write_reply(reply, out)).unwrap();
                bytes.truncate(length);
                bytes
            }
            _ => frame(json_of(reply).to_string()),
        };
        self.stream.write_all(&bytes).unwrap();
    }
}

/// The fields of PROTOCOL.md, section 2.3.
fn json_of(reply: &Reply) -> Value {
    let text = MessageText::Screens(reply.screens.clone()).to_string();
    let mut fields = json_value!({ "seq": reply.seq, "input": reply.is_prompt(), "data": text });
    let mut set = |name: &str, value: Value| fields[name] = value;
    if let Some(re) = reply.re {
        set("re", re.into());
    }
    if let Some(Welcome { start, attempt, .. }) = reply.welcome {
        set("hello", 1.into());
        set("ledger", LEDGER.to_string().into());
        set("start", start.into());
        set("attempt", attempt.into());
    }
    match reply.outcome() {
        Some(Outcome::Done(Receipt::Deposited { amount, balance })) => {
            set("outcome", "done".into());
            set("operation", "deposit".into());
            set("amount", amount.minor().into());
            set("balance", balance.minor().into());
        }
        Some(_) => set("outcome", "unknown".into()),
        None => {}
    }
    fields
}

fn run_client(state: &StateDir, address: SocketAddr, wire: Wire, more: &[&str], lines: &[&str]) -> Output {
    let wire = wire.to_string();
    let mut client = state.client(address, "kiosk-7", &[&["--wire", &wire], more].concat());
    lines.iter().for_each(|line| client.type_line(line));
    client.end_input();
    client.finish()
}

fn received(deposits: &[(u64, u32)]) -> Received {
    deposits.iter().map(|(re, amount)| (*re, amount.to_string())).collect()
}

#[test]
fn a_client_in_a_new_life_reports_it_and_goes_on() {
    for wire in [Wire::Json, Wire::Postcard] {
        let scripts = vec![
            // The client's second deposit has no reply.
            Script { seq: 100, re: None, replies: 1 },
            Script { seq: 50, re: Some(101), replies: 1 },
            // The last number that was shown.
            Script { seq: 51, re: None, replies: 1 },
        ];
        let (address, host) = start_host(wire, scripts);
        let state = StateDir::new(&format!("set-back-{wire}"));
        let done = run_client(&state, address, wire, &["--no-reconnect"], &["deposit 40", "deposit 2"]);
        assert!(done.code == Some(4) && done.stderr.contains("unknown: the next start"), "{done:?}");

        for (amount, warning) in [(5, WARNING_PENDING), (6, WARNING)] {
            let done = run_client(&state, address, wire, &[], &[&format!("deposit {amount}")]);
            assert_eq!((done.code, done.stderr.as_str()), (Some(0), warning), "{done:?}");
            let menu = done.stdout.find("Welcome to the ATM.").expect("the menu is shown");
            let deposit = done.stdout.find(&format!("Amount deposited: ${amount}.")).expect("it is done");
            assert!(menu < deposit, "{done:?}");
        }
        assert_eq!(host.join().unwrap(), received(&[(100, 40), (101, 2), (50, 5), (51, 6)]), "{wire}");
    }
}

#[test]
fn a_script_whose_answer_was_pending_stops() {
    for wire in [Wire::Json, Wire::Postcard] {
        let scripts =
            vec![Script { seq: 100, re: None, replies: 1 }, Script { seq: 50, re: Some(101), replies: 1 }];
        let (address, host) = start_host(wire, scripts);
        let state = StateDir::new(&format!("set-back-script-{wire}"));
        let done = run_client(&state, address, wire, &[], &["deposit 40", "deposit 2", "deposit 3"]);
        assert_eq!(done.code, Some(4), "{done:?}");
        let [lost, warning, _, stopped] = done.stderr.split_inclusive('\n').collect::<Vec<_>>()[..] else {
            panic!("{done:?}")
        };
        assert_eq!((lost, warning), ("connection lost; reconnecting\n", WARNING_PENDING));
        assert_eq!(stopped, "stopped at line 2 (\"deposit 2\"): its outcome is unknown\n");
        assert!(done.stdout.contains("It is unknown what became of your request"), "{done:?}");
        assert_eq!(
            host.join().unwrap(),
            received(&[(100, 40), (101, 2)]),
            "{wire}: nothing is sent after it"
        );
    }
}

#[test]
fn the_python_example_reports_it_and_goes_on() {
    let (address, host) = start_host(Wire::Json, vec![Script { seq: 50, re: Some(101), replies: 1 }]);
    let state = StateDir::new("set-back-python");
    let memory = json_value!({ "start": 1, "ledger": LEDGER.to_string(), "shown": 101, "pending": 101 });
    fs::write(state.path(), memory.to_string()).unwrap();
    let Some(mut client) = state.example(address, "kiosk-7") else { return };
    client.wait_for(&format!("{WARNING_PENDING}About your earlier request:"));
    client.type_line("deposit 5");
    client.wait_for("Amount deposited: $5.");
    client.end_input();
    let done = client.finish();
    assert_eq!(done.code, Some(0), "{done:?}");
    let memory: Value = serde_json::from_str(&fs::read_to_string(state.path()).unwrap()).unwrap();
    assert_eq!((&memory["shown"], &memory["pending"]), (&json_value!(51), &Value::Null));
    assert_eq!(host.join().unwrap(), received(&[(50, 5)]));
}
