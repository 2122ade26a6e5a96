//! Links: the same server in clear, over TLS and over sealed links, with a named terminal for each session.
//!
//! A sealed link needs a ledger on disk, so all of them have one; the load is balances alone, which write nothing.
use super::{
    DataFolder, Timing, atm,
    tls_session::{Authority, TlsSession},
};
use atm_bench::{
    Report, atm_session::AnySession, customer::Customer, mix::Mix, named_terminals::NamedTerminals,
    postcard_session::PostcardSession, text_session::TextSession,
};
use atm_core::{ledger::Name, seal::TerminalKey, terminal::Profile, wire::Wire};
use atm_e2e::Server;
use atm_host::{
    access::Secrets,
    clock::unix_time,
    ledger::{enrol::Order, operator::Operator},
};
use rustls::ClientConfig;
use std::{
    num::NonZeroU32,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// How sessions reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// TCP.
    Clear,
    /// TLS 1.3, each terminal with a certificate.
    Tls,
    /// Sealed links, each terminal with a key.
    Sealed,
}

/// The names of the systems, and how each is reached.
pub const LINKS: [(&str, Wire, Protection); 5] = [
    ("json, clear", Wire::Json, Protection::Clear),
    ("json, TLS", Wire::Json, Protection::Tls),
    ("postcard, clear", Wire::Postcard, Protection::Clear),
    ("postcard, TLS", Wire::Postcard, Protection::Tls),
    ("postcard, sealed", Wire::Postcard, Protection::Sealed),
];

/// The pairs whose ratios are shown: a protected link, and the one in clear on the same wire.
pub const PAIRS: [(&str, &str); 3] = [
    ("json, TLS", "json, clear"),
    ("postcard, TLS", "postcard, clear"),
    ("postcard, sealed", "postcard, clear"),
];

/// What each terminal has to prove who it is.
#[derive(Debug)]
enum Credentials {
    None,
    Certificates(Vec<Arc<ClientConfig>>),
    Keys(Vec<TerminalKey>),
}

/// A server and the terminals that it serves.
#[derive(Debug)]
pub(super) struct LinkServer {
    server: Server,
    wire: Wire,
    credentials: Credentials,
    _folder: tempfile::TempDir,
}

impl LinkServer {
    /// Starts it, with room for `terminals` sessions.
    ///
    /// # Errors
    /// Its folder cannot be made, or a terminal cannot be enrolled.
    pub(super) fn start(
        data_folder: &DataFolder,
        (wire, protection): (Wire, Protection),
        terminals: usize,
    ) -> Result<Self, String> {
        let folder = data_folder.temporary()?;
        let path = |file: &str| folder.path().join(file);
        let data = path("ledger");
        let names = (0..terminals).map(|index| name(index).parse()).collect::<Result<Vec<Name>, _>>();
        let names = names.map_err(|error| format!("{error:?}"))?;
        let mut options = Vec::new();
        let mut order = None;
        let credentials = match protection {
            Protection::Clear => Credentials::None,
            Protection::Tls => {
                let authority = Authority::new(folder.path())?;
                options.extend(authority.server_options());
                order = Some(Order::AddCertificate);
                Credentials::Certificates(
                    names.iter().map(|name| authority.client(name.as_str())).collect::<Result<_, _>>()?,
                )
            }
            Protection::Sealed => {
                let secrets = Secrets::generate().map_err(|error| error.to_string())?;
                secrets.create(&path("secrets")).map_err(|error| error.to_string())?;
                options.extend(["--sealed".into(), "--secrets".into(), path("secrets").into_os_string()]);
                order = Some(Order::AddKey);
                let key = |name| TerminalKey::derive(secrets.terminals(), NonZeroU32::MIN, name);
                Credentials::Keys(names.iter().map(key).collect())
            }
        };
        if protection != Protection::Sealed {
            options.extend(["--wire".into(), wire.to_string().into()]);
        }
        let server = atm::start_with_data(&data, &options);
        if let Some(order) = order {
            enrol(&data, &names, order)?;
        }
        Ok(Self { server, wire, credentials, _folder: folder })
    }

    /// Runs a load of balances.
    ///
    /// # Errors
    /// A session was lost, or a balance is wrong.
    pub(super) fn run(&self, sessions: usize, timing: Timing) -> Result<Report, String> {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let start = u64::try_from(start).unwrap_or(u64::MAX);
        let mix = Mix::only(atm_bench::mix::OperationKind::Balance);
        let config = atm::config((&[self.server.address], self.wire), (sessions, mix), timing);
        atm::passed(atm_bench::run_sessions(
            &config,
            &|customer, (index, seed)| self.session(customer, (index, sessions), (start, seed)),
            &mut |_| {},
            super::signals::flag(),
        ))
    }

    fn session<'a>(
        &self,
        customer: Customer<'a>,
        (index, sessions): (usize, usize),
        (start, seed): (u64, u64),
    ) -> AnySession<'a> {
        let session: AnySession<'a> = match self.wire {
            Wire::Postcard => {
                let key = match &self.credentials {
                    Credentials::Keys(keys) => keys.get(index).cloned(),
                    _ => None,
                };
                let name = name(index).parse().ok();
                let profile = Profile { name, start, key, salt: seed, ..Profile::default() };
                Box::new(PostcardSession::named(customer, profile))
            }
            _ => {
                let terminals = NamedTerminals::new(sessions, (index, sessions), start, seed);
                Box::new(TextSession::named(customer, terminals))
            }
        };
        match &self.credentials {
            Credentials::Certificates(clients) => Box::new(TlsSession::new(session, clients[index].clone())),
            _ => session,
        }
    }
}

/// The name of a session's terminal, as [`NamedTerminals`] has it.
fn name(index: usize) -> String {
    format!("terminal-{index}")
}

/// Enrols terminals, beside the running server.
fn enrol(data: &Path, names: &[Name], order: Order) -> Result<(), String> {
    let mut operator = Operator::open(data, fastrand::u64(..)).map_err(|error| error.to_string())?;
    names.iter().try_for_each(|name| {
        operator.order(name, order, None, unix_time()).map(drop).map_err(|error| error.to_string())
    })
}
