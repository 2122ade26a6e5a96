//! A bank for the tests of `atm account` and `atm card`: a secrets file, and a ledger that a server has open.
use atm_core::ledger::card::{Card, CardNumber, Pin};
use atm_e2e::{
    Output, Program, Server, Value, atm,
    ledger::{ledger_stdout, start_server},
};
use atm_host::{access::Secrets, ledger::reader::Reader};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A secrets file, and a ledger that a server has open.
pub(crate) struct CardBank {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) server: Server,
}

impl CardBank {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = start_server(&folder.path().join("data"));
        let bank = Self { folder, server };
        done(&Program::run(atm(&["secrets", "new", &bank.secrets()]), ""));
        bank
    }

    /// With account 1000 and a card; returns the card's number and its PIN.
    pub(crate) fn with_card(pin: &[&str]) -> (Self, String, String) {
        let bank = Self::new();
        assert_eq!(bank.done(&["account", "open", "--owner", "Ada Lovelace", "--balance", "100"]), "1000\n");
        let issued = bank.issue(&[&["--account", "1000"], pin].concat());
        let text = |name: &str| issued[name].as_str().unwrap().to_owned();
        (bank, text("number"), text("pin"))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn secrets(&self) -> String {
        self.folder.path().join("secrets").to_str().unwrap().to_owned()
    }

    /// A command on the ledger, with the secrets file where it takes one.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let data = self.data();
        let secrets = self.secrets();
        let needs = words[0] == "card" && words[1] != "list" && !words.contains(&"--secrets");
        let more = if needs { &["--secrets", &secrets][..] } else { &[] };
        let mut command = atm(&[words, &["--data", data.to_str().unwrap()], more].concat());
        command.env_remove("CREDENTIALS_DIRECTORY");
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        Program::run(self.command(words), "")
    }

    /// The standard output of a command that succeeds. All rows follow from the entries then.
    pub(crate) fn done(&self, words: &[&str]) -> String {
        let shown = done(&self.run(words));
        self.verify();
        shown
    }

    pub(crate) fn verify(&self) {
        ledger_stdout(&["verify"], &self.data());
    }

    /// The object of `atm card issue`.
    pub(crate) fn issue(&self, words: &[&str]) -> Value {
        let shown = self.done(&[&["card", "issue", "--json"], words].concat());
        serde_json::from_str(&shown).unwrap()
    }

    pub(crate) fn objects(&self, command: &str) -> Vec<Value> {
        let shown = done(&self.run(&[command, "list", "--json"]));
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A command that is refused with this text in one line; it changes nothing.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str], text: &str) {
        let before = [self.objects("account"), self.objects("card")];
        let output = self.run(words);
        assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{words:?}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert!(output.stderr.contains(text), "{words:?}: {output:?}");
        assert_eq!([self.objects("account"), self.objects("card")], before);
    }

    /// The row of a card.
    pub(crate) fn row(&self, card: u64) -> Card {
        Reader::open(&self.data()).unwrap().card(card).unwrap().unwrap()
    }

    /// Whether the row of a card is of this number and this PIN.
    pub(crate) fn matches(&self, card: u64, number: &str, pin: &str) -> bool {
        let secrets = Secrets::read(Path::new(&self.secrets()), &self.data()).unwrap();
        let (number, pin) = (number.parse::<CardNumber>().unwrap(), pin.parse::<Pin>().unwrap());
        let claim = secrets.cards().claim(&number);
        self.row(card).judge(&claim, &secrets.cards().proof(&claim, &pin))
    }

    pub(crate) fn stop(self) {
        self.verify();
        let data = self.data();
        self.server.stop();
        ledger_stdout(&["verify"], &data);
    }
}

/// The standard output of a command that succeeded.
#[track_caller]
pub(crate) fn done(output: &Output) -> String {
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    output.stdout.clone()
}
