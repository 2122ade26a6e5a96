//! World: two hosts on a pair of servers, and how each fault is made and healed.
use crate::{
    control::Control,
    faults::Kind,
    host::{Host, Programs},
    pair::Pair,
    proxy::{AtCommit, BOTH, Proxy, Way},
    tables::Tables,
    terminal::SILENCE,
};
use atm_core::wire::Wire;
use atm_e2e::{Rng, Signal};
use std::{path::Path, thread, time::Duration};

/// The host's deadline for an exchange with the database.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a `COMMIT` may take to come.
const COMMIT: Duration = Duration::from_secs(10);

/// The clock of the first host, ahead of that of the second, in seconds.
const AHEAD: i32 = 3600;

/// What a fault found that must not be.
pub(crate) type Faulty = Result<(), String>;

/// The programs and their proxies.
pub(crate) struct World {
    pub(crate) hosts: [Host; 2],
    pub(crate) pair: Pair,
    pub(crate) rng: Rng,
}

impl World {
    /// Starts the servers and makes the hosts.
    pub(crate) fn start(programs: &Programs, wire: Wire, folder: &Path, rng: Rng) -> Self {
        let pair = Pair::start();
        let hosts =
            [("a", AHEAD), ("b", 0)].map(|(name, ahead)| Host::new(name, programs, wire, folder, ahead));
        let world = Self { hosts, pair, rng };
        world.lead_to_servers();
        world
    }

    fn lead_to_servers(&self) {
        let targets = self.pair.targets();
        self.hosts.iter().for_each(|host| host.lead_to(&targets));
    }

    fn host(&mut self) -> &mut Host {
        let [first, second] = &mut self.hosts;
        if self.rng.bool() { first } else { second }
    }

    /// The proxy between a random host and the primary.
    fn database(&mut self) -> &Proxy {
        let place = self.pair.place();
        let [first, second] = &self.host().databases;
        if place == 0 { first } else { second }
    }

    /// A random time.
    fn time(&mut self, millis: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(millis))
    }

    /// Makes a fault, and heals it.
    ///
    /// # Errors
    /// Something was seen that must not be.
    pub(crate) fn make(&mut self, kind: Kind, control: &Control) -> Faulty {
        match kind {
            Kind::HostKilled => self.kill_host(control),
            Kind::BothHostsKilled => self.kill_both(control),
            Kind::HostStopped => {
                let time = SILENCE + self.time(500..1500);
                self.stop_host(time, control);
            }
            Kind::HostStoppedLong => {
                let time = DEADLINE + self.time(500..3000);
                self.stop_host(time, control);
            }
            Kind::SecondProcess => return self.start_second(control),
            Kind::TerminalsCut => {
                control.begin_fault();
                self.hosts.iter().for_each(|host| host.door.close());
            }
            Kind::TerminalsHang => self.hang_terminals(control),
            Kind::ClockStep => self.step_clock(control),
            Kind::PrimaryKilled => {
                self.at_commit(control, |pair| pair.primary_mut().kill());
                self.pair.primary_mut().run();
            }
            Kind::PrimaryImmediate => {
                self.at_commit(control, |pair| pair.primary_mut().stop());
                self.pair.primary_mut().run();
            }
            Kind::CommitCut => {
                let proxy = self.database();
                proxy.at_commit(Some(AtCommit::Close));
                let has_come = proxy.await_commit(COMMIT);
                proxy.at_commit(None);
                control.begin_fault();
                return if has_come { Ok(()) } else { Err("no COMMIT has come".to_owned()) };
            }
            Kind::Failover => {
                self.at_commit(control, |pair| pair.primary_mut().kill());
                self.pair.promote();
                self.renew_standby();
            }
            Kind::HalfKilled => {
                control.begin_fault();
                self.pair.primary().halt();
                let time = DEADLINE + self.time(500..3000);
                control.pause_for(time);
                self.pair.primary().resume();
            }
            Kind::HalfKilledFailover => return self.fail_over_half_killed(control),
            Kind::OrphanBackend => self.orphan_backend(control),
            Kind::HangToDatabase => self.hang_database(&[Way::ToServer], control),
            Kind::HangFromDatabase => self.hang_database(&[Way::ToClient], control),
            Kind::LateCommit => return self.hold_commit(control),
            Kind::MissingStandby => return self.lose_standby(control),
        }
        Ok(())
    }

    fn kill_host(&mut self, control: &Control) {
        let time = self.time(0..500);
        let host = self.host();
        control.begin_fault();
        host.kill();
        control.pause_for(time);
        host.start();
    }

    fn kill_both(&mut self, control: &Control) {
        control.begin_fault();
        self.hosts.iter_mut().for_each(Host::kill);
        self.hosts.iter_mut().for_each(Host::start);
    }

    fn stop_host(&mut self, time: Duration, control: &Control) {
        let host = self.host();
        control.begin_fault();
        host.signal(Signal::STOP);
        control.pause_for(time);
        host.signal(Signal::CONT);
    }

    /// A second process under a host's name fences the first, which exits, and commits nothing any more.
    fn start_second(&mut self, control: &Control) -> Faulty {
        let host = self.host();
        let name = host.name;
        control.begin_fault();
        let second = host.start_second().map_err(|error| error.to_string())?;
        let Some(first) = host.take() else { return Err(format!("{name} does not run")) };
        let journal = |pair: &Pair| Tables::journals(pair.primary()).into_iter().find(|row| row.name == name);
        let fenced = journal(&self.pair);
        // Its terminals send it requests, of which the first one ends it.
        let output = first.program.finish();
        let after = journal(&self.pair);
        let [a, b] = &mut self.hosts;
        drop(if a.name == name { a.replace(second) } else { b.replace(second) });
        if output.code != Some(1) || !output.stderr.contains("another process has taken the journal over") {
            return Err(format!("the fenced process of {name} ended otherwise: {output:?}"));
        }
        if fenced != after || fenced.is_none() {
            return Err(format!("{name} has committed after it was fenced: {fenced:?}, then {after:?}"));
        }
        Ok(())
    }

    fn hang_terminals(&mut self, control: &Control) {
        let ways: &[Way] = match self.rng.u32(0..3) {
            0 => &[Way::ToServer],
            1 => &[Way::ToClient],
            _ => &BOTH,
        };
        let (time, both) = (SILENCE + self.time(200..1500), self.rng.bool());
        let index = usize::from(self.rng.bool());
        control.begin_fault();
        let hit = self.hosts.iter().enumerate().filter(|(at, _)| both || *at == index);
        hit.for_each(|(_, host)| host.door.hang(ways));
        control.pause_for(time);
        self.hosts.iter().for_each(|host| host.door.heal());
    }

    fn step_clock(&mut self, control: &Control) {
        let ahead = AHEAD + self.rng.i32(-7200..7200);
        control.begin_fault();
        let [first, _] = &self.hosts;
        first.set_clock(ahead);
    }

    /// Does something to the servers, in one of two cases at the moment at which a host sends `COMMIT`.
    fn at_commit(&mut self, control: &Control, act: impl FnOnce(&mut Pair) + Send) {
        let (is_at_commit, time, place) = (self.rng.bool(), self.time(0..30), self.pair.place());
        let index = usize::from(self.rng.bool());
        let host = self.hosts.get(index).and_then(|host| host.databases.get(place));
        let Some(proxy) = host.filter(|_| is_at_commit) else {
            control.begin_fault();
            return act(&mut self.pair);
        };
        proxy.at_commit(Some(AtCommit::Hold));
        proxy.await_commit(COMMIT);
        control.begin_fault();
        let pair = &mut self.pair;
        thread::scope(|scope| {
            scope.spawn(|| act(pair));
            control.pause_for(time);
            proxy.heal();
        });
    }

    fn renew_standby(&mut self) {
        self.pair.renew_standby();
        self.lead_to_servers();
    }

    /// The primary is halted, and its standby promoted. Later it goes on, and takes connections beside the new one, before it is killed.
    fn fail_over_half_killed(&mut self, control: &Control) -> Faulty {
        let (before, beside) = (self.time(0..2000), self.time(500..3000));
        control.begin_fault();
        self.pair.primary().halt();
        control.pause_for(before);
        self.pair.promote();
        // The hosts find the new primary, although the old one still accepts connections.
        let is_found = control.await_service(4 * DEADLINE).is_some();
        self.pair.standby().resume();
        self.host().databases.iter().for_each(Proxy::close);
        control.pause_for(beside);
        self.pair.standby_mut().kill();
        self.renew_standby();
        if is_found { Ok(()) } else { Err("the new primary was not found beside the halted one".to_owned()) }
    }

    /// The postmaster is killed while one of its processes is halted, which keeps the server from starting again.
    fn orphan_backend(&mut self, control: &Control) {
        let time = self.time(500..2000);
        let backend = self.pair.primary().backend("atm");
        control.begin_fault();
        backend.iter().for_each(atm_cluster::Backend::halt);
        self.pair.primary_mut().kill_postmaster();
        control.pause_for(time);
        backend.iter().for_each(atm_cluster::Backend::kill);
        self.pair.primary_mut().run();
    }

    fn hang_database(&mut self, ways: &[Way], control: &Control) {
        let time = DEADLINE + self.time(200..3000);
        control.begin_fault();
        let databases = &self.host().databases;
        databases.iter().for_each(|proxy| proxy.hang(ways));
        control.pause_for(time);
        databases.iter().for_each(Proxy::heal);
    }

    /// A `COMMIT` arrives after its host has closed the connection and has tried to settle.
    fn hold_commit(&mut self, control: &Control) -> Faulty {
        let time = DEADLINE + self.time(200..5000);
        let proxy = self.database();
        proxy.at_commit(Some(AtCommit::Hold));
        let has_come = proxy.await_commit(COMMIT);
        control.begin_fault();
        control.pause_for(time);
        proxy.heal();
        if has_come { Ok(()) } else { Err("no COMMIT has come".to_owned()) }
    }

    /// Nothing is acknowledged while the synchronous standby is gone, and no wait for it is cancelled.
    fn lose_standby(&mut self, control: &Control) -> Faulty {
        let time = DEADLINE + self.time(500..3000);
        self.pair.standby_mut().kill();
        control.begin_fault();
        control.pause_for(time);
        let acknowledged = control.watch().first;
        self.pair.standby_mut().run();
        if let Some(after) = acknowledged {
            return Err(format!("an operation was acknowledged {after:?} after the standby was gone"));
        }
        if self.pair.primary().log().contains("canceling wait for synchronous replication") {
            return Err("a host has cancelled a COMMIT that waits for the standby".to_owned());
        }
        Ok(())
    }
}
