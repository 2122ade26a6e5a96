//! A bank under attack: `atm serve` with a ledger on disk, the folders of its terminals, and the proxy between them.
use atm_core::seal;
use atm_e2e::{Direction, FrameProxy, Program, Server, Signal, Value, atm, ledger::ledger_stdout, prompts};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// How terminals reach the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Sealed,
    Clear,
}

pub(crate) const LINKS: [Link; 2] = [Link::Clear, Link::Sealed];

/// An operation of the ledger that moved money: the terminal, the operation, units.
pub(crate) type Movement = (String, String, u64);

/// A movement at `kiosk-7`.
pub(crate) fn moved(operation: &str, units: u64) -> Movement {
    ("kiosk-7".to_owned(), operation.to_owned(), units)
}

pub(crate) struct Bank {
    folder: TempDir,
    link: Link,
    more: Vec<String>,
    server: Option<Server>,
    /// Terminals connect to it.
    pub(crate) proxy: FrameProxy,
}

impl Bank {
    pub(crate) fn new(link: Link) -> Self {
        Self::with(link, &[])
    }

    /// A bank with more options of the server. `kiosk-7` and `kiosk-8` are its terminals.
    pub(crate) fn with(link: Link, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(atm(&["secrets", "new"]).arg(folder.path().join("secrets")));
        Self::in_folder(folder, link, more)
    }

    /// Another bank with the same secrets file.
    pub(crate) fn with_secrets_of(other: &Self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(other.path("secrets"), folder.path().join("secrets")).unwrap();
        Self::in_folder(folder, other.link, &[])
    }

    fn in_folder(folder: TempDir, link: Link, more: &[&str]) -> Self {
        let more: Vec<String> = more.iter().map(|option| (*option).to_owned()).collect();
        let server = serve(folder.path(), link, &more, "data");
        let proxy = FrameProxy::to(server.address);
        let bank = Self { folder, link, more, server: Some(server), proxy };
        for name in ["kiosk-7", "kiosk-8"] {
            fs::create_dir(bank.path(name)).unwrap();
            if link == Link::Sealed {
                bank.issue("add", name);
            }
        }
        bank
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The file of a terminal's key.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.path(name).join("key")
    }

    /// `atm terminal add` or `rotate`, with the key in the terminal's folder.
    pub(crate) fn issue(&self, command: &str, name: &str) {
        let _ = fs::remove_file(self.key(name));
        let mut issue = atm(&["terminal", command, name, "--out"]);
        issue.arg(self.key(name)).arg("--secrets").arg(self.path("secrets"));
        run(issue.arg("--data").arg(self.path("data")));
    }

    /// `atm terminal` or `atm access` on the ledger in a folder; returns its standard output.
    pub(crate) fn manage(&self, words: &[&str], folder: &str) -> String {
        run(atm(words).arg("--data").arg(self.path(folder)))
    }

    /// The rows of `atm terminal list`.
    pub(crate) fn terminals(&self) -> String {
        self.manage(&["terminal", "list", "--json"], "data")
    }

    /// `atm client` of a terminal, over the proxy.
    pub(crate) fn client(&self, name: &str, more: &[&str]) -> Command {
        let folder = self.path(name);
        let mut command = atm(&["client", &self.proxy.address.to_string()]);
        match self.link {
            Link::Sealed => command.arg("--key").arg(self.key(name)),
            Link::Clear => {
                command.args(["--wire", "postcard", "--terminal", name, "--state"]).arg(folder.join("state"))
            }
        };
        command.args(more).env("HOME", &folder).env("XDG_STATE_HOME", folder.join("xdg"));
        command
    }

    /// The same, started, with the first menu shown.
    pub(crate) fn at_menu(&self, name: &str) -> Person {
        let mut person = Person { program: Program::start(self.client(name, &["--keep-going"])), prompts: 0 };
        person.wait_for_prompt();
        person
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.as_ref().unwrap().address
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Stops the server in order, which ends sessions.
    pub(crate) fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }

    /// Kills the server; sessions go on at the next one.
    pub(crate) fn kill(&mut self) {
        let server = self.server.take().unwrap();
        server.program.signal(Signal::KILL);
        assert_eq!(server.program.finish().code, None);
    }

    /// Starts it with the ledger in a folder; the proxy connects to it from now on.
    pub(crate) fn start(&mut self, folder: &str) {
        let server = serve(self.folder.path(), self.link, &self.more, folder);
        self.proxy.set_target(server.address);
        self.server = Some(server);
    }

    /// Copies a folder of this bank.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        let to = self.path(to);
        let _ = fs::remove_dir_all(&to);
        copy_folder(&self.path(from), &to);
    }

    /// The movements in the ledger of a folder, by `atm ledger export`; the ledger verifies, and has the balance that follows.
    pub(crate) fn movements_in(&self, folder: &str) -> Vec<Movement> {
        let folder = self.path(folder);
        ledger_stdout(&["verify"], &folder);
        let export = ledger_stdout(&["export", "--format", "json"], &folder);
        let entries: Vec<Value> = serde_json::from_str(&export).unwrap();
        let (mut movements, mut balance) = (Vec::new(), 0);
        for entry in &entries {
            let units = entry["amount"].as_u64().unwrap_or(0) / 100;
            match (entry["kind"].as_str().unwrap(), entry["operation"].as_str()) {
                ("created", _) => balance += units,
                ("done", Some(operation)) => {
                    balance = if operation == "deposit" { balance + units } else { balance - units };
                    let terminal = entry["terminal"].as_str().unwrap_or("-").to_owned();
                    movements.push((terminal, operation.to_owned(), units));
                }
                _ => {}
            }
        }
        let shown = ledger_stdout(&["show"], &folder);
        let line = shown.lines().find(|line| line.starts_with("account ")).unwrap();
        assert_eq!(line.rsplit('$').next().unwrap().replace(',', ""), balance.to_string(), "{shown}");
        movements
    }

    pub(crate) fn movements(&self) -> Vec<Movement> {
        self.movements_in("data")
    }
}

/// A person at `atm client`.
pub(crate) struct Person {
    pub(crate) program: Program,
    prompts: usize,
}

impl Person {
    /// Types lines, and waits for the prompt after each; returns what was shown since the first.
    pub(crate) fn types(&mut self, lines: &[&str]) -> String {
        let before = self.program.stdout().len();
        for line in lines {
            self.program.type_line(line);
            self.wait_for_prompt();
        }
        self.program.stdout()[before..].to_owned()
    }

    /// Waits until one more prompt is shown.
    pub(crate) fn wait_for_prompt(&mut self) {
        self.prompts += 1;
        self.program.wait_for_prompts(self.prompts);
    }

    /// Ends the session; no other prompt was shown meanwhile. Returns standard output and standard error.
    pub(crate) fn leaves(mut self) -> (String, String) {
        self.program.end_input();
        let done = self.program.finish();
        // 3: a line was refused.
        assert!(matches!(done.code, Some(0 | 3)) && prompts(&done.stdout) == self.prompts, "{done:?}");
        (done.stdout, done.stderr)
    }
}

fn serve(folder: &Path, link: Link, more: &[String], data: &str) -> Server {
    let (data, secrets) = (folder.join(data), folder.join("secrets"));
    let mut options = vec!["--data", data.to_str().unwrap()];
    match link {
        Link::Sealed => options.extend(["--sealed", "--secrets", secrets.to_str().unwrap()]),
        Link::Clear => options.extend(["--wire", "postcard"]),
    }
    options.extend(more.iter().map(String::as_str));
    Server::start(&options)
}

/// Runs a command that must succeed; returns its standard output.
fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => fs::copy(entry.path(), target).map(drop).unwrap(),
        }
    }
}

/// The indexes of bodies, but for `who` in clear: a host that has no keys for a sealed body says that, and no more.
pub(crate) fn indexes(bodies: &[Vec<u8>]) -> Vec<u8> {
    bodies.iter().filter(|body| body[..] != [3, 1]).map(|body| body[0]).collect()
}

/// The hellos that came to the proxy, sealed or in clear.
pub(crate) fn hellos(proxy: &FrameProxy) -> Vec<Vec<u8>> {
    let is_hello = |body: &Vec<u8>| matches!(body[0], 0 | seal::HELLO);
    proxy.bodies(Direction::Up).into_iter().filter(is_hello).collect()
}
