//! The connection to the database: TLS without a way back to clear, and passwords that are nowhere else.
use super::atm;
use atm_cluster::Cluster;
use atm_e2e::{Output, Program, Signal};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const PASSWORD: &str = "correct-horse";
const WRONG: &str = "another-horse";

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for a name or an address, and its key.
    fn issue(&self, name: &str) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        [params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem()]
    }
}

/// A database at an address, whose user `atm` has a password.
struct Bank {
    cluster: Cluster,
    address: Ipv4Addr,
    folder: TempDir,
}

impl Bank {
    fn new() -> Self {
        let mut cluster = Cluster::start();
        cluster.sql("postgres", &format!("CREATE ROLE atm LOGIN PASSWORD '{PASSWORD}'"));
        cluster.sql("postgres", "CREATE DATABASE ledger OWNER atm");
        let address = cluster.listen();
        Self { cluster, address, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn url(&self) -> String {
        format!("postgres://atm@{}/ledger", self.address)
    }

    /// Makes the tables, with this authority and these variables.
    fn migrate(&self, authority: Option<&Path>, variables: &[(&str, &str)]) -> Output {
        let mut command = atm(&["ledger", "migrate", "--database", &self.url()]);
        authority.map(|path| command.arg("--database-ca").arg(path));
        command.env_remove("PGPASSWORD").env_remove("PGPASSFILE").envs(variables.iter().copied());
        let output = Program::run(command, "");
        for text in [&output.stdout, &output.stderr] {
            assert!(!text.contains(PASSWORD) && !text.contains(WRONG), "{output:?}");
        }
        output
    }

    /// Whether that is refused, and nothing was done.
    fn refuses(&self, authority: Option<&Path>, variables: &[(&str, &str)], reason: &str) {
        let output = self.migrate(authority, variables);
        assert!(output.code == Some(1) && output.stderr.contains(reason), "{reason}: {output:?}");
        assert_eq!(self.cluster.sql("ledger", "SELECT to_regclass('ledger') IS NULL"), "t");
    }
}

#[test]
fn a_server_is_verified_by_its_certificate_and_there_is_no_way_back_to_clear() {
    let mut bank = Bank::new();
    let [right, other] = ["right", "other"].map(Authority::new);
    let [right_ca, other_ca] = [("right.pem", &right), ("other.pem", &other)]
        .map(|(name, authority)| bank.file(name, &authority.0.pem()));
    let password = [("PGPASSWORD", PASSWORD)];
    bank.cluster.admit("atm", false);
    bank.refuses(Some(&right_ca), &password, "TLS");
    let [certificate, key] = right.issue("other.example");
    bank.cluster.set_tls(&certificate, &key);
    bank.refuses(Some(&right_ca), &password, "certificate");
    let [certificate, key] = right.issue(&bank.address.to_string());
    bank.cluster.set_tls(&certificate, &key);
    // A session that begins now has the certificate.
    bank.cluster.sql("postgres", "SELECT pg_reload_conf()");
    bank.refuses(Some(&other_ca), &password, "certificate");
    bank.cluster.admit("atm", true);
    bank.refuses(None, &password, "pg_hba.conf");
    let made = bank.migrate(Some(&right_ca), &password);
    assert_eq!(made.code, Some(0), "{made:?} {}", bank.cluster.log());
    let mut command = atm(&["serve", "--listen", "127.0.0.1:0", "--database", &bank.url(), "--database-ca"]);
    command.arg(&right_ca).arg("--data").arg(bank.folder.path().join("data")).env("PGPASSWORD", PASSWORD);
    let host = Program::start(command);
    host.wait_for("listening on ");
    let sessions = "SELECT DISTINCT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'atm'";
    assert_eq!(bank.cluster.sql("postgres", sessions), "t|TLSv1.3");
    let line = fs::read_to_string(format!("/proc/{}/cmdline", host.pid())).unwrap();
    assert!(line.contains("--database-ca") && !line.contains(PASSWORD), "{line}");
    host.signal(Signal::TERM);
    let output = host.finish();
    assert!(output.code == Some(0) && !output.stderr.contains(PASSWORD), "{output:?}");
}

#[test]
fn the_password_comes_from_the_environment_or_a_file_that_only_its_owner_can_read() {
    let mut bank = Bank::new();
    bank.cluster.admit("atm", false);
    bank.refuses(None, &[], "password missing");
    bank.refuses(None, &[("PGPASSWORD", WRONG)], "password authentication failed");
    let line = |password: &str| format!("# of tests\n{}:5432:ledger:atm:{password}\n", bank.address);
    let [file, wrong] =
        [("right", PASSWORD), ("wrong", WRONG)].map(|(name, password)| bank.file(name, &line(password)));
    let variable = |path: &Path| path.to_str().unwrap().to_owned();
    bank.refuses(None, &[("PGPASSFILE", &variable(&wrong))], "password authentication failed");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    bank.refuses(None, &[("PGPASSFILE", &variable(&file))], "other users can read it");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    bank.refuses(None, &[("PGPASSFILE", "/nowhere/passwords")], "/nowhere/passwords");
    let made = bank.migrate(None, &[("PGPASSFILE", &variable(&file))]);
    assert_eq!(made.code, Some(0), "{made:?}");
    // The variable with the password comes first.
    let output = bank.migrate(None, &[("PGPASSFILE", &variable(&wrong)), ("PGPASSWORD", PASSWORD)]);
    assert_eq!(output.code, Some(0), "{output:?}");
}
