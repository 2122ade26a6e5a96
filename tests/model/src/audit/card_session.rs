//! The session of a card, as it is seen from outside: what was typed since the card prompt, and which PINs were verified.
use super::{Audit, Violation};
use crate::cards::{ACCOUNTS, CardBank, CardTruth, NUMBERS, PINS, RowsSeen};
use atm_core::{
    ledger::{Command, Operation, Outcome, Receipt, Refusal, Request, Response, card::CardRequest},
    money::Amount,
    screen::{CardScreen, Screen},
};

/// What was typed since the card prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Dialogue {
    /// The place of the card's number.
    card: Option<usize>,
    /// The place of the PIN that was typed last, and the id under which it is judged.
    pin: Option<(usize, u64)>,
}

/// The card's side of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct CardSide {
    present: Dialogue,
    /// What had been typed when each prompt was answered.
    typed: Vec<(u64, Dialogue)>,
    /// The id of each verification that was done, with its card and the revision of it.
    verified: Vec<(u64, usize, u8)>,
    /// The ids that were settled.
    settled: Vec<u64>,
}

/// Does the outcome tell an amount?
pub(super) fn has_amount(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Done(receipt) => !matches!(receipt, Receipt::Verified { .. } | Receipt::PinChanged),
        Outcome::Refused(refusal) => refusal.balance().is_some(),
        Outcome::NotDone | Outcome::Unknown => false,
    }
}

impl CardSide {
    /// The terminal restarts.
    pub(super) fn restart(&mut self) {
        self.present = Dialogue::default();
    }

    /// A person typed at a prompt.
    pub(super) fn typed(&mut self, id: u64, prompt: Option<Screen>, text: &str) {
        match prompt {
            Some(Screen::Card(CardScreen::CardPrompt)) => {
                self.present =
                    Dialogue { card: NUMBERS.iter().position(|number| *number == text), pin: None };
            }
            Some(Screen::Card(CardScreen::PinPrompt)) => {
                self.present.pin = PINS.iter().position(|pin| *pin == text).map(|pin| (pin, id));
            }
            Some(Screen::Card(_)) => {}
            _ => return,
        }
        self.typed.push((id, self.present));
    }

    /// A reply was shown; true if its session has a PIN that was verified.
    pub(super) fn shown(&mut self, re: Option<u64>, prompt: Option<Screen>) -> bool {
        let before = self.typed.iter().find(|(id, _)| Some(*id) == re).and_then(|(_, typed)| typed.pin);
        match prompt {
            Some(Screen::Card(CardScreen::CardPrompt)) => self.present = Dialogue::default(),
            Some(Screen::Card(CardScreen::PinPrompt)) => self.present.pin = None,
            _ => {}
        }
        before.is_some_and(|(_, id)| self.verified.iter().any(|(known, ..)| *known == id))
    }

    /// Judges the outcome of a card's request by what was typed; the balances after it.
    fn judge(
        &mut self,
        id: u64,
        request: &CardRequest,
        outcome: Outcome,
        (truth, mut balances): (&mut [CardTruth; 2], [Amount; 2]),
    ) -> Result<[Amount; 2], Violation> {
        if outcome == Outcome::Unknown || self.settled.contains(&id) {
            return Ok(balances);
        }
        if !request.operation().is_report() {
            self.settled.push(id);
        }
        let typed = self.typed.iter().find(|(known, _)| *known == id).map(|(_, typed)| *typed);
        let Some(Dialogue { card: Some(card), pin: Some((pin, verification)) }) = typed else {
            return if outcome == Outcome::NotDone { Ok(balances) } else { Err(Violation::NotVerified) };
        };
        let truth = &mut truth[card];
        let operation = match request {
            CardRequest::Verify { .. } => {
                let is_right = pin == card && !truth.is_blocked;
                truth.judge(is_right);
                if is_right {
                    self.verified.push((id, card, truth.revision));
                }
                let is_so = match outcome {
                    Outcome::Done(Receipt::Verified { .. }) => is_right,
                    outcome => !is_right && outcome == Outcome::Refused(Refusal::NotVerified),
                };
                return if is_so { Ok(balances) } else { Err(Violation::Misjudged) };
            }
            CardRequest::ChangePin { .. } => return Err(Violation::NotVerified),
            CardRequest::Operate { operation, .. } => *operation,
        };
        let is_open = !truth.is_blocked && self.verified.contains(&(verification, card, truth.revision));
        let (other, own) = (1 - card, balances[card]);
        let after = match (outcome, operation) {
            (Outcome::Refused(refusal), _) if is_open == (refusal != Refusal::NoAccess) => {
                return Ok(balances);
            }
            (Outcome::Done(_), _) if !is_open => return Err(Violation::NotVerified),
            (Outcome::Done(_), Operation::Deposit(amount)) => own.checked_add(amount),
            (Outcome::Done(_), Operation::Withdraw(amount)) => own.checked_sub(amount),
            (Outcome::Done(_), Operation::Transfer { payee, amount }) if payee == ACCOUNTS[other] => {
                balances[other] = balances[other].checked_add(amount).ok_or(Violation::Unbalanced)?;
                own.checked_sub(amount)
            }
            (Outcome::Done(_), Operation::Inquiry | Operation::LookUp { .. }) => Some(own),
            _ => None,
        };
        balances[card] = after.ok_or(Violation::Unbalanced)?;
        Ok(balances)
    }
}

impl Audit {
    /// The ledger committed a request of a terminal with access by card; whether a balance changed.
    pub(crate) fn judge_cards(
        &mut self,
        request: &Request,
        response: &Response,
        bank: &mut CardBank,
        before: &RowsSeen,
    ) -> bool {
        let after = bank.rows();
        let balances = match (&request.command, response) {
            (Command::Card { id, request }, Response::Settled { outcome, .. }) => {
                self.cards.judge(*id, request, *outcome, (&mut bank.truth, before.balances))
            }
            (Command::Settle { id }, _) => {
                self.cards.settled.push(*id);
                Ok(before.balances)
            }
            _ => Ok(before.balances),
        };
        let tries = bank.truth.map(|card| (card.wrong, card.is_blocked));
        match balances {
            Err(violation) => self.violate(violation),
            Ok(balances) if balances != after.balances => self.violate(Violation::Unbalanced),
            Ok(_) if tries != after.cards => self.violate(Violation::TriesLost),
            Ok(_) => {}
        }
        before.balances != after.balances
    }
}
