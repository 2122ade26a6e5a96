//! The ledger on disk, over a folder.
use super::{disk::Folder, entry::Time, error::Error, keeper::Keeper};
use atm_core::{
    ledger::{LedgerId, contract},
    money::Amount,
};
use std::path::Path;
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
