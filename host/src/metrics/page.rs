//! Metrics endpoint: serves the metrics to Prometheus over HTTP/1.1 (`GET /metrics`), and the server's health (`/healthz`).
//!
//! One thread serves a few connections at once (one scrape each). A slow peer cannot block the others: beyond
//! the limit, the oldest connection is closed.
use super::{
    Metrics,
    request::{self, MAX_HEAD, Page, Rejection},
};
use crate::log::METRICS;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tracing::{debug, error};

/// How long a scrape may take, request and response.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Most scrapes at once, each with a file descriptor.
pub const MAX_SCRAPES: usize = 32;

/// Most bytes of a connection, with what comes after the request. Beyond, it is closed.
const MAX_INPUT: usize = 64 << 10;

/// The wait before accepting again after the system had no room for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

const LISTENER: Token = Token(0);

/// Serves `metrics` at `address` until the process ends; returns the address with the port that the system
/// chose. Without `any_host`, only requests that name an IP address or `localhost` are served.
///
/// # Errors
/// The address cannot be bound, or the thread cannot be spawned.
pub fn serve(address: SocketAddr, metrics: Arc<Metrics>, any_host: bool) -> io::Result<SocketAddr> {
    let mut listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let server = MetricsServer {
        poll,
        listener,
        metrics,
        any_host,
        scrapes: HashMap::new(),
        last_token: LISTENER,
        accept_retry: None,
    };
    thread::Builder::new().name("metrics".into()).spawn(move || {
        if let Err(error) = server.run() {
            error!(target: METRICS, %error, "metrics are no longer served");
        }
    })?;
    Ok(address)
}

struct MetricsServer {
    poll: Poll,
    listener: TcpListener,
    metrics: Arc<Metrics>,
    any_host: bool,
    scrapes: HashMap<Token, Scrape>,
    last_token: Token,
    /// When to accept again.
    accept_retry: Option<Instant>,
}

impl MetricsServer {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(64);
        loop {
            let first = self.scrapes.values().map(|scrape| scrape.deadline).chain(self.accept_retry).min();
            let timeout = first.map(|first| first.saturating_duration_since(Instant::now()));
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = Instant::now();
            for event in &events {
                match event.token() {
                    LISTENER => self.accept_retry = Some(now),
                    token => self.advance(token),
                }
            }
            self.scrapes.retain(|_, scrape| scrape.deadline > now);
            if self.accept_retry.take_if(|at| *at <= now).is_some() {
                self.accept(now);
            }
        }
    }

    /// Accepts all waiting connections.
    fn accept(&mut self, now: Instant) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.open(stream, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => {
                    // Most likely no file descriptor is left (EMFILE); the edge-triggered listener does not
                    // report the connection again.
                    debug!(target: METRICS, %error, "a scrape could not be accepted; trying again");
                    self.accept_retry = Some(now + ACCEPT_RETRY);
                    return;
                }
            }
        }
    }

    fn open(&mut self, mut stream: TcpStream, now: Instant) {
        let oldest = self.scrapes.iter().min_by_key(|(_, scrape)| scrape.deadline).map(|(token, _)| *token);
        if self.scrapes.len() >= MAX_SCRAPES
            && let Some(oldest) = oldest
        {
            self.scrapes.remove(&oldest);
        }
        self.last_token = Token(self.last_token.0.wrapping_add(1).max(1));
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, self.last_token, both) {
            debug!(target: METRICS, %error, "a scrape could not be registered");
            return;
        }
        let scrape = Scrape {
            stream,
            head: Vec::new(),
            received: 0,
            response: None,
            sent: 0,
            deadline: now + TIMEOUT,
        };
        self.scrapes.insert(self.last_token, scrape);
        self.advance(self.last_token);
    }

    fn advance(&mut self, token: Token) {
        let Some(scrape) = self.scrapes.get_mut(&token) else { return };
        match scrape.advance(&self.metrics, self.any_host) {
            Ok(true) => {}
            Ok(false) => drop(self.scrapes.remove(&token)),
            Err(error) => {
                debug!(target: METRICS, %error, "a scrape failed");
                self.scrapes.remove(&token);
            }
        }
    }
}

/// One connection: reads a request, writes the response.
struct Scrape {
    stream: TcpStream,
    /// The head of the request as far as it has come.
    head: Vec<u8>,
    /// Bytes that were read.
    received: usize,
    response: Option<Vec<u8>>,
    sent: usize,
    deadline: Instant,
}

impl Scrape {
    /// Reads and writes without waiting; false when the peer has closed its side.
    fn advance(&mut self, metrics: &Metrics, any_host: bool) -> io::Result<bool> {
        let more = self.read()?;
        if self.response.is_none() {
            self.response = request::parse(&self.head, any_host)
                .map(|request| response(request, request::is_head(&self.head), metrics));
        }
        if let Some(response) = &self.response
            && self.sent < response.len()
        {
            while let Some(rest) = response.get(self.sent..).filter(|rest| !rest.is_empty()) {
                match self.stream.write(rest) {
                    Ok(count) => self.sent += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            // Input after the request is read until the peer closes: to close a socket with unread input
            // resets the connection, and the reset can destroy the response (RFC 9112, section 9.6).
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(more)
    }

    /// Reads what has come; false at the end of the stream, and beyond [`MAX_INPUT`].
    fn read(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(_) if self.received > MAX_INPUT => return Ok(false),
                Ok(count) if self.response.is_none() && self.head.len() <= MAX_HEAD => {
                    self.received += count;
                    self.head.extend_from_slice(bytes.get(..count).unwrap_or_default());
                }
                Ok(count) => self.received += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn response(request: Result<Page, Rejection>, is_head: bool, metrics: &Metrics) -> Vec<u8> {
    let health = || match metrics.snapshot().fault() {
        None => ("200 OK", "ok\n".to_owned()),
        Some(fault) => ("503 Service Unavailable", format!("{fault}\n")),
    };
    let (status, body) = match request {
        Ok(Page::Metrics) => ("200 OK", metrics.to_string()),
        Ok(Page::Health) => health(),
        Err(rejection) => {
            let (status, text) = rejection.response();
            (status, text.to_owned())
        }
    };
    let length = body.len();
    let body = if is_head { "" } else { &body };
    // 0.0.4 is the version of Prometheus' text format.
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
