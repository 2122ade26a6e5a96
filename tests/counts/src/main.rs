//! Counts the instructions of the hot paths with callgrind, and holds them against what they were.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use atm_counts::{ROUND, Round};
use atm_e2e::{Program, Server, Signal, atm, frame};
use clap::Parser;
use std::{
    env, fs,
    process::{self, Command, ExitCode},
};

/// Count instructions with callgrind, and fail where there are more than 5 % above what is written here, or 10 % below.
///
/// A whole answer in one process, from the frame of a terminal to the frame of the reply; and a whole answer of the server
/// over TCP, without what the kernel does for it. The counts are the same on every run, whatever else the machine does;
/// those of another compiler, or of a processor that copies in other steps, differ by some percent.
#[derive(Parser)]
#[command(name = "counts")]
struct Arguments {
    /// Only answer a round, on this wire and with these answers: what is counted
    #[arg(long, num_args = 2.., value_names = ["WIRE", "ANSWER"])]
    round: Option<Vec<String>>,
}

/// What is counted, and instructions an answer when it was counted last. Whoever makes it faster puts the new figure here;
/// a change that needs more says why.
const ROUNDS: [(&str, &[&str], u64); 12] = [
    ("json", &["?"], 1609),
    ("json", &["3"], 2143),
    ("json", &["deposit 40"], 2982),
    ("json", &["2", "20"], 2216),
    ("postcard", &["?"], 1810),
    ("postcard", &["3"], 2229),
    ("postcard", &["deposit 40"], 3093),
    ("postcard", &["2", "20"], 2328),
    ("raw", &["?"], 1276),
    ("raw", &["3"], 1617),
    ("raw", &["deposit 40"], 2193),
    ("raw", &["2", "20"], 1669),
];

/// The same of the server: wire `json`, answer `3`.
const SERVER: u64 = 3227;

/// Answers of the server that are counted, and before them those that are not.
const ANSWERS: [u64; 2] = [1000, 100];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some([wire, answers @ ..]) = arguments.round.as_deref() {
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let mut round = Round::new(wire.parse().expect("a wire"), &answers);
        std::hint::black_box(round.run());
        return ExitCode::SUCCESS;
    }
    println!("| an answer | instructions | before |\n|---|---|---|");
    let mut fails = false;
    let mut told = |what: &str, count: u64, before: u64| {
        let verdict = match count * 100 {
            more if more > before * 105 => " MORE THAN 5 % ABOVE",
            // What is gained is to be kept, and what is not counted at all is to be seen.
            less if less < before * 90 => " MORE THAN 10 % BELOW",
            _ => "",
        };
        fails |= !verdict.is_empty();
        println!("| {what} | {count} | {before} |{verdict}");
    };
    for (wire, answers, before) in ROUNDS {
        told(&format!("core, {wire}: {}", answers.join(", ")), round(wire, answers), before);
    }
    told("server, json: 3", server(), SERVER);
    if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn callgrind(out: &str) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", &format!("--callgrind-out-file={out}")]);
    command
}

/// Instructions an answer of a round in a process of its own.
fn round(wire: &str, answers: &[&str]) -> u64 {
    let run = callgrind("/dev/null")
        .args(["--collect-atstart=no", "--toggle-collect=*Round*run*"])
        .arg(env::current_exe().expect("this program has a path"))
        .args(["--round", wire])
        .args(answers)
        .output()
        .expect("valgrind is installed");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    collected(&String::from_utf8_lossy(&run.stderr)) / ROUND as u64
}

/// Instructions an answer of the server: what more of them took.
fn server() -> u64 {
    let [more, few] = [ANSWERS[0] + ANSWERS[1], ANSWERS[1]].map(serve);
    (more - few) / ANSWERS[0]
}

fn serve(answers: u64) -> u64 {
    let out = env::temp_dir().join(format!("atm-counts-{}", process::id()));
    let mut command = callgrind(out.to_str().expect("a path of characters"));
    let serve = atm(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    command.arg(serve.get_program()).args(serve.get_args());
    let server = Server::of(Program::start(command));
    let mut client = server.client();
    client.send(&frame(r#"{"hello":1,"terminal":"kiosk-7","start":1,"attempt":1}"#));
    for _ in 0..answers {
        let reply = client.read();
        let seq = reply.get("seq").expect("a reply has a number");
        // As our own terminals write it.
        client.send(&frame(format!(r#"{{"re":{seq},"data":"3"}}"#)));
    }
    client.read();
    drop(client);
    server.program.signal(Signal::TERM);
    let done = server.program.finish();
    // Nothing of it is of use but the sum.
    let _ = fs::remove_file(out);
    assert_eq!(done.code, Some(0), "{done:?}");
    collected(&done.stderr)
}

fn collected(log: &str) -> u64 {
    let (_, count) = log.rsplit_once("Collected : ").expect("callgrind says what it has counted");
    count.lines().next().unwrap().trim().parse().unwrap()
}
