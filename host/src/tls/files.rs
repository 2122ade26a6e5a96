//! Certificate and key files (PEM, RFC 7468). A private key that other users can read is refused.
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use std::{
    error, fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Most bytes of a file: a bundle of a few hundred authorities has less.
const MAX_SIZE: u64 = 1 << 20;

/// Why a certificate or a key cannot be used. Its text names the file.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    reason: String,
}

impl FileError {
    pub(super) fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl error::Error for FileError {}

/// Reads every certificate of a file, which has at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = read(path, |_| Ok(()))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match read {
        Ok(none) if none.is_empty() => Err(FileError::new(path, "it has no certificate in PEM")),
        read => read.map_err(|error| FileError::new(path, in_pem(&error))),
    }
}

/// Reads the first private key of a file (PKCS #8, PKCS #1 or SEC 1).
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let text = read(path, refuse_shared)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        FileError::new(
            path,
            match error {
                pem::Error::NoItemsFound => "it has no private key in PEM without a passphrase".to_owned(),
                other => in_pem(&other),
            },
        )
    })
}

fn in_pem(error: &pem::Error) -> String {
    format!("not valid PEM: {error}")
}

/// Reads a regular file that passes `check`.
fn read(path: &Path, check: impl Fn(&File) -> Result<(), String>) -> Result<Vec<u8>, FileError> {
    let failed = |error: io::Error| FileError::new(path, error);
    // Before it is opened, which may wait where it is a pipe.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(FileError::new(path, "not a regular file"));
    }
    let file = File::open(path).map_err(failed)?;
    check(&file).map_err(|reason| FileError::new(path, reason))?;
    let mut text = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_SIZE {
        return Err(FileError::new(path, format!("larger than {} MiB", MAX_SIZE >> 20)));
    }
    Ok(text)
}

/// Refuses a key that users other than its owner can read. The group may, where root owns the file: such are the credentials
/// of a systemd unit, whose mask of the access control list is shown as the group's mode (acl(5)).
#[cfg(unix)]
fn refuse_shared(file: &File) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    let shared = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & shared == 0 {
        return Ok(());
    }
    let mode = metadata.mode() & 0o777;
    Err(format!("users other than its owner can use this private key (mode {mode:03o}): chmod 600"))
}

/// Elsewhere a file has no such mode.
#[cfg(not(unix))]
fn refuse_shared(_: &File) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_use_is_refused() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, "no key").unwrap();
        let is_root = fs::metadata(&path).unwrap().uid() == 0;
        for (mode, is_refused) in
            [(0o600, false), (0o400, false), (0o440, !is_root), (0o604, true), (0o620, true), (0o602, true)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = private_key(&path).unwrap_err().to_string();
            assert_eq!(error.contains("chmod 600"), is_refused, "{mode:o}: {error}");
            assert!(
                error.contains("key.pem: ") && (is_refused || error.contains("no private key")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificate.pem");
        assert!(certificates(&path).unwrap_err().to_string().contains("certificate.pem: "));
        assert!(certificates(folder.path()).unwrap_err().to_string().ends_with("not a regular file"));
        for (text, reason) in [
            ("", "no certificate in PEM"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "not valid PEM"),
        ] {
            fs::write(&path, text).unwrap();
            let error = certificates(&path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        fs::write(&path, vec![b' '; (MAX_SIZE + 1) as usize]).unwrap();
        assert!(certificates(&path).unwrap_err().to_string().ends_with("larger than 1 MiB"));
    }
}
