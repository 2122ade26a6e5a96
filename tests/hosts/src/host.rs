//! A host: `atm serve --database` under a name, between a proxy to its terminals and two to the servers of the database.
use crate::{
    proxy::{Proxy, Target},
    tables::DATABASE,
};
use atm_core::wire::Wire;
use atm_e2e::{Output, Program, Server, Signal};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// What the campaign has built and made.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// `atm` with the feature `postgres`.
    pub(crate) atm: PathBuf,
    /// Debian's `libfaketime`, which is between a program and the wall clock.
    pub(crate) clock: PathBuf,
}

/// A host, its folder and its proxies.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    programs: Programs,
    wire: Wire,
    /// In which its folders are.
    parent: PathBuf,
    /// The folder with its mark.
    folder: PathBuf,
    folders: u32,
    server: Option<Server>,
    /// To which its terminals connect.
    pub(crate) door: Proxy,
    /// To each server of the database.
    pub(crate) databases: [Proxy; 2],
}

/// The file with its mark.
const MARK: &str = "ledger.mark";

impl Host {
    /// Makes it, with its clock so many seconds ahead; it does not run yet.
    pub(crate) fn new(
        name: &'static str,
        programs: &Programs,
        wire: Wire,
        parent: &Path,
        ahead: i32,
    ) -> Self {
        let parent = parent.join(name);
        fs::create_dir(&parent).unwrap();
        let databases = [(); 2].map(|()| Proxy::start());
        let folder = parent.join("0");
        let (folders, door) = (0, Proxy::start());
        let host = Self {
            name,
            programs: programs.clone(),
            wire,
            parent,
            folder,
            folders,
            server: None,
            door,
            databases,
        };
        host.set_clock(ahead);
        host
    }

    /// Sets its clock so many seconds ahead, also while it runs: within a second.
    pub(crate) fn set_clock(&self, ahead: i32) {
        let (file, new) = (self.clock_file(), self.parent.join("clock.new"));
        fs::write(&new, format!("{ahead:+}s\n")).unwrap();
        fs::rename(new, file).unwrap();
    }

    fn clock_file(&self) -> PathBuf {
        self.parent.join("clock")
    }

    /// Leads its proxies to the servers of the database.
    pub(crate) fn lead_to(&self, targets: &[Target; 2]) {
        for (proxy, target) in self.databases.iter().zip(targets) {
            proxy.lead_to(Some(target.clone()));
        }
    }

    fn command(&self, folder: &Path) -> Command {
        let [first, second] = self.databases.each_ref().map(|proxy| proxy.address);
        let wire = if self.wire == Wire::Json { "json" } else { "postcard" };
        let mut command = Command::new(&self.programs.atm);
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--log",
                "warn",
                "--wire",
                wire,
                "--host-name",
                self.name,
            ])
            .args(["--database", &format!("postgres://postgres@{first},{second}/{DATABASE}")])
            .arg("--data")
            .arg(folder)
            .env("LD_PRELOAD", &self.programs.clock)
            .env("FAKETIME_TIMESTAMP_FILE", self.clock_file())
            .env("FAKETIME_CACHE_DURATION", "1")
            // Timeouts stay what they are.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            // A killed process would leave its semaphore.
            .env("FAKETIME_DISABLE_SHM", "1");
        command
    }

    fn spawn(&self, folder: &Path) -> Server {
        Server::of(Program::start(self.command(folder)))
    }

    /// Starts it where it must not start, and end by itself.
    pub(crate) fn start_in_vain(&self) -> Output {
        Program::run(self.command(&self.folder), "")
    }

    /// Starts it under its name and folder, and leads terminals to it.
    pub(crate) fn start(&mut self) {
        let server = self.spawn(&self.folder);
        self.door.lead_to(Some(Target::Tcp(server.address)));
        self.server = Some(server);
    }

    /// Starts a second process under its name, with a copy of its mark, to which no terminal is led.
    pub(crate) fn start_second(&mut self) -> io::Result<Server> {
        self.folders += 1;
        let folder = self.parent.join(self.folders.to_string());
        fs::create_dir(&folder)?;
        fs::copy(self.folder.join(MARK), folder.join(MARK))?;
        let second = self.spawn(&folder);
        self.folder = folder;
        Ok(second)
    }

    /// Another process takes its place; returns the one that had it.
    pub(crate) fn replace(&mut self, server: Server) -> Option<Server> {
        self.door.lead_to(Some(Target::Tcp(server.address)));
        self.server.replace(server)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(server) = &self.server {
            server.program.signal(signal);
        }
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.server = None;
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(|server| server.program.is_running())
    }

    /// Takes its process.
    pub(crate) fn take(&mut self) -> Option<Server> {
        self.server.take()
    }
}
