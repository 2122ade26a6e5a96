//! No secret anywhere: after sessions with known numbers and PINs over sealed links, no file, output, log, metric, argument or environment has
//! digits of them or a key of cards, nor has the memory of the server and of the clients.
use crate::branch::Branch;
use atm_e2e::{
    Direction, FrameProxy, Program, Signal, TIMEOUT, TerminalProgram, Value, atm, memory, request_page,
};
use std::{fs, io::ErrorKind, net::SocketAddr, path::Path, process::Command, time::Instant};

/// PINs so long that eight of their digits are nowhere by chance: one that is chosen, one that replaces another, and wrong ones.
const CHOSEN: &str = "581937264085";
const NEW: &str = "739028461754";
const WRONG: [&str; 3] = ["206481937550", "470925183666", "918265340777"];

/// What is searched for, what was searched, and what was found.
#[derive(Default)]
struct Search {
    texts: Vec<String>,
    keys: Vec<Vec<u8>>,
    searched: usize,
    found: Vec<String>,
}

impl Search {
    /// Parts of eight digits, as text and as the hexadecimal digits of that.
    fn add(&mut self, digits: &str) {
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        for start in 0..=digits.len() - 8 {
            let part = &digits[start..start + 8];
            self.texts.extend([part.to_owned(), hex(part)]);
        }
    }

    /// A number of which the last four digits are kept by design; also in groups of four.
    fn add_number(&mut self, number: &str) {
        self.add(&number[..14]);
        let groups: Vec<_> = (0..4).map(|group| &number[4 * group..4 * group + 4]).collect();
        self.texts.extend(groups.windows(2).take(2).map(|two| two.join(" ")));
    }

    /// The keys of a secrets file.
    fn add_keys(&mut self, file: &str) {
        let text = fs::read_to_string(file).unwrap();
        for hex in text.lines().filter_map(|line| line.strip_prefix("key = \"")?.strip_suffix('"')) {
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            self.keys.push((0..hex.len()).step_by(2).map(byte).collect());
            self.texts.push(hex[..16].to_owned());
        }
        assert_eq!(self.keys.len(), 3, "tokens, pins and terminals");
    }

    fn digits(&mut self, name: &str, content: &[u8]) {
        self.searched += content.len();
        // Whatever is no text stands between texts.
        let text = String::from_utf8_lossy(content);
        let found = self.texts.iter().filter(|secret| text.contains(*secret));
        self.found.extend(found.map(|secret| format!("{secret} in {name}")));
    }

    fn all(&mut self, name: &str, content: &[u8]) {
        self.digits(name, content);
        let is_there = |key: &[u8]| content.windows(16).any(|window| window == &key[..16]);
        if self.keys.iter().any(|key| is_there(key)) {
            self.found.push(format!("a key in {name}"));
        }
    }

    /// All files below a folder.
    fn files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => self.files(&path),
                false => self.all(&path.display().to_string(), &fs::read(&path).unwrap()),
            }
        }
    }

    /// A process: its arguments, its environment, and its memory, where `marker` must be found. A server needs the keys.
    fn process(&mut self, name: &str, pid: u32, marker: &str, has_keys: bool) {
        for file in ["cmdline", "environ"] {
            match fs::read(format!("/proc/{pid}/{file}")) {
                // Only root can read the environment of a process that makes no core dump, as its memory.
                Err(error) if file == "environ" && error.kind() == ErrorKind::PermissionDenied => {}
                content => self.all(&format!("{name}: {file}"), &content.unwrap()),
            }
        }
        // It may still be about to wipe what it has just handled.
        let found = self.found.len();
        for _ in 0..10 {
            self.found.truncate(found);
            self.memory(name, pid, marker, has_keys);
            if self.found.len() == found {
                return;
            }
        }
    }

    fn memory(&mut self, name: &str, pid: u32, marker: &str, has_keys: bool) {
        let Some(memory) = memory(pid) else {
            eprintln!("skipped: the memory of {name}, which only root can read");
            return;
        };
        let mut has_marker = false;
        for (region, content) in memory {
            has_marker |= String::from_utf8_lossy(&content).contains(marker);
            let name = format!("{name}: {region}");
            if has_keys { self.digits(&name, &content) } else { self.all(&name, &content) }
        }
        assert!(has_marker, "{marker} is in the memory of {name}");
    }
}

/// A card of 16 digits and its PIN of 12: drawn, or chosen.
fn issue(branch: &Branch, account: &str, chosen: Option<&str>) -> (String, String) {
    let (data, secrets) = (branch.path("data"), branch.path("secrets"));
    let words = ["card", "issue", "--account", account, "--json", "--data", &data, "--secrets", &secrets];
    let pin = if chosen.is_some() { ["--pin-fd", "0"] } else { ["--digits", "12"] };
    let issued = Program::run(atm(&[&words[..], &pin].concat()), chosen.unwrap_or_default());
    assert_eq!(issued.code, Some(0), "{issued:?}");
    let issued: Value = serde_json::from_str(&issued.stdout).unwrap();
    let pin = chosen.or(issued["pin"].as_str());
    (issued["number"].as_str().unwrap().to_owned(), pin.unwrap().to_owned())
}

/// A client with a key, which may keep something in the folder `state`.
fn client(branch: &Branch, name: &str, address: SocketAddr, words: &[&str]) -> Command {
    let key = branch.path(name);
    let mut command = atm(&[&["client", &address.to_string(), "--key", &key], words].concat());
    command.env("XDG_STATE_HOME", branch.path("state")).env("RUST_LOG", "trace");
    command
}

#[test]
fn no_number_no_pin_and_no_key_is_in_what_is_kept_shown_or_left_in_memory() {
    let branch = Branch::new();
    let (ada, bob) = (issue(&branch, "1000", None), issue(&branch, "1001", Some(CHOSEN)));
    let mut search = Search::default();
    search.add_keys(&branch.path("secrets"));
    for (number, pin) in [&ada, &bob] {
        search.add_number(number);
        search.add(pin);
    }
    [NEW].iter().chain(&WRONG).for_each(|pin| search.add(pin));
    ["kiosk-1", "kiosk-2", "kiosk-3"].iter().for_each(|name| branch.enrol(name));
    let log = ["--log", "debug", "--metrics", "127.0.0.1:0", "--idle-timeout"];

    // A pipe, each of whose frames comes twice: everything that a person does, and a wrong PIN.
    let server = branch.serve(&[&log[..], &["30", "--log-format", "json"]].concat());
    let proxy = FrameProxy::to(server.address);
    proxy.set_rule(|frame| match frame.direction {
        Direction::Up => [frame.forward(), frame.forward()].concat(),
        Direction::Down => frame.forward(),
    });
    let mut pipe = Program::start(client(&branch, "kiosk-1", proxy.address, &["--keep-going"]));
    let sign_in: [&str; 2] = [&ada.0, &ada.1];
    let acts = ["transfer", "1001", "12.34", "yes", "statement", "pin", &ada.1, NEW, NEW, "logout"];
    let lines = [&sign_in[..], &acts, &[&bob.0, WRONG[0], "back"]].concat();
    pipe.type_bytes((lines.join("\n") + "\n").as_bytes());
    for (text, times) in [
        ("Amount transferred: $12.34", 1),
        ("transfer out $12.34", 1),
        ("Your PIN is changed.", 1),
        ("The card and the PIN were not accepted.", 1),
        ("Please type the number of your card.", 3),
    ] {
        pipe.wait_for_times(text, times);
    }

    // A person at a terminal: the new PIN, and another wrong one.
    let mut screen = TerminalProgram::start(client(&branch, "kiosk-2", server.address, &[]));
    for (then, times, keys) in [
        ("Please type the number of your card.", 1, ada.0.as_str()),
        ("Please type your PIN.", 1, NEW),
        ("7. Log out", 1, "balance"),
        ("Your balance is $237.66.", 1, "logout"),
        ("Please type the number of your card.", 2, &bob.0),
        ("Please type your PIN.", 2, WRONG[1]),
        ("The card and the PIN were not accepted.", 1, "back"),
    ] {
        screen.wait_for_times(then, times);
        // Nothing has come since that could have overwritten the last answer.
        search.process(&format!("the server at {then:?}"), server.program.pid(), "kiosk-2", true);
        screen.press(format!("{keys}\r"));
    }
    screen.wait_for_times("Please type the number of your card.", 3);
    // What was searched for would have been found.
    screen.press(format!("{}\r", ada.0));
    screen.wait_for_times("Please type your PIN.", 4);
    screen.press(NEW);
    screen.wait_for_times("************", 3);
    search.process("the server after a number", server.program.pid(), "kiosk-2", true);
    if memory(screen.pid()).is_some() {
        let mut control = Search::default();
        control.add(NEW);
        control.process("the client of a person", screen.pid(), "kiosk-2", false);
        assert!(!control.found.is_empty());
    }
    screen.press("\x15back\r");
    screen.wait_for_times("Please type the number of your card.", 4);
    search.process("the client of a pipe", pipe.pid(), "kiosk-1", false);
    search.process("the client of a person", screen.pid(), "kiosk-2", false);

    // Operations of the command line: the third wrong PIN blocks the card, and the right one of another is taken after the delay.
    let (state, address, until) = (branch.path("kiosk-3.state"), server.address, Instant::now() + TIMEOUT);
    let mut run = |number: &str, pin: &str| {
        let one_shot = client(&branch, "kiosk-3", address, &["statement", "--card-fd", "0"]);
        let done = Program::run(one_shot, &format!("{number}\n{pin}\n"));
        search.all("the output of an operation", (done.stdout + &done.stderr).as_bytes());
        search.all(&state, &fs::read(&state).unwrap());
        done.code
    };
    assert_eq!(run(&bob.0, WRONG[2]), Some(3));
    while run(&ada.0, NEW) != Some(0) {
        assert!(Instant::now() < until, "the delay is over");
    }
    let cards = branch.order(&["card", "list", "--json"]).stdout;
    assert!(cards.lines().any(|card| card.contains(r#""blocked":true,"tries":3,"#)), "{cards}");

    for (words, file) in [(&["ledger", "backup"][..], "backup"), (&["ledger", "export"], "export")] {
        let path = branch.path(file);
        branch.order(&[words, &[&path]].concat());
        search.all(file, &fs::read(path).unwrap());
    }
    for words in [
        &["ledger", "show"][..],
        &["ledger", "verify"],
        &["account", "list", "--json"],
        &["account", "show", "1000"],
        &["card", "list", "--json"],
        &["card", "list"],
        &["terminal", "list"],
    ] {
        search.all(&words.join(" "), branch.order(words).stdout.as_bytes());
    }
    for path in ["/metrics", "/healthz"] {
        let (head, body) = request_page(server.metrics_address(), &format!("GET {path} HTTP/1.1"));
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        search.all(path, format!("{head}{body}").as_bytes());
    }
    search.process("the server", server.program.pid(), "kiosk-1", true);
    search.files(branch.path("data").as_ref());
    screen.press("exit\r");
    screen.wait_for("Goodbye.");
    // The numbers as they were typed.
    let shown = [&ada.0, &bob.0].iter().fold(screen.shown(), |shown, number| shown.replace(*number, ""));
    search.all("the screen", shown.as_bytes());
    assert_eq!(screen.finish(), Some(0));
    pipe.end_input();
    let done = pipe.finish();
    assert_eq!(done.code, Some(3), "{done:?}");
    search.all("the pipe's output", (done.stdout + &done.stderr).as_bytes());
    // The server is killed, so that nothing is left out of the files.
    server.program.signal(Signal::KILL);
    let done = server.program.finish();
    assert!(done.stderr.contains(r#""operation":"pin-change""#), "{}", done.stderr);
    search.all("the log in JSON", (done.stdout + &done.stderr).as_bytes());
    search.files(branch.path("data").as_ref());

    // An idle session, whose screen is blanked.
    let server = branch.serve(&[&log[..], &["2"]].concat());
    let mut screen = TerminalProgram::start(client(&branch, "kiosk-3", server.address, &[]));
    screen.wait_for("Please type the number of your card.");
    screen.press(format!("{}\r", ada.0));
    screen.wait_for("Please type your PIN.");
    screen.press(format!("{NEW}\r"));
    screen.wait_for("7. Log out");
    screen.wait_for("\x1b[2J\x1b[3J\x1b[H");
    search.process("the client of an idle person", screen.pid(), "kiosk-3", false);
    search.process("the server after an idle session", server.program.pid(), "kiosk-3", true);
    drop(screen);
    let log = server.finish();
    assert!(log.contains("session closed"), "{log}");
    search.all("the log in text", log.as_bytes());
    search.files(branch.path("data").as_ref());
    search.files(branch.path("state").as_ref());
    for name in ["kiosk-1", "kiosk-2", "kiosk-3"] {
        for end in ["", ".state"] {
            let path = branch.path(&format!("{name}{end}"));
            search.all(&path, &fs::read(&path).unwrap());
        }
    }
    println!("searched {} bytes for {} texts", search.searched, search.texts.len());
    assert!(search.found.is_empty(), "{:#?}", search.found);
}
