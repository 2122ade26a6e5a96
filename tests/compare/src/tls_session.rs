//! A session over TLS 1.3: a session of any wire inside records, and the authority that certifies its terminal.
use atm_bench::{
    atm_session::{AnySession, AtmSession},
    customer::Customer,
    protocol::{ClientProtocol, Received, SessionError},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{PrivateKeyDer, ServerName},
};
use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::{ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Bytes of one read of plaintext.
const READ_SIZE: usize = 4096;

/// A session over TLS.
#[derive(Debug)]
pub(super) struct TlsSession<'a> {
    session: Inner<'a>,
    tls: ClientConnection,
    /// Was the end of the client's handshake sent?
    is_established: bool,
    /// Was the first message of a server that greets received?
    was_greeted: bool,
}

/// The session of the wire. It has no `Debug`.
struct Inner<'a>(AnySession<'a>);

impl std::fmt::Debug for Inner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inner")
    }
}

impl<'a> TlsSession<'a> {
    /// A session before its handshake, with the server of [`Authority::server_options`].
    pub(super) fn new(session: AnySession<'a>, client: Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").expect("it is a name");
        let tls = ClientConnection::new(client, name).expect("the configuration is complete");
        let was_greeted = !session.is_greeted();
        Self { session: Inner(session), tls, is_established: false, was_greeted }
    }
}

impl ClientProtocol for TlsSession<'_> {
    /// The client speaks first.
    fn is_greeted(&self) -> bool {
        false
    }

    fn is_opening(&self) -> bool {
        !self.is_established || !self.was_greeted || self.session.0.is_opening()
    }

    fn write_request(&mut self, out: &mut Vec<u8>) {
        if !self.tls.is_handshaking() {
            self.is_established = true;
            if self.was_greeted {
                let mut request = Vec::new();
                self.session.0.write_request(&mut request);
                self.tls.writer().write_all(&request).expect("the buffer has room for a request");
            }
        }
        while self.tls.wants_write() {
            self.tls.write_tls(out).expect("a vector takes all");
        }
    }

    fn receive(&mut self, mut bytes: &[u8]) -> Result<Received, SessionError> {
        let failed = |error: &dyn std::fmt::Display| SessionError(format!("TLS: {error}"));
        let was_handshaking = self.tls.is_handshaking();
        let mut received = Received::Incomplete;
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes).map_err(|error| failed(&error))?;
            self.tls.process_new_packets().map_err(|error| failed(&error))?;
            let mut text = [0; READ_SIZE];
            loop {
                match self.tls.reader().read(&mut text) {
                    Ok(0) => return Err(failed(&"the server has closed the session")),
                    Ok(count) => received = self.session.0.receive(&text[..count])?,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(failed(&error)),
                }
            }
        }
        if was_handshaking && !self.tls.is_handshaking() {
            // What ends the client's handshake is the next request.
            return Ok(Received::Reply { completes_operation: false });
        }
        self.was_greeted |= received != Received::Incomplete;
        Ok(received)
    }
}

impl<'a> AtmSession<'a> for TlsSession<'a> {
    fn customer(&mut self) -> &mut Customer<'a> {
        self.session.0.customer()
    }
}

/// The authority of one server, with its files in a folder.
pub(super) struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl Authority {
    /// Makes `ca.pem`, `server.pem` and `server.key`.
    ///
    /// # Errors
    /// They cannot be made.
    pub(super) fn new(folder: &Path) -> Result<Self, String> {
        let text = |error: rcgen::Error| error.to_string();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(text)?).map_err(text)?;
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).map_err(|error| error.to_string())?;
        let authority = Self { folder: folder.to_owned(), issuer, roots };
        let (certificate, key) = authority.issue("localhost")?;
        let pem = [
            ("ca.pem", authority.issuer.pem()),
            ("server.pem", certificate.pem()),
            ("server.key", key.serialize_pem()),
        ];
        for (file, text) in pem {
            let path = authority.folder.join(file);
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            made.and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(authority)
    }

    fn issue(&self, name: &str) -> Result<(rcgen::Certificate, KeyPair), String> {
        let made = || {
            let (params, key) = (CertificateParams::new([name.to_owned()])?, KeyPair::generate()?);
            Ok((params.signed_by(&key, &self.issuer)?, key))
        };
        made().map_err(|error: rcgen::Error| error.to_string())
    }

    /// The server's options.
    pub(super) fn server_options(&self) -> Vec<OsString> {
        let files =
            [("--tls-cert", "server.pem"), ("--tls-key", "server.key"), ("--tls-client-ca", "ca.pem")];
        files.into_iter().flat_map(|(option, file)| [option.into(), self.folder.join(file).into()]).collect()
    }

    /// The configuration of a terminal with this name.
    ///
    /// # Errors
    /// Its certificate cannot be made.
    pub(super) fn client(&self, name: &str) -> Result<Arc<ClientConfig>, String> {
        let (certificate, key) = self.issue(name)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
        let made = || {
            ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .with_root_certificates(self.roots.clone())
                .with_client_auth_cert(vec![certificate.der().clone()], key)
        };
        made().map(Arc::new).map_err(|error: rustls::Error| error.to_string())
    }
}
