//! The metrics of a server that is started with `--metrics 127.0.0.1:0`, as Prometheus reads them.
use crate::{Server, TIMEOUT};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

/// Sends an HTTP request; returns the head and the body of the response.
pub fn request_page(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    // `localhost`, unless the request names its host.
    let host = if request.contains("Host:") { "" } else { "\r\nHost: localhost" };
    write!(stream, "{request}{host}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let is_whole = head.contains(&format!("Content-Length: {}\r\n", body.len()));
    assert!(is_whole || request.starts_with("HEAD") && body.is_empty(), "{head}");
    (head.to_owned(), body.to_owned())
}

impl Server {
    /// The address of its metrics, from its log in text or in JSON.
    pub fn metrics_address(&self) -> SocketAddr {
        self.program.wait_for_stderr("metrics at /metrics");
        let errors = self.program.stderr();
        let line = errors.lines().find(|line| line.contains("metrics at /metrics")).unwrap();
        let (_, address) = line.split_once("address").unwrap();
        let address = address.trim_start_matches(['"', ':', '=']);
        address.split(['"', ' ']).next().unwrap().parse().unwrap()
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> u64 {
        let (_, page) = request_page(self.metrics_address(), "GET /metrics HTTP/1.1");
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }
}
