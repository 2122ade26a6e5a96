//! A server that is reached over TCP: at a loopback address of its own, with passwords and TLS.
use crate::{Cluster, TIMEOUT, user};
use std::{
    fs,
    io::Write,
    net::Ipv4Addr,
    os::unix::fs::{PermissionsExt, chown},
    process,
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::Instant,
};

/// A loopback address for one server of this process. Another process of a test has others, as far as their ids tell them apart.
fn new_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = process::id().to_be_bytes();
    Ipv4Addr::new(127, high.max(1), low, COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Cluster {
    /// Starts the server anew, on TCP too, at a loopback address of its own, at which no user is let in yet; returns the address.
    pub fn listen(&mut self) -> Ipv4Addr {
        let address = new_address();
        self.address = Some(address);
        self.write("pg_hba.conf", "local all all trust\n");
        self.restart();
        address
    }

    /// Lets this user in at that address with a password: over TLS alone, or in clear too.
    pub fn admit(&mut self, user: &str, tls_alone: bool) {
        let kind = if tls_alone { "hostssl" } else { "host" };
        self.write(
            "pg_hba.conf",
            &format!("local all all trust\n{kind} all {user} 127.0.0.0/8 scram-sha-256\n"),
        );
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Serves TLS with this certificate and its key (PEM) from here on.
    pub fn set_tls(&mut self, certificate: &str, key: &str) {
        self.write("server.crt", certificate);
        self.write("server.key", key);
        self.set("ssl", "on");
        let until = Instant::now() + TIMEOUT;
        // A new session has the settings of the server as that has read them.
        while self.sql("postgres", "SHOW ssl") != "on" {
            assert!(Instant::now() < until, "no TLS: {}", self.log());
            thread::yield_now();
        }
    }

    /// Writes a file of the server that no other user can read.
    fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        let mut file = fs::File::create(&path).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        if let Some((user, group)) = user() {
            chown(&path, Some(user), Some(group)).unwrap();
        }
    }
}
