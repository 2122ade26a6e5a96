//! TCP client: answers from standard input. `cargo run -p atm-core --example tcp_client [ADDRESS]`
//!
//! It has no name, so it cannot learn the outcome of an answer after it has lost its connection. `atm client`
//! can: it says hello with a `Profile`, stores `Terminal::memory` before an answer, and reconnects.
use atm_core::host::{IN, LinkKind, OUT};
use atm_core::terminal::{Config, Event, Terminal};
use atm_core::{time::Instant, wire::Wire};
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::{error, net, time};

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

fn main() -> Result<()> {
    let stream = net::TcpStream::connect(std::env::args().nth(1).unwrap_or("127.0.0.1:4000".into()))?;
    run_session(stream, io::stdin().lock().lines(), io::stdout())
}

/// Runs one session: answers come from `lines`, texts go to `screen`.
pub(crate) fn run_session(
    mut stream: net::TcpStream,
    mut lines: impl Iterator<Item = io::Result<String>>,
    mut screen: impl Write,
) -> Result<()> {
    let start = time::Instant::now();
    let now = || Instant::from_millis(start.elapsed().as_millis() as u64);
    let mut terminal = Terminal::<OUT, IN>::new(Config::new(Wire::Json, LinkKind::Connection), now());
    let (mut input, mut buffer) = (Vec::new(), [0; OUT]);
    while !terminal.is_over() {
        stream.write_all(terminal.output())?;
        terminal.consume(terminal.output().len());
        if input.is_empty() {
            let wait = terminal.deadline().map(|at| now().until(at).millis().max(1).into());
            stream.set_read_timeout(wait.map(time::Duration::from_millis))?;
            match stream.read(&mut buffer) {
                Ok(0) => return Err("the connection was lost: check the balance".into()),
                Ok(count) => input.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
            terminal.tick(now());
        }
        input.drain(..terminal.feed(&input, now()));
        while let Some(event) = terminal.poll_event(now()) {
            match event {
                Event::Message(message) => writeln!(screen, "{}", message.text)?,
                Event::Fault(fault) | Event::Broken(fault) => return Err(fault.to_string().into()),
                // They come only with retransmission and with a hello.
                Event::LinkDown | Event::LinkUp | Event::LedgerSetBack { .. } | Event::Idle => {}
            }
        }
        if let Some(prompt) = terminal.prompt() {
            let Some(line) = lines.next() else { return Ok(()) };
            if let Err(error) = terminal.answer(prompt, &line?, now()) {
                writeln!(screen, "{error}")?;
            }
        }
    }
    Ok(())
}
