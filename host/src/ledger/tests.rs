//! The ledger on disk, over a folder.
use super::{
    disk::{Backend, Disk, Folder},
    entry::Time,
    error::{Error, Fault},
    keeper::Keeper,
};
use atm_core::{
    ledger::{Ledger, LedgerId, Operation, Origin, Request, contract},
    money::Amount,
};
use std::{
    io::{self, ErrorKind, Write},
    path::Path,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

fn keeper(folder: &Path) -> Result<Keeper, Error> {
    let disk = Box::new(Folder::take(folder, true, Default::default())?);
    Keeper::open(disk, units(100), || LedgerId(7), Box::new(Time::now), Default::default())
}

/// Folders that are gone with the test.
#[derive(Default)]
struct Folders(Vec<TempDir>);

impl contract::Store for Folders {
    type Ledger = Keeper;
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

/// A folder on a disk with a fault.
struct Faulty {
    folder: Folder,
    fault: Arc<Mutex<Option<ErrorKind>>>,
}

impl Faulty {
    fn check(&self) -> io::Result<()> {
        self.fault.lock().unwrap().map_or(Ok(()), |kind| Err(kind.into()))
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
        self.check()?;
        self.folder.open()
    }
    fn is_kept(&self) -> io::Result<bool> {
        self.check()?;
        self.folder.is_kept()
    }
    fn draft(&mut self) -> Result<Backend, Fault> {
        self.folder.draft()
    }
    fn publish(&mut self) -> io::Result<()> {
        self.folder.publish()
    }
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
fn a_loop_that_asks_again_and_again_logs_only_what_has_changed() {
    let folder = TempDir::new().unwrap();
    let fault = Arc::new(Mutex::new(None));
    let disk = Faulty {
        folder: Folder::take(folder.path(), true, Default::default()).unwrap(),
        fault: fault.clone(),
    };
    let mut keeper =
        Keeper::open(Box::new(disk), units(100), || LedgerId(7), Box::new(Time::now), Default::default())
            .unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    for id in 1..=2 {
        let request = Request::Operate {
            origin: Origin::Terminal("kiosk-1".parse().unwrap()),
            id,
            operation: Operation::Deposit(units(1)),
        };
        for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied] {
            *fault.lock().unwrap() = Some(kind);
            for _ in 0..20 {
                assert!(keeper.apply(&request).is_err());
            }
        }
        *fault.lock().unwrap() = None;
        for _ in 0..3 {
            keeper.apply(&request).unwrap();
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 6, "{log}");
    for (line, told) in
        lines.iter().zip(["no storage space", "permission denied", "open again"].iter().cycle())
    {
        assert!(line.contains(told), "{told}: {line}");
    }
}
