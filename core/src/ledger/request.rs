//! Requests of a host's endpoint to its ledger, and the ledger's responses.
#[cfg(feature = "cards")]
use super::{
    AccountNumber,
    card::{CardRequest, Statement},
};
use super::{Gap, LedgerId, Name, Numbers, Outcome, Record};
use crate::money::Amount;
use serde::{Deserialize, Serialize};

/// A link without a named terminal: the host, and the link's number there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SessionId {
    /// The host's number, which no other host of the same ledger has; 0 for the only one.
    pub host: u32,
    /// The link's number, which the host gives to no other link.
    pub number: u64,
}

impl SessionId {
    /// The ticket of the link's first request.
    pub(crate) fn first_ticket(&self) -> Ticket {
        let [.., a, b, c, d] = self.number.to_be_bytes();
        Ticket { link: u32::from_be_bytes([a, b, c, d]), number: 0 }
    }

    /// A link of the only host.
    pub const fn new(number: u64) -> Self {
        Self { host: 0, number }
    }
}

/// Who requests an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Origin {
    /// A named terminal: the ledger remembers its operations by their ids.
    Terminal(Name),
    /// A session without a name: its operations are not remembered.
    Session(SessionId),
}

impl Origin {
    /// The terminal's name, if it has one.
    pub fn terminal(&self) -> Option<&Name> {
        match self {
            Self::Terminal(name) => Some(name),
            Self::Session(_) => None,
        }
    }
}

/// A terminal epoch: orders the hellos of one terminal. `(0, 0)` in clear is that of a plain client, which counts
/// nothing. A sealed hello is greater than every clear one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Epoch {
    /// The series of the terminal's key; 0 in clear.
    #[cfg(feature = "seal")]
    pub series: u32,
    /// The step of the key in its series; 0 in clear.
    #[cfg(feature = "seal")]
    pub step: u32,
    /// The terminal's start counter.
    pub start: u64,
    /// The hello's number in that start.
    pub attempt: u32,
}

impl Epoch {
    /// The epoch of a plain client.
    pub const PLAIN: Self = Self::clear(0, 0);

    /// The epoch of a hello in clear.
    pub const fn clear(start: u64, attempt: u32) -> Self {
        Self {
            #[cfg(feature = "seal")]
            series: 0,
            #[cfg(feature = "seal")]
            step: 0,
            start,
            attempt,
        }
    }

    /// Whether it is of a hello that is authentic under a terminal's key.
    pub(crate) const fn is_sealed(self) -> bool {
        #[cfg(feature = "seal")]
        return self.series != 0;
        #[cfg(not(feature = "seal"))]
        false
    }

    /// Whether a hello of this epoch takes the terminal over from `held`: it is greater, or a plain client's and `held`
    /// is not sealed.
    pub fn supersedes(self, held: Self) -> bool {
        self > held || (self == Self::PLAIN && !held.is_sealed())
    }

    /// Whether both are of one life of the terminal.
    pub(crate) fn is_same_life(self, other: Self) -> bool {
        Self { attempt: 0, ..self } == Self { attempt: 0, ..other }
    }
}

/// Identifies a request of a host that is in flight: its conversation knows the response by it, and ignores any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket {
    /// The low half of the link's [number](SessionId::number).
    pub link: u32,
    /// Counts the requests of that link.
    pub number: u32,
}

/// What an operation does to the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Operation {
    /// Report the balance. It moves nothing, so it is not remembered.
    Inquiry,
    /// Add to the balance.
    Deposit(Amount),
    /// Take from the balance.
    Withdraw(Amount),
    /// Take the whole balance as it is when the operation is done; with a card, its whole units.
    WithdrawAll,
    /// Verify a card's PIN. What proves it stands beside the operation, and is not remembered.
    #[cfg(feature = "cards")]
    Verify,
    /// Change a card's PIN. The same holds for the old one and the new one.
    #[cfg(feature = "cards")]
    ChangePin,
    /// Move money to another account.
    #[cfg(feature = "cards")]
    Transfer {
        /// That account.
        payee: AccountNumber,
        /// How much.
        amount: Amount,
    },
    /// Report the owner of an account that money is to go to. It moves nothing, so it is not remembered.
    #[cfg(feature = "cards")]
    LookUp {
        /// The account.
        payee: AccountNumber,
    },
    /// Report the last movements. It moves nothing, so it is not remembered.
    #[cfg(feature = "cards")]
    Statement,
}

#[cfg(feature = "cards")]
impl Operation {
    /// Whether it only reports, and is not remembered.
    pub const fn is_report(&self) -> bool {
        matches!(self, Self::Inquiry | Self::LookUp { .. } | Self::Statement)
    }
}

/// A request to the ledger. The endpoint keeps no copy of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request {
    /// Comes back with the response. The ledger does not read it.
    pub ticket: Ticket,
    /// Who requests it.
    pub origin: Origin,
    /// The turn that the terminal's last hello was given; 0 before it and in an unnamed session. A request of an
    /// earlier turn is [fenced](Response::Fenced).
    pub turn: u32,
    /// What is requested.
    pub command: Command,
}

/// What a [`Request`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Command {
    /// Admit the terminal: commit its epoch, raise its turn, reserve a block of numbers above all that it has seen.
    Hello(HelloClaim),
    /// Reserve another block of numbers.
    Reserve,
    /// Do an operation.
    Operate {
        /// The operation's id, its idempotency key.
        id: u64,
        /// What to do.
        operation: Operation,
    },
    /// Find the outcome of an operation; if there is none, commit a void, so that it will never be done.
    Settle {
        /// The operation's id.
        id: u64,
    },
    /// Do what a card's session asks for.
    #[cfg(feature = "cards")]
    Card {
        /// The operation's id, its idempotency key.
        id: u64,
        /// What to do, and what proves that it may be done.
        request: CardRequest,
    },
}

impl Command {
    /// The operation that it asks for, if it asks for one.
    pub const fn operation(&self) -> Option<Operation> {
        match self {
            Self::Operate { operation, .. } => Some(*operation),
            #[cfg(feature = "cards")]
            Self::Card { request, .. } => Some(request.operation()),
            Self::Hello(_) | Self::Reserve | Self::Settle { .. } => None,
        }
    }
}

/// What a hello says about the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HelloClaim {
    /// The hello's epoch.
    pub epoch: Epoch,
    /// Whether a hello of the very epoch that the ledger has committed is admitted: on a serial line the terminal
    /// retransmits its hello, on a connection an equal one is another peer's.
    pub admit_equal: bool,
    /// The ledger whose numbers the terminal knows.
    pub ledger: Option<LedgerId>,
    /// The highest number that it has seen: shown, or answered.
    pub seen: u64,
}

/// A ledger's response to a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Response {
    /// To [`Command::Hello`].
    Admitted(Admission),
    /// To [`Command::Hello`]: the terminal is not admitted, and nothing has changed. To the other commands: nothing was done, and the
    /// conversation is over ([`Rejection::Revoked`]).
    Rejected(Rejection),
    /// To [`Command::Reserve`]: the block.
    Reserved(Numbers),
    /// To [`Command::Operate`] and [`Command::Settle`].
    Settled {
        /// The operation's id.
        id: u64,
        /// Its outcome.
        outcome: Outcome,
    },
    /// To [`Operation::Statement`].
    #[cfg(feature = "cards")]
    Statement {
        /// The operation's id.
        id: u64,
        /// The last movements.
        statement: Statement,
    },
    /// The terminal has said hello elsewhere since: nothing was done, and the conversation is over here.
    Fenced,
}

/// What an admitted hello gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Admission {
    /// The ledger's identity.
    pub ledger: LedgerId,
    /// The turn of the terminal's requests from here on.
    pub turn: u32,
    /// The epoch of the hello that was committed before this one.
    pub former: Option<Epoch>,
    /// The block of numbers.
    pub numbers: Numbers,
    /// The terminal's gap, if the highest number that it has seen is inside: the ledger was set back, and this hello
    /// proves it, or one before it whose welcome was lost.
    pub set_back: Option<Gap>,
    /// The terminal's last operation.
    pub last: Option<Record>,
}

/// Why a hello is not admitted, or a conversation does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rejection {
    /// The ledger has no room for another terminal.
    Full,
    /// A hello of this epoch was admitted on another link.
    InUse,
    /// It claims numbers too far above what was ever reserved.
    Unsound,
    /// It claims numbers that were never reserved, and another hello of this name did so within the last minute; or hellos have cost
    /// a part with an EEPROM too many commits ([`HELLO_COMMITS`](crate::kiosk::HELLO_COMMITS)).
    TooSoon,
    /// It is authentic and proves that the ledger was set back: its terminal, whose row has this gap, is out of service until an
    /// operator confirms it.
    SetBack(Gap),
    /// An operator has changed who may use the name since the conversation's hello.
    Revoked,
}

#[cfg(all(test, feature = "seal"))]
mod tests {
    use super::*;

    #[test]
    fn epochs_compare_by_series_then_step_then_start_then_attempt() {
        let epoch = |series, step, start, attempt| Epoch { series, step, start, attempt };
        let growing = [
            Epoch::PLAIN,
            Epoch::clear(9, 9),
            epoch(1, 0, 0, 0),
            epoch(1, 0, 0, 1),
            epoch(1, 0, 1, 0),
            epoch(1, 1, 0, 0),
            epoch(2, 0, 0, 0),
        ];
        for (at, one) in growing.into_iter().enumerate() {
            for (before, other) in growing.into_iter().enumerate() {
                let is_plain = at == 0 && before < 2;
                assert_eq!(one.supersedes(other), at > before || is_plain, "{one:?} {other:?}");
            }
        }
        // A resumed session is one of the same start, and of the same key.
        let held = epoch(1, 1, 1, 1);
        for (other, is_same) in [
            (epoch(1, 1, 1, 9), true),
            (epoch(1, 1, 2, 1), false),
            (epoch(1, 2, 1, 1), false),
            (epoch(2, 1, 1, 1), false),
        ] {
            assert_eq!(held.is_same_life(other), is_same);
        }
    }
}
