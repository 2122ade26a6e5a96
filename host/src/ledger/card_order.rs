//! Orders about accounts and cards: what an operator's order does to their rows, as pure functions.
//!
//! The command and [verification](super::verify) apply the same rules, as with [`enrol`](super::enrol) for terminals.
use atm_core::{
    ledger::{
        Account, AccountNumber,
        card::{ACCOUNTS, AccountState, Accounts, Card, CardAccount, Owner, Verifier},
    },
    money::Amount,
};
use std::fmt;

/// The highest number of an account: nine digits.
pub const MAX_ACCOUNT: u32 = 999_999_999;

/// The kind of the entry of an account that was opened.
pub const OPENED: &str = "opened";

/// The kind of the entry of a card that was issued.
pub const ISSUED: &str = "issued";

/// An operator's order about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountOrder {
    /// No money moves until it is unfrozen.
    Freeze,
    /// Everything may be done with it again.
    Unfreeze,
    /// Nothing may be done with it, for ever.
    Close,
}

/// An operator's order about a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardOrder {
    /// No PIN of it is right, and its sessions are over.
    Block,
    /// Its PIN may be tried three times again.
    Unblock,
    /// It has another PIN, and its sessions are over.
    SetPin(Verifier),
}

/// Why an order about an account or a card is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no account of this number.
    NoAccount,
    /// There is an account of this number.
    Taken,
    /// No account can have this number.
    NoNumber,
    /// It is the account of open access.
    Open,
    /// It is frozen.
    Frozen,
    /// It is not frozen.
    NotFrozen,
    /// It is closed.
    Closed,
    /// There is money in it.
    HasMoney(Amount),
    /// There is no card of this number.
    NoCard,
    /// A card has 1 to [`ACCOUNTS`] accounts, none of them twice.
    Accounts,
    /// Another card has the number that was drawn.
    NumberTaken,
    /// The secrets file has no key of the ledger's cards.
    OtherKeys,
    /// It is blocked.
    Blocked,
    /// It is not blocked, and no wrong PIN is counted.
    NotBlocked,
}

/// A new account.
///
/// # Errors
/// [`Refused`]: `is_taken` says that there is one of this number.
pub fn open(
    number: AccountNumber,
    balance: Amount,
    owner: Owner,
    is_taken: bool,
) -> Result<CardAccount, Refused> {
    if is_taken {
        return Err(Refused::Taken);
    }
    if !(1..=MAX_ACCOUNT).contains(&number.0) {
        return Err(Refused::NoNumber);
    }
    let new = CardAccount::new(number, balance, owner);
    // As the first account of a ledger: the opening counts as a movement.
    Ok(CardAccount { account: Account { version: 1, ..new.account }, ..new })
}

/// The accounts of a new card.
///
/// # Errors
/// [`Refused::Accounts`].
pub fn accounts(numbers: &[AccountNumber]) -> Result<Accounts, Refused> {
    let is_twice = |(at, number)| numbers.iter().skip(at + 1).any(|other| other == number);
    if numbers.is_empty() || numbers.iter().enumerate().any(is_twice) {
        return Err(Refused::Accounts);
    }
    Accounts::new(numbers).ok_or(Refused::Accounts)
}

/// Whether a card may be issued for an account: `state` is `None` where there is none of this number.
///
/// # Errors
/// [`Refused`].
pub fn admit(number: AccountNumber, state: Option<AccountState>) -> Result<(), Refused> {
    match state {
        _ if number == AccountNumber::OPEN => Err(Refused::Open),
        None => Err(Refused::NoAccount),
        Some(AccountState::Closed) => Err(Refused::Closed),
        Some(AccountState::Open | AccountState::Frozen) => Ok(()),
    }
}

impl AccountOrder {
    /// The kind of its entry.
    pub fn word(self) -> &'static str {
        match self {
            Self::Freeze => "frozen",
            Self::Unfreeze => "unfrozen",
            Self::Close => "closed",
        }
    }

    /// The order whose entry has this kind.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Freeze, Self::Unfreeze, Self::Close].into_iter().find(|order| order.word() == word)
    }

    /// The state of the account after it.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn apply(self, account: &Account, state: AccountState) -> Result<AccountState, Refused> {
        match (self, state) {
            _ if account.number == AccountNumber::OPEN => Err(Refused::Open),
            (_, AccountState::Closed) => Err(Refused::Closed),
            (Self::Freeze, AccountState::Frozen) => Err(Refused::Frozen),
            (Self::Freeze, AccountState::Open) => Ok(AccountState::Frozen),
            (Self::Unfreeze, AccountState::Open) => Err(Refused::NotFrozen),
            (Self::Unfreeze, AccountState::Frozen) => Ok(AccountState::Open),
            (Self::Close, _) if !account.balance.is_zero() => Err(Refused::HasMoney(account.balance)),
            (Self::Close, _) => Ok(AccountState::Closed),
        }
    }
}

impl CardOrder {
    /// The kind of its entry.
    pub fn word(self) -> &'static str {
        match self {
            Self::Block => "blocked",
            Self::Unblock => "unblocked",
            Self::SetPin(_) => "pin-set",
        }
    }

    /// The order whose entry has this kind. An entry has nothing of a PIN: `verifier` is that of the new one, or any.
    pub fn of(word: &str, verifier: Verifier) -> Option<Self> {
        [Self::Block, Self::Unblock, Self::SetPin(verifier)].into_iter().find(|order| order.word() == word)
    }

    /// Whether the card has another verifier after it.
    pub fn is_new_pin(self) -> bool {
        matches!(self, Self::SetPin(_))
    }

    /// Carries it out on the row of a card, which is not the decoy.
    ///
    /// # Errors
    /// [`Refused`]; the row is unchanged.
    pub fn apply(self, card: &mut Card) -> Result<(), Refused> {
        match self {
            Self::Block if card.is_blocked => return Err(Refused::Blocked),
            Self::Block => card.block(),
            Self::Unblock if !card.is_blocked && card.tries == 0 => return Err(Refused::NotBlocked),
            Self::Unblock => card.unblock(),
            Self::SetPin(verifier) => card.set_pin(verifier),
        }
        Ok(())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAccount => f.write_str("there is none (`atm account open`)"),
            Self::Taken => f.write_str("there is one already"),
            Self::NoNumber => f.write_str("an account's number is 1 to 9 digits, not zero"),
            Self::Open => f.write_str("it is that of open access, which has no owner and no cards"),
            Self::Frozen => f.write_str("it is frozen already"),
            Self::NotFrozen => f.write_str("it is not frozen"),
            Self::Closed => f.write_str("it is closed, which is final"),
            Self::HasMoney(amount) => {
                write!(f, "there is {amount} in it, and only an empty account is closed")
            }
            Self::NoCard => f.write_str("there is none (`atm card list`)"),
            Self::Accounts => write!(f, "a card has 1 to {ACCOUNTS} accounts, none of them twice"),
            Self::NumberTaken => f.write_str("another one has its number"),
            Self::OtherKeys => f.write_str(
                "the secrets file has no key of the ledger's cards: take the one of the server; where that is lost, block every card first",
            ),
            Self::Blocked => f.write_str("it is blocked already"),
            Self::NotBlocked => f.write_str("it is not blocked, and no wrong PIN is counted"),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::ledger::card::TRIES;

    fn opened(number: u32, units: u64) -> Result<CardAccount, Refused> {
        let balance = Amount::from_units(units).unwrap();
        open(AccountNumber(number), balance, "Ada Lovelace".parse().unwrap(), false)
    }

    #[test]
    fn an_account_is_opened_under_a_number_that_is_free() {
        let row = opened(1000, 40).unwrap();
        assert_eq!(
            (row.account.balance.units(), row.account.version, row.state),
            (40, 1, AccountState::Open)
        );
        for (number, reason) in [(0, Refused::NoNumber), (1_000_000_000, Refused::NoNumber)] {
            assert_eq!(opened(number, 0), Err(reason));
        }
        assert!(opened(MAX_ACCOUNT, 0).is_ok());
        let again = open(AccountNumber(1000), Amount::ZERO, row.owner, true);
        assert_eq!(again, Err(Refused::Taken));
    }

    #[test]
    fn an_account_is_frozen_unfrozen_and_closed_for_ever() {
        use AccountOrder::{Close, Freeze, Unfreeze};
        use AccountState::{Closed, Frozen, Open};
        let empty = opened(1000, 0).unwrap().account;
        for (state, order, after) in [
            (Open, Freeze, Ok(Frozen)),
            (Open, Unfreeze, Err(Refused::NotFrozen)),
            (Open, Close, Ok(Closed)),
            (Frozen, Freeze, Err(Refused::Frozen)),
            (Frozen, Unfreeze, Ok(Open)),
            (Frozen, Close, Ok(Closed)),
            (Closed, Freeze, Err(Refused::Closed)),
            (Closed, Unfreeze, Err(Refused::Closed)),
            (Closed, Close, Err(Refused::Closed)),
        ] {
            assert_eq!(order.apply(&empty, state), after, "{state:?} {order:?}");
            assert_eq!(AccountOrder::of(order.word()), Some(order));
        }
        assert_eq!(AccountOrder::of("opened"), None);
    }

    #[test]
    fn an_account_with_money_is_not_closed() {
        for (units, state) in [(40, AccountState::Open), (1, AccountState::Frozen)] {
            let account = opened(1000, units).unwrap().account;
            let refused = AccountOrder::Close.apply(&account, state).unwrap_err();
            assert_eq!(refused, Refused::HasMoney(account.balance));
            assert!(refused.to_string().contains(&format!("there is ${units} in it")), "{refused}");
            assert!(AccountOrder::Freeze.apply(&account, AccountState::Open).is_ok());
        }
    }

    #[test]
    fn the_account_of_open_access_takes_no_order_and_has_no_card() {
        let account = Account { number: AccountNumber::OPEN, balance: Amount::ZERO, version: 1 };
        for order in [AccountOrder::Freeze, AccountOrder::Unfreeze, AccountOrder::Close] {
            assert_eq!(order.apply(&account, AccountState::Open), Err(Refused::Open));
        }
        assert_eq!(admit(AccountNumber::OPEN, Some(AccountState::Open)), Err(Refused::Open));
    }

    #[test]
    fn a_card_is_issued_for_at_most_four_accounts_that_are_not_closed() {
        let numbers = [7, 8, 9, 10, 11].map(AccountNumber);
        assert_eq!(accounts(&[]), Err(Refused::Accounts));
        assert_eq!(accounts(&numbers), Err(Refused::Accounts));
        assert_eq!(accounts(&[numbers[0], numbers[1], numbers[0]]), Err(Refused::Accounts));
        assert!(accounts(&numbers[..4]).unwrap().iter().eq(numbers[..4].iter().copied()));
        for (state, admitted) in [
            (None, Err(Refused::NoAccount)),
            (Some(AccountState::Closed), Err(Refused::Closed)),
            (Some(AccountState::Frozen), Ok(())),
            (Some(AccountState::Open), Ok(())),
        ] {
            assert_eq!(admit(numbers[0], state), admitted);
        }
    }

    #[test]
    fn orders_about_a_card_raise_its_version_and_end_its_sessions() {
        let new = Card { is_blocked: false, ..Card::DECOY };
        let verifier = Verifier { value: [7; 16], ..new.verifier };
        let mut card = new;
        assert_eq!(CardOrder::Unblock.apply(&mut card), Err(Refused::NotBlocked));
        assert_eq!(card, new);
        CardOrder::Block.apply(&mut card).unwrap();
        assert_eq!((card.is_blocked, card.version), (true, 1));
        assert_eq!(CardOrder::Block.apply(&mut card), Err(Refused::Blocked));
        CardOrder::SetPin(verifier).apply(&mut card).unwrap();
        assert_eq!((card.is_blocked, card.version, card.verifier), (true, 2, verifier));
        card.tries = TRIES;
        CardOrder::Unblock.apply(&mut card).unwrap();
        assert_eq!((card.is_blocked, card.version, card.tries), (false, 3, 0));
        // Wrong PINs that did not block it yet.
        card.tries = TRIES - 1;
        CardOrder::Unblock.apply(&mut card).unwrap();
        assert_eq!((card.version, card.tries), (3, 0));
        for order in [CardOrder::Block, CardOrder::Unblock, CardOrder::SetPin(verifier)] {
            assert_eq!(CardOrder::of(order.word(), verifier), Some(order));
        }
        assert_eq!(CardOrder::of("issued", verifier), None);
    }
}
