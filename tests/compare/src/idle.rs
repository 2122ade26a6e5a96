//! Many sessions that do nothing: what they take, and whether they are in anybody's way.
use super::{
    TIMEOUT,
    cores::{self, Side},
    signals,
    system::idle_server,
};
use atm_bench::{
    LoadConfig,
    balance_auditor::BalanceAuditor,
    customer::{Customer, InputStyle},
    event_loop::{ConnectOptions, EventLoop},
    mix::Mix,
    text_session::TextSession,
};
use atm_e2e::{Server, raise_file_limit};
use std::{
    fs, io,
    time::{Duration, Instant},
};

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct IdleResults {
    /// How many sessions.
    pub sessions: usize,
    /// How many of them were not served.
    pub unserved: usize,
    /// From the first connect to the last greeting, all of them asked for at once.
    pub greeted: Duration,
    /// Resident memory of the server for each, in bytes.
    pub memory: f64,
    /// From the connect of one more to its first reply.
    pub newcomer: Duration,
    /// The middle answer to it and the slowest of a hundred, while the others are idle.
    pub p50: Duration,
    /// See [`p50`](Self::p50).
    pub p99: Duration,
    /// Was one over the limit told that it is?
    pub told: bool,
}

/// Opens so many sessions in one burst, and looks.
///
/// # Errors
/// Where it could not be done.
pub fn measure(sessions: usize, duration: Duration) -> Result<IdleResults, String> {
    // Those, a new one, and what the program has open itself.
    let files = raise_file_limit();
    if files < sessions as u64 + 64 {
        return Err(format!(
            "the system allows {files} open files (ulimit -n), too few for {sessions} sessions"
        ));
    }
    cores::run_for(Side::Servers)?;
    let server = idle_server(sessions + 1);
    cores::run_for(Side::Load)?;
    try_measure(&server, sessions, duration).map_err(|error| format!("{sessions} idle sessions: {error}"))
}

fn try_measure(server: &Server, sessions: usize, duration: Duration) -> io::Result<IdleResults> {
    let books = BalanceAuditor::default();
    let people = |count: usize| {
        (0..count).map(|seed| {
            TextSession::json(Customer::new(&books, Mix::default(), InputStyle::Menu, seed as u64))
        })
    };
    let opening = ConnectOptions { address: server.address, burst: sessions, timeout: TIMEOUT };
    // What a first session makes it take for good is none of a thousandth one's.
    drop(EventLoop::connect(&opening, people(1))?);
    let before = resident(server)?;
    let begin = Instant::now();
    let idle = EventLoop::connect(&opening, people(sessions))?;
    let greeted = begin.elapsed();
    let memory = (resident(server)? - before) as f64 / sessions as f64;
    let begin = Instant::now();
    let mut newcomer = EventLoop::connect(&opening, people(1))?;
    let answered = newcomer.exchange(0, TIMEOUT)?;
    let took = begin.elapsed();
    if !answered {
        return Err(io::Error::other("one more session was not served"));
    }
    let told = turned_away(&opening, people(1))?;
    drop(newcomer);
    let config = LoadConfig {
        address: server.address,
        wire: atm_core::wire::Wire::Json,
        sessions: 1,
        burst: 1,
        threads: 1,
        warm_up: Duration::ZERO,
        duration,
        mix: Mix::default(),
        input_style: InputStyle::Menu,
        rate: None,
        seed: 1,
        shared: false,
        timeout: TIMEOUT,
    };
    // The one before may still be going.
    let until = Instant::now() + TIMEOUT;
    let report = loop {
        let report = atm_bench::run_until(&config, &mut |_| {}, signals::flag())?;
        if report.passed() {
            break report;
        }
        if Instant::now() > until {
            return Err(io::Error::other(report.to_string()));
        }
    };
    Ok(IdleResults {
        sessions,
        unserved: idle.lost(),
        greeted,
        memory,
        newcomer: took,
        p50: report.measurements.answer_latency.quantile(0.5),
        p99: report.measurements.answer_latency.quantile(0.99),
        told,
    })
}

/// Is one more told that there are as many as there may be?
fn turned_away<'a>(opening: &ConnectOptions, one: impl Iterator<Item = TextSession<'a>>) -> io::Result<bool> {
    let measured = EventLoop::connect(opening, one)?.into_measurements();
    Ok(measured.reasons.iter().any(|reason| reason.contains("as many sessions as it takes")))
}

/// A program's resident memory, in bytes.
fn resident(server: &Server) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.program.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("the system tells no VmRSS"))
}
