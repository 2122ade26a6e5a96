//! The ledger on disk, over a folder.
use super::{
    books::Head,
    disk::{Backend, Disk, Folder, StorageBackend},
    entry::Time,
    error::{Error, Fault},
    keeper::Keeper,
    teller::Teller,
};
use crate::metrics::Metrics;
use atm_core::{
    ledger::{
        Command, Epoch, HelloClaim, Ledger, LedgerId, Operation, Origin, Request, SessionId, Ticket, contract,
    },
    money::Amount,
};
use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
};
use tempfile::TempDir;

mod doubt;

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// A request of a session without a name.
fn unnamed(session: u64, operation: Operation) -> Request {
    let origin = Origin::Session(SessionId::new(session));
    Request { ticket: Ticket::default(), origin, turn: 0, command: Command::Operate { id: 1, operation } }
}

fn named(name: &str, turn: u32, command: Command) -> Request {
    let origin = Origin::Terminal(name.parse().unwrap());
    Request { ticket: Ticket::default(), origin, turn, command }
}

fn deposit(id: u64) -> Command {
    Command::Operate { id, operation: Operation::Deposit(units(1)) }
}

fn hello(name: &str, start: u64) -> Request {
    let claim = HelloClaim {
        epoch: Epoch { start, attempt: 1 },
        admit_equal: false,
        ledger: Some(LedgerId(7)),
        seen: 0,
    };
    named(name, 0, Command::Hello(claim))
}

fn keeper(folder: &Path) -> Result<Keeper, Error> {
    open(Folder::take(folder, Default::default())?, Default::default())
}

fn open(disk: impl Disk + 'static, metrics: Arc<Metrics>) -> Result<Keeper, Error> {
    Keeper::open(Box::new(disk), units(100), || LedgerId(7), Box::new(Time::now), metrics)
}

/// Folders that are gone with the test.
#[derive(Default)]
struct Folders(Vec<TempDir>);

impl contract::Store for Folders {
    type Ledger = Keeper;
    const KEEPS_ROWS: bool = false;

    fn create(&mut self, balance: Amount) -> Keeper {
        assert_eq!(balance, units(100));
        self.0.push(TempDir::new().unwrap());
        keeper(self.0.last().unwrap().path()).unwrap()
    }
    fn reopen(&mut self, old: Keeper) -> Keeper {
        drop(old);
        keeper(self.0.last().unwrap().path()).unwrap()
    }
}

#[test]
fn it_keeps_the_contract() {
    assert_eq!(contract::check(&mut Folders::default()), Ok(()));
}

/// What is wrong with a disk, if anything is.
type Wrong = Arc<Mutex<Option<ErrorKind>>>;

fn check(wrong: &Wrong) -> io::Result<()> {
    wrong.lock().unwrap().map_or(Ok(()), |kind| Err(kind.into()))
}

/// A folder on a disk that may take nothing.
struct Faulty {
    folder: Folder,
    wrong: Wrong,
    /// What was in the folder when it was let go of.
    left: Arc<Mutex<Vec<String>>>,
}

impl Faulty {
    fn over(folder: &Path, wrong: &Wrong) -> Self {
        let folder = Folder::take(folder, Default::default()).unwrap();
        Self { folder, wrong: wrong.clone(), left: Default::default() }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let names = fs::read_dir(self.path().parent().unwrap()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        *self.left.lock().unwrap() = names;
    }
}

impl Disk for Faulty {
    fn path(&self) -> &Path {
        self.folder.path()
    }
    fn is_new(&self) -> io::Result<bool> {
        self.folder.is_new()
    }
    fn open(&mut self) -> Result<Backend, Fault> {
        check(&self.wrong)?;
        Ok(Backend::new(Bytes(self.folder.open()?, self.wrong.clone()), Default::default()))
    }
    fn journal(&mut self) -> Result<Backend, Fault> {
        check(&self.wrong)?;
        Ok(Backend::new(Bytes(self.folder.journal()?, self.wrong.clone()), Default::default()))
    }
    fn draft(&mut self) -> Result<Backend, Fault> {
        self.folder.draft()
    }
    fn publish(&mut self) -> io::Result<()> {
        self.folder.publish()
    }
    fn note(&mut self, told: Head) -> io::Result<()> {
        self.folder.note(told)
    }
    fn noted(&mut self) -> io::Result<Option<Head>> {
        self.folder.noted()
    }
}

#[derive(Debug)]
struct Bytes(Backend, Wrong);

impl StorageBackend for Bytes {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        check(&self.1)?;
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        check(&self.1)?;
        self.0.write(offset, data)
    }
}

/// A server that begins in the same folder then opens its own, which nobody takes away.
#[cfg(unix)]
#[test]
fn the_window_is_gone_before_the_folder_is_let_go_of() {
    for is_closed in [true, false] {
        let folder = TempDir::new().unwrap();
        let left = Arc::<Mutex<Vec<String>>>::default();
        let mut disk = Faulty::over(folder.path(), &Wrong::default());
        disk.left = left.clone();
        let mut keeper = open(disk, Default::default()).unwrap();
        keeper.show_in(folder.path());
        assert!(folder.path().join("ledger.sock").exists());
        if is_closed {
            keeper.close().unwrap();
        } else {
            drop(keeper);
        }
        let left = left.lock().unwrap();
        assert!(
            left.contains(&"ledger.redb".to_owned()) && !left.contains(&"ledger.sock".to_owned()),
            "{left:?}"
        );
    }
}

#[test]
fn however_many_have_asked_a_batch_is_only_so_long_and_a_fault_at_the_end_is_told() {
    const ASKED: u64 = 10_000;
    for is_wrong in [false, true] {
        let folder = TempDir::new().unwrap();
        let (wrong, metrics) = (Wrong::default(), Arc::<Metrics>::default());
        let kept = open(Faulty::over(folder.path(), &wrong), metrics.clone()).unwrap();
        let mut teller = Teller::on_disk(kept, || ());
        for session in 1..=ASKED {
            teller.ask(unnamed(session, Operation::Deposit(units(1))));
            assert!(!teller.is_full());
        }
        if is_wrong {
            *wrong.lock().unwrap() = Some(ErrorKind::StorageFull);
            teller.send();
            assert!(teller.answers().unwrap().is_empty() && !teller.has_asked());
        }
        assert_eq!(teller.close(), !is_wrong);
        *wrong.lock().unwrap() = None;
        let balance = keeper(folder.path()).unwrap().books().unwrap().balance();
        if is_wrong {
            assert_eq!(balance, units(100));
        } else {
            assert_eq!((metrics.commits.load(Relaxed), metrics.batched.load(Relaxed)), (3, ASKED));
            assert_eq!(balance, units(100 + ASKED));
        }
    }
}

#[test]
fn a_fault_that_lasts_lets_only_so_many_ask() {
    let folder = TempDir::new().unwrap();
    let mut teller = Teller::on_disk(keeper(folder.path()).unwrap(), || ());
    let most = (0..1 << 20).find(|session| {
        teller.ask(unnamed(*session, Operation::Inquiry));
        teller.is_full()
    });
    assert!(most.is_some());
    teller.send();
    assert!(!teller.is_full());
    assert_eq!(teller.answers().unwrap().len() as u64, most.unwrap() + 1);
    assert!(teller.close());
}

#[test]
fn a_ledger_that_is_closed_while_a_fault_lasts_says_so() {
    let folder = TempDir::new().unwrap();
    let wrong = Wrong::default();
    let mut keeper = open(Faulty::over(folder.path(), &wrong), Default::default()).unwrap();
    *wrong.lock().unwrap() = Some(ErrorKind::StorageFull);
    let deposit = unnamed(1, Operation::Deposit(units(1)));
    assert!(keeper.apply(&deposit).is_err());
    let error = keeper.close().unwrap_err().to_string();
    assert!(error.contains("whoever asked may ask again"), "{error}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_fault_is_logged_when_it_begins_changes_and_ends() {
    let folder = TempDir::new().unwrap();
    let wrong = Wrong::default();
    let mut keeper = open(Faulty::over(folder.path(), &wrong), Default::default()).unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    keeper.apply(&hello("kiosk-1", 1)).unwrap();
    for id in 1..=2 {
        let request = named("kiosk-1", 1, deposit(id));
        for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied] {
            *wrong.lock().unwrap() = Some(kind);
            for _ in 0..20 {
                assert!(keeper.apply(&request).is_err());
            }
        }
        *wrong.lock().unwrap() = None;
        for _ in 0..3 {
            keeper.apply(&request).unwrap();
        }
    }
    // What is asked without a name and fails is unknown at once, and nothing was written until the fault was over.
    let deposit = unnamed(1, Operation::Deposit(units(1)));
    for _ in 0..20 {
        *wrong.lock().unwrap() = Some(ErrorKind::StorageFull);
        assert!(keeper.serve(vec![deposit.clone()]).is_err());
        *wrong.lock().unwrap() = None;
        keeper.recover().unwrap();
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let each = ["no storage space", "permission denied", "takes entries again"];
    let expected = [&each[..], &each, &["no storage space", "open again and can be read"]].concat();
    assert_eq!(lines.len(), expected.len(), "{log}");
    for (line, told) in lines.iter().zip(expected) {
        assert!(line.contains(told), "{told}: {line}");
    }
}
