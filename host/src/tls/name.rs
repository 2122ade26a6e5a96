//! Certificate name: the one dNSName of a certificate's subjectAltName (RFC 5280, section 4.2.1.6) is the terminal's name.
use atm_core::ledger::{self, Name};
use std::{error, fmt};
use x509_cert::{
    Certificate,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// Why a certificate names no terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The certificate cannot be read.
    Malformed,
    /// Its subjectAltName has no dNSName. (A common name is never read.)
    NoName,
    /// Its subjectAltName has more than one dNSName.
    SeveralNames,
    /// Its dNSName is no name of a terminal.
    BadName,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the certificate is malformed"),
            Self::NoName => f.write_str("the certificate has no dNSName in its subjectAltName"),
            Self::SeveralNames => {
                f.write_str("the certificate has more than one dNSName in its subjectAltName")
            }
            Self::BadName => write!(f, "the certificate's dNSName is no terminal's: {}", ledger::NameError),
        }
    }
}

impl error::Error for NameError {}

/// The terminal that a certificate (in DER) names, byte for byte.
///
/// # Errors
/// It names none, or several. Whether the certificate is valid is not judged here.
pub fn terminal_name(certificate: &[u8]) -> Result<Name, NameError> {
    let certificate = Certificate::from_der(certificate).map_err(|_| NameError::Malformed)?;
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let (_, names) = extension.map_err(|_| NameError::Malformed)?.ok_or(NameError::NoName)?;
    let mut names = names.0.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str()),
        _ => None,
    });
    match (names.next(), names.next()) {
        (None, _) => Err(NameError::NoName),
        (Some(name), None) => name.parse().map_err(|_| NameError::BadName),
        _ => Err(NameError::SeveralNames),
    }
}
