//! Faulty proxy: stands between client and server and drops, duplicates, delays or cuts off messages of the `json` wire.
use atm_e2e::Rng;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// What the proxy does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Pass,
    Drop,
    Duplicate,
    /// Sends it after the next one of its direction.
    Delay,
    /// Sends half of it and closes the connection.
    Cut,
}

/// Chooses the delivery of a message, by its direction and its body.
type Choice = Arc<Mutex<dyn FnMut(Direction, &str) -> Delivery + Send>>;

/// A proxy, which accepts connections until the test process ends.
pub(crate) struct FaultyProxy {
    pub(crate) address: SocketAddr,
    faultless: Arc<AtomicBool>,
}

impl FaultyProxy {
    /// Starts a proxy to `server` that delivers each message as `choose` says.
    pub(crate) fn start(
        server: SocketAddr,
        choose: impl FnMut(Direction, &str) -> Delivery + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let faultless = Arc::new(AtomicBool::new(false));
        let shared = faultless.clone();
        let choice: Choice = Arc::new(Mutex::new(choose));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
                for (direction, from, to) in
                    [(Direction::ToServer, &client, &server), (Direction::ToClient, &server, &client)]
                {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (choice, faultless) = (choice.clone(), shared.clone());
                    thread::spawn(move || {
                        // Either end may close its connection at any time.
                        let _ = forward(direction, &mut from, &mut to, &choice, &faultless);
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, faultless }
    }

    /// Starts a proxy that drops, duplicates, delays or cuts off a quarter of all messages.
    pub(crate) fn random(server: SocketAddr, mut rng: Rng) -> Self {
        Self::start(server, move |_, _| match rng.u32(0..100) {
            0..7 => Delivery::Drop,
            7..14 => Delivery::Duplicate,
            14..20 => Delivery::Delay,
            20..25 => Delivery::Cut,
            _ => Delivery::Pass,
        })
    }

    /// From now on every message passes.
    pub(crate) fn stop_faults(&self) {
        self.faultless.store(true, Ordering::Relaxed);
    }
}

fn forward(
    direction: Direction,
    from: &mut TcpStream,
    to: &mut TcpStream,
    choice: &Choice,
    faultless: &AtomicBool,
) -> io::Result<()> {
    let mut delayed: Option<Vec<u8>> = None;
    loop {
        let mut message = vec![0; 4];
        from.read_exact(&mut message)?;
        let length = u32::from_be_bytes([message[0], message[1], message[2], message[3]]);
        message.resize(4 + length as usize, 0);
        from.read_exact(&mut message[4..])?;
        let delivery = if faultless.load(Ordering::Relaxed) {
            Delivery::Pass
        } else {
            (choice.lock().unwrap())(direction, std::str::from_utf8(&message[4..]).unwrap())
        };
        match delivery {
            Delivery::Pass => to.write_all(&message)?,
            Delivery::Drop => continue,
            Delivery::Duplicate => to.write_all(&message.repeat(2))?,
            Delivery::Delay => {
                delayed = Some(message);
                continue;
            }
            Delivery::Cut => {
                to.write_all(&message[..message.len() / 2])?;
                return Ok(());
            }
        }
        if let Some(message) = delayed.take() {
            to.write_all(&message)?;
        }
    }
}
