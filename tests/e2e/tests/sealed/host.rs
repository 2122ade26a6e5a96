//! A sealed host over TCP or a serial line, and the folder of a terminal with its key.
use atm_core::{
    host::{Config, Conversation, Event, Host, IN, LinkKind, OUT},
    ledger::{Ledger, LedgerId, RamLedger, SessionId},
    money::Amount,
    seal::{Key, TerminalKey},
    time::Instant,
    wire::Wire,
};
use atm_e2e::{Program, atm};
use atm_host::access::KeyFile;
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{self, Duration},
};

/// The first key of a series of the terminal `name`.
fn first_key(name: &str, series: u32) -> TerminalKey {
    TerminalKey::derive(&Key::from([7; 32]), series.try_into().unwrap(), &name.parse().unwrap())
}

/// The folder of a terminal: `kiosk-7.key`, and what the client makes beside it.
pub(crate) struct Station(tempfile::TempDir);

impl Station {
    /// A terminal with the first key of series 1.
    pub(crate) fn new() -> Self {
        let station = Self(tempfile::tempdir().unwrap());
        station.issue("kiosk-7", 1);
        station
    }

    /// Replaces the key file by the first key of that name and series.
    pub(crate) fn issue(&self, name: &str, series: u32) {
        KeyFile { terminal: name.parse().unwrap(), key: first_key(name, series) }
            .replace(&self.key())
            .unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder().join("kiosk-7.key")
    }

    /// The series and the step of the key file.
    pub(crate) fn step(&self) -> (u32, u32) {
        let key = KeyFile::read(&self.key()).unwrap().key;
        (key.series().get(), key.step())
    }

    /// `atm client --key` with more arguments.
    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = atm(&["client"]);
        command.arg("--key").arg(self.key()).args(arguments);
        command.env("HOME", self.folder()).env("XDG_STATE_HOME", self.folder().join("xdg"));
        command
    }

    /// The same, started and with the first menu shown.
    pub(crate) fn at_menu(&self, arguments: &[&str]) -> Program {
        let client = Program::start(self.client(arguments));
        client.wait_for_prompts(1);
        client
    }

    /// Every file of the folder but the key file, with its content.
    pub(crate) fn other_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut files, mut open) = (Vec::new(), vec![self.folder().to_owned()]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path != self.key() {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files
    }
}

/// A host that knows the keys of `kiosk-7`, and of no other terminal.
#[derive(Clone)]
pub(crate) struct SealedHost(Arc<Mutex<State>>);

struct State {
    ledger: RamLedger<4>,
    parked: Option<Conversation>,
    is_revoked: bool,
    /// Series and step of each hello.
    claims: Vec<(u32, u32)>,
    sessions: u64,
}

impl SealedHost {
    pub(crate) fn new() -> Self {
        let ledger = RamLedger::new(LedgerId(0x5ea1), Amount::from_units(100).unwrap());
        let (claims, sessions) = (Vec::new(), 0);
        Self(Arc::new(Mutex::new(State { ledger, parked: None, is_revoked: false, claims, sessions })))
    }

    /// Serves on a free port; returns the address.
    pub(crate) fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, host) = (listener.local_addr().unwrap(), self.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
                stream.set_nodelay(true).unwrap();
                let host = host.clone();
                thread::spawn(move || host.drive(stream, LinkKind::Connection));
            }
        });
        address
    }

    /// Serves a port whose reads do not block for long.
    pub(crate) fn serve_port(&self, port: impl Read + Write + Send + 'static) {
        let host = self.clone();
        thread::spawn(move || host.drive(port, LinkKind::Serial));
    }

    /// From now on no key is valid.
    pub(crate) fn revoke(&self) {
        self.0.lock().unwrap().is_revoked = true;
    }

    pub(crate) fn claims(&self) -> Vec<(u32, u32)> {
        self.0.lock().unwrap().claims.clone()
    }

    pub(crate) fn balance(&self) -> u64 {
        self.0.lock().unwrap().ledger.balance().units()
    }

    fn drive(&self, mut stream: impl Read + Write, link: LinkKind) {
        let start = time::Instant::now();
        let now = || Instant::from_millis(u64::try_from(start.elapsed().as_millis()).unwrap());
        let session = {
            let mut state = self.0.lock().unwrap();
            state.sessions += 1;
            SessionId::new(state.sessions)
        };
        let config = Config { sealed_only: true, salt: 0x5a17, ..Config::new(Wire::Postcard, link) };
        let mut host = Host::<IN, OUT>::new(config, session, now());
        let (mut input, mut buffer) = (Vec::new(), [0; IN]);
        while !host.is_finished() {
            input.drain(..host.feed(&input, now()));
            if let Some(event) = host.poll_event() {
                self.0.lock().unwrap().on_event(&mut host, event, now());
                continue;
            }
            if !host.output().is_empty() {
                let Ok(count) = stream.write(host.output()) else { break };
                host.consume(count, now());
            } else {
                match stream.read(&mut buffer) {
                    Ok(0) => host.end(now()),
                    Ok(count) => input.extend_from_slice(&buffer[..count]),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(_) => break,
                }
            }
            host.tick(now());
        }
        self.0.lock().unwrap().parked = host.park();
    }
}

impl State {
    fn on_event(&mut self, host: &mut Host<IN, OUT>, event: Event, now: Instant) {
        match event {
            Event::Request(request) => {
                let response = self.ledger.apply(&request).unwrap();
                host.complete(request.ticket, response, now);
            }
            Event::Key(claim) => {
                self.claims.push((claim.series.get(), claim.step));
                let is_known = claim.terminal.as_str() == "kiosk-7" && !self.is_revoked;
                let key = first_key("kiosk-7", claim.series.get()).forward(claim.step, 4096);
                host.provide_key(key.as_ref().filter(|_| is_known), now);
            }
            Event::Hello(_) => match self.parked.take() {
                Some(parked) if !host.incoming_hello().is_some_and(|hello| parked.admits(hello)) => {
                    self.parked = Some(parked);
                    host.refuse(now);
                }
                parked => host.admit(parked, now),
            },
            Event::Quit => panic!("a client may not stop this host"),
        }
    }
}
