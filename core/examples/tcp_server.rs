//! TCP server: a thread a connection. `cargo run -p atm-core --example tcp_server [ADDRESS]`
//! `atm serve` does more: sessions resumed on another connection, group commit, a ledger on disk.
use atm_core::host::{Config, Event, Host, IN, LinkKind, OUT};
use atm_core::ledger::{Ledger, LedgerId, RamLedger, SessionId};
use atm_core::{money::Amount, time::Instant, wire::Wire};
use std::io::{self, ErrorKind, Read, Write};
use std::{net, sync::Mutex, thread, time};

fn main() -> io::Result<()> {
    serve(&net::TcpListener::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:4000".into()))?)
}

/// Accepts connections for ever.
pub(crate) fn serve(listener: &net::TcpListener) -> io::Result<()> {
    // The identity of a ledger in memory must be new for every start.
    let identity = time::UNIX_EPOCH.elapsed().map_err(io::Error::other)?.as_nanos() as u64;
    let ledger = Mutex::new(RamLedger::new(LedgerId(identity), Amount::ZERO));
    thread::scope(|scope| {
        for (session, stream) in (1..).zip(listener.incoming()) {
            let (stream, ledger) = (stream?, &ledger);
            scope.spawn(move || {
                drive(stream, SessionId::new(session), ledger).inspect_err(|error| eprintln!("{error}"))
            });
        }
        Ok(())
    })
}

/// Drives the endpoint of one connection until its session is over.
fn drive(mut stream: net::TcpStream, session: SessionId, ledger: &Mutex<RamLedger<1000>>) -> io::Result<()> {
    let start = time::Instant::now();
    let now = || Instant::from_millis(start.elapsed().as_millis() as u64);
    let mut host = Host::<IN, OUT>::new(Config::new(Wire::Json, LinkKind::Connection), session, now());
    let (mut input, mut buffer) = (Vec::new(), [0; IN]);
    loop {
        input.drain(..host.feed(&input, now()));
        match host.poll_event() {
            Some(Event::Request(request)) => {
                let mut ledger = ledger.lock().map_err(|_| io::Error::other("a session has panicked"))?;
                let response = ledger.apply(&request).map_err(io::Error::other)?;
                host.complete(request.ticket, response, now());
            }
            Some(Event::Hello(_)) => host.admit_new(now()),
            Some(Event::Quit) => host.shut_down(now()),
            #[cfg(feature = "seal")]
            Some(Event::Key(_)) => host.provide_key(None, now()), // no terminal has a key here
            None if host.is_finished() => return Ok(()),
            None => {
                // Sends output, or waits for input; neither for longer than until the deadline.
                let wait = host.deadline().map(|at| now().until(at).millis().max(1).into());
                stream.set_read_timeout(wait.map(time::Duration::from_millis))?;
                stream.set_write_timeout(wait.map(time::Duration::from_millis))?;
                let sending = !host.output().is_empty();
                match if sending { stream.write(host.output()) } else { stream.read(&mut buffer) } {
                    Ok(count) if sending => host.consume(count, now()),
                    Ok(0) => host.end(now()),
                    Ok(count) => input.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(error) => return Err(error),
                }
                host.tick(now());
            }
        }
    }
}
