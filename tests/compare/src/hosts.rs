//! Several hosts on one ledger in PostgreSQL: `atm serve --database` in processes of their own, over which the sessions spread.
use super::{
    DataFolder, DatabaseUse, Sample, Timing,
    atm::AtmLoad,
    atm::Terminals,
    bank::Bank,
    card_session::CardSession,
    free_port, load_sessions,
    postgres::Postgres,
    system::{self, BY_CARD, LEDGERS, ONE_ACCOUNT, System, SystemKind},
};
use atm_bench::customer::InputStyle;
use atm_core::{message::Capabilities, terminal::Profile};
use atm_e2e::{Program, Server, build_atm_with, request_page};
use atm_host::ledger::postgres::Database;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

/// How many hosts share a ledger.
const NUMBERS: [usize; 3] = [1, 2, 4];

/// Hosts that are started for a ledger: as many as any system has.
const HOSTS: usize = 4;

/// A ledger in a database of its own, and its hosts.
#[derive(Debug)]
pub struct SharedLedger {
    postgres: Rc<Postgres>,
    name: &'static str,
    pub(super) bank: Option<Bank>,
    hosts: Vec<Server>,
    metrics: Vec<SocketAddr>,
    pub(super) folder: tempfile::TempDir,
}

impl SharedLedger {
    /// A new ledger with one account, which is open to all.
    ///
    /// # Errors
    /// A program fails.
    pub(super) fn open(
        data_folder: &DataFolder,
        postgres: &Rc<Postgres>,
        program: &Path,
    ) -> Result<Self, String> {
        let mut ledger = Self::new(data_folder, postgres, "open")?;
        ledger.run(program, &["migrate"])?;
        ledger.start(program, &[])?;
        Ok(ledger)
    }

    /// A ledger with so many accounts, a card for each, and so many terminals, served by card over sealed links.
    ///
    /// # Errors
    /// A program fails.
    pub(super) fn bank(
        data_folder: &DataFolder,
        postgres: &Rc<Postgres>,
        program: &Path,
        sizes: (usize, usize),
    ) -> Result<Self, String> {
        let mut ledger = Self::new(data_folder, postgres, "cards")?;
        let (data, secrets) = (ledger.path("bank"), ledger.path("secrets"));
        ledger.bank = Some(Bank::create(&data, &secrets, sizes)?);
        let [data, secrets] = [&data, &secrets].map(|path| path.display().to_string());
        ledger.run(program, &["move", "--data", &data])?;
        ledger.start(program, &["--access", "card", "--sealed", "--secrets", &secrets])?;
        Ok(ledger)
    }

    fn new(data_folder: &DataFolder, postgres: &Rc<Postgres>, name: &'static str) -> Result<Self, String> {
        postgres.create(name)?;
        let (postgres, folder) = (postgres.clone(), data_folder.temporary()?);
        Ok(Self { postgres, name, bank: None, hosts: Vec::new(), metrics: Vec::new(), folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its database, whatever the version.
    pub(super) fn database(&self) -> Result<Database, String> {
        Database::new(&self.postgres.url(self.name), None, true).map_err(|error| error.to_string())
    }

    /// Runs `atm ledger`.
    fn run(&self, program: &Path, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(program);
        command.arg("ledger").args(arguments).args(["--untested-engine", "--database"]);
        command.arg(self.postgres.url(self.name));
        let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn start(&mut self, program: &Path, options: &[&str]) -> Result<(), String> {
        for number in 0..HOSTS {
            let name = format!("host-{number}");
            let metrics = SocketAddr::from(([127, 0, 0, 1], free_port().map_err(|error| error.to_string())?));
            let mut command = Command::new(program);
            command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--untested-engine"]);
            command.args(["--database", &self.postgres.url(self.name), "--host-name", &name, "--data"]);
            command.arg(self.path(&name)).args(["--metrics", &metrics.to_string()]).args(options);
            self.hosts.push(Server::of(Program::start(command)));
            self.metrics.push(metrics);
        }
        Ok(())
    }

    /// Measures a load on the first of the hosts: deposits by unnamed sessions into the one account, or by cards.
    ///
    /// # Errors
    /// A session was lost, or a balance is wrong.
    pub(super) fn measure(&self, hosts: usize, sessions: usize, timing: Timing) -> Result<Sample, String> {
        let addresses: Vec<_> = self.hosts.iter().take(hosts).map(|host| host.address).collect();
        self.observe(|| match &self.bank {
            None => {
                let report = AtmLoad::durable(InputStyle::Words, Terminals::Unnamed)
                    .run(&addresses, sessions, timing)?;
                Ok((system::sample(&report.measurements, true), report.counts.deposits))
            }
            Some(bank) => {
                let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                let start = u64::try_from(start).unwrap_or(u64::MAX);
                let session = |index: usize| {
                    let capabilities = Capabilities::SECRET_PROMPTS;
                    let (name, key) = &bank.terminals[index];
                    let (name, key) = (Some(name.clone()), Some(key.clone()));
                    let profile = Profile {
                        name,
                        start,
                        key,
                        salt: fastrand::u64(..),
                        capabilities,
                        ..Profile::default()
                    };
                    let cards = bank.cards.iter().skip(index).step_by(sessions).collect();
                    CardSession::new(profile, cards, fastrand::u64(..))
                };
                let (measured, all) = load_sessions(&addresses, (0..sessions).map(session), timing)
                    .map_err(|error| error.to_string())?;
                let done = all.iter().map(|session| session.done).sum();
                Ok((system::sample(&system::passed(measured)?, true), done))
            }
        })
    }

    /// Adds what the database has done for a measurement, which returns its sample and the number of all its operations.
    pub(super) fn observe(
        &self,
        measure: impl FnOnce() -> Result<(Sample, u64), String>,
    ) -> Result<Sample, String> {
        let before = (self.postgres.written()?, self.retries()?);
        let (sample, operations) = measure()?;
        let written = self.postgres.written()?.saturating_sub(before.0);
        let retries = self.retries()?.saturating_sub(before.1);
        let log_bytes = written as f64 / operations.max(1) as f64;
        Ok(Sample { database: Some(DatabaseUse { retries, log_bytes }), ..sample })
    }

    /// Batches of all hosts that were tried again.
    fn retries(&self) -> Result<u64, String> {
        let retries = |address: &SocketAddr| {
            let (_, page) = request_page(*address, "GET /metrics HTTP/1.1");
            let line = page.lines().find_map(|line| line.strip_prefix("atm_ledger_retries_total "));
            line.and_then(|number| number.parse::<u64>().ok()).ok_or("a host does not count its retries")
        };
        Ok(self.metrics.iter().map(retries).sum::<Result<u64, _>>()?)
    }

    /// The bytes of an entry's row and its places in the indexes.
    ///
    /// # Errors
    /// The database does not answer.
    pub fn entry_size(&self) -> Result<f64, String> {
        let select = "SELECT pg_total_relation_size('entries')::float / count(*) FROM entries";
        let row = self.postgres.sql_in(self.name, select)?;
        row.trim().parse().map_err(|_| format!("PostgreSQL returned {row:?} for a size"))
    }
}

impl System {
    /// 1, 2 and 4 hosts, and ledger threads, on PostgreSQL, beside that server's own updates; with so many accounts and terminals. Returns
    /// the ledgers too, in a fixed order: that of one account, and the bank's.
    ///
    /// # Errors
    /// A program does not start, or the bank cannot be made.
    pub fn hosts(
        data_folder: &DataFolder,
        sizes: (usize, usize),
    ) -> Result<(Vec<Self>, [Rc<SharedLedger>; 2]), String> {
        let program = build_atm_with("postgres")?;
        let postgres = Rc::new(Postgres::start(data_folder)?);
        let one = Rc::new(SharedLedger::open(data_folder, &postgres, &program)?);
        let bank = Rc::new(SharedLedger::bank(data_folder, &postgres, &program, sizes)?);
        let hosts = |ledger: &Rc<SharedLedger>, names: [&'static str; 3]| {
            let kind =
                |(name, hosts)| Self { name, kind: SystemKind::Hosts { ledger: ledger.clone(), hosts } };
            names.into_iter().zip(NUMBERS).map(kind).collect::<Vec<_>>()
        };
        let mut systems = hosts(&one, ONE_ACCOUNT);
        systems.extend(hosts(&bank, BY_CARD));
        systems.extend(LEDGERS.into_iter().zip(NUMBERS).map(|(name, threads)| Self {
            name,
            kind: SystemKind::Ledgers { ledger: bank.clone(), threads },
        }));
        systems.extend(Self::rows_of(&postgres));
        systems.push(Self::disk(data_folder));
        Ok((systems, [one, bank]))
    }
}
