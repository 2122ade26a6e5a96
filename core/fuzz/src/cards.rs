//! A ledger of two cards, which share an account, and the keys that its host has.
use atm_core::{
    ledger::{
        AccountNumber, LedgerId,
        card::{Accounts, Card, CardAccount, CardKeys, CardLedger, CardNumber, Claim, KeyId, Limits, Proof},
    },
    money::Amount,
};

/// The numbers of two cards, and one that was not issued.
pub const NUMBERS: [&str; 3] = ["4111111111111111", "5500000000000004", "340000000000009"];
/// The PINs of the cards, and another one.
pub const PINS: [&str; 3] = ["864297531", "975310246", "135798642"];
/// The accounts; the first is the first card's, the second both cards', the third the second card's.
pub const ACCOUNTS: [AccountNumber; 3] = [AccountNumber(7), AccountNumber(8), AccountNumber(9)];
/// The limits of a card, in whole units.
pub const LIMITS: (u64, u64) = (200, 300);

/// The ledger.
pub type SmallLedger = CardLedger<2, 2, 3>;

/// The keys.
pub fn keys() -> CardKeys {
    CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(2), [2; 32].into()), None)
}

/// What stands for a card, and for it with a PIN.
pub fn typed(card: usize, pin: &str) -> (Claim, Proof) {
    let claim = keys().claim(&NUMBERS[card].parse().expect("it is a number"));
    (claim, keys().proof(&claim, &pin.parse().expect("it is a PIN")))
}

/// The ledger at the start: each account has 500.
pub fn ledger() -> SmallLedger {
    let units = |units| Amount::from_units(units).expect("it is small");
    let limits = Limits { withdrawal: units(LIMITS.0), day: units(LIMITS.1) };
    let mut ledger = CardLedger::new(LedgerId(1), limits);
    for number in ACCOUNTS {
        let owner = "Ada Lovelace".parse().expect("it is a name");
        ledger.open_account(CardAccount::new(number, units(500), owner)).expect("there is room");
    }
    for card in 0..2 {
        let (claim, proof) = typed(card, PINS[card]);
        let last_four = NUMBERS[card].parse::<CardNumber>().expect("it is a number").last_four();
        let own = Accounts::new(&ACCOUNTS[card..card + 2]).expect("there are two");
        ledger.issue(Card::new(&claim, &proof, last_four, own)).expect("there is room");
    }
    ledger
}
