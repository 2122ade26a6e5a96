//! The counters for Prometheus: one page over HTTP, at a loopback address.
use super::Metrics;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tracing::debug;

/// How long a reader may take for its question and its answer. They come one after another.
const PATIENCE: Duration = Duration::from_secs(1);

/// More than the head of a request has.
const LONGEST: usize = 8192;

/// Shows `metrics` at `address` for as long as the process lives; returns the address, which has a port.
///
/// # Errors
/// Whatever the system says against it.
pub fn show(address: SocketAddr, metrics: Arc<Metrics>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("metrics".into()).spawn(move || {
        for stream in listener.incoming() {
            if let Err(error) = stream.and_then(|stream| answer(stream, &metrics)) {
                debug!(%error, "a reader of the counters is gone");
            }
        }
    })?;
    Ok(address)
}

/// Answers one question, and closes (RFC 9112, section 9.6).
fn answer(mut stream: TcpStream, metrics: &Metrics) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    let (mut head, mut bytes) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() > LONGEST {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            count => head.extend_from_slice(bytes.get(..count).unwrap_or_default()),
        }
    }
    let (status, kind, body) = match head.split(|byte| *byte == b' ').collect::<Vec<_>>().as_slice() {
        [b"GET", b"/metrics", ..] => {
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics.to_string())
        }
        [b"GET", ..] => ("404 Not Found", "text/plain", "the counters are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain", "only GET is taken\n".to_owned()),
    };
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
