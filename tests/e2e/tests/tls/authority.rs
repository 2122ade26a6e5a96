//! A certificate authority of one test: makes certificates and keys in a folder that goes with it.
use atm_e2e::Server;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};
use tempfile::TempDir;

/// The authority. Its certificate is `ca.pem`, and the server's, for `localhost` and 127.0.0.1, is `server.pem`.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name of its own.
        params.distinguished_name.push(DnType::CommonName, folder.path().to_str().unwrap());
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder, issuer };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        let mut server = params_for(&["localhost", "127.0.0.1"]);
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        authority.issue_params("server", server);
        authority
    }

    /// Makes `FILE.pem` and `FILE.key` for a terminal, with these names.
    pub(crate) fn issue(&self, file: &str, names: &[&str]) {
        self.issue_params(file, params_for(names));
    }

    /// Makes `FILE.pem` and `FILE.key`.
    pub(crate) fn issue_params(&self, file: &str, params: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
        let mut out = options.open(self.path(&format!("{file}.key"))).unwrap();
        out.write_all(key.serialize_pem().as_bytes()).unwrap();
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn text(&self, file: &str) -> String {
        self.path(file).to_str().unwrap().to_owned()
    }

    /// The server's options, for terminals of the authority `clients`.
    pub(crate) fn server_options(&self, clients: &Self) -> [String; 6] {
        let ca = clients.text("ca.pem");
        let (certificate, key) = (self.text("server.pem"), self.text("server.key"));
        ["--tls-cert".into(), certificate, "--tls-key".into(), key, "--tls-client-ca".into(), ca]
    }

    /// Starts a server for the terminals of this authority.
    pub(crate) fn serve(&self, more: &[&str]) -> Server {
        let options = self.server_options(self);
        Server::start(&[&options.each_ref().map(String::as_str)[..], more].concat())
    }

    /// The options of a client with the certificate `file`, for the server of this authority.
    pub(crate) fn client_options(&self, file: &str) -> [String; 6] {
        let (certificate, key) = (self.text(&format!("{file}.pem")), self.text(&format!("{file}.key")));
        ["--tls-ca".into(), self.text("ca.pem"), "--tls-cert".into(), certificate, "--tls-key".into(), key]
    }
}

/// A certificate of a terminal, whose common name is another.
pub(crate) fn params_for(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "common-name");
    params
}
