//! `counts`: counts the instructions of the hot paths with callgrind, and compares them with the recorded
//! counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use atm_core::{ledger::Name, seal::TerminalKey};
use atm_counts::{SealedClient, Workload};
use atm_e2e::{Program, Server, Signal, atm, frame, println};
use atm_host::{
    access::Secrets,
    clock::unix_time,
    ledger::{enrol::Order, operator::Operator},
};
use clap::Parser;
use std::{
    env,
    ffi::OsString,
    fs,
    num::NonZeroU32,
    process::{self, Command, ExitCode},
};

/// Count the instructions of an answer with callgrind; fail if a count is more than 5 % above the recorded
/// one, or 10 % below.
///
/// Measured are an answer in the core, from the terminal's frame to the frame of the reply, and an answer of
/// the server over TCP, without the kernel's part; both also over a sealed link. The counts are the same in every run, however busy the
/// machine is; they differ by some percent with another compiler, or a processor for which libc copies in
/// other steps.
#[derive(Parser)]
#[command(name = "counts")]
struct Arguments {
    /// Run only the workload of these answers on this wire, or `sealed`: the program under callgrind
    #[arg(long, num_args = 2.., value_names = ["LINK", "ANSWER"])]
    workload: Option<Vec<String>>,
}

/// The workloads, and the recorded instructions per answer. A change that makes one faster records the new
/// count here; a change that needs more says why.
const WORKLOADS: [(&str, &[&str], u64); 15] = [
    ("json", &["?"], 1843),
    ("json", &["3"], 2567),
    ("json", &["deposit 40"], 3387),
    ("json", &["2", "20"], 2606),
    ("postcard", &["?"], 2017),
    ("postcard", &["3"], 2584),
    ("postcard", &["deposit 40"], 3411),
    ("postcard", &["2", "20"], 2671),
    ("raw", &["?"], 1532),
    ("raw", &["3"], 2037),
    ("raw", &["deposit 40"], 2635),
    ("raw", &["2", "20"], 2106),
    ("sealed", &["3"], 55695),
    ("sealed", &["deposit 40"], 56156),
    ("sealed", &["2", "20"], 55770),
];

/// The recorded instructions per answer of the server: wire `json`, answer `3`.
const SERVER: u64 = 4846;

/// The same over a sealed link: wire `postcard`. It needs a ledger on disk, whose rows are read for each answer: some 36,000
/// instructions of SQLite's.
const SEALED_SERVER: u64 = 95579;

/// Answers of the server that are counted, and those of a start that is not.
const SERVER_ANSWERS: [u64; 2] = [1000, 100];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some([link, answers @ ..]) = arguments.workload.as_deref() {
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let mut workload = Workload::new(link.parse().expect("a wire"), &answers);
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
    for (link, answers, recorded) in WORKLOADS {
        report(&format!("core, {link}: {}", answers.join(", ")), core(link, answers), recorded);
    }
    report("server, json: 3", server(serve), SERVER);
    report("server, sealed: 3", server(serve_sealed), SEALED_SERVER);
    if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn callgrind(out: &str) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", &format!("--callgrind-out-file={out}")]);
    command
}

/// Instructions per answer in the core, for a workload in a process of its own.
fn core(link: &str, answers: &[&str]) -> u64 {
    let run = callgrind("/dev/null")
        .args(["--collect-atstart=no", "--toggle-collect=*Workload*run*"])
        .arg(env::current_exe().expect("this program has a path"))
        .args(["--workload", link])
        .args(answers)
        .output()
        .expect("valgrind is installed");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    collected(&String::from_utf8_lossy(&run.stderr)) / Workload::ANSWERS as u64
}

/// Instructions per answer of the server: the difference between two runs.
fn server(serve: fn(u64) -> u64) -> u64 {
    let [more, few] = [SERVER_ANSWERS[0] + SERVER_ANSWERS[1], SERVER_ANSWERS[1]].map(serve);
    (more - few) / SERVER_ANSWERS[0]
}

/// The instructions of a server that starts, handles so many answers and stops.
fn serve(answers: u64) -> u64 {
    count_server(&[], |server| {
        let mut client = server.client();
        client.send(&frame(r#"{"hello":1,"terminal":"kiosk-7","start":1,"attempt":1}"#));
        for _ in 0..answers {
            let reply = client.read();
            let seq = reply.get("seq").expect("a reply has a number");
            // The bytes that the core's terminal would send.
            client.send(&frame(format!(r#"{{"re":{seq},"data":"3"}}"#)));
        }
        client.read();
    })
}

/// The same over a sealed link.
fn serve_sealed(answers: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (data, file) = (folder.path().join("ledger"), folder.path().join("secrets"));
    let secrets = Secrets::generate().expect("there are random numbers");
    secrets.create(&file).expect("a file can be made");
    let options = ["--sealed".into(), "--secrets".into(), file.into(), "--data".into(), data.clone().into()];
    count_server(&options, |server| {
        let name: Name = "kiosk-7".parse().expect("a name");
        let mut operator = Operator::open(&data, 1).expect("the server has made its ledger");
        operator.order(&name, Order::AddKey, None, unix_time()).expect("the name is new");
        drop(operator);
        let key = TerminalKey::derive(secrets.terminals(), NonZeroU32::MIN, &name);
        let mut client = SealedClient::connect(server.address, name, key);
        (0..answers).for_each(|_| client.answer("3"));
    })
}

/// The instructions of a server with these options that starts, serves a session and stops.
fn count_server(options: &[OsString], session: impl FnOnce(&Server)) -> u64 {
    let out = env::temp_dir().join(format!("atm-counts-{}", process::id()));
    let mut command = callgrind(out.to_str().expect("the path is UTF-8"));
    let serve = atm(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    command.arg(serve.get_program()).args(serve.get_args()).args(options);
    let server = Server::of(Program::start(command));
    session(&server);
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
