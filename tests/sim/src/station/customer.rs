//! The random person with a card in front of a terminal: who holds the card, forgets the PIN, or has found the card.
use crate::{
    auditor::{CardAudit, Prompt},
    bank,
};
use fastrand::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Knows the PIN, and mistypes it at times.
    Holder,
    /// Types so many wrong PINs before the right one.
    Forgetful(u32),
    /// Has found the card, and guesses.
    Thief,
}

/// A person at a terminal with access by card.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    kind: Kind,
    card: usize,
    /// The PIN that replaces the present one.
    new_pin: String,
    /// The holder's card number was typed to ask for the balance.
    asks_balance: bool,
}

impl Customer {
    /// The next person, with any card: two terminals may have persons with the same one.
    pub(crate) fn arrive(rng: &mut Rng, cards: &CardAudit) -> Self {
        let kind = match rng.u32(0..10) {
            0 => Kind::Thief,
            1..3 => Kind::Forgetful(rng.u32(1..5)),
            _ => Kind::Holder,
        };
        Self {
            kind,
            card: rng.usize(0..cards.bank().cards.len()),
            new_pin: String::new(),
            asks_balance: false,
        }
    }

    /// What the person types at a prompt.
    pub(crate) fn answer(&mut self, prompt: Prompt, rng: &mut Rng, cards: &CardAudit) -> String {
        match prompt {
            Prompt::Card => {
                *self = Self::arrive(rng, cards);
                match rng.u32(0..20) {
                    0 => bank::card_number(rng),
                    1 => "4111".to_owned(),
                    2 => "exit".to_owned(),
                    3 => {
                        let (first, rest) = cards.bank().cards[self.card].number.split_at(4);
                        format!("{first} {rest}")
                    }
                    _ => cards.bank().cards[self.card].number.clone(),
                }
            }
            Prompt::Pin | Prompt::OldPin => self.pin(rng, cards),
            Prompt::NewPin => {
                self.new_pin = if rng.u32(0..8) == 0 { "123412341234".to_owned() } else { bank::pin(rng) };
                self.new_pin.clone()
            }
            Prompt::RepeatPin if rng.u32(0..8) == 0 => bank::pin(rng),
            Prompt::RepeatPin => self.new_pin.clone(),
            _ if rng.u32(0..25) == 0 => "back".to_owned(),
            Prompt::Account => self.account(rng, cards).to_string(),
            Prompt::Payee => {
                let accounts = &cards.bank().accounts;
                rng.choice(accounts)
                    .map_or(9, |(number, _)| *number + u32::from(rng.u32(0..9) == 0))
                    .to_string()
            }
            Prompt::Confirm => rng.choice(&["yes", "yes", "yes", "no"]).map_or("", |word| word).to_owned(),
            Prompt::Deposit | Prompt::Transfer => amount(rng),
            Prompt::Withdraw if rng.u32(0..5) == 0 => "all".to_owned(),
            Prompt::Withdraw => rng.u32(1..200).to_string(),
            Prompt::Menu => match rng.u32(0..100) {
                0..15 => format!("deposit {}", amount(rng)),
                15..35 => format!("withdraw {}", rng.u32(1..200)),
                35..40 => "withdraw all".to_owned(),
                40..45 => "1".to_owned(),
                45..50 => "2".to_owned(),
                50..58 => "3".to_owned(),
                58..80 => "4".to_owned(),
                80..84 => "5".to_owned(),
                84..92 => "6".to_owned(),
                92..97 => "logout".to_owned(),
                97 => "withdraw 0".to_owned(),
                _ => "exit".to_owned(),
            },
        }
    }

    /// What a holder types who asks for the balance.
    pub(crate) fn ask_balance(&mut self, prompt: Prompt, rng: &mut Rng, cards: &CardAudit) -> String {
        match prompt {
            Prompt::Card => {
                let all = 0..cards.bank().cards.len();
                let open: Vec<_> = all.filter(|card| !cards.is_blocked(*card)).collect();
                self.card = rng.choice(&open).copied().unwrap_or(0);
                self.asks_balance = true;
                cards.bank().cards[self.card].number.clone()
            }
            Prompt::Menu => "3".to_owned(),
            _ if !self.asks_balance || cards.is_blocked(self.card) => "back".to_owned(),
            Prompt::Pin => cards.pin(self.card).to_owned(),
            Prompt::Account => cards.bank().cards[self.card].accounts[0].to_string(),
            _ => "back".to_owned(),
        }
    }

    fn pin(&mut self, rng: &mut Rng, cards: &CardAudit) -> String {
        let is_wrong = match &mut self.kind {
            Kind::Holder => rng.u32(0..20) == 0,
            Kind::Forgetful(0) => false,
            Kind::Forgetful(left) => {
                *left -= 1;
                true
            }
            Kind::Thief if rng.u32(0..6) == 0 => return "back".to_owned(),
            Kind::Thief => true,
        };
        if is_wrong { bank::pin(rng) } else { cards.pin(self.card).to_owned() }
    }

    fn account(&self, rng: &mut Rng, cards: &CardAudit) -> u32 {
        let own = &cards.bank().cards[self.card].accounts;
        let any = rng.choice(&cards.bank().accounts).map_or(0, |(number, _)| *number);
        if rng.u32(0..10) == 0 { any } else { rng.choice(own).copied().unwrap_or(any) }
    }
}

/// An amount, half of the times with cents.
fn amount(rng: &mut Rng) -> String {
    let units = rng.u32(1..200);
    if rng.bool() { units.to_string() } else { format!("{units}.{:02}", rng.u32(0..100)) }
}
