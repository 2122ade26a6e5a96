//! A conversation where access is by card: how its sessions begin, and who learns of an earlier outcome.
use super::{Conversation, Effect, hello::WaitingHello};
use crate::{
    ledger::{Admission, Outcome, Receipt, Refusal, card::Token},
    screen::{CardScreen, Screen, Screens, screens},
};

impl Conversation {
    /// Has its sessions begin with a card.
    pub(crate) fn serve_cards(&mut self) {
        self.is_card = true;
        self.session = self.first_session();
    }

    /// Drops what a conversation without a link does not keep.
    pub(crate) fn drop_verifiers(&mut self) {
        self.session.drop_verifiers();
    }

    /// What was done earlier with the card that is verified now.
    pub(super) fn earlier_receipt(&mut self, card: Token, outcome: Outcome) -> Screens {
        if !matches!(outcome, Outcome::Done(Receipt::Verified { .. })) {
            return Screens::new();
        }
        match self.earlier.take() {
            Some((own, receipt)) if own == card => {
                screens([Screen::EarlierRequest, Screen::Card(CardScreen::Earlier(receipt))])
            }
            // It is not said to another card's person.
            _ => Screens::new(),
        }
    }

    /// Keeps what the terminal's last operation did, if this hello is answered with its outcome.
    pub(super) fn keep_earlier(&mut self, hello: &WaitingHello, admission: &Admission) {
        let is_own = hello.ledger == self.ledger;
        let is_last = |id| hello.pending.map_or(id >= hello.shown, |pending| pending == id);
        let last = admission.last.filter(|last| is_own && is_last(last.id));
        self.earlier = last.and_then(|last| match (last.card, last.outcome) {
            (_, Outcome::Done(Receipt::Verified { .. })) => None,
            (Some(card), Outcome::Done(receipt)) => Some((card, receipt)),
            _ => None,
        });
    }

    /// The same where access is by card: what was done or refused is not said to the next person in full.
    pub(super) fn reply_in_brief(&mut self, id: Option<u64>, outcome: Outcome) -> Effect {
        let brief = match outcome {
            // A verification is over with its session.
            Outcome::Done(Receipt::Verified { .. })
            | Outcome::Refused(Refusal::NotVerified | Refusal::Delayed { .. }) => {
                return self.reply_with(id, self.first_screens());
            }
            Outcome::Done(_) => Screen::Card(CardScreen::EarlierDone),
            Outcome::Refused(_) => Screen::Card(CardScreen::EarlierRefused),
            Outcome::NotDone | Outcome::Unknown => Screen::Outcome(outcome),
        };
        self.reply_with(id, &[brief, Screen::Card(CardScreen::CardPrompt)])
    }
}
