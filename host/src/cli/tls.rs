//! TLS options of `atm serve` and `atm client`: certificates at both ends.
use atm_host::tls::{ClientTls, FileError, ServerTls};
use clap::Args;
use rustls::pki_types::ServerName;
use std::path::PathBuf;

/// TLS options of `atm serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeTls {
    /// Serve TLS 1.3 alone, with this certificate of the server (PEM; those between it and its authority behind it)
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires_all = ["tls_key", "tls_client_ca"], conflicts_with = "serial")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM), which no other user may be able to read
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The authorities whose certificates terminals must show (PEM). A terminal's certificate names it: it has the name as its
    /// one dNSName, and no other name is served to it. With --data the name must be enrolled too: `atm terminal add NAME --tls`
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,
}

impl ServeTls {
    /// Reads the files, if the options are there.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn load(&self) -> Result<Option<ServerTls>, FileError> {
        match (&self.tls_cert, &self.tls_key, &self.tls_client_ca) {
            (Some(certificate), Some(key), Some(ca)) => ServerTls::load(certificate, key, ca).map(Some),
            _ => Ok(None),
        }
    }
}

/// TLS options of `atm client`.
#[derive(Debug, Args)]
pub(crate) struct TerminalTls {
    /// Speak TLS 1.3 with a server whose certificate is of one of these authorities (PEM)
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires_all = ["tls_cert", "tls_key"], conflicts_with = "serial")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// The terminal's certificate (PEM; those between it and its authority behind it). It names the terminal: without
    /// --terminal, the name is the certificate's
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires = "tls_ca")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM), which no other user may be able to read
    #[arg(long, help_heading = "TLS", value_name = "FILE", requires = "tls_ca")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The name or IP address in the server's certificate [default: the host of the server's address]
    #[arg(long, help_heading = "TLS", value_name = "NAME", requires = "tls_ca", value_parser = server_name)]
    pub(crate) tls_name: Option<ServerName<'static>>,
}

impl TerminalTls {
    /// Reads the files, if the options are there.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn load(&self) -> Result<Option<ClientTls>, FileError> {
        match (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            (Some(ca), Some(certificate), Some(key)) => {
                ClientTls::load(ca, certificate, key, self.tls_name.clone()).map(Some)
            }
            _ => Ok(None),
        }
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned()).map_err(|_| "a name is that of a host, or an IP address".to_owned())
}
