//! Requests of a card's session, with what proves that they may be done.
use super::{Access, Claim, Proof, Verifier};
use crate::ledger::{AccountNumber, Command, Operation};

/// What a card's session requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CardRequest {
    /// [`Operation::Verify`].
    Verify {
        /// Stands for the card's number.
        claim: Claim,
        /// Stands for the PIN.
        proof: Proof,
    },
    /// [`Operation::ChangePin`], of a card that was verified.
    ChangePin {
        /// What the verification returned.
        access: Access,
        /// Stands for the old PIN.
        old: Proof,
        /// Stands for the new PIN, under the access's token.
        new: Verifier,
    },
    /// Another operation with a card that was verified.
    Operate {
        /// What the verification returned, and the account.
        access: Access,
        /// What to do.
        operation: Operation,
    },
}

impl CardRequest {
    /// The operation that is recorded.
    pub const fn operation(&self) -> Operation {
        match self {
            Self::Verify { .. } => Operation::Verify,
            Self::ChangePin { .. } => Operation::ChangePin,
            Self::Operate { operation, .. } => *operation,
        }
    }

    /// The tokens of its card.
    pub const fn claim(&self) -> Claim {
        match self {
            Self::Verify { claim, .. } => *claim,
            Self::ChangePin { access, .. } | Self::Operate { access, .. } => Claim::of(access.token),
        }
    }
}

/// The rows that a command of a card touches: a store loads them for [`decide`](crate::ledger::decide()).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The card, under one of these tokens; the decoy if no card has them, or there are none.
    pub card: Option<Claim>,
    /// The account of the session.
    pub account: Option<AccountNumber>,
    /// The payee.
    pub payee: Option<AccountNumber>,
}

impl Command {
    /// The rows of cards that it touches.
    pub fn touched(&self) -> Touched {
        let Self::Card { request, .. } = self else { return Touched::default() };
        let account = match request {
            CardRequest::Verify { .. } => None,
            CardRequest::ChangePin { access, .. } | CardRequest::Operate { access, .. } => {
                Some(access.account)
            }
        };
        let payee = match request.operation() {
            Operation::Transfer { payee, .. } | Operation::LookUp { payee } => Some(payee),
            _ => None,
        };
        Touched { card: Some(request.claim()), account, payee }
    }
}
