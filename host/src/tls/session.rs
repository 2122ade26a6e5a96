//! TLS session over any socket: its ciphertext is bounded in both directions, and a stream that ends without `close_notify`
//! is an error.
#[cfg(feature = "server")]
use super::name::{NameError, terminal_name};
use crate::client::Escaped;
#[cfg(feature = "server")]
use atm_core::ledger::Name;
use rustls::{AlertDescription, Connection, Error, InvalidMessage};
use std::io::{self, ErrorKind, Read, Write};

/// Most bytes of a peer's half of the handshake: some certificates of a few kilobytes each. rustls by itself keeps up to
/// 64 KiB of a peer that has shown no certificate.
const MAX_HANDSHAKE: usize = 24 << 10;

/// One end of a TLS session.
pub(crate) struct Session {
    connection: Connection,
    /// Bytes of the peer's handshake so far.
    handshake: usize,
    /// Bytes of the caller that are encrypted, but not sent whole.
    in_flight: usize,
}

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, handshake: 0, in_flight: 0 }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether a handshake, a key update or an alert is to be sent.
    #[cfg(feature = "server")]
    pub(crate) fn wants_write(&self) -> bool {
        self.in_flight == 0 && self.connection.wants_write()
    }

    /// The terminal that the peer's certificate names, after the handshake.
    #[cfg(feature = "server")]
    pub(crate) fn peer_name(&self) -> Result<Name, NameError> {
        let chain = self.connection.peer_certificates().unwrap_or_default();
        chain.first().ok_or(NameError::NoName).and_then(|certificate| terminal_name(certificate))
    }

    /// As `Stream::read`. One read of the socket at most, so that a peer whose records are empty holds no other up, and only
    /// once the plaintext before is read, of which a record has 16 KiB at most.
    pub(crate) fn read(&mut self, socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        match self.read_plaintext(buffer) {
            Ok(0) if buffer.is_empty() => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        let count = self.connection.read_tls(socket)?;
        if self.connection.is_handshaking() {
            self.handshake = self.handshake.saturating_add(count);
            if self.handshake > MAX_HANDSHAKE {
                return Err(invalid("its handshake is too long".to_owned()));
            }
        }
        self.connection.process_new_packets().map_err(|error| self.explain(&error))?;
        match self.read_plaintext(buffer) {
            Ok(0) if buffer.is_empty() && count == 0 => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::Interrupted.into()),
            read => read,
        }
    }

    fn read_plaintext(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Without the text of rustls, which is for a programmer.
        self.connection.reader().read(buffer).map_err(|error| error.kind().into())
    }

    /// As `Stream::write`: takes no bytes before those in flight are sent whole, so that the endpoint, which times its output,
    /// holds them for as long.
    pub(crate) fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        self.flush(socket)?;
        if self.in_flight == 0 {
            if self.is_handshaking() {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.in_flight = self.connection.writer().write(bytes)?;
            self.flush(socket)?;
        }
        Ok(std::mem::take(&mut self.in_flight))
    }

    /// Sends the ciphertext that waits.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Queues `close_notify`, which ends this side's stream.
    #[cfg(feature = "server")]
    pub(crate) fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// The error of a session that has failed, for a person.
    fn explain(&self, error: &Error) -> io::Error {
        match error {
            Error::AlertReceived(alert) => {
                let text = format!("the peer ended TLS: {}", meaning(*alert));
                io::Error::new(ErrorKind::PermissionDenied, text)
            }
            Error::InvalidMessage(InvalidMessage::InvalidContentType) if self.connection.is_handshaking() => {
                invalid("the peer does not speak TLS".to_owned())
            }
            Error::NoCertificatesPresented => invalid("the peer has shown no certificate".to_owned()),
            // The names in a peer's certificate are its own choice.
            other => invalid(Escaped(&other.to_string()).to_string()),
        }
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

/// What an alert says about this side (RFC 8446, section 6.2).
fn meaning(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::CertificateRequired => "it requires a certificate",
        AlertDescription::CertificateExpired => "this side's certificate has expired or is not valid yet",
        AlertDescription::CertificateRevoked => "this side's certificate is revoked",
        AlertDescription::UnknownCA => "this side's certificate is of an authority that it does not know",
        AlertDescription::BadCertificate
        | AlertDescription::DecryptError
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => "it does not accept this side's certificate",
        AlertDescription::ProtocolVersion => "it does not speak TLS 1.3",
        other => return format!("alert {other:?}"),
    };
    text.to_owned()
}
