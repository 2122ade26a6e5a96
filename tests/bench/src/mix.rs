//! The mix of operations: how often simulated customers request each kind.
use fastrand::Rng;
use std::{fmt, str::FromStr};

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// Query the balance.
    Balance,
    /// Deposit an amount.
    Deposit,
    /// Withdraw an amount.
    Withdrawal,
}

impl OperationKind {
    const ALL: [(&'static str, Self); 3] =
        [("balance", Self::Balance), ("deposit", Self::Deposit), ("withdrawal", Self::Withdrawal)];
}

/// The relative frequencies of the kinds of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    weights: [u32; 3],
}

/// The greatest weight of one kind.
const MAX_WEIGHT: u32 = 1_000_000;

impl Mix {
    /// A mix of one kind alone.
    pub fn only(kind: OperationKind) -> Self {
        Self { weights: OperationKind::ALL.map(|(_, one)| u32::from(one == kind)) }
    }

    /// Draws the kind of the next operation.
    pub fn draw(&self, rng: &mut Rng) -> OperationKind {
        let mut remaining = rng.u32(..self.weights.iter().sum::<u32>().max(1));
        for (weight, (_, kind)) in self.weights.iter().zip(OperationKind::ALL) {
            match remaining.checked_sub(*weight) {
                Some(rest) => remaining = rest,
                None => return kind,
            }
        }
        OperationKind::Balance
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { weights: [2, 1, 1] }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (weight, (name, _))) in self.weights.iter().zip(OperationKind::ALL).enumerate() {
            write!(f, "{}{name}={weight}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The text is not a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixError;

impl fmt::Display for MixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a mix is balance=N,deposit=N,withdrawal=N, each N up to {MAX_WEIGHT} (0 if left out), not all 0"
        )
    }
}

impl std::error::Error for MixError {}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut weights = [None; 3];
        for part in text.split(',') {
            let (name, count) = part.split_once('=').ok_or(MixError)?;
            let index = OperationKind::ALL.iter().position(|(known, _)| *known == name).ok_or(MixError)?;
            let count = count.parse::<u32>().ok().filter(|count| *count <= MAX_WEIGHT).ok_or(MixError)?;
            let slot = weights.get_mut(index).filter(|slot| slot.is_none()).ok_or(MixError)?;
            *slot = Some(count);
        }
        let weights = weights.map(Option::unwrap_or_default);
        if weights.iter().sum::<u32>() == 0 { Err(MixError) } else { Ok(Self { weights }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_parsed_and_displayed() {
        for text in ["balance=2,deposit=1,withdrawal=1", "balance=0,deposit=7,withdrawal=0"] {
            assert_eq!(text.parse::<Mix>().unwrap().to_string(), text);
        }
        assert_eq!("deposit=3".parse::<Mix>().unwrap().to_string(), "balance=0,deposit=3,withdrawal=0");
        for text in [
            "",
            "deposit",
            "deposit=",
            "deposit=-1",
            "deposit=0",
            "deposit=1,deposit=2",
            "theft=1",
            "deposit=1,",
        ] {
            assert_eq!(text.parse::<Mix>(), Err(MixError), "{text}");
        }
    }

    #[test]
    fn operations_are_drawn_in_the_proportions_of_the_mix() {
        let mix: Mix = "balance=5,deposit=3,withdrawal=2".parse().unwrap();
        let (mut rng, mut seen) = (Rng::with_seed(1), [0u32; 3]);
        for _ in 0..10_000 {
            seen[mix.draw(&mut rng) as usize] += 1;
        }
        for (seen, expected) in seen.iter().zip([5000u32, 3000, 2000]) {
            assert!(seen.abs_diff(expected) < 300, "{seen} of {expected}");
        }
        assert_eq!(Mix::only(OperationKind::Deposit).draw(&mut rng), OperationKind::Deposit);
    }
}
