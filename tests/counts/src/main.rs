//! `counts`: counts the instructions of the hot paths with callgrind, and compares them with the recorded
//! counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use atm_counts::Workload;
use atm_e2e::{Program, Server, Signal, atm, frame, println};
use clap::Parser;
use std::{
    env, fs,
    process::{self, Command, ExitCode},
};

/// Count the instructions of an answer with callgrind; fail if a count is more than 5 % above the recorded
/// one, or 10 % below.
///
/// Measured are an answer in the core, from the terminal's frame to the frame of the reply, and an answer of
/// the server over TCP, without the kernel's part. The counts are the same in every run, however busy the
/// machine is; they differ by some percent with another compiler, or a processor for which libc copies in
/// other steps.
#[derive(Parser)]
#[command(name = "counts")]
struct Arguments {
    /// Run only the workload of these answers on this wire: the program under callgrind
    #[arg(long, num_args = 2.., value_names = ["WIRE", "ANSWER"])]
    workload: Option<Vec<String>>,
}

/// The workloads, and the recorded instructions per answer. A change that makes one faster records the new
/// count here; a change that needs more says why.
const WORKLOADS: [(&str, &[&str], u64); 12] = [
    ("json", &["?"], 1530),
    ("json", &["3"], 2072),
    ("json", &["deposit 40"], 2824),
    ("json", &["2", "20"], 2085),
    ("postcard", &["?"], 1730),
    ("postcard", &["3"], 2152),
    ("postcard", &["deposit 40"], 2938),
    ("postcard", &["2", "20"], 2201),
    ("raw", &["?"], 1201),
    ("raw", &["3"], 1542),
    ("raw", &["deposit 40"], 2100),
    ("raw", &["2", "20"], 1589),
];

/// The recorded instructions per answer of the server: wire `json`, answer `3`.
const SERVER: u64 = 3891;

/// Answers of the server that are counted, and those of a start that is not.
const SERVER_ANSWERS: [u64; 2] = [1000, 100];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some([wire, answers @ ..]) = arguments.workload.as_deref() {
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let mut workload = Workload::new(wire.parse().expect("a wire"), &answers);
        std::hint::black_box(workload.run());
        return ExitCode::SUCCESS;
    }
    println!("| an answer | instructions | recorded |\n|---|---|---|");
    let mut fails = false;
    let mut report = |what: &str, count: u64, recorded: u64| {
        let deviation = match count * 100 {
            more if more > recorded * 105 => " MORE THAN 5 % ABOVE",
            // An improvement must be recorded, and a count of nearly nothing is a broken measurement.
            less if less < recorded * 90 => " MORE THAN 10 % BELOW",
            _ => "",
        };
        fails |= !deviation.is_empty();
        println!("| {what} | {count} | {recorded} |{deviation}");
    };
    for (wire, answers, recorded) in WORKLOADS {
        report(&format!("core, {wire}: {}", answers.join(", ")), core(wire, answers), recorded);
    }
    report("server, json: 3", server(), SERVER);
    if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn callgrind(out: &str) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", &format!("--callgrind-out-file={out}")]);
    command
}

/// Instructions per answer in the core, for a workload in a process of its own.
fn core(wire: &str, answers: &[&str]) -> u64 {
    let run = callgrind("/dev/null")
        .args(["--collect-atstart=no", "--toggle-collect=*Workload*run*"])
        .arg(env::current_exe().expect("this program has a path"))
        .args(["--workload", wire])
        .args(answers)
        .output()
        .expect("valgrind is installed");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    collected(&String::from_utf8_lossy(&run.stderr)) / Workload::ANSWERS as u64
}

/// Instructions per answer of the server: the difference between two runs.
fn server() -> u64 {
    let [more, few] = [SERVER_ANSWERS[0] + SERVER_ANSWERS[1], SERVER_ANSWERS[1]].map(serve);
    (more - few) / SERVER_ANSWERS[0]
}

/// The instructions of a server that starts, handles so many answers and stops.
fn serve(answers: u64) -> u64 {
    let out = env::temp_dir().join(format!("atm-counts-{}", process::id()));
    let mut command = callgrind(out.to_str().expect("the path is UTF-8"));
    let serve = atm(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    command.arg(serve.get_program()).args(serve.get_args());
    let server = Server::of(Program::start(command));
    let mut client = server.client();
    client.send(&frame(r#"{"hello":1,"terminal":"kiosk-7","start":1,"attempt":1}"#));
    for _ in 0..answers {
        let reply = client.read();
        let seq = reply.get("seq").expect("a reply has a number");
        // The bytes that the core's terminal would send.
        client.send(&frame(format!(r#"{{"re":{seq},"data":"3"}}"#)));
    }
    client.read();
    drop(client);
    server.program.signal(Signal::TERM);
    let done = server.program.finish();
    // Only the total, which callgrind prints, is used.
    let _ = fs::remove_file(out);
    assert_eq!(done.code, Some(0), "{done:?}");
    collected(&done.stderr)
}

/// The total in callgrind's output.
fn collected(log: &str) -> u64 {
    let (_, count) = log.rsplit_once("Collected : ").expect("callgrind prints its total");
    count.lines().next().unwrap().trim().parse().unwrap()
}
