//! Terminal of a real program: `atm client A,B --terminal NAME --state FILE`, one operation a process, each repeated until its outcome is known.
use crate::{
    control::Control,
    record::{Asked, Record},
};
use atm_core::{
    ledger::{Outcome, Receipt, Refusal},
    money::Amount,
    wire::Wire,
};
use atm_e2e::{Program, Rng, Value};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// A terminal, and its person.
pub(crate) struct Client {
    number: usize,
    pub(crate) name: String,
    program: PathBuf,
    arguments: Vec<String>,
    rng: Rng,
    pub(crate) record: Arc<Mutex<Record>>,
    /// The request whose outcome the last process did not learn.
    unsettled: Option<u64>,
}

impl Client {
    /// A terminal that no host has seen before, with its memory in a file of this folder.
    pub(crate) fn new(
        number: usize,
        program: &Path,
        wire: Wire,
        [first, second]: [SocketAddr; 2],
        folder: &Path,
        rng: Rng,
    ) -> Self {
        let name = format!("client-{number}");
        let wire = if wire == Wire::Json { "json" } else { "postcard" };
        let state = folder.join(format!("{name}.state")).display().to_string();
        let hosts = format!("{first},{second}");
        let arguments = ["client", &hosts, "--json", "--wire", wire, "--terminal", &name, "--state", &state];
        let (arguments, program) = (arguments.map(str::to_owned).to_vec(), program.to_owned());
        Self { number, name, program, arguments, rng, record: Arc::default(), unsettled: None }
    }

    /// Operates until the campaign stops it and it has learned every outcome.
    pub(crate) fn run(mut self, control: &Control) {
        while control.park() {
            let units = self.rng.u32(1..60);
            let (word, asked) = match self.rng.u32(0..3) {
                0 => ("withdraw", Asked::Withdraw(100 * i64::from(units))),
                _ => ("deposit", Asked::Deposit(100 * i64::from(units))),
            };
            // The same command again is the repetition of a request without an outcome.
            while !self.operate(&[word, &units.to_string()], asked, control) {
                if control.is_interrupted() {
                    return;
                }
            }
            control.pause_for(Duration::from_millis(self.rng.u64(0..500)));
        }
    }

    /// Runs the program once; whether the outcome of what was asked for is known.
    fn operate(&mut self, words: &[&str], asked: Asked, control: &Control) -> bool {
        let began = Instant::now();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(words);
        let mut program = Program::start(command);
        // It gives up after a minute by itself.
        while program.is_running() {
            if control.is_interrupted() {
                return false;
            }
            // waitpid(2) has no timeout: the status is polled.
            thread::sleep(Duration::from_millis(5));
        }
        let output = program.finish();
        // Without a result nothing was sent.
        let Some(line) = output.stdout.lines().last() else { return false };
        let result: Value = match line.parse() {
            Ok(result) => result,
            Err(error) => {
                control.fail(format!("{}: {error}: {line}", self.name));
                return true;
            }
        };
        let Some(id) = result.get("id").and_then(Value::as_u64) else { return false };
        let mut record = self.record.lock().unwrap();
        // Before it sends another, it has learned that the one before was not done.
        if let Some(before) = self.unsettled.take().filter(|before| *before != id)
            && let Err(failure) = record.learn(before, Outcome::NotDone)
        {
            control.fail(format!("{}: {failure}", self.name));
        }
        record.ask(id, asked);
        let Some(outcome) = outcome(&result) else {
            self.unsettled = Some(id);
            return false;
        };
        match record.learn(id, outcome) {
            Ok(Some(_)) => control.acknowledged(self.number, began),
            Ok(None) => {}
            Err(failure) => control.fail(format!("{}: {failure}: {line}", self.name)),
        }
        true
    }
}

/// The outcome in a result; `None` where it is not known yet.
fn outcome(result: &Value) -> Option<Outcome> {
    let amount = |name: &str| Amount::from_minor(result.get(name)?.as_u64()?);
    match (result.get("outcome")?.as_str()?, result.get("operation")?.as_str()?) {
        ("done", "deposit") => {
            Some(Outcome::Done(Receipt::Deposited { amount: amount("amount")?, balance: amount("balance")? }))
        }
        ("done", "withdrawal") => {
            Some(Outcome::Done(Receipt::Withdrawn { amount: amount("amount")?, balance: amount("balance")? }))
        }
        ("refused", _) => Some(Outcome::Refused(Refusal::Insufficient { balance: amount("balance")? })),
        ("not-done", _) => Some(Outcome::NotDone),
        _ => None,
    }
}
