//! How PINs are judged and counted, and which session an answer belongs to.
use super::{CardAudit, Id, Order, Prompt, Typed, dialogue::Dialogue};
use atm_core::{
    ledger::{Name, Outcome, Receipt, Refusal},
    time::UnixTime,
};

/// Wrong PINs that block a card.
const TRIES: u8 = 3;

impl CardAudit {
    pub(super) fn answer(&self, key: &Id) -> Result<&Typed, String> {
        self.typed.get(key).ok_or_else(|| "no answer was typed".to_owned())
    }

    /// The place of the card whose number was typed; `None` if it was not issued.
    fn card(&self, typed: &Typed) -> Option<usize> {
        let number = typed.dialogue.card.as_ref();
        self.bank.cards.iter().position(|card| Some(&card.number) == number)
    }

    /// A PIN was judged, or a delay said.
    pub(super) fn verification(
        &mut self,
        key: &Id,
        outcome: Outcome,
        wall: UnixTime,
    ) -> Result<Option<Receipt>, String> {
        let typed = self.answer(key)?.clone();
        if typed.prompt != Prompt::Pin {
            return Err(format!("a PIN was judged, but typed at {:?}", typed.prompt));
        }
        let card = self.card(&typed);
        let is_right = self.judge_pin(&key.0, (card, &typed.text), outcome, wall)?;
        match (outcome, card) {
            (Outcome::Done(Receipt::Verified { accounts, .. }), Some(card)) if is_right => {
                let own: Vec<_> = accounts.iter().map(|account| account.0).collect();
                if own != self.bank.cards[card].accounts {
                    return Err(format!("the accounts of card {card} are {own:?}"));
                }
                self.verified.insert(key.clone(), (card, self.cards[card].revision));
                Ok(None)
            }
            (Outcome::Refused(_), _) if !is_right => Ok(None),
            _ => Err(format!("{outcome:?} for {:?} with card {card:?}", typed.text)),
        }
    }

    pub(super) fn change_of_pin(
        &mut self,
        key: &Id,
        outcome: Outcome,
        wall: UnixTime,
    ) -> Result<Option<Receipt>, String> {
        let typed = self.answer(key)?.clone();
        let Dialogue { old_pin, new_pin, .. } = &typed.dialogue;
        if typed.prompt != Prompt::RepeatPin || *new_pin != typed.text {
            return Err(format!("{outcome:?}, but the new PIN was not typed twice"));
        }
        let session = self.session(key);
        match (outcome, session) {
            (Outcome::Refused(Refusal::NoAccess), Err(_)) => Ok(None),
            (_, Err(why)) => Err(format!("{outcome:?}, but {why}")),
            (_, Ok((card, _))) => {
                let is_right = self.judge_pin(&key.0, (Some(card), old_pin), outcome, wall)?;
                if !is_right {
                    return Ok(None);
                }
                if outcome != Outcome::Done(Receipt::PinChanged) {
                    return Err(format!("{outcome:?} for a right old PIN"));
                }
                self.ordered(card, &Order::SetPin(new_pin.clone()));
                // The session that has changed it goes on.
                let id = typed.dialogue.verification.unwrap_or_default();
                self.verified.insert((key.0.clone(), id), (card, self.cards[card].revision));
                Ok(Some(Receipt::PinChanged))
            }
        }
    }

    /// Counts a PIN that was judged, by what was typed; true if it is right. False too if a delay was said.
    fn judge_pin(
        &mut self,
        name: &Name,
        (card, pin): (Option<usize>, &str),
        outcome: Outcome,
        wall: UnixTime,
    ) -> Result<bool, String> {
        let delay = self.delays.entry(name.clone()).or_default();
        if let Outcome::Refused(Refusal::Delayed { seconds }) = outcome {
            return delay.said(seconds, wall).map(|()| false);
        }
        delay.judged(wall)?;
        let mut truth = card.map(|card| &mut self.cards[card]);
        let is_right = truth.as_ref().is_some_and(|truth| truth.pin == pin && !truth.is_blocked);
        if let Some(truth) = &mut truth {
            truth.wrong = if is_right { 0 } else { (truth.wrong + 1).min(TRIES) };
            if truth.wrong >= TRIES {
                self.counts.blocked += u64::from(!truth.is_blocked);
                truth.block();
            }
        }
        if is_right {
            return Ok(true);
        }
        delay.refused(wall);
        if outcome == Outcome::Refused(Refusal::NotVerified) {
            Ok(false)
        } else {
            Err(format!("{outcome:?} for a PIN that is not right, card {card:?}"))
        }
    }

    /// The card and the account of the session in which an answer was typed.
    ///
    /// # Errors
    /// Why it may do nothing.
    pub(super) fn session(&self, key: &Id) -> Result<(usize, usize), String> {
        let typed = self.answer(key)?;
        let id = typed.dialogue.verification.ok_or("no PIN was typed in this session")?;
        let verified = self.verified.get(&(key.0.clone(), id));
        let (card, revision) = *verified.ok_or("the PIN that was typed is not verified")?;
        if self.card(typed) != Some(card) {
            return Err("another card was verified".to_owned());
        }
        let truth = &self.cards[card];
        if truth.is_blocked || truth.revision != revision {
            return Err(format!("card {card} was blocked, or has had another PIN since"));
        }
        let own = &self.bank.cards[card].accounts;
        let number = typed.dialogue.account.or_else(|| own.first().copied().filter(|_| own.len() == 1));
        let number =
            number.filter(|number| own.contains(number)).ok_or("no account of the card was chosen")?;
        let account = self.bank.accounts.iter().position(|(known, _)| *known == number);
        account.map(|account| (card, account)).ok_or_else(|| "there is no such account".to_owned())
    }
}
