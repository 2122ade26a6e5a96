//! The random person in front of a terminal.
use atm_core::time::Duration;
use fastrand::Rng;

/// The person at a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Person {
    /// Takes up to three seconds for an answer, and leaves at times.
    Usual,
    /// Takes up to a tenth of a second, and stays.
    Hurried,
}

impl Person {
    /// How long the person takes for an answer, in milliseconds.
    pub(super) fn delay(self, rng: &mut Rng) -> Duration {
        Duration::from_millis(match self {
            Self::Usual => rng.u32(10..3000),
            Self::Hurried => rng.u32(10..100),
        })
    }

    /// What the person types: mostly valid answers to the menu or an amount prompt.
    pub(super) fn answer(self, rng: &mut Rng) -> String {
        let amount = rng.u32(1..200);
        let kinds = if self == Self::Hurried { 92 } else { 100 };
        match rng.u32(0..kinds) {
            0..25 => format!("deposit {amount}"),
            25..50 => format!("withdraw {amount}"),
            50..60 => format!("{amount}"),
            60..64 => "1".to_owned(),
            64..70 => "2".to_owned(),
            70..76 => "3".to_owned(),
            76..80 => "withdraw all".to_owned(),
            80..84 => "all".to_owned(),
            84..88 => "back".to_owned(),
            88..92 => "deposit 0".to_owned(),
            92..95 => "quit".to_owned(),
            _ => "exit".to_owned(),
        }
    }
}
