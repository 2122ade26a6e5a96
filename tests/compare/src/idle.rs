//! Idle sessions: the memory they take, the time to open them in one burst, and the latency of one active
//! session among them.
use super::{
    TIMEOUT,
    atm::idle_server,
    cores::{self, Side},
    signals,
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

/// The results.
#[derive(Clone, Copy, Debug)]
pub struct IdleResults {
    /// The number of idle sessions.
    pub sessions: usize,
    /// Sessions among them that were not greeted.
    pub not_greeted: usize,
    /// From the first connect to the last greeting, with all connects in one burst.
    pub burst_time: Duration,
    /// The server's resident memory per session, in bytes.
    pub memory: f64,
    /// From the connect of one more session to its first reply.
    pub connect_to_reply: Duration,
    /// The median latency of that session, while the others are idle.
    pub p50: Duration,
    /// The 99th percentile of its latency.
    pub p99: Duration,
    /// Did a session over the server's limit get the notice that says so?
    pub notified: bool,
}

/// Opens the sessions in one burst and measures; `duration` is the measured time of the active session.
///
/// # Errors
/// The system allows too few open files, or the server failed.
pub fn measure(sessions: usize, duration: Duration) -> Result<IdleResults, String> {
    // Besides the sockets of these sessions: those of the others, and what the program has open itself.
    let files = raise_file_limit();
    if files < sessions as u64 + 64 {
        return Err(format!(
            "the limit of open files (ulimit -n) is {files}, too low for {sessions} sessions"
        ));
    }
    cores::run_for(Side::Servers)?;
    let server = idle_server(sessions + 1);
    cores::run_for(Side::Load)?;
    try_measure(&server, sessions, duration).map_err(|error| format!("{sessions} idle sessions: {error}"))
}

fn try_measure(server: &Server, sessions: usize, duration: Duration) -> io::Result<IdleResults> {
    let auditor = BalanceAuditor::default();
    let customers = |count: usize| {
        (0..count).map(|seed| {
            TextSession::json(Customer::new(&auditor, Mix::default(), InputStyle::Menu, seed as u64))
        })
    };
    let options = ConnectOptions { addresses: &[server.address], burst: sessions, timeout: TIMEOUT };
    // What the server allocates once, for its first session, does not count.
    drop(EventLoop::connect(&options, customers(1))?);
    let before = resident(server)?;
    let begin = Instant::now();
    let idle = EventLoop::connect(&options, customers(sessions))?;
    let burst_time = begin.elapsed();
    let memory = (resident(server)? - before) as f64 / sessions as f64;
    let begin = Instant::now();
    let mut active = EventLoop::connect(&options, customers(1))?;
    let answered = active.exchange(0, TIMEOUT)?;
    let connect_to_reply = begin.elapsed();
    if !answered {
        return Err(io::Error::other("one more session was not served"));
    }
    let notified = is_refused_with_notice(&options, customers(1))?;
    drop(active);
    let config = LoadConfig {
        addresses: vec![server.address],
        wire: atm_core::wire::Wire::Json,
        sessions: 1,
        terminals: None,
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
    // The server may still count the session before.
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
        not_greeted: idle.lost(),
        burst_time,
        memory,
        connect_to_reply,
        p50: report.measurements.answer_latency.quantile(0.5),
        p99: report.measurements.answer_latency.quantile(0.99),
        notified,
    })
}

/// Does one more session get the notice that the server is full?
fn is_refused_with_notice<'a>(
    options: &ConnectOptions<'_>,
    one: impl Iterator<Item = TextSession<'a>>,
) -> io::Result<bool> {
    let measured = EventLoop::connect(options, one)?.into_measurements();
    Ok(measured.reasons.iter().any(|reason| reason.contains("as many sessions as it takes")))
}

/// The server's resident memory, in bytes: VmRSS of proc_pid_status(5).
fn resident(server: &Server) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.program.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("VmRSS is missing in /proc"))
}
