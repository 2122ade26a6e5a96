//! Named terminal with the core's endpoint: deposits, withdraws and asks for the balance all the time, loses its power now and then, and goes
//! on to the other host when its own is gone.
//!
//! It stores the number of an answer before it sends it, and keeps a record of all that it has asked for and learned.
use crate::{
    control::Control,
    record::{Asked, Record},
};
use atm_core::{
    host::{self, LinkKind},
    ledger::{Name, Outcome},
    message::Notice,
    terminal::{self, Config, Event, Memory, Profile, Terminal},
    time::Instant,
    wire::Wire,
};
use atm_e2e::Rng;
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant as Time},
};

type Endpoint = Terminal<{ host::OUT }, { terminal::OUT }>;

/// For how long a host may owe a reply before the terminal goes on to the next one. Ten seconds in `atm client`; shorter here, so that more
/// faults are met in a time.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// How a connection has ended.
enum End {
    /// It was closed: the host may hold the conversation.
    Closed,
    /// The host is silent, has no room or stops.
    Gone,
    PowerLoss,
    Stopped,
}

/// A terminal and its person.
pub(crate) struct Customer {
    number: usize,
    pub(crate) name: Name,
    wire: Wire,
    hosts: [SocketAddr; 2],
    rng: Rng,
    pub(crate) record: Arc<Mutex<Record>>,
    /// Start of the clock.
    began: Time,
    /// What survives a power loss.
    stored: Memory,
    life: u64,
    /// Is the open prompt the menu? After a reconnect it may be opened again without a message.
    is_menu: bool,
}

impl Customer {
    /// A terminal that no host has seen before.
    pub(crate) fn new(number: usize, wire: Wire, hosts: [SocketAddr; 2], rng: Rng) -> Self {
        let name = format!("kiosk-{number}").parse().unwrap();
        let (record, began, stored) = (Arc::default(), Time::now(), Memory::default());
        Self { number, name, wire, hosts, rng, record, began, stored, life: 0, is_menu: true }
    }

    fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Operates until the campaign stops it and it has learned every outcome.
    pub(crate) fn run(mut self, control: &Control) {
        loop {
            self.life += 1;
            let profile = Profile {
                name: Some(self.name.clone()),
                start: self.life,
                memory: self.stored,
                ..Profile::default()
            };
            let config = Config { profile: Some(profile), ..Config::new(self.wire, LinkKind::Connection) };
            let mut endpoint = Endpoint::new(config, self.now());
            let mut end = self.live(&mut endpoint, control);
            while !matches!(end, End::PowerLoss | End::Stopped) {
                end = self.live(&mut endpoint, control);
            }
            if matches!(end, End::Stopped) {
                return;
            }
        }
    }

    /// Goes over the hosts until the power is lost.
    fn live(&mut self, endpoint: &mut Endpoint, control: &Control) -> End {
        let mut host = self.number % 2;
        let (mut stays, mut is_new, mut failed) = (true, true, 0_u32);
        loop {
            if control.is_stopped() && (self.stored.pending.is_none() || control.is_interrupted()) {
                return End::Stopped;
            }
            let shown = self.stored.shown;
            let address = if host == 0 { self.hosts[0] } else { self.hosts[1] };
            let end = match TcpStream::connect_timeout(&address, SILENCE) {
                Ok(stream) => {
                    if !std::mem::take(&mut is_new) {
                        endpoint.reconnect(self.now());
                    }
                    self.converse(endpoint, &stream, control).unwrap_or(End::Closed)
                }
                Err(_) => End::Gone,
            };
            let was_served = self.stored.shown > shown;
            if matches!(end, End::PowerLoss | End::Stopped) {
                return end;
            }
            failed = if was_served { 0 } else { failed + 1 };
            // A connection that was closed is opened once more at the same host.
            stays = matches!(end, End::Closed) && (was_served || !stays);
            if !stays {
                host ^= 1;
            }
            if failed > 1 {
                control.pause_for(Duration::from_millis(self.rng.u64(50..250)));
            }
        }
    }

    fn converse(
        &mut self,
        endpoint: &mut Endpoint,
        stream: &TcpStream,
        control: &Control,
    ) -> std::io::Result<End> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(SILENCE))?;
        let (mut input, mut chunk) = (stream, [0; 2048]);
        let mut unread = Vec::new();
        let mut heard = Time::now();
        let mut answers_at = None;
        loop {
            unread.drain(..endpoint.feed(&unread, self.now()));
            while let Some(event) = endpoint.poll_event(self.now()) {
                heard = Time::now();
                match event {
                    Event::Message(message) => {
                        if message.prompt {
                            self.is_menu = message.text.to_string().contains("1. Deposit");
                        }
                        if let (Some(id), Some(outcome)) = (message.re, message.outcome) {
                            self.learn(id, outcome, control);
                        }
                        match message.notice {
                            Some(Notice::Stopping | Notice::Busy) => return Ok(End::Gone),
                            // An earlier hello of this terminal that reached the host later.
                            Some(Notice::TakenOver { .. } | Notice::NameInUse { .. }) => {
                                return Ok(End::Closed);
                            }
                            Some(Notice::OutOfService) => return Ok(End::Gone),
                            _ => {}
                        }
                    }
                    Event::LedgerSetBack { .. } => {
                        control.fail(format!("{}: the ledger was set back", self.name))
                    }
                    Event::Broken(fault) | Event::Fault(fault) => {
                        control.fail(format!("{}: {}", self.name, fault.text()));
                    }
                    Event::LinkDown | Event::LinkUp | Event::Idle => {}
                }
            }
            self.store(endpoint.memory(), control);
            if !endpoint.output().is_empty() {
                let count = input.write(endpoint.output())?;
                endpoint.consume(count);
                continue;
            }
            if endpoint.is_over() || endpoint.is_turned_away() {
                return Ok(if endpoint.is_over() { End::Closed } else { End::Gone });
            }
            if !unread.is_empty() {
                continue;
            }
            let prompt = endpoint.prompt().filter(|_| !endpoint.is_awaiting_reply());
            if let Some(prompt) = prompt {
                if control.is_paused() {
                    if !control.park() {
                        return Ok(End::Stopped);
                    }
                    heard = Time::now();
                }
                let at = *answers_at
                    .get_or_insert_with(|| Time::now() + Duration::from_millis(self.rng.u64(0..150)));
                if at <= Time::now() {
                    answers_at = None;
                    heard = Time::now();
                    let (text, asked) =
                        if self.is_menu { self.choose() } else { ("back".to_owned(), Asked::Nothing) };
                    let id = prompt.unwrap_or_default();
                    self.record.lock().unwrap().ask(id, asked);
                    if let Err(error) = endpoint.answer(prompt, &text, self.now()) {
                        control.fail(format!("{}: {error}", self.name));
                    }
                    self.store(endpoint.memory(), control);
                    // The power is lost before the answer is sent, or at once after it.
                    match self.rng.u32(0..100) {
                        0 => return Ok(End::PowerLoss),
                        1 => {
                            let _ = input.write(endpoint.output())?;
                            return Ok(End::PowerLoss);
                        }
                        _ => continue,
                    }
                }
            }
            let owed = heard + SILENCE;
            if prompt.is_none() && owed <= Time::now() {
                return Ok(End::Gone);
            }
            let until = answers_at.unwrap_or(owed).saturating_duration_since(Time::now());
            stream
                .set_read_timeout(Some(until.clamp(Duration::from_millis(1), Duration::from_millis(100))))?;
            match input.read(&mut chunk) {
                Ok(0) => return Ok(End::Closed),
                Ok(count) => unread.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(End::Closed),
            }
            if endpoint.deadline().is_some_and(|at| at <= self.now()) {
                endpoint.tick(self.now());
            }
        }
    }

    /// Stores what must survive a loss of power. An answer whose reply was shown has an outcome, or moves no money.
    fn store(&mut self, memory: Memory, control: &Control) {
        let before = std::mem::replace(&mut self.stored, memory);
        if memory.shown < before.shown {
            control.fail(format!("{}: {} was shown after {}", self.name, memory.shown, before.shown));
        }
        if let Some(id) = before.pending.filter(|id| memory.pending != Some(*id)) {
            self.record.lock().unwrap().answered(id);
        }
    }

    fn learn(&mut self, id: u64, outcome: Outcome, control: &Control) {
        let learned = self.record.lock().unwrap().learn(id, outcome);
        match learned {
            Ok(Some(asked)) => control.acknowledged(self.number, asked),
            Ok(None) => {}
            Err(failure) => control.fail(format!("{}: {failure}", self.name)),
        }
    }

    /// What the person asks for.
    fn choose(&mut self) -> (String, Asked) {
        let units = self.rng.u32(1..60);
        match self.rng.u32(0..10) {
            0 => ("balance".to_owned(), Asked::Balance),
            1 if self.rng.u32(0..10) == 0 => ("withdraw all".to_owned(), Asked::WithdrawAll),
            1..5 => (format!("withdraw {units}"), Asked::Withdraw(100 * i64::from(units))),
            _ => (format!("deposit {units}"), Asked::Deposit(100 * i64::from(units))),
        }
    }
}
