//! Opening bytes: recognises HTTP and TLS by the first bytes of a connection, before any answer in them is acted on.
//!
//! A page in a browser reaches a port of the browser's machine, and chooses most of what its request says: each line of
//! the body of a cross-site POST would be an answer on the `raw` wire, and between two zeros of it stands a frame of
//! `postcard`. A session ticket in a TLS handshake is chosen by the page's server too. No answer of the dialogue, and no
//! frame, begins like an HTTP request or a TLS handshake; nor does a part of such a beginning that comes first move money.
//! A request is known by its method or, as there are more methods than are known here, by ` HTTP/` in its first line.
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

/// First bytes by protocol, where they are enough: the methods of RFC 9110 (section 9) and RFC 5789 in any case, the preface
/// of HTTP/2 (RFC 9113, section 3.4), and the type and major version of a TLS handshake record (RFC 8446, section 5.1).
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

/// What is behind the target of a request, in any case.
const VERSION: &[u8] = b" HTTP/";

/// What a lenient server skips before a request: empty lines (RFC 9112, section 2.2), blanks, zeros, and a byte order mark.
const SKIPPED: &[u8] = b"\r\n\t \0\xef\xbb\xbf";

/// The first line of a connection.
#[derive(Debug, Default)]
pub(super) struct Opening {
    bytes: [u8; LONGEST],
    count: usize,
    /// How far the last bytes are like [`VERSION`], once a method of any name was read.
    version: Option<usize>,
    /// It is known to be ours.
    is_ours: bool,
}

impl Opening {
    /// Takes the next bytes that were read, and returns the protocol that the connection began with as soon as it is
    /// known not to be ours.
    #[inline]
    pub(super) fn push(&mut self, read: &[u8]) -> Option<Protocol> {
        if self.is_ours { None } else { self.begin(read) }
    }

    #[cold]
    fn begin(&mut self, read: &[u8]) -> Option<Protocol> {
        read.iter().find_map(|byte| if self.is_ours { None } else { self.push_byte(*byte) })
    }

    fn push_byte(&mut self, byte: u8) -> Option<Protocol> {
        if self.count == 0 && SKIPPED.contains(&byte) {
            return None;
        }
        if let Some(place) = self.bytes.get_mut(self.count) {
            *place = byte;
            self.count = self.count.saturating_add(1);
        }
        let bytes = self.bytes.get(..self.count)?;
        let is_at = |beginning: &[u8]| bytes.eq_ignore_ascii_case(beginning);
        if let Some((_, protocol)) = BEGINNINGS.iter().find(|(beginning, _)| is_at(beginning)) {
            return Some(*protocol);
        }
        let may_be_tls = bytes == [0x16];
        match self.version {
            // The token of a method (RFC 9110, section 5.6.2), until its blank.
            None if byte == b' ' => self.version = Some(1),
            None => self.is_ours = !is_token(byte) && !may_be_tls,
            // The end of the line, or no line of text.
            Some(_) if byte.is_ascii_control() && byte != b'\t' => self.is_ours = true,
            Some(matched) => {
                let expected = VERSION.get(matched).is_some_and(|it| it.eq_ignore_ascii_case(&byte));
                let matched = if expected { matched.saturating_add(1) } else { usize::from(byte == b' ') };
                self.version = Some(matched);
                return (matched == VERSION.len()).then_some(Protocol::Http);
            }
        }
        None
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
