//! Resource budget: the flash, RAM, stack, instructions, bytes and EEPROM writes of each image, measured in
//! QEMU.
use crate::{
    Board, CORTEX_M0, CORTEX_M3, CardRun, LinkFaults, TIMEOUT, TerminalConsole, TerminalDriver, build,
    card_host::PIN, cards::insert_card, image, image_for, image_in, provision, sealed_image, terminal_key,
};
use atm_core::wire::Wire;
use atm_host::access::KeyFile;
use object::{Object, ObjectSection, ObjectSymbol};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    thread,
    time::Instant,
};

/// The resources that an image takes, or its limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resources {
    /// Bytes of flash: code, constants, and the initial values of static RAM.
    pub flash: u64,
    /// Bytes of static RAM.
    pub statics: u64,
    /// The greatest depth of the stack, in bytes.
    pub stack: u64,
    /// Instructions of a deposit, from the menu to the menu.
    pub deposit: u64,
    /// Instructions of a withdrawal.
    pub withdrawal: u64,
    /// Bytes of a withdrawal on the serial link, both ways.
    pub bytes: u64,
    /// EEPROM pages that a withdrawal writes.
    pub pages: u64,
}

impl Resources {
    /// The names of the values, in the order of [`values`](Self::values).
    pub const NAMES: [&str; 7] = [
        "flash, bytes",
        "static RAM, bytes",
        "stack, bytes",
        "a deposit, instructions",
        "a withdrawal, instructions",
        "a withdrawal, bytes on the link",
        "a withdrawal, pages written",
    ];

    /// All values.
    pub fn values(&self) -> [u64; 7] {
        [self.flash, self.statics, self.stack, self.deposit, self.withdrawal, self.bytes, self.pages]
    }
}

/// Builds all images; measures the kiosk on `postcard` and on `json`, the terminal, the kiosk for a Cortex-M0, kiosk and
/// terminal with sealed links, and the terminal with access by card.
pub fn measure(folder: &Path) -> [Resources; 7] {
    // Both kiosk images have the same path: the first one is measured before the second one is built.
    build(&["fw-json"]);
    build(&["fw-measure", "--no-default-features", "--features", "json"]);
    let driver = TerminalDriver::new(Wire::Json, LinkFaults::default());
    let json = kiosk([&image("kiosk"), &image("measure")], driver, None, &folder.join("json"));
    build(&["fw"]);
    build(&["fw-measure"]);
    build(&["fw-terminal"]);
    build(&["fw-m0"]);
    build(&["fw-m0-measure"]);
    build(&["fw-sealed"]);
    build(&["fw-sealed-m0-measure"]);
    build(&["fw-cards"]);
    let [sealed_kiosk, sealed_terminal, sealed_measure] =
        ["kiosk", "terminal", "measure"].map(|name| sealed_image(CORTEX_M3, name));
    let [cards_terminal, cards_measure] =
        ["terminal", "measure"].map(|name| image_in("firmware-cards", CORTEX_M3, name));
    for image in [
        &image("kiosk"),
        &image("terminal"),
        &image_for(CORTEX_M0, "kiosk"),
        &sealed_kiosk,
        &sealed_terminal,
        &cards_terminal,
    ] {
        assert_eq!(panics(image), Vec::<String>::new(), "{} has no panic", image.display());
    }
    let (key, clear) = (terminal_key(), [image("kiosk"), image("terminal"), image("measure")]);
    let driver = || TerminalDriver::new(Wire::Postcard, LinkFaults::default());
    let sealed_driver = TerminalDriver::sealed(key.key.clone(), LinkFaults::default());
    let [kiosk_image, terminal_image, measure_image] = &clear;
    let postcard = kiosk([kiosk_image, measure_image], driver(), None, &folder.join("postcard"));
    let small = kiosk(
        [&image_for(CORTEX_M0, "kiosk"), &image_for(CORTEX_M0, "measure")],
        driver(),
        None,
        &folder.join("m0"),
    );
    let sealed = kiosk([&sealed_kiosk, &sealed_measure], sealed_driver, Some(&key), &folder.join("sealed"));
    exchanges(&sealed_image(CORTEX_M0, "measure"), &folder.join("sealed-m0"));
    let images = [terminal_image, kiosk_image, measure_image].map(|path| path.as_path());
    let terminal_clear = terminal(images, None, &folder.join("terminal"));
    let images = [&sealed_terminal, &sealed_kiosk, &sealed_measure].map(|path| path.as_path());
    let terminal_sealed = terminal(images, Some(&key), &folder.join("sealed-terminal"));
    let terminal_cards = card_terminal(&cards_terminal, &cards_measure, &folder.join("card-terminal"));
    [postcard, json, terminal_clear, small, sealed, terminal_sealed, terminal_cards]
}

fn kiosk(
    [kiosk, measure]: [&Path; 2],
    driver: TerminalDriver,
    key: Option<&KeyFile>,
    folder: &Path,
) -> Resources {
    let (flash, statics) = sizes(kiosk);
    let counted = exchanges(measure, &folder.join("measure"));
    assert_eq!(counted, exchanges(measure, &folder.join("again")), "each run takes the same instructions");
    let [deposit, withdrawal] = operations(&counted);
    if let Some(key) = key {
        provision(key, folder);
    }
    Resources {
        flash,
        statics,
        stack: exercise(kiosk, driver, key, folder, statics),
        deposit: deposit.kiosk,
        withdrawal: withdrawal.kiosk,
        bytes: withdrawal.bytes,
        pages: withdrawal.pages,
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

/// The symbols of panicking functions in an image.
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

/// The greatest depth of the stack, in bytes: cortex-m-rt's `paint-stack` fills all of it at the start.
fn stack(board: &Board, statics: u64) -> u64 {
    const PAINT: u8 = 0xcc;
    let ram = board.ram();
    let free = &ram[usize::try_from(statics).unwrap()..];
    free.iter().skip_while(|byte| **byte == PAINT).count() as u64
}

/// The cost of one answer with its reply, counted by the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exchange {
    /// Instructions of the kiosk, its ledger and its EEPROM driver included.
    kiosk: u64,
    /// Instructions of the terminal's endpoint.
    terminal: u64,
    /// Bytes to the kiosk and from it.
    bytes: u64,
    /// EEPROM pages that the kiosk writes.
    pages: u64,
}

/// A deposit and a withdrawal: two exchanges each, the last ones that an image counts.
fn operations(counted: &[Exchange]) -> [Exchange; 2] {
    let [.., first, second, third, fourth] = counted else { panic!("{counted:?}") };
    [(first, second), (third, fourth)].map(|(prompt, operation)| Exchange {
        kiosk: prompt.kiosk + operation.kiosk,
        terminal: prompt.terminal + operation.terminal,
        bytes: prompt.bytes + operation.bytes,
        pages: prompt.pages + operation.pages,
    })
}

/// Compares the known answers that an image of sealed links prints first with those of the protocol's document.
fn check_known_answers(answers: &[String]) {
    let (_, section) = include_str!("../../../core/PROTOCOL.md").split_once("### 6.6").unwrap();
    let section: String = section.split_whitespace().collect();
    for answer in answers {
        let is_right = answer == "xof true" || section.contains(&answer.replace(' ', ""));
        assert!(is_right, "not the protocol's golden bytes: {answer}");
    }
    assert!(answers.is_empty() || answers.len() == 12, "{answers:?}");
}

/// Runs the measuring image.
fn exchanges(image: &Path, folder: &Path) -> Vec<Exchange> {
    let board = Board::start(image, folder, &["-icount", "shift=7,sleep=off"]);
    let serial_port = board.serial_port();
    serial_port.set_nonblocking(false).unwrap();
    serial_port.set_read_timeout(Some(TIMEOUT)).unwrap();
    let lines = BufReader::new(serial_port).lines().map(|line| line.expect("the image prints its counts"));
    let is_exchange = |line: &String| line.starts_with(|first: char| first.is_ascii_digit());
    let (counts, answers): (Vec<_>, Vec<_>) = lines.take_while(|line| line != "end").partition(is_exchange);
    let is_clear = image.parent().is_some_and(|profile| profile.ends_with("firmware"));
    assert_eq!(is_clear, answers.is_empty(), "an image of sealed links computes known answers");
    check_known_answers(&answers);
    counts
        .iter()
        .map(|line| {
            let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
            let [kiosk, terminal, up, down, commits] = numbers[..] else { panic!("{line:?}") };
            // A tick of the part's clock is 80 ns; with `-icount shift=7` QEMU takes 2^7 ns for an
            // instruction.
            let [kiosk, terminal] = [kiosk, terminal].map(|ticks| ticks * 80 / 128);
            Exchange { kiosk, terminal, bytes: up + down, pages: 2 * commits }
        })
        .collect()
}

/// Sends a kiosk every kind of input, valid and invalid; returns the greatest depth of its stack.
fn exercise(
    kiosk: &Path,
    mut driver: TerminalDriver,
    key: Option<&KeyFile>,
    folder: &Path,
    statics: u64,
) -> u64 {
    let board = Board::start(kiosk, folder, &[]);
    let names = ["kiosk-1", "a-name-of-the-greatest-length-01", "kiosk-1"];
    for name in names.map(|name| key.map_or(name, |key| key.terminal.as_str())) {
        driver.connect(name, board.serial_port());
        driver.wait_for_prompt();
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
            driver.answer(answer);
        }
        // Noise, and an incomplete frame.
        board.serial_port().write_all(&[0x55; 300]).unwrap();
        board.serial_port().write_all(&[0]).unwrap();
    }
    stack(&board, statics)
}

/// Runs a terminal connected to a kiosk, and types at its console.
fn terminal([terminal, kiosk, measure]: [&Path; 3], key: Option<&KeyFile>, folder: &Path) -> Resources {
    let (flash, statics) = sizes(terminal);
    let counted = exchanges(measure, &folder.join("measure"));
    if let Some(key) = key {
        provision(key, &folder.join("kiosk"));
        provision(key, &folder.join("terminal"));
    }
    // A socket, because it exists as soon as the kiosk's QEMU runs; the path of a pseudo-terminal would have
    // to be found out.
    fs::create_dir_all(folder).unwrap();
    let between = format!("unix:{}", folder.join("line").display());
    let kiosk =
        Board::start_connected_to(&format!("{between},server=on,wait=off"), kiosk, &folder.join("kiosk"));
    let board = Board::start_connected_to(&between, terminal, &folder.join("terminal"));
    let mut console = TerminalConsole::of(&board);
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
    let [deposit, withdrawal] = operations(&counted);
    Resources {
        flash,
        statics,
        stack,
        deposit: deposit.terminal,
        withdrawal: withdrawal.terminal,
        bytes: withdrawal.bytes,
        pages,
    }
}

/// Runs a terminal with access by card, connected to a host on the desktop, and types at its console.
fn card_terminal(terminal: &Path, measure: &Path, folder: &Path) -> Resources {
    let (flash, statics) = sizes(terminal);
    let [deposit, withdrawal] = operations(&exchanges(measure, &folder.join("measure")));
    let run = CardRun::new(folder.join("terminal"), 0);
    let (board, mut console, _) = run.start();
    run.check_session(&board, &mut console);
    console.type_in("\r", "the number of your card");
    insert_card(&mut console);
    console.type_in(&format!("{PIN}\r"), "What would you like to do?");
    let before = writes(&folder.join("terminal"));
    console.type_in("2\r", "Balance: $");
    console.type_in("15\r", "Amount withdrawn: $15.");
    let pages = 2 * (writes(&folder.join("terminal")) - before);
    let stack = stack(&board, statics);
    Resources {
        flash,
        statics,
        stack,
        deposit: deposit.terminal,
        withdrawal: withdrawal.terminal,
        bytes: withdrawal.bytes,
        pages,
    }
}

/// How often the terminal has stored its memory, read once no answer is outstanding: the number of the last
/// entry.
fn writes(folder: &Path) -> u64 {
    let until = Instant::now() + TIMEOUT;
    loop {
        let page = fs::read(folder.join("eeprom")).unwrap();
        // Behind the format and the length is the number, a varint that stays below 128 here. The last byte
        // of the body says whether an answer is outstanding; it is cleared when the reply is shown.
        let [_, length, number, ..] = page[..] else { panic!("the EEPROM is empty") };
        if page[1 + usize::from(length)] == 0 {
            assert!(number < 0x80);
            return number.into();
        }
        assert!(
            Instant::now() < until,
            "the terminal does not store within the timeout that it has shown the reply"
        );
        thread::yield_now();
    }
}
