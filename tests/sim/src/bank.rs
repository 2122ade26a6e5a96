//! Bank: the accounts, cards, PINs, limits and keys of a run with access by card, drawn from its seed.
use crate::auditor::Order;
use atm_core::{
    ledger::{
        AccountNumber, LedgerId,
        card::{
            AccountState, Accounts, Card, CardAccount, CardKeys, CardLedger, CardNumber, Claim, KeyId,
            Limits, LiveKey, Pin, Verifier,
        },
    },
    money::Amount,
};
use fastrand::Rng;

/// A ledger for as many terminals, cards and accounts as a run may have.
pub(crate) type CardMemory = CardLedger<8, 4, 6>;

/// The last names of the accounts' owners, of which initials are shown.
pub(crate) const OWNERS: [&str; 5] = ["Adams", "Brown", "Clark", "Davis", "Evans"];

/// A card as its holder has it.
#[derive(Clone, Debug)]
pub(crate) struct IssuedCard {
    pub(crate) number: String,
    /// The PIN that it was issued with.
    pub(crate) pin: String,
    pub(crate) accounts: Vec<u32>,
    /// Was it issued under the keys that were replaced since?
    has_old_keys: bool,
}

/// What a run begins with.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    pub(crate) cards: Vec<IssuedCard>,
    /// The number of each account, and its balance in minor units.
    pub(crate) accounts: Vec<(u32, u64)>,
    pub(crate) limits: Limits,
}

fn key(id: u64) -> LiveKey {
    (KeyId(id), [id as u8; 32].into())
}

/// The keys that the hosts have: those in use, and those that they replace.
pub(crate) fn keys() -> CardKeys {
    CardKeys::new(key(3), Some(key(1)), key(4), Some(key(2)))
}

/// So many random digits.
pub(crate) fn digits(rng: &mut Rng, count: usize) -> String {
    (0..count).map(|_| char::from(rng.u8(b'0'..=b'9'))).collect()
}

/// A random number with its check digit.
pub(crate) fn card_number(rng: &mut Rng) -> String {
    let count = rng.usize(15..=18);
    let body = digits(rng, count);
    let valid = (0..10).map(|check| format!("{body}{check}")).find(|text| text.parse::<CardNumber>().is_ok());
    valid.expect("one check digit is right")
}

/// A random PIN that a person may choose: a short one, or one that no other digits of a run have by chance.
pub(crate) fn pin(rng: &mut Rng) -> String {
    loop {
        let count = *rng.choice(&[4, 10, 11, 12]).unwrap_or(&4);
        let text = digits(rng, count);
        if Pin::chosen(&text).is_ok() {
            return text;
        }
    }
}

impl Bank {
    /// Two to four cards, of one to three accounts each, some of which two cards have.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let accounts: Vec<_> =
            (0..rng.u32(3..=5)).map(|place| (7_001 + place * 13, rng.u64(0..50_000))).collect();
        let cards = (0..rng.usize(2..=4))
            .map(|_| {
                let count = rng.usize(1..=3);
                let mut own: Vec<_> = accounts.iter().map(|(number, _)| *number).collect();
                rng.shuffle(&mut own);
                own.truncate(count);
                IssuedCard {
                    number: card_number(rng),
                    pin: pin(rng),
                    accounts: own,
                    has_old_keys: rng.bool(),
                }
            })
            .collect();
        let units = |units| Amount::from_units(units).expect("it is small");
        Self { cards, accounts, limits: Limits { withdrawal: units(150), day: units(rng.u64(150..600)) } }
    }

    /// The sum of all balances at the start.
    pub(crate) fn total(&self) -> Amount {
        Amount::from_minor(self.accounts.iter().map(|(_, balance)| balance).sum()).expect("it is small")
    }

    /// The ledger at the start.
    pub(crate) fn ledger(&self, identity: LedgerId) -> CardMemory {
        let mut ledger = CardMemory::new(identity, self.limits);
        for (place, (number, balance)) in self.accounts.iter().enumerate() {
            let owner = format!("Owner {}", OWNERS[place]).parse().expect("it is a name");
            let balance = Amount::from_minor(*balance).expect("it is small");
            let account = CardAccount::new(AccountNumber(*number), balance, owner);
            ledger.open_account(account).expect("the numbers differ");
        }
        for row in self.rows() {
            ledger.issue(row).expect("the numbers differ");
        }
        ledger
    }

    /// The rows of the cards at the start.
    pub(crate) fn rows(&self) -> Vec<Card> {
        let old = CardKeys::new(key(1), None, key(2), None);
        let row = |card: &IssuedCard| {
            let keys = if card.has_old_keys { old.clone() } else { keys() };
            let number: CardNumber = card.number.parse().expect("it is a number");
            let claim = keys.claim(&number);
            let proof = keys.proof(&claim, &card.pin.parse().expect("it is a PIN"));
            let own: Vec<_> = card.accounts.iter().map(|number| AccountNumber(*number)).collect();
            let own = Accounts::new(&own).expect("there are at most three");
            Card::new(&claim, &proof, number.last_four(), own)
        };
        self.cards.iter().map(row).collect()
    }

    /// The verifier of a card with another PIN. Under the card's own token: its row is not of the newest key before its next
    /// verification.
    pub(crate) fn verifier(claim: &Claim, pin: &str) -> Verifier {
        keys().proof(claim, &pin.parse().expect("it is a PIN")).newest()
    }

    fn claim(&self, card: usize) -> Claim {
        keys().claim(&self.cards[card].number.parse().expect("it is a number"))
    }

    /// The row of a card, under whichever key it is.
    pub(crate) fn row<'a>(&self, ledger: &'a CardMemory, card: usize) -> &'a Card {
        let claim = self.claim(card);
        claim.tokens().iter().find_map(|token| ledger.card(*token)).expect("it was issued")
    }

    /// An operator gives an order about a card.
    pub(crate) fn order(&self, ledger: &mut CardMemory, card: usize, order: &Order) {
        let token = self.row(ledger, card).token;
        let Some(row) = ledger.card_mut(token) else { return };
        match order {
            Order::Block => row.block(),
            Order::Unblock => row.unblock(),
            Order::SetPin(pin) => row.set_pin(Self::verifier(&Claim::of(token), pin)),
        }
    }

    /// An operator freezes an account, or thaws it.
    pub(crate) fn freeze(&self, ledger: &mut CardMemory, account: usize, is_frozen: bool) {
        let row = ledger.account_mut(AccountNumber(self.accounts[account].0)).expect("it was opened");
        row.state = if is_frozen { AccountState::Frozen } else { AccountState::Open };
    }
}
