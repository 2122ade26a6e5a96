//! A line that lies about messages of the `json` wire: it stands between the client and the server.
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

/// The way of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    Lose,
    Twice,
    /// It comes behind the next one.
    Late,
    /// Half of it comes, and the connection is cut.
    Cut,
}

type Judge = Arc<Mutex<dyn FnMut(Way, &str) -> Fate + Send>>;

/// Carries connections to a server for as long as the test runs.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    honest: Arc<AtomicBool>,
}

impl Proxy {
    /// Does to each message what `judge` says.
    pub(crate) fn start(server: SocketAddr, judge: impl FnMut(Way, &str) -> Fate + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let honest = Arc::new(AtomicBool::new(false));
        let passes = honest.clone();
        let judge: Judge = Arc::new(Mutex::new(judge));
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
                for (way, from, to) in [(Way::ToServer, &client, &server), (Way::ToClient, &server, &client)]
                {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (judge, passes) = (judge.clone(), passes.clone());
                    thread::spawn(move || {
                        // Either end may go at any time.
                        let _ = carry(way, &mut from, &mut to, &judge, &passes);
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, honest }
    }

    /// Loses, repeats, turns around or cuts off a quarter of all messages.
    pub(crate) fn that_lies(server: SocketAddr, mut rng: Rng) -> Self {
        Self::start(server, move |_, _| match rng.u32(0..100) {
            0..7 => Fate::Lose,
            7..14 => Fate::Twice,
            14..20 => Fate::Late,
            20..25 => Fate::Cut,
            _ => Fate::Pass,
        })
    }

    /// From now on everything passes.
    pub(crate) fn be_honest(&self) {
        self.honest.store(true, Ordering::Relaxed);
    }
}

fn carry(
    way: Way,
    from: &mut TcpStream,
    to: &mut TcpStream,
    judge: &Judge,
    honest: &AtomicBool,
) -> io::Result<()> {
    let mut late: Option<Vec<u8>> = None;
    loop {
        let mut message = vec![0; 4];
        from.read_exact(&mut message)?;
        let length = u32::from_be_bytes([message[0], message[1], message[2], message[3]]);
        message.resize(4 + length as usize, 0);
        from.read_exact(&mut message[4..])?;
        let fate = if honest.load(Ordering::Relaxed) {
            Fate::Pass
        } else {
            (judge.lock().unwrap())(way, std::str::from_utf8(&message[4..]).unwrap())
        };
        match fate {
            Fate::Pass => to.write_all(&message)?,
            Fate::Lose => continue,
            Fate::Twice => to.write_all(&message.repeat(2))?,
            Fate::Late => {
                late = Some(message);
                continue;
            }
            Fate::Cut => {
                to.write_all(&message[..message.len() / 2])?;
                return Ok(());
            }
        }
        if let Some(message) = late.take() {
            to.write_all(&message)?;
        }
    }
}
