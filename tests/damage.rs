//! A ledger on disk in which a bit was turned is refused, or it is as it was: there is never a wrong balance.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use atm_core::{
    ledger::{LedgerId, Operation, Origin, Request},
    money::Amount,
};
use atm_host::ledger::{
    books::Books,
    entry::Time,
    error::{Error, Fault},
    keeper::Keeper,
    verify::verify,
};
use atm_tests::{chance, platter::Platter};

fn open(platter: &Platter) -> Result<Keeper, Error> {
    let balance = Amount::from_units(100).unwrap();
    let time = Box::new(|| Time::from_millis(0));
    Keeper::open(Box::new(platter.clone()), balance, || LedgerId(7), time, Default::default())
}

#[test]
fn a_bit_of_any_page_was_turned() {
    let whole = Platter::new(1);
    let mut keeper = open(&whole).unwrap();
    for round in 1..=20u64 {
        let deposit = |number: u64| Request::Operate {
            origin: Origin::Terminal(format!("kiosk-{number}").parse().unwrap()),
            id: round,
            operation: Operation::Deposit(Amount::from_units(number + 1).unwrap()),
        };
        keeper.serve((0..20).map(deposit).collect()).unwrap();
    }
    keeper.close().unwrap();
    let books = |keeper: &Keeper| -> Books { keeper.books().unwrap().clone() };
    let expected = books(&open(&whole).unwrap());

    let mut rng = chance();
    let (mut refused, mut unharmed) = (0, 0);
    const PAGE: usize = 4096;
    for page in 0..whole.len() / PAGE {
        for round in 0..3 {
            // The beginning of a page says what it is.
            let within = if round == 0 { rng.usize(..64 * 8) } else { rng.usize(..PAGE * 8) };
            let bit = page * PAGE * 8 + within;
            let platter = whole.copy(1);
            platter.flip(bit);
            match open(&platter) {
                Ok(keeper) => {
                    // It was in none of the pages that are used, or mended.
                    assert_eq!(books(&keeper), expected, "bit {bit}");
                    let report = verify(&keeper.store().unwrap().view().unwrap(), |_| ()).unwrap();
                    assert_eq!(report.faults, [""; 0], "bit {bit}");
                    unharmed += 1;
                }
                Err(Error { fault, .. }) => {
                    assert!(
                        matches!(fault, Fault::Damaged(_) | Fault::Foreign | Fault::Newer(_)),
                        "bit {bit}: {fault:?}"
                    );
                    refused += 1;
                }
            }
        }
    }
    println!("{refused} refused, {unharmed} in nothing that is used");
    assert!(refused > 30 && unharmed > 0, "{refused} {unharmed}");
}
