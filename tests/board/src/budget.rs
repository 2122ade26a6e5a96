//! What an image takes of a microcontroller.
use super::{Board, Lie, Person, image, qemu::workspace_root};
use crate::PATIENCE;
use atm_core::wire::Wire;
use object::{Object, ObjectSection, ObjectSymbol};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    ops::Range,
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    thread,
    time::Instant,
};

/// What an image takes, or may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Bytes of flash: code, constants, and what RAM begins with.
    pub flash: u64,
    /// Bytes of RAM for what stays.
    pub statics: u64,
    /// Bytes of the stack that were ever used.
    pub stack: u64,
    /// Instructions of a deposit, from the menu to the menu.
    pub deposit: u64,
    /// Instructions of a withdrawal.
    pub withdrawal: u64,
    /// Bytes that a withdrawal takes on the line, both ways.
    pub bytes: u64,
    /// Pages of EEPROM that a withdrawal writes.
    pub pages: u64,
}

impl Limits {
    /// What they are called, in the order of [`rows`](Self::rows).
    pub const ROWS: [&str; 7] = [
        "flash, bytes",
        "static RAM, bytes",
        "stack, bytes",
        "a deposit, instructions",
        "a withdrawal, instructions",
        "a withdrawal, bytes on the line",
        "a withdrawal, pages written",
    ];

    /// All of them.
    pub fn rows(&self) -> [u64; 7] {
        [self.flash, self.statics, self.stack, self.deposit, self.withdrawal, self.bytes, self.pages]
    }
}

/// Builds all images and measures the kiosk on each wire, and the terminal.
pub fn measure(folder: &Path) -> [Limits; 3] {
    // Both kiosks have the same place: the first is moved aside.
    build(&["fw-json"]);
    build(&["fw-measure", "--no-default-features", "--features", "json"]);
    let json = kiosk(Wire::Json, &folder.join("json"));
    build(&["fw"]);
    build(&["fw-measure"]);
    build(&["fw-terminal"]);
    let postcard = kiosk(Wire::Postcard, &folder.join("postcard"));
    for name in ["kiosk", "terminal"] {
        assert_eq!(panics(&image(name)), Vec::<String>::new(), "{name}: there is no panic in it");
    }
    [postcard, json, terminal(&folder.join("terminal"))]
}

fn kiosk(wire: Wire, folder: &Path) -> Limits {
    let kiosk = image("kiosk");
    let (flash, statics) = sizes(&kiosk);
    let counted = exchanges(&folder.join("measure"));
    assert_eq!(counted, exchanges(&folder.join("again")), "the same instructions in every run");
    let sum = |range: Range<usize>, what: fn(&Exchange) -> u64| counted[range].iter().map(what).sum();
    Limits {
        flash,
        statics,
        stack: converse(&kiosk, wire, folder, statics),
        deposit: sum(DEPOSIT, |exchange| exchange.kiosk),
        withdrawal: sum(WITHDRAWAL, |exchange| exchange.kiosk),
        bytes: sum(WITHDRAWAL, |exchange| exchange.bytes),
        pages: sum(WITHDRAWAL, |exchange| exchange.pages),
    }
}

/// Bytes of flash and of static RAM.
fn sizes(image: &Path) -> (u64, u64) {
    let bytes = fs::read(image).unwrap_or_else(|error| panic!("{}: {error}", image.display()));
    let elf = object::File::parse(&*bytes).unwrap();
    let sum = |names: &[&str]| {
        let sections =
            elf.sections().filter(|section| section.name().is_ok_and(|name| names.contains(&name)));
        sections.map(|section| section.size()).sum()
    };
    (sum(&[".vector_table", ".text", ".rodata", ".data"]), sum(&[".data", ".bss", ".uninit"]))
}

/// The functions in it that panic.
fn panics(image: &Path) -> Vec<String> {
    let bytes = fs::read(image).unwrap();
    let elf = object::File::parse(&*bytes).unwrap();
    let names = elf.symbols().filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    names
        .filter(|name| {
            ["panicking", "rust_begin_unwind", "expect_failed"].iter().any(|word| name.contains(word))
        })
        .collect()
}

/// Bytes of the stack that were ever used: at the start all of it is painted.
fn stack(board: &Board, statics: u64) -> u64 {
    const PAINT: u8 = 0xcc;
    let ram = board.ram();
    let free = &ram[usize::try_from(statics).unwrap()..];
    free.iter().skip_while(|byte| **byte == PAINT).count() as u64
}

/// What one exchange costs, counted on the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exchange {
    /// Instructions of the kiosk, with its ledger and its EEPROM.
    kiosk: u64,
    /// Instructions of the terminal's endpoint.
    terminal: u64,
    /// Bytes to the kiosk and from it.
    bytes: u64,
    /// Pages that the kiosk has written.
    pages: u64,
}

/// Where the answers of each are, behind the hello and the terminal's first operation.
const DEPOSIT: Range<usize> = 2..4;
const WITHDRAWAL: Range<usize> = 4..6;

/// Runs the image that measures.
fn exchanges(folder: &Path) -> Vec<Exchange> {
    let board = Board::start(&image("measure"), folder, &["-icount", "shift=7,sleep=off"]);
    let line = board.line();
    line.set_nonblocking(false).unwrap();
    line.set_read_timeout(Some(PATIENCE)).unwrap();
    let lines = BufReader::new(line).lines().map(|line| line.expect("the image says what it has counted"));
    lines
        .take_while(|line| line != "end")
        .map(|line| {
            let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
            let [kiosk, terminal, up, down, commits] = numbers[..] else { panic!("{line:?}") };
            // A tick of the part's clock is 80 ns, and QEMU takes 128 ns for an instruction (`shift=7`).
            let [kiosk, terminal] = [kiosk, terminal].map(|ticks| ticks * 80 / 128);
            Exchange { kiosk, terminal, bytes: up + down, pages: 2 * commits }
        })
        .collect()
}

/// Builds an image by one of the project's aliases.
fn build(alias: &[&str]) {
    let cargo = env!("CARGO");
    let status =
        Command::new(cargo).current_dir(workspace_root()).args(alias).arg("--quiet").status().unwrap();
    assert!(status.success(), "cargo {} has failed", alias.join(" "));
}

/// Talks to a kiosk about all that there is, good and bad; gives out how deep its stack has been.
fn converse(kiosk: &Path, wire: Wire, folder: &Path, statics: u64) -> u64 {
    let board = Board::start(kiosk, folder, &[]);
    let mut person = Person::new(wire, Lie::default());
    for name in ["kiosk-1", "a-name-of-the-greatest-length-0123"[..32].as_ref(), "kiosk-1"] {
        person.come(name, board.line());
        person.settle();
        for answer in [
            "1",
            "40",
            "2",
            "15",
            "3",
            "what?",
            "deposit 0",
            "deposit x",
            "deposit 99999999999999",
            "quit",
            "withdraw 9999",
            "withdraw all",
            "2",
            "1",
            "back",
            "withdraw 1",
            "exit",
        ] {
            person.answer(answer);
        }
        // Noise, and a frame that is cut off.
        board.line().write_all(&[0x55; 300]).unwrap();
        board.line().write_all(&[0]).unwrap();
    }
    stack(&board, statics)
}

/// Runs a terminal at a kiosk, and types at its console.
fn terminal(folder: &Path) -> Limits {
    let terminal = image("terminal");
    let (flash, statics) = sizes(&terminal);
    let counted = exchanges(&folder.join("measure"));
    let sum = |range: Range<usize>| counted[range].iter().map(|exchange| exchange.terminal).sum();
    // A pseudo-terminal would do, but a socket is there as soon as the kiosk is.
    fs::create_dir_all(folder).unwrap();
    let between = format!("unix:{}", folder.join("line").display());
    let kiosk =
        Board::start_behind(&format!("{between},server=on,wait=off"), &image("kiosk"), &folder.join("kiosk"));
    let board = Board::start_behind(&between, &terminal, &folder.join("terminal"));
    let mut console = Console { line: board.line(), shown: String::new() };
    console.line.set_nonblocking(false).unwrap();
    console.line.set_read_timeout(Some(PATIENCE)).unwrap();
    console.wait_for("quit also stops the server.");
    for (keys, shown) in [
        ("1\r", "deposit? (whole units, or back)\r\n> "),
        ("40\r", "Amount deposited: $40. Your balance is $40."),
        ("3x\x7f\r", "Your balance is $40."),
        ("withdraw 999\r", "There is not enough money"),
        ("back\r", "Welcome to the ATM."),
    ] {
        console.type_in(keys, shown);
    }
    let before = writes(&folder.join("terminal"));
    console.type_in("2\r", "Balance: $40.");
    console.type_in("15\r", "Amount withdrawn: $15. Your balance is $25.");
    let pages = 2 * (writes(&folder.join("terminal")) - before);
    console.type_in("exit\r", "Press Enter to begin.");
    let stack = stack(&board, statics);
    drop(kiosk);
    let (deposit, withdrawal) = (sum(DEPOSIT), sum(WITHDRAWAL));
    let bytes = counted[WITHDRAWAL].iter().map(|exchange| exchange.bytes).sum();
    Limits { flash, statics, stack, deposit, withdrawal, bytes, pages }
}

/// How often the terminal has stored what it must not forget, once no answer is out: the number of what it stored last.
fn writes(folder: &Path) -> u64 {
    let until = Instant::now() + PATIENCE;
    loop {
        let page = fs::read(folder.join("eeprom")).unwrap();
        // Behind the format and the length stands the number, a varint that stays below 128 here; at the end of the body
        // whether an answer is out, which ends as the reply is shown.
        let [_, length, number, ..] = page[..] else { panic!("the EEPROM is empty") };
        if page[1 + usize::from(length)] == 0 {
            assert!(number < 0x80);
            return number.into();
        }
        assert!(Instant::now() < until, "the terminal does not store that it has shown the reply");
        thread::yield_now();
    }
}

struct Console {
    line: UnixStream,
    shown: String,
}

impl Console {
    /// Waits until it was shown, and the console is at rest behind it.
    fn wait_for(&mut self, text: &str) {
        const ENDS: [&str; 2] = ["\r\n> ", "Press Enter to begin.\r\n"];
        while !self.shown.contains(text) || !ENDS.iter().any(|end| self.shown.ends_with(end)) {
            let mut chunk = [0; 512];
            let count =
                self.line.read(&mut chunk).unwrap_or_else(|error| panic!("{error}, after {}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
    }

    fn type_in(&mut self, keys: &str, shown: &str) {
        // What is shown already is not what is waited for.
        self.shown.clear();
        self.line.write_all(keys.as_bytes()).unwrap();
        self.wait_for(shown);
    }
}
