//! Address of a database: where it is, the password, and the authority that its certificate is verified with.
use super::session::DEADLINE;
use crate::tls::{self, FileError};
use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

/// Where a ledger's database is, and how it is connected to. `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct Database {
    /// One for each server of the address, in its order.
    pub(super) servers: Vec<Config>,
    pub(super) tls: Option<rustls::ClientConfig>,
    /// Whether an engine, or a version of it, that was not tested may be used.
    pub(super) any_engine: bool,
    pub(super) deadline: Duration,
}

/// Why an address cannot be used.
#[derive(Debug)]
pub enum AddressError {
    /// It is no address of PostgreSQL's.
    Malformed(tokio_postgres::Error),
    /// It has a password, which every user of this machine sees in the list of processes.
    HasPassword,
    /// The password file cannot be used.
    PasswordFile(PathBuf, io::Error),
    /// Other users can read the password file.
    SharedPasswordFile(PathBuf),
    /// The authority's certificate cannot be used.
    Authority(FileError),
    /// It requires TLS, and no authority is named.
    NoAuthority,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(_) => f.write_str("not an address of a database, as in postgres://atm@db.example/atm"),
            Self::HasPassword => f.write_str(
                "the address has a password, which every user of this machine can see: put it into PGPASSFILE or PGPASSWORD",
            ),
            Self::PasswordFile(path, error) => write!(f, "{}: {error}", path.display()),
            Self::SharedPasswordFile(path) => {
                write!(f, "{}: other users can read it (chmod 600)", path.display())
            }
            Self::Authority(error) => error.fmt(f),
            Self::NoAuthority => f.write_str("sslmode=require needs --database-ca FILE"),
        }
    }
}

impl std::error::Error for AddressError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            _ => None,
        }
    }
}

impl Database {
    /// An address as `postgres://USER@HOST[:PORT][,HOST[:PORT]]/NAME[?…]`; of several servers the one that takes writes is used. The
    /// password comes from `PGPASSWORD` or the file `PGPASSFILE` (<https://www.postgresql.org/docs/current/libpq-pgpass.html>). With the certificates of
    /// an authority, every connection uses TLS and the server's certificate is verified for its name.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(address: &str, authority: Option<&Path>, any_engine: bool) -> Result<Self, AddressError> {
        let mut config: Config = address.parse().map_err(AddressError::Malformed)?;
        if config.get_password().is_some() {
            return Err(AddressError::HasPassword);
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite).application_name("atm");
        let tls = match authority {
            Some(path) => {
                config.ssl_mode(SslMode::Require);
                Some(tls::client_of_database(path).map_err(AddressError::Authority)?)
            }
            None if config.get_ssl_mode() == SslMode::Require => return Err(AddressError::NoAuthority),
            None => None,
        };
        let mut servers = servers(&config);
        for server in &mut servers {
            if let Some(password) = password(server)? {
                server.password(password);
            }
        }
        Ok(Self { servers, tls, any_engine, deadline: DEADLINE })
    }

    /// The same with another deadline of each exchange. A session waits half of it for a lock, and the server ends a transaction
    /// that is idle for as long.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }
}

/// The address of each server. tokio-postgres has no limit for one that accepts the connection and is then silent: the next would
/// never be tried.
fn servers(address: &Config) -> Vec<Config> {
    let (hosts, ports, numbers) = (address.get_hosts(), address.get_ports(), address.get_hostaddrs());
    let fits = |count: usize, least: usize| count <= least || count == hosts.len();
    if hosts.len() < 2 || !fits(ports.len(), 1) || !fits(numbers.len(), 0) {
        return vec![address.clone()];
    }
    let server = |(at, host): (usize, &Host)| {
        let mut server = Config::new();
        match host {
            Host::Tcp(name) => server.host(name),
            #[cfg(unix)]
            Host::Unix(path) => server.host_path(path),
        };
        ports.get(at).or(ports.first()).map(|port| server.port(*port));
        numbers.get(at).map(|number| server.hostaddr(*number));
        address.get_user().map(|user| server.user(user));
        address.get_dbname().map(|name| server.dbname(name));
        address.get_options().map(|options| server.options(options));
        address.get_application_name().map(|name| server.application_name(name));
        address.get_connect_timeout().map(|timeout| server.connect_timeout(*timeout));
        address.get_tcp_user_timeout().map(|timeout| server.tcp_user_timeout(*timeout));
        address.get_keepalives_interval().map(|interval| server.keepalives_interval(interval));
        address.get_keepalives_retries().map(|retries| server.keepalives_retries(retries));
        server
            .keepalives(address.get_keepalives())
            .keepalives_idle(address.get_keepalives_idle())
            .ssl_mode(address.get_ssl_mode())
            .ssl_negotiation(address.get_ssl_negotiation())
            .channel_binding(address.get_channel_binding())
            .target_session_attrs(address.get_target_session_attrs());
        server
    };
    hosts.iter().enumerate().map(server).collect()
}

/// The password of the environment.
fn password(config: &Config) -> Result<Option<String>, AddressError> {
    if let Ok(password) = env::var("PGPASSWORD") {
        return Ok(Some(password));
    }
    let Some(path) = env::var_os("PGPASSFILE").map(PathBuf::from) else { return Ok(None) };
    let fault = |error| AddressError::PasswordFile(path.clone(), error);
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).map_err(fault)?) & 0o077 != 0 {
        return Err(AddressError::SharedPasswordFile(path));
    }
    Ok(find_password(&fs::read_to_string(&path).map_err(fault)?, config))
}

/// The password in the first line of a password file that fits: `host:port:database:user:password`, where `*` fits everything and
/// `\` stands before a `:` or a `\` of a field.
fn find_password(text: &str, config: &Config) -> Option<String> {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        _ => "localhost".to_owned(),
    };
    let port = config.get_ports().first().map_or_else(|| "5432".to_owned(), u16::to_string);
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let wanted = [host.as_str(), &port, database, user];
    text.lines().filter(|line| !line.starts_with('#')).map(fields).find_map(|fields| {
        let [found @ .., password] = &fields[..] else { return None };
        let fits = |(found, wanted): (&String, &&str)| found == "*" || found == wanted;
        (found.len() == wanted.len() && found.iter().zip(&wanted).all(fits)).then(|| password.clone())
    })
}

fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut escaped) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            ':' if !escaped => fields.push(String::new()),
            c => {
                escaped = false;
                fields.last_mut().into_iter().for_each(|field| field.push(c));
            }
        }
    }
    fields
}

impl Database {
    /// What a message calls it: its servers and its name, without a password.
    pub fn display(&self) -> impl fmt::Display {
        let servers: Vec<_> = self.servers.iter().map(host).collect();
        let named = self.servers.first().and_then(|server| server.get_dbname().or(server.get_user()));
        let named = named.unwrap_or_default().to_owned();
        fmt::from_fn(move |f| write!(f, "database {named} at {}", servers.join(",")))
    }
}

/// The hosts of a server's address, of which there is one.
fn host(server: &Config) -> String {
    let hosts = server.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    });
    hosts.collect::<Vec<_>>().join(",")
}

/// What a message about one of several servers calls it.
pub(super) fn server(server: &Config) -> String {
    format!("{}:{}", host(server), server.get_ports().first().unwrap_or(&5432))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_that_of_the_first_line_that_fits() {
        let text = "# comment:x:x:x:no\nother:5432:atm:atm:no\n*:5433:atm:atm:no\ndb.example:*:atm:atm:a\\:b\\\\c\n*:*:*:*:last\n";
        let find = |address: &str| find_password(text, &address.parse().unwrap());
        assert_eq!(find("postgres://atm@db.example/atm").as_deref(), Some("a:b\\c"));
        assert_eq!(find("postgres://atm@db.example:5433/atm").as_deref(), Some("no"));
        assert_eq!(find("postgres://bank@db.example/atm").as_deref(), Some("last"));
        assert_eq!(find_password("a:b:c\n", &"postgres://atm@db.example/atm".parse().unwrap()), None);
    }

    #[test]
    fn each_server_of_an_address_has_its_settings() {
        let address = "postgres://atm@a.example:5433,b.example/ledger?connect_timeout=7&options=-cgeqo=off";
        let database = Database::new(address, None, false).unwrap();
        let found: Vec<_> = database.servers.iter().map(server).collect();
        assert_eq!(found, ["a.example:5433", "b.example:5432"]);
        for (at, server) in database.servers.iter().enumerate() {
            let alone = format!("postgres://atm@{}/ledger?connect_timeout=7&options=-cgeqo=off", found[at]);
            assert_eq!(server, &Database::new(&alone, None, false).unwrap().servers[0]);
        }
        assert_eq!(database.display().to_string(), "database ledger at a.example,b.example");
    }

    #[test]
    fn an_address_that_is_shown_has_no_password() {
        let mut database = Database::new("postgres://atm@db.example/ledger", None, false).unwrap();
        for server in &mut database.servers {
            server.password("correct-horse");
        }
        let shown = format!("{database:?} {}", database.display());
        assert!(shown.contains("db.example") && !shown.contains("horse"), "{shown}");
        // As the array of its bytes.
        assert!(!shown.contains("99, 111, 114"), "{shown}");
    }

    #[test]
    fn an_address_with_a_password_and_one_that_requires_tls_without_an_authority_are_refused() {
        let refused = |address| Database::new(address, None, false).unwrap_err().to_string();
        assert!(refused("postgres://atm:secret@db.example/atm").contains("PGPASSFILE"));
        assert!(refused("postgres://atm@db.example/atm?sslmode=require").contains("--database-ca"));
        assert!(refused("db.example").contains("postgres://"));
    }
}
