//! The bank of the loads by card: accounts, a card for each, and terminals with keys, in a ledger that is moved to a database.
use atm_core::{
    ledger::{
        AccountNumber, LedgerId, Name,
        card::{Accounts, Card, Claim},
    },
    money::Amount,
    seal::TerminalKey,
};
use atm_host::{
    access::{Secrets, draw},
    clock::unix_time,
    ledger::{enrol::Order, folder::Folder, operator::Operator, sqlite::Beginning},
};
use std::{num::NonZeroU32, path::Path};

/// The PIN of every card.
pub(super) const PIN: &str = "2580";

/// The number of the first account.
const FIRST_ACCOUNT: u32 = 1_000;

/// A card, and what stands for its number.
#[derive(Debug)]
pub(super) struct IssuedCard {
    pub(super) number: String,
    pub(super) claim: Claim,
    pub(super) account: AccountNumber,
}

/// The accounts' cards and the terminals' names and keys.
#[derive(Debug)]
pub(super) struct Bank {
    pub(super) cards: Vec<IssuedCard>,
    pub(super) terminals: Vec<(Name, TerminalKey)>,
}

impl Bank {
    /// Makes a ledger in this folder with so many accounts and terminals, and its secrets file. Each order is a commit of its own, as
    /// by the command line.
    ///
    /// # Errors
    /// They cannot be made.
    pub(super) fn create(
        data: &Path,
        secrets_file: &Path,
        (accounts, terminals): (usize, usize),
    ) -> Result<Self, String> {
        fn text(error: impl std::fmt::Display) -> String {
            error.to_string()
        }
        let secrets = Secrets::generate().map_err(text)?;
        secrets.create(secrets_file).map_err(text)?;
        let new =
            Beginning { identity: LedgerId(fastrand::u64(..)), balance: Amount::ZERO, time: unix_time() };
        drop(Folder::lock(data).and_then(|folder| folder.open(new, false)).map_err(text)?);
        let mut operator = Operator::open(data, fastrand::u64(..)).map_err(text)?;
        let (keys, prefix) = (secrets.cards(), "400000".parse().map_err(text)?);
        let pin = PIN.parse().map_err(|error| format!("{error:?}"))?;
        let owner: atm_core::ledger::card::Owner =
            "Ada Lovelace".parse().map_err(|error| format!("{error:?}"))?;
        let balance = Amount::from_units(1_000).unwrap_or(Amount::ZERO);
        let mut bank = Self { cards: Vec::new(), terminals: Vec::new() };
        for account in (FIRST_ACCOUNT..).map(AccountNumber).take(accounts) {
            operator.open_account(Some(account), owner.clone(), balance, unix_time()).map_err(text)?;
            let (number, digits) = draw::card_number(&prefix).map_err(text)?;
            let claim = keys.claim(&number);
            let accounts = Accounts::new(&[account]).ok_or("a card has at most four accounts")?;
            let card = Card::new(&claim, &keys.proof(&claim, &pin), number.last_four(), accounts);
            operator.issue(&claim, &card, unix_time()).map_err(text)?;
            bank.cards.push(IssuedCard { number: digits.as_str().to_owned(), claim, account });
        }
        for index in 0..terminals {
            let name: Name = format!("terminal-{index}").parse().map_err(|error| format!("{error:?}"))?;
            operator.order(&name, Order::AddKey, None, unix_time()).map_err(text)?;
            let key = TerminalKey::derive(secrets.terminals(), NonZeroU32::MIN, &name);
            bank.terminals.push((name, key));
        }
        Ok(bank)
    }
}
