//! The bank of the model: two cards with an account each, and what an audit knows of them from outside.
use super::bounds::Bounds;
use atm_core::{
    ledger::{
        AccountNumber, Command, InDoubt, Ledger, LedgerId, Outcome, Refusal, Request, Response,
        card::{
            Accounts, Card, CardAccount, CardKeys, CardLedger, CardNumber, CardRequest, Claim, KeyId, Limits,
        },
    },
    money::Amount,
    screen::CardScreen,
};

/// The cards' numbers, and the PIN of each: the other's is a wrong one.
pub(super) const NUMBERS: [&str; 2] = ["4111111111111111", "5500000000000004"];
pub(super) const PINS: [&str; 2] = ["2580", "1379"];
/// The account of each.
pub(super) const ACCOUNTS: [AccountNumber; 2] = [AccountNumber(7), AccountNumber(8)];

/// Wrong PINs that block a card.
const TRIES: u8 = 3;

pub(super) fn keys() -> CardKeys {
    CardKeys::new((KeyId(1), [1; 32].into()), None, (KeyId(2), [2; 32].into()), None)
}

fn claim(card: usize) -> Claim {
    keys().claim(&NUMBERS[card].parse().unwrap())
}

/// What a person can type at a prompt of a card's session.
pub(super) fn texts(prompt: CardScreen, bounds: &Bounds) -> &'static [&'static str] {
    match prompt {
        // A second card makes no difference where there is one terminal.
        CardScreen::CardPrompt if bounds.terminals > 1 => &NUMBERS,
        CardScreen::CardPrompt => &[NUMBERS[0]],
        CardScreen::PinPrompt => &PINS,
        CardScreen::Menu => bounds.menu,
        CardScreen::PayeePrompt => &["8"],
        CardScreen::ConfirmPrompt { .. } => &["yes"],
        _ => &["1"],
    }
}

/// An order of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// To block the card.
    Block,
    /// To unblock it.
    Unblock,
}

/// A card as it must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct CardTruth {
    pub(super) wrong: u8,
    pub(super) is_blocked: bool,
    /// Raised by what ends its sessions.
    pub(super) revision: u8,
}

impl CardTruth {
    fn block(&mut self) {
        self.revision += u8::from(!self.is_blocked);
        self.is_blocked = true;
    }

    /// A PIN is judged.
    pub(super) fn judge(&mut self, is_right: bool) {
        self.wrong = if is_right { 0 } else { (self.wrong + 1).min(TRIES) };
        if self.wrong >= TRIES {
            self.block();
        }
    }
}

/// What an audit reads in the rows: balances, and of each card its tries and whether it is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowsSeen {
    pub(super) balances: [Amount; 2],
    pub(super) cards: [(u8, bool); 2],
}

/// The ledger of cards, and the truth about them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CardBank {
    ledger: CardLedger<2, 2, 2>,
    pub(super) truth: [CardTruth; 2],
    /// Orders that an operator may still give.
    orders: u8,
    /// Whether a bug counts a wrong PIN with the next request, and the row that it then writes.
    counts_late: bool,
    late: Option<Card>,
}

impl CardBank {
    pub(super) fn new(balance: Amount, orders: u8, counts_late: bool) -> Self {
        let limits = Limits { withdrawal: Amount::MAX, day: Amount::MAX };
        let mut ledger = CardLedger::new(LedgerId(1), limits);
        for (card, account) in ACCOUNTS.into_iter().enumerate() {
            let owner = "Ada Lovelace".parse().unwrap();
            ledger.open_account(CardAccount::new(account, balance, owner)).unwrap();
            let proof = keys().proof(&claim(card), &PINS[card].parse().unwrap());
            let last_four = NUMBERS[card].parse::<CardNumber>().unwrap().last_four();
            ledger
                .issue(Card::new(&claim(card), &proof, last_four, Accounts::new(&[account]).unwrap()))
                .unwrap();
        }
        Self { ledger, truth: Default::default(), orders, counts_late, late: None }
    }

    fn row(&self, card: usize) -> &Card {
        self.ledger.card(claim(card).newest()).unwrap()
    }

    pub(super) fn rows(&self) -> RowsSeen {
        let balance = |account| self.ledger.account(account).map_or(Amount::ZERO, |row| row.account.balance);
        RowsSeen {
            balances: ACCOUNTS.map(balance),
            cards: [0, 1].map(|card| (self.row(card).tries, self.row(card).is_blocked)),
        }
    }

    pub(super) fn total(&self) -> Amount {
        Amount::from_minor(self.ledger.total()).unwrap_or(Amount::MAX)
    }

    pub(super) fn has_no_tries(&self) -> bool {
        self.truth.iter().any(|card| card.wrong >= TRIES)
    }

    /// The orders that make a difference now.
    pub(super) fn possible_orders(&self) -> impl Iterator<Item = (usize, Order)> {
        let order = |truth: &CardTruth| if truth.is_blocked { Order::Unblock } else { Order::Block };
        let orders = self.truth.map(|truth| order(&truth)).into_iter().enumerate();
        orders.filter(|_| self.orders > 0)
    }

    /// An operator gives an order.
    pub(super) fn order(&mut self, card: usize, order: Order) -> bool {
        self.orders -= 1;
        let truth = &mut self.truth[card];
        match order {
            Order::Block => truth.block(),
            Order::Unblock => {
                *truth = CardTruth { wrong: 0, is_blocked: false, revision: truth.revision + 1 };
            }
        }
        let row = self.ledger.card_mut(claim(card).newest());
        row.map(|row| if order == Order::Block { row.block() } else { row.unblock() }).is_some()
    }

    /// A host loses its power, and with it what a bug has kept there.
    pub(super) fn lose_power(&mut self, unblocks: bool) {
        self.late = None;
        for card in 0..2 {
            if let Some(row) = self.ledger.card_mut(claim(card).newest()).filter(|_| unblocks) {
                row.unblock();
            }
        }
    }

    pub(super) fn apply(&mut self, request: &Request) -> Result<Response, InDoubt> {
        if let Some(late) = self.late.take()
            && let Some(row) = self.ledger.card_mut(late.token)
        {
            *row = late;
        }
        let before = self.ledger.clone();
        let response = self.ledger.apply(request)?;
        let is_refused =
            matches!(response, Response::Settled { outcome: Outcome::Refused(Refusal::NotVerified), .. });
        if let Command::Card { request: CardRequest::Verify { claim, .. }, .. } = request.command
            && is_refused
            && self.counts_late
            && let Some(row) = self.ledger.card_mut(claim.newest())
        {
            self.late = Some(*row);
            before.card(claim.newest()).into_iter().for_each(|former| *row = *former);
        }
        Ok(response)
    }
}
