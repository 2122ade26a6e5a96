//! TLS configuration of a server and a client: TLS 1.3 alone, certificates at both ends, no resumption.
use super::{
    files::{FileError, certificates, private_key},
    name::terminal_name,
    session::Session,
};
use atm_core::ledger::Name;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::ServerName,
    version::TLS13,
};
use std::{
    io::{self, ErrorKind},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// What a server needs for TLS: its certificate and key, and the authority of its terminals' certificates.
#[cfg(feature = "server")]
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<rustls::ServerConfig>);

#[cfg(feature = "server")]
impl ServerTls {
    /// Reads the files: the server's certificate with those between it and its authority, its key, and the certificates of
    /// the authorities that sign the terminals'.
    ///
    /// # Errors
    /// A file cannot be used, or the key is not the certificate's.
    pub fn load(certificate: &Path, key: &Path, client_ca: &Path) -> Result<Self, FileError> {
        use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
        let roots = Arc::new(authorities(client_ca)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        let verifier = verifier.map_err(|error| FileError::new(client_ca, error))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| FileError::new(certificate, error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| FileError::new(key, error))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    /// The session of a connection that was just accepted.
    pub(crate) fn session(&self) -> io::Result<Session> {
        let connection = rustls::ServerConnection::new(self.0.clone()).map_err(io::Error::other)?;
        Ok(Session::new(connection.into()))
    }
}

/// The configuration of a client of a database: its server's certificate is of one of the authorities of this file.
///
/// # Errors
/// The file cannot be used.
#[cfg(feature = "postgres")]
pub(crate) fn client_of_database(authority: &Path) -> Result<ClientConfig, FileError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| FileError::new(authority, error))?;
    Ok(config.with_root_certificates(authorities(authority)?).with_no_client_auth())
}

/// What a terminal needs for TLS: its certificate and key, and the authority of the server's certificate.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    terminal: Name,
    server_name: Option<ServerName<'static>>,
}

/// The same configuration, not an equal one.
impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.server_name == other.server_name
    }
}

impl Eq for ClientTls {}

impl ClientTls {
    /// Reads the files: the certificates of the authorities that sign the server's, the terminal's certificate with those
    /// between it and its authority, and its key. The server's certificate must be for `server_name`, or without one for the
    /// host of the address that is connected to.
    ///
    /// # Errors
    /// A file cannot be used, the key is not the certificate's, or the certificate does not name one terminal.
    pub fn load(
        ca: &Path,
        certificate: &Path,
        key: &Path,
        server_name: Option<ServerName<'static>>,
    ) -> Result<Self, FileError> {
        let roots = authorities(ca)?;
        let chain = certificates(certificate)?;
        let own = chain.first().map(AsRef::as_ref).unwrap_or_default();
        let terminal = terminal_name(own).map_err(|error| FileError::new(certificate, error))?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| FileError::new(ca, error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, private_key(key)?)
            .map_err(|error| FileError::new(key, error))?;
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), terminal, server_name })
    }

    /// The terminal that the certificate names.
    pub fn terminal(&self) -> &Name {
        &self.terminal
    }

    /// Makes the handshake on a connection to `address` that was just opened, within `limit`.
    pub(crate) fn connect(
        &self,
        address: &str,
        socket: &mut TcpStream,
        limit: Duration,
    ) -> io::Result<Session> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = self.server_name.clone().map_or_else(|| ServerName::try_from(host), Ok);
        let name = name.map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let connection = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        let mut session = Session::new(connection.into());
        let until = Instant::now() + limit;
        while session.is_handshaking() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            socket.set_write_timeout(Some(left))?;
            session.flush(socket)?;
            socket.set_read_timeout(Some(left))?;
            // Nothing of the stream is read yet.
            if let Err(error) = session.read(socket, &mut [])
                && !matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
            {
                // An alert, which need not arrive.
                let _ = session.flush(socket);
                return Err(error);
            }
        }
        session.flush(socket)?;
        Ok(session)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn authorities(path: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| FileError::new(path, error))?;
    }
    Ok(roots)
}
