//! A host on the desktop that serves by card: the core's kiosk loop on a sealed line to a board, with a ledger in memory.
use crate::{qemu::is_ready, terminal_key};
use atm_core::{
    host::{Config, IN, OUT},
    kiosk::Kiosk,
    ledger::{
        AccountNumber, LedgerId,
        card::{Accounts, Card, CardAccount, CardKeys, CardLedger, KeyId, Limits},
    },
    money::Amount,
    time::{Duration, Instant},
    wire::Wire,
};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time,
};

/// The number of the card.
pub(crate) const NUMBER: &str = "4929153826750942";
/// Its PIN.
pub(crate) const PIN: &str = "719384620583";
/// The account of the card, and the other one.
pub(crate) const ACCOUNTS: [AccountNumber; 2] = [AccountNumber(7), AccountNumber(8)];
/// What each account has at the start, in units.
pub(crate) const UNITS: u64 = 1_000;

/// Steps of a terminal's key that are computed for one hello: more than its starts.
const MAX_STEPS: u32 = 4_096;
/// How often the loop looks whether it is to stop.
const MAX_WAIT: time::Duration = time::Duration::from_millis(20);

type Ledger = CardLedger<1, 1, 2>;

/// A host whose loop runs in a thread of its own, until it is dropped.
pub(crate) struct CardHost {
    kiosk: Arc<Mutex<Kiosk<Ledger, IN, OUT>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    socket: PathBuf,
}

impl CardHost {
    /// Listens for boards on a socket in `folder`, one at a time.
    pub(crate) fn start(folder: &Path) -> Self {
        let socket = folder.join("line");
        let listener = UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let config = Config {
            idle_timeout: Duration::from_secs(30),
            sealed_only: true,
            salt: fastrand::u64(..),
            ..Config::for_serial(Wire::Postcard, 115_200)
        };
        let mut kiosk = Kiosk::new(config, Some(ledger()), Instant::default());
        kiosk.serve_cards(keys());
        kiosk.find_keys_by_driver();
        let (kiosk, stop) = (Arc::new(Mutex::new(kiosk)), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (Arc::clone(&kiosk), Arc::clone(&stop));
        let line = Line { listener, stream: None, unread: Vec::new() };
        let thread = Some(thread::spawn(move || run(&shared, &stopped, line)));
        Self { kiosk, stop, thread, socket }
    }

    /// What a board's serial port is connected to: an argument of QEMU's `-serial`.
    pub(crate) fn peer(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// The balances of both accounts, in minor units.
    pub(crate) fn balances(&self) -> [u64; 2] {
        self.with_ledger(|ledger| {
            ACCOUNTS.map(|number| ledger.account(number).unwrap().account.balance.minor())
        })
    }

    /// Whether the card is blocked.
    pub(crate) fn is_blocked(&self) -> bool {
        self.with_card(|card| card.is_blocked)
    }

    /// Unblocks the card, as an operator does.
    pub(crate) fn unblock(&self) {
        self.with_card(|card| {
            card.is_blocked = false;
            card.tries = 0;
            card.version += 1;
        });
    }

    fn with_card<T>(&self, change: impl FnOnce(&mut Card) -> T) -> T {
        let token = keys().claim(&NUMBER.parse().unwrap()).newest();
        self.with_ledger(|ledger| change(ledger.card_mut(token).unwrap()))
    }

    fn with_ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(self.kiosk.lock().unwrap().ledger_mut().unwrap())
    }
}

impl Drop for CardHost {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|ended| ended.is_ok()), "the host's loop has failed");
    }
}

fn keys() -> CardKeys {
    CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(1), [2; 32].into()), None)
}

/// A ledger with a card and two accounts. It has no wall clock: refused PINs delay nothing.
fn ledger() -> Ledger {
    let units = |units| Amount::from_units(units).unwrap();
    let mut ledger =
        CardLedger::new(LedgerId(fastrand::u64(..)), Limits { withdrawal: units(200), day: units(1_000) });
    for (number, owner) in ACCOUNTS.into_iter().zip(["Ada Lovelace", "Bob Bower"]) {
        ledger.open_account(CardAccount::new(number, units(UNITS), owner.parse().unwrap())).unwrap();
    }
    let number = NUMBER.parse().unwrap();
    let claim = keys().claim(&number);
    let proof = keys().proof(&claim, &PIN.parse().unwrap());
    ledger
        .issue(Card::new(&claim, &proof, number.last_four(), Accounts::new(&ACCOUNTS[..1]).unwrap()))
        .unwrap();
    ledger
}

fn run(kiosk: &Mutex<Kiosk<Ledger, IN, OUT>>, stop: &AtomicBool, mut line: Line) {
    let (start, first) = (time::Instant::now(), terminal_key());
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::from_millis(start.elapsed().as_millis().try_into().unwrap());
        let mut kiosk = kiosk.lock().unwrap();
        let moved = kiosk.turn(&mut line, now).expect("neither line nor ledger fails");
        let claim = kiosk.key_request();
        if let Some(claim) = &claim {
            assert_eq!(claim.terminal, first.terminal);
            kiosk.provide_key(first.key.forward(claim.step, MAX_STEPS).as_ref(), false, now);
        }
        drop(kiosk);
        if !moved && claim.is_none() {
            line.wait();
        }
    }
}

/// The line: what is written to a board without power is lost.
struct Line {
    listener: UnixListener,
    stream: Option<UnixStream>,
    unread: Vec<u8>,
}

impl Line {
    /// Waits until there may be something to read.
    fn wait(&self) {
        match &self.stream {
            Some(stream) => is_ready(stream, MAX_WAIT),
            None => is_ready(&self.listener, MAX_WAIT),
        };
    }

    /// Reads what there is, from the board that is connected now.
    fn fill(&mut self) {
        if self.stream.is_none() {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true).unwrap();
                    self.stream = Some(stream);
                }
                Err(error) => assert!(error.kind() == ErrorKind::WouldBlock, "{error}"),
            }
        }
        let Some(stream) = &mut self.stream else { return };
        let mut chunk = [0; 512];
        match io::Read::read(stream, &mut chunk) {
            Ok(count) if count > 0 => self.unread.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // The power of the board was cut.
            _ => self.stream = None,
        }
    }
}

impl ErrorType for Line {
    type Error = Infallible;
}

impl ReadReady for Line {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        if self.unread.is_empty() {
            self.fill();
        }
        Ok(!self.unread.is_empty())
    }
}

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let count = bytes.len().min(self.unread.len());
        bytes[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Ok(count)
    }
}

impl WriteReady for Line {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(true)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        match self.stream.as_mut().map(|stream| io::Write::write(stream, bytes)) {
            Some(Ok(count)) => Ok(count),
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
