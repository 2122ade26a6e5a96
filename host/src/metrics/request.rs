//! HTTP request to the page of the metrics (RFC 9112), by httparse: what is requested, and under which name of this host.
use std::net::IpAddr;

/// Longest head of a request, in bytes, and most fields in it.
pub(super) const MAX_HEAD: usize = 8192;
const MAX_FIELDS: usize = 64;

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Metrics,
    Health,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    UnknownPath,
    UnsupportedMethod,
    TooLong,
    Malformed,
    /// A name that is not this host's. A page in a browser reaches a loopback port under a name of its own whose address
    /// it changes (DNS rebinding), and could read the response.
    ForeignHost,
}

impl Rejection {
    /// The status of the response, with fields that belong to it, and its text.
    pub(super) fn response(self) -> (&'static str, &'static str) {
        match self {
            Self::UnknownPath => {
                ("404 Not Found", "the metrics are at /metrics, and the health at /healthz\n")
            }
            Self::UnsupportedMethod => {
                ("405 Method Not Allowed\r\nAllow: GET, HEAD", "only GET and HEAD are supported\n")
            }
            Self::TooLong => ("431 Request Header Fields Too Large", "the request is too long\n"),
            Self::Malformed => ("400 Bad Request", "the request is not HTTP/1.1\n"),
            Self::ForeignHost => (
                "421 Misdirected Request",
                "without --allow-remote-metrics the host of a request is an IP address or localhost\n",
            ),
        }
    }
}

/// Whether the response is its head alone, an error's too (RFC 9110, section 9.3.2).
pub(super) fn is_head(head: &[u8]) -> bool {
    head.trim_ascii_start().starts_with(b"HEAD ")
}

/// Parses the head of a request; `None` where it is incomplete. With `any_host`, it may name any host.
pub(super) fn parse(head: &[u8], any_host: bool) -> Option<Result<Page, Rejection>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => Some(read(&request, any_host)),
        Ok(httparse::Status::Partial) => (head.len() > MAX_HEAD).then_some(Err(Rejection::TooLong)),
        Err(httparse::Error::TooManyHeaders) => Some(Err(Rejection::TooLong)),
        Err(_) => Some(Err(Rejection::Malformed)),
    }
}

fn read(request: &httparse::Request<'_, '_>, any_host: bool) -> Result<Page, Rejection> {
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err(Rejection::Malformed);
    };
    let mut hosts = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(std::str::from_utf8(host.value).map_err(|_| Rejection::Malformed)?),
        // HTTP/1.0 has no such field (RFC 9112, section 3.2).
        (None, None) if request.version == Some(0) => None,
        _ => return Err(Rejection::Malformed),
    };
    // The absolute form names the host too, and takes precedence (RFC 9112, section 3.2.2).
    let absolute = target
        .split_at_checked("http://".len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http://"))
        .map(|(_, rest)| rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())));
    let (host, path) = match absolute {
        Some((authority, path)) => (Some(authority), path),
        None => (host, target),
    };
    if !any_host && host.is_some_and(|host| !is_own(host.trim_ascii())) {
        return Err(Rejection::ForeignHost);
    }
    let page = match path.split('?').next() {
        Some("/metrics") => Page::Metrics,
        Some("/healthz") => Page::Health,
        _ => return Err(Rejection::UnknownPath),
    };
    match method {
        "GET" | "HEAD" => Ok(page),
        _ => Err(Rejection::UnsupportedMethod),
    }
}

/// Whether a host (with or without a port) is an address, which no name server can change, or `localhost` (RFC 6761).
fn is_own(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: Result<Page, Rejection> = Ok(Page::Metrics);

    #[track_caller]
    fn parses(text: &str, expected: Result<Page, Rejection>) {
        assert_eq!(parse(text.as_bytes(), false), Some(expected), "{text:?}");
    }

    #[test]
    fn a_request_is_parsed_in_every_form() {
        for text in [
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /metrics?x=1&y=/ HTTP/1.0\r\n\r\n",
            "GET http://localhost/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET HTTP://127.0.0.1:9654/metrics?x HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        ] {
            parses(text, METRICS);
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end], false), None, "{text:?} up to {end}");
            }
        }
        parses("GET /healthz HTTP/1.1\r\nHost: [::1]\r\n\r\n", Ok(Page::Health));
        parses("HEAD /healthz HTTP/1.1\r\nHost: [::1]\r\n\r\n", Ok(Page::Health));
    }

    #[test]
    fn what_is_not_served_is_rejected() {
        let host = "\r\nHost: localhost\r\n\r\n";
        for (line, rejection) in [
            ("GET / HTTP/1.1", Rejection::UnknownPath),
            ("GET /metrics/ HTTP/1.1", Rejection::UnknownPath),
            ("GET /metricsx HTTP/1.1", Rejection::UnknownPath),
            ("GET http://localhost HTTP/1.1", Rejection::UnknownPath),
            ("OPTIONS * HTTP/1.1", Rejection::UnknownPath),
            ("POST /metrics HTTP/1.1", Rejection::UnsupportedMethod),
            ("GET /metrics", Rejection::Malformed),
            ("GET /metrics HTTP/2.0", Rejection::Malformed),
            ("sing", Rejection::Malformed),
        ] {
            parses(&format!("{line}{host}"), Err(rejection));
        }
        parses("GET /metrics HTTP/1.1\r\n\r\n", Err(Rejection::Malformed));
        parses("GET /metrics HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n", Err(Rejection::Malformed));
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
        parses(&long, Err(Rejection::TooLong));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS + 1));
        parses(&many, Err(Rejection::TooLong));
    }

    #[test]
    fn a_foreign_host_is_refused_unless_any_is_served() {
        for (host, is_own) in [
            ("localhost", true),
            ("LocalHost:9654", true),
            ("127.0.0.1:9654", true),
            ("[::1]:9654", true),
            ("[::1]", true),
            ("192.0.2.1", true),
            ("evil.example", false),
            ("localhost.evil.example:9654", false),
            ("127.0.0.1.evil.example", false),
            ("user@localhost", false),
            ("", false),
        ] {
            let text = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
            parses(&text, if is_own { METRICS } else { Err(Rejection::ForeignHost) });
            assert_eq!(parse(text.as_bytes(), true), Some(METRICS));
        }
        parses(
            "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Err(Rejection::ForeignHost),
        );
    }
}
