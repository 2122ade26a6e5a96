//! A man in the middle of a TCP connection, who has no key: he cuts, changes, replays and injects.
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What he does with the bytes of one direction: returns those that he sends on.
type Change = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

pub(crate) struct Middle {
    pub(crate) address: SocketAddr,
    /// The open connections: the client's end, the host's end.
    open: Arc<Mutex<Vec<[TcpStream; 2]>>>,
    /// What the client has sent last, up to its last pause.
    last: Arc<Mutex<Vec<u8>>>,
}

impl Middle {
    /// Forwards every byte as it is.
    pub(crate) fn to(host: SocketAddr) -> Self {
        Self::changing(host, |bytes| bytes.to_vec())
    }

    /// Changes what the host sends.
    pub(crate) fn changing(
        host: SocketAddr,
        change: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let middle = Self { address, open: Arc::default(), last: Arc::default() };
        let (open, last) = (middle.open.clone(), middle.last.clone());
        let change: Change = Arc::new(change);
        thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let Ok(host) = TcpStream::connect(host) else { return };
                let last = last.clone();
                let note: Change = Arc::new(move |bytes| {
                    *last.lock().unwrap() = bytes.to_vec();
                    bytes.to_vec()
                });
                for (from, to, change) in [(&client, &host, note), (&host, &client, change.clone())] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || forward(from, to, &change));
                }
                open.lock().unwrap().push([client, host]);
            }
        });
        middle
    }

    /// Ends every open connection at both sides.
    pub(crate) fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..).flatten() {
            // One side may have ended it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Sends bytes to the client on its present connection.
    pub(crate) fn inject(&self, bytes: &[u8]) {
        self.open.lock().unwrap().last_mut().unwrap()[0].write_all(bytes).unwrap();
    }

    /// Sends the host what the client sent last once more; false once the connection is closed.
    pub(crate) fn replay(&self) -> bool {
        let last = self.last.lock().unwrap().clone();
        self.open.lock().unwrap().last_mut().unwrap()[1].write_all(&last).is_ok()
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, change: &Change) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&change(&bytes[..count])).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
