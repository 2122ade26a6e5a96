//! What people at the sessions want, and how often.
use fastrand::Rng;
use std::{fmt, str::FromStr};

/// What a person may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// To know the balance.
    Balance,
    /// To deposit something.
    Deposit,
    /// To withdraw something.
    Withdrawal,
}

impl OperationKind {
    const ALL: [(&'static str, Self); 3] =
        [("balance", Self::Balance), ("deposit", Self::Deposit), ("withdrawal", Self::Withdrawal)];
}

/// How often each wish comes, in parts of their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    parts: [u32; 3],
}

/// The most parts of one wish.
const MOST: u32 = 1_000_000;

impl Mix {
    /// Nothing but this.
    pub fn only(wish: OperationKind) -> Self {
        Self { parts: OperationKind::ALL.map(|(_, one)| u32::from(one == wish)) }
    }

    /// What the next person wants.
    pub fn draw(&self, rng: &mut Rng) -> OperationKind {
        let mut left = rng.u32(..self.parts.iter().sum::<u32>().max(1));
        for (part, (_, wish)) in self.parts.iter().zip(OperationKind::ALL) {
            match left.checked_sub(*part) {
                Some(rest) => left = rest,
                None => return wish,
            }
        }
        OperationKind::Balance
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { parts: [2, 1, 1] }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (part, (name, _))) in self.parts.iter().zip(OperationKind::ALL).enumerate() {
            write!(f, "{}{name}={part}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The text is no mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixError;

impl fmt::Display for MixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a mix is balance=N,deposit=N,withdrawal=N, each N up to {MOST} (none where it is left out), not all 0"
        )
    }
}

impl std::error::Error for MixError {}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut parts = [None; 3];
        for part in text.split(',') {
            let (name, count) = part.split_once('=').ok_or(MixError)?;
            let index = OperationKind::ALL.iter().position(|(known, _)| *known == name).ok_or(MixError)?;
            let count = count.parse::<u32>().ok().filter(|count| *count <= MOST).ok_or(MixError)?;
            let slot = parts.get_mut(index).filter(|slot| slot.is_none()).ok_or(MixError)?;
            *slot = Some(count);
        }
        let parts = parts.map(Option::unwrap_or_default);
        if parts.iter().sum::<u32>() == 0 { Err(MixError) } else { Ok(Self { parts }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_reads_back() {
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
    fn wishes_come_as_often_as_the_mix_says() {
        let mix: Mix = "balance=5,deposit=3,withdrawal=2".parse().unwrap();
        let (mut rng, mut seen) = (Rng::with_seed(1), [0u32; 3]);
        for _ in 0..10_000 {
            seen[mix.draw(&mut rng) as usize] += 1;
        }
        for (seen, meant) in seen.iter().zip([5000u32, 3000, 2000]) {
            assert!(seen.abs_diff(meant) < 300, "{seen} of {meant}");
        }
        assert_eq!(Mix::only(OperationKind::Deposit).draw(&mut rng), OperationKind::Deposit);
    }
}
