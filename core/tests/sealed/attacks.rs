//! The attacks that the design was tried against, by its numbers, as far as the core can show them. The attacker records,
//! replays, reflects, changes and splices whatever crosses the link.
use crate::world::{body, frames};
use atm_core::{host::LinkKind, money::Amount};

mod bodies;
mod hellos;

const LINKS: [LinkKind; 2] = [LinkKind::Serial, LinkKind::Connection];

fn units(units: u64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// The indexes of the bodies of some frames.
fn indexes(bytes: &[u8]) -> Vec<u8> {
    frames(bytes).iter().map(|frame| body(frame)[0]).collect()
}
