//! A branch: `atm serve --access card --sealed` with a ledger on disk, the operator's commands beside it, and terminals with keys.
use atm_core::{ledger::Outcome, message::Capabilities, terminal::Profile, time::Duration, wire::Wire};
use atm_e2e::{Output, Program, Server, TIMEOUT, Value, atm};
use atm_host::{
    access::KeyFile,
    client::{Link, LinkEvent, Options, ReceivedMessage, Target},
};
use std::{fs, path::PathBuf};

/// The folder of the ledger and the secrets, with accounts 1000 and 1001 of $250 each, and a card of each.
pub(crate) struct Branch {
    folder: tempfile::TempDir,
    /// Numbers, without blanks, and PINs.
    pub(crate) cards: Vec<(String, String)>,
}

impl Branch {
    pub(crate) fn new() -> Self {
        let mut branch = Self { folder: tempfile::tempdir().unwrap(), cards: Vec::new() };
        let secrets = branch.path("secrets");
        assert_eq!(Program::run(atm(&["secrets", "new", &secrets]), "").code, Some(0));
        // The first start makes the ledger.
        branch.serve(&[]).stop();
        for (owner, account) in [("Ada Lovelace", "1000"), ("Bob Bower", "1001")] {
            branch.order(&["account", "open", "--owner", owner, "--balance", "250"]);
            let issued = branch.order(&["card", "issue", "--account", account, "--secrets", &secrets]).stdout;
            let field = |name: &str| {
                let line = issued.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_else(|| panic!("{issued}")).split_whitespace().collect::<String>()
            };
            branch.cards.push((field("number"), field("PIN")));
        }
        branch
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Starts the server, with more arguments.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        let (secrets, data) = (self.path("secrets"), self.path("data"));
        let by_card = ["--access", "card", "--sealed", "--secrets", &secrets, "--data", &data];
        Server::start(&[&by_card, arguments].concat())
    }

    /// Runs an operator's command on the ledger, which must be done.
    pub(crate) fn order(&self, arguments: &[&str]) -> Output {
        let output = Program::run(atm(&[arguments, &["--data", &self.path("data")]].concat()), "");
        assert_eq!(output.code, Some(0), "{arguments:?}: {output:?}");
        output
    }

    /// The balance of an account in minor units, by `atm account list`.
    pub(crate) fn balance(&self, account: u64) -> u64 {
        let list = self.order(&["account", "list", "--json"]).stdout;
        let rows = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut of_account = rows.filter(|row| row["account"] == account);
        of_account.next().unwrap_or_else(|| panic!("{list}"))["balance"].as_u64().unwrap()
    }

    /// Every file of the ledger's folder.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(self.path("data")).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
    }

    /// Enrols a terminal.
    pub(crate) fn enrol(&self, name: &str) {
        let (secrets, key) = (self.path("secrets"), self.path(name));
        self.order(&["terminal", "add", name, "--out", &key, "--secrets", &secrets]);
    }

    /// A terminal that is enrolled, at the card prompt.
    pub(crate) fn terminal(&self, name: &str, target: Target) -> Terminal {
        let KeyFile { terminal, key } = KeyFile::read(self.path(name).as_ref()).unwrap();
        let profile = Profile {
            name: Some(terminal),
            start: atm_host::client::start_from_clock(),
            capabilities: Capabilities::SECRET_PROMPTS,
            key: Some(key),
            salt: 7,
            ..Profile::default()
        };
        let options = Options {
            wire: Wire::Postcard,
            profile: Some(profile),
            reconnect: false,
            ..Options::new(target)
        };
        let mut terminal = Terminal(Link::open(&options).unwrap());
        let first = terminal.read().text;
        assert!(first.contains("Please type the number of your card."), "{first}");
        terminal
    }

    /// A terminal of that server, newly enrolled, at the card prompt.
    pub(crate) fn at_card(&self, name: &str, server: &Server) -> Terminal {
        self.enrol(name);
        self.terminal(name, Target::Tcp(vec![server.address.to_string()]))
    }

    /// The same at the menu with one of the cards.
    pub(crate) fn at_menu(&self, name: &str, server: &Server, card: usize) -> Terminal {
        let mut terminal = self.at_card(name, server);
        terminal.log_in(&self.cards[card]);
        terminal
    }
}

/// A terminal with a key.
pub(crate) struct Terminal(Link);

impl Terminal {
    /// The next message of the host.
    pub(crate) fn read(&mut self) -> ReceivedMessage {
        let deadline = self.0.now() + Duration::from_millis(u32::try_from(TIMEOUT.as_millis()).unwrap());
        loop {
            match self.0.next(Some(deadline)) {
                LinkEvent::Message(message) => return message,
                LinkEvent::LinkUp | LinkEvent::LinkDown | LinkEvent::Woken => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Answers the open prompt; returns the reply.
    pub(crate) fn ask(&mut self, text: &str) -> ReceivedMessage {
        let prompt = self.0.prompt().expect("a prompt is open");
        self.0.answer(prompt, text).unwrap();
        self.read()
    }

    /// Goes from the card prompt to the menu.
    pub(crate) fn log_in(&mut self, (number, pin): &(String, String)) {
        assert!(self.ask(number).text.starts_with("Please type your PIN."));
        let menu = self.ask(pin).text;
        assert!(menu.starts_with("What would you like to do?"), "{menu}");
    }

    /// The same card is refused now, in the reply to this answer, and the session is at the card prompt.
    pub(crate) fn assert_over(&mut self, answer: &str) {
        let reply = self.ask(answer);
        let code = match reply.outcome {
            Some(Outcome::Refused(refusal)) => refusal.code(),
            _ => "",
        };
        assert_eq!(code, "no-access", "{reply:?}");
        assert!(reply.text.contains("Please type the number of your card."), "{reply:?}");
    }
}
