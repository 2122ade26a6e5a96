//! A TLS client of the `json` wire, over blocking rustls: what it sends and when, and how it ends, is the test's choice.
use crate::authority::Authority;
use atm_e2e::{TIMEOUT, Value, frame, json};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
};

pub(crate) struct TlsClient {
    tls: ClientConnection,
    pub(crate) socket: TcpStream,
    received: Vec<u8>,
}

impl TlsClient {
    /// Connects with the certificate `file` of the authority, or none, and makes the handshake.
    pub(crate) fn connect(address: SocketAddr, authority: &Authority, file: Option<&str>) -> Self {
        let mut client = Self::open(address, authority, file);
        while client.tls.is_handshaking() {
            client.tls.complete_io(&mut client.socket).unwrap();
        }
        client
    }

    /// Connects, and sends nothing yet.
    pub(crate) fn open(address: SocketAddr, authority: &Authority, file: Option<&str>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.path("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let config = match file {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let certificate = CertificateDer::from_pem_file(authority.path(&format!("{file}.pem")));
                let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{file}.key"))).unwrap();
                builder.with_client_auth_cert(vec![certificate.unwrap()], key).unwrap()
            }
        };
        let name = ServerName::try_from("localhost").unwrap();
        let socket = TcpStream::connect_timeout(&address, TIMEOUT).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        socket.set_write_timeout(Some(TIMEOUT)).unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        Self { tls, socket, received: Vec::new() }
    }

    /// The ciphertext that is to be sent, with `bytes` in it, in as few records as possible.
    pub(crate) fn encrypt(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(bytes).unwrap();
        let mut ciphertext = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut ciphertext).unwrap();
        }
        ciphertext
    }

    /// Takes what the server sends to a handshake that the test sends by itself; false at its end.
    pub(crate) fn receive_handshake(&mut self) -> bool {
        self.tls.read_tls(&mut self.socket).unwrap();
        self.tls.process_new_packets().unwrap();
        self.tls.is_handshaking()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let ciphertext = self.encrypt(bytes);
        self.socket.write_all(&ciphertext).unwrap();
    }

    pub(crate) fn answer(&mut self, re: &Value, text: &str) {
        self.send(&frame(json!({ "re": re, "data": text }).to_string()));
    }

    /// Answers the prompt of `reply`, and reads the next one.
    pub(crate) fn ask(&mut self, reply: &Value, text: &str) -> Value {
        self.answer(&reply["seq"], text);
        self.read()
    }

    /// Says hello and reads its reply; the greeting comes before it.
    pub(crate) fn hello(&mut self, hello: &Value) -> Value {
        self.send(&frame(hello.to_string()));
        loop {
            let message = self.read();
            if message["seq"] != 1 || message["hello"] == 1 {
                return message;
            }
        }
    }

    pub(crate) fn read(&mut self) -> Value {
        self.try_read().unwrap().expect("a message before the end of the stream")
    }

    /// The next message; `None` at `close_notify`. An end without it is `UnexpectedEof`, an alert `InvalidData`.
    pub(crate) fn try_read(&mut self) -> io::Result<Option<Value>> {
        loop {
            if let Some((header, rest)) = self.received.split_first_chunk() {
                let length = u32::from_be_bytes(*header) as usize;
                if let Some(body) = rest.get(..length) {
                    let message = serde_json::from_slice(body).unwrap();
                    self.received.drain(..4 + length);
                    return Ok(Some(message));
                }
            }
            let mut bytes = [0; 4096];
            match self.tls.reader().read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.tls.read_tls(&mut self.socket)?;
                    let state = self.tls.process_new_packets();
                    state.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends this direction in order: `close_notify`, and a FIN.
    pub(crate) fn close_writing(&mut self) {
        self.tls.send_close_notify();
        self.send(&[]);
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
}

/// The hello of a new start of a terminal that knows nothing.
pub(crate) fn first_hello(name: &str) -> Value {
    json!({ "hello": 1, "terminal": name, "start": 1, "attempt": 1 })
}
