//! Opening bytes: recognises HTTP and TLS by the first bytes of a connection, before any answer in them is acted on.
//!
//! A page in a browser reaches a port of the browser's machine, and chooses most of what its request says: each line of
//! the body of a cross-site POST would be an answer on the `raw` wire, and between two zeros of it stands a frame of
//! `postcard`. A session ticket in a TLS handshake is chosen by the page's server too. No answer of the dialogue, and no
//! frame, begins like an HTTP request or a TLS handshake; nor does a part of such a beginning that comes first move money.
use std::fmt;

/// A protocol that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Tls,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
        })
    }
}

/// First bytes by protocol: the methods of RFC 9110 (section 9) and RFC 5789, the preface of HTTP/2 (RFC 9113, section
/// 3.4), and the type and major version of a TLS handshake record (RFC 8446, section 5.1).
const BEGINNINGS: [(&[u8], Protocol); 11] = [
    (b"GET ", Protocol::Http),
    (b"POST ", Protocol::Http),
    (b"PUT ", Protocol::Http),
    (b"HEAD ", Protocol::Http),
    (b"OPTIONS ", Protocol::Http),
    (b"DELETE ", Protocol::Http),
    (b"PATCH ", Protocol::Http),
    (b"CONNECT ", Protocol::Http),
    (b"TRACE ", Protocol::Http),
    (b"PRI ", Protocol::Http),
    (&[0x16, 3], Protocol::Tls),
];

/// Bytes of the longest of them.
const LONGEST: usize = 8;

/// The first bytes of a connection.
#[derive(Debug, Default)]
pub(super) struct Opening {
    bytes: [u8; LONGEST],
    count: usize,
}

impl Opening {
    /// Takes the next bytes that were read, and returns the protocol that the connection began with as soon as it is
    /// known not to be ours.
    #[inline]
    pub(super) fn push(&mut self, read: &[u8]) -> Option<Protocol> {
        if self.count == LONGEST { None } else { self.begin(read) }
    }

    #[cold]
    fn begin(&mut self, read: &[u8]) -> Option<Protocol> {
        for byte in read {
            // A server of HTTP skips empty lines before the request (RFC 9112, section 2.2).
            if self.count == 0 && matches!(byte, b'\r' | b'\n') {
                continue;
            }
            let Some(place) = self.bytes.get_mut(self.count) else { break };
            *place = *byte;
            self.count = self.count.saturating_add(1);
        }
        let bytes = self.bytes.get(..self.count)?;
        BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning)).map(|(_, protocol)| *protocol)
    }
}

#[cfg(test)]
mod tests;
