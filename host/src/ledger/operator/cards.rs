//! Orders about accounts and cards.
//!
//! A new card's number and PIN are known to the caller alone; here are their token and verifier. The caller shows them only after
//! the commit: a card that is in no row could not be blocked.
use super::{Operator, OrderFault};
use crate::ledger::{
    batch::DECOY,
    card_order::{self, AccountOrder, CardOrder, ISSUED, Refused},
    entry::{self, CardDigest},
    reader::AccountRow,
};
use atm_core::{
    ledger::{
        AccountNumber,
        card::{Accounts, Card, Claim, Owner},
    },
    money::Amount,
    time::UnixTime,
};

impl Operator {
    /// Opens an account and commits it with its entry: under this number, or the first one from
    /// 1000 on that is free.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn open_account(
        &mut self,
        number: Option<AccountNumber>,
        owner: Owner,
        balance: Amount,
        time: UnixTime,
    ) -> Result<AccountNumber, OrderFault> {
        self.commit(|this| {
            let number = number.map_or_else(|| this.rows.first_free_account(), Ok)?;
            let is_taken = this.rows.account(number)?.is_some();
            let new = card_order::open(number, balance, owner, is_taken)
                .map_err(|refused| OrderFault::Account(number, refused))?;
            let row = AccountRow { account: new.account, owner: Some(new.owner.clone()), state: new.state };
            this.rows.save_account(&row)?;
            this.post(&entry::opened(&new.account, &new.owner, this.uid), time)?;
            Ok(number)
        })
    }

    /// Carries an order out on an account and commits it with its entry.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn order_account(
        &mut self,
        number: AccountNumber,
        order: AccountOrder,
        time: UnixTime,
    ) -> Result<(), OrderFault> {
        self.commit(|this| {
            let refused = |refused| OrderFault::Account(number, refused);
            let row = this.rows.account(number)?.ok_or_else(|| refused(Refused::NoAccount))?;
            let state = order.apply(&row.account, row.state).map_err(refused)?;
            this.rows.save_account(&AccountRow { state, ..row })?;
            this.post(&entry::account_order(order.word(), number, this.uid), time)?;
            Ok(())
        })
    }

    /// The accounts of a new card, if it may be issued for these.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn may_issue(&self, numbers: &[AccountNumber]) -> Result<Accounts, OrderFault> {
        let accounts = card_order::accounts(numbers).map_err(|refused| OrderFault::Card(None, refused))?;
        for number in numbers {
            let row = self.rows.account(*number)?;
            card_order::admit(*number, row.map(|row| row.state))
                .map_err(|refused| OrderFault::Account(*number, refused))?;
        }
        Ok(accounts)
    }

    /// Issues a card and commits it with its entry; returns its number in the table. `claim` has its tokens under each live key.
    ///
    /// # Errors
    /// [`OrderFault`]. After [`Refused::NumberTaken`] another number may be drawn.
    pub fn issue(&mut self, claim: &Claim, card: &Card, time: UnixTime) -> Result<u64, OrderFault> {
        self.commit(|this| {
            this.may_issue(&Vec::from_iter(card.accounts.iter()))?;
            let refused = |refused| Err(OrderFault::Card(None, refused));
            if this.rows.find_card(claim)?.is_some() {
                return refused(Refused::NumberTaken);
            }
            if this.rows.are_cards_of_other_keys(claim)? {
                return refused(Refused::OtherKeys);
            }
            let number = this.rows.next_card()?;
            this.rows.save_card(number, card)?;
            let digest = Some(CardDigest::of(card));
            this.post(&entry::card_order(ISSUED, number, Some(&card.accounts), digest, this.uid), time)?;
            Ok(number)
        })
    }

    /// The number in the table of the card of one of these tokens.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn find_card(&self, claim: &Claim) -> Result<Option<u64>, OrderFault> {
        Ok(self.rows.find_card(claim)?.map(|(number, _)| number))
    }

    /// A card.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn card(&self, number: u64) -> Result<Card, OrderFault> {
        let found = if number == DECOY { None } else { self.rows.card(number)? };
        found.ok_or(OrderFault::Card(Some(number), Refused::NoCard))
    }

    /// Carries an order out on a card and commits it with its entry. `order` gets the card as it is then.
    ///
    /// # Errors
    /// [`OrderFault`].
    pub fn order_card(
        &mut self,
        number: u64,
        order: impl FnOnce(&Card) -> Result<CardOrder, Refused>,
        time: UnixTime,
    ) -> Result<(), OrderFault> {
        self.commit(|this| {
            let mut card = this.card(number)?;
            let refused = |refused| OrderFault::Card(Some(number), refused);
            let order = order(&card).map_err(refused)?;
            order.apply(&mut card).map_err(refused)?;
            this.rows.save_card(number, &card)?;
            let digest = order.is_new_pin().then(|| CardDigest::of(&card));
            this.post(&entry::card_order(order.word(), number, None, digest, this.uid), time)?;
            Ok(())
        })
    }
}
