//! Audit: checks one terminal from outside, by the answers typed, requests committed and replies shown.
use atm_core::{
    ledger::{AccountNumber, BLOCK, Command, Numbers, Operation, Outcome, Receipt, Request, Response},
    money::Amount,
    screen::{CardScreen, Screen},
};
use card_session::CardSide;
use history::{Copied, History};
pub(super) use violation::Violation;

mod card_session;
mod history;
mod violation;

/// A typed answer and what followed from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TypedAnswer {
    /// The number of the answered prompt: the idempotency key.
    id: u64,
    /// Is the person who typed it still at the terminal?
    present: bool,
    /// Was it typed before the set-back? Then a void may be lost, and no longer keep a late request from being done.
    is_of_lost_history: bool,
    /// Was a later person shown something?
    abandoned: bool,
    /// The operation that it asks for, if any.
    operation: Option<Operation>,
    /// The receipt, if it moved money.
    moved: Option<Receipt>,
    /// The last outcome of it that was shown.
    shown: Option<Outcome>,
    /// The last outcome in the ledger's responses, and the last one before the set-back.
    settled: Option<Outcome>,
    lost: Option<Outcome>,
    /// It was unknown because its number was not reserved. A late hello may reserve it since.
    unknown: bool,
    /// The outcome of the lost history was shown.
    reported: bool,
}

/// The audit of one terminal, by what can be observed from outside, and the first violation found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Audit {
    typed: Vec<TypedAnswer>,
    /// The number of the last reply shown in this life.
    last_reply: u64,
    /// The prompt of that reply.
    prompt: Option<Screen>,
    history: History,
    /// Whether the ledger may be set back, so that the outcomes in its responses are kept.
    keeps_outcomes: bool,
    copied: Option<Copied>,
    is_set_back: bool,
    cards: CardSide,
    pub(super) violation: Option<Violation>,
}

impl Audit {
    /// An audit of a terminal, whose ledger may be set back or not.
    pub(super) fn new(keeps_outcomes: bool) -> Self {
        Self { keeps_outcomes, ..Self::default() }
    }

    /// The number of answers typed.
    pub(super) fn answers(&self) -> usize {
        self.typed.len()
    }

    /// The prompt that was shown last.
    pub(super) fn prompt(&self) -> Option<Screen> {
        self.prompt
    }

    /// The person leaves: after a power loss, after the terminal gave up, or at the end of a session.
    pub(super) fn person_left(&mut self) {
        for typed in self.typed.iter_mut().filter(|typed| typed.shown.is_none()) {
            typed.present = false;
        }
    }

    /// The terminal restarts.
    pub(super) fn restart(&mut self) {
        self.person_left();
        self.last_reply = 0;
        self.prompt = None;
        self.cards.restart();
    }

    /// Records a violation, if it is the first.
    pub(super) fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// A person typed `text` at the prompt `id`.
    pub(super) fn typed(&mut self, id: u64, text: &str) {
        let operation = self.prompt.and_then(|prompt| meaning(text, prompt));
        self.cards.typed(id, self.prompt, text);
        self.typed.push(TypedAnswer {
            id,
            present: true,
            is_of_lost_history: false,
            abandoned: false,
            operation,
            moved: None,
            shown: None,
            settled: None,
            lost: None,
            unknown: false,
            reported: false,
        });
    }

    /// The ledger gave `response` to a request of a host.
    pub(super) fn responded(&mut self, host: usize, request: &Request, response: &Response) {
        let history = &mut self.history;
        let first = |mut numbers: Numbers| numbers.take().unwrap_or(0);
        let end = history.blocks.last().map_or(1, |first| first + u64::from(BLOCK));
        let violation = match (request.command, *response) {
            (_, Response::Fenced | Response::Rejected(_)) => None,
            (Command::Hello(claim), Response::Admitted(admission)) => {
                let first = first(admission.numbers);
                // A later hello hears of it too, as long as it has seen no number above the gap.
                let is_set_back = claim.ledger == Some(admission.ledger)
                    && claim.seen > 0
                    && !history.is_reserved(claim.seen);
                history.blocks.push(first);
                (history.turn, history.host) = (admission.turn, host);
                let is_told =
                    admission.set_back.is_some() == is_set_back && (first > claim.seen || !is_set_back);
                (!is_told || first < end).then_some(Violation::NotProved)
            }
            // After a set-back, turns are given again.
            _ if !self.is_set_back && (request.turn, host) != (history.turn, history.host) => {
                Some(Violation::NotFenced)
            }
            (Command::Operate { id, .. } | Command::Settle { id }, Response::Settled { outcome, .. }) => {
                let keeps = self.keeps_outcomes;
                let is_reserved = history.is_reserved(id);
                if let Some(typed) = self.typed.iter_mut().find(|typed| keeps && typed.id == id) {
                    typed.settled = Some(outcome);
                    typed.unknown |= outcome == Outcome::Unknown && !is_reserved;
                }
                None
            }
            _ => None,
        };
        if let Some(violation) = violation {
            self.violate(violation);
        }
        self.forget_lost_outcomes();
    }

    /// The ledger was copied.
    pub(super) fn copy(&mut self) {
        let typed = self.typed.iter().map(|typed| (typed.moved, typed.settled)).collect();
        self.copied = Some(Copied { history: self.history.clone(), typed });
    }

    /// The ledger was replaced by its copy.
    pub(super) fn set_back(&mut self) {
        let Some(copied) = self.copied.take() else { return };
        self.history = copied.history;
        self.is_set_back = true;
        for (at, typed) in self.typed.iter_mut().enumerate() {
            (typed.lost, typed.is_of_lost_history) = (typed.settled, true);
            (typed.moved, typed.settled) = copied.typed.get(at).copied().unwrap_or_default();
        }
        self.forget_lost_outcomes();
    }

    /// Forgets the outcomes that the lost history gave to ids which the present one has reserved and not settled.
    fn forget_lost_outcomes(&mut self) {
        let (history, is_set_back) = (&self.history, self.is_set_back);
        let is_lost = |typed: &&mut TypedAnswer| {
            is_set_back && typed.lost.is_some() && typed.settled.is_none() && history.is_reserved(typed.id)
        };
        for typed in self.typed.iter_mut().filter(is_lost) {
            typed.reported |= typed.shown.take().is_some();
        }
    }

    /// The ledger committed `request`, which took the balance, or the sum of all, from `before` to `after`; `moves` says whether a
    /// balance changed.
    pub(super) fn committed(
        &mut self,
        request: &Request,
        response: &Response,
        (before, after): (Amount, Amount),
        moves: bool,
    ) {
        let receipt = match response {
            Response::Settled { outcome: Outcome::Done(receipt), .. } => Some(*receipt),
            _ => None,
        };
        let moved = receipt.map_or((Amount::ZERO, Amount::ZERO), totals);
        let stays = !moves;
        if !stays && before.checked_add(moved.0).and_then(|sum| sum.checked_sub(moved.1)) != Some(after) {
            return self.violate(Violation::FalseOutcome);
        }
        let (Command::Operate { id, .. } | Command::Settle { id } | Command::Card { id, .. }) =
            request.command
        else {
            if !stays {
                self.violate(Violation::NotRequested);
            }
            return;
        };
        let known = self.typed.iter_mut().find(|typed| typed.id == id);
        let operation = match request.command {
            Command::Operate { operation, .. } => Some(operation),
            Command::Card { request, .. } => Some(request.operation()),
            _ => None,
        };
        let violation = match (known, operation) {
            (Some(typed), _) if stays => {
                // The response to a duplicate has the receipt of the first.
                let same = receipt.is_none_or(|receipt| is_inquiry(receipt) || typed.moved == Some(receipt));
                (!same).then_some(Violation::FalseOutcome)
            }
            (_, _) if stays => None,
            (Some(typed), Some(operation)) => {
                if typed.operation != Some(operation) {
                    Some(Violation::NotRequested)
                } else if !self.history.is_reserved(id) {
                    Some(Violation::NotReserved)
                } else if typed.moved.is_some() {
                    Some(Violation::MovedTwice)
                } else if typed.shown.is_some() {
                    Some(Violation::AfterOutcome)
                } else if typed.abandoned && !typed.is_of_lost_history {
                    Some(Violation::PersonGone)
                } else {
                    typed.moved = receipt;
                    None
                }
            }
            _ => Some(Violation::NotRequested),
        };
        if let Some(violation) = violation {
            self.violate(violation);
        }
    }

    /// The terminal showed a reply.
    pub(super) fn shown(&mut self, seq: u64, re: Option<u64>, outcome: Option<Outcome>, screens: &[Screen]) {
        let prompt = screens.last().filter(|screen| screen.is_prompt()).copied();
        if seq <= self.last_reply {
            self.violate(Violation::ReplyOrder);
        }
        (self.last_reply, self.prompt) = (seq, prompt);
        for typed in self.typed.iter_mut().filter(|typed| typed.shown.is_none()) {
            typed.abandoned |= !typed.present;
        }
        let first = screens.first().copied();
        let is_verified = self.cards.shown(re, prompt);
        if outcome.is_some_and(card_session::has_amount) && prompt_is_of_card(prompt) && !is_verified {
            self.violate(Violation::NotVerified);
        }
        if let (Some(id), Some(Screen::Card(brief))) = (re, first) {
            self.shown_in_brief(id, brief);
        }
        let Some(outcome) = outcome else { return };
        // Of no answer: what was done before the ledger was set back.
        if re.is_none() && outcome == Outcome::Unknown && self.is_set_back {
            return;
        }
        let Some(typed) = re.and_then(|id| self.typed.iter_mut().find(|typed| typed.id == id)) else {
            return self.violate(Violation::FalseOutcome);
        };
        (typed.present, typed.abandoned) = (false, false);
        let is_reserved = self.history.is_reserved(typed.id);
        let is_lost = typed.lost == Some(outcome) && typed.settled != Some(outcome);
        if is_lost && is_reserved {
            // The present history may still settle it, and otherwise.
            typed.reported = true;
            return;
        }
        let before = typed.shown.replace(outcome);
        let truth = match outcome {
            Outcome::Done(receipt) if is_inquiry(receipt) => typed.operation == Some(Operation::Inquiry),
            Outcome::Done(receipt) => typed.moved == Some(receipt),
            Outcome::Refused(_) | Outcome::NotDone => typed.moved.is_none() && is_reserved,
            Outcome::Unknown if typed.unknown || is_lost => return,
            Outcome::Unknown => return self.violate(Violation::UnknownOutcome),
        };
        // The ledger does not remember reports: after a power loss, one that was done or refused is "not done".
        let differs = before.is_some_and(|before| before != outcome)
            && !typed.operation.is_some_and(|operation| operation.is_report());
        if !truth && !is_lost {
            self.violate(Violation::FalseOutcome);
        } else if differs {
            self.violate(Violation::OutcomeChanged);
        }
    }

    /// An earlier outcome was shown in brief, if this is one.
    fn shown_in_brief(&mut self, id: u64, brief: CardScreen) {
        let is_done = match brief {
            CardScreen::EarlierDone => true,
            CardScreen::EarlierRefused => false,
            _ => return,
        };
        match self.typed.iter_mut().find(|typed| typed.id == id) {
            Some(typed) if typed.moved.is_some() == is_done => {
                (typed.present, typed.abandoned, typed.reported) = (false, false, true);
            }
            _ => self.violate(Violation::FalseOutcome),
        }
    }

    /// The sums deposited and withdrawn.
    pub(super) fn totals(&self) -> (Amount, Amount) {
        let receipts = self.typed.iter().filter_map(|typed| typed.moved).map(totals);
        receipts.fold((Amount::ZERO, Amount::ZERO), |(plus, minus), (more, less)| {
            (plus.checked_add(more).unwrap_or(Amount::MAX), minus.checked_add(less).unwrap_or(Amount::MAX))
        })
    }

    /// Was an outcome shown of every answer that moved money?
    pub(super) fn all_movements_reported(&self) -> bool {
        self.typed.iter().all(|typed| typed.moved.is_none() || typed.shown.is_some() || typed.reported)
    }

    /// Was an outcome shown of every answer?
    pub(super) fn all_answers_resolved(&self) -> bool {
        self.typed.iter().all(|typed| typed.shown.is_some())
    }

    /// Was such an outcome shown?
    pub(super) fn has_shown(&self, kind: impl Fn(Outcome) -> bool) -> bool {
        self.typed.iter().filter_map(|typed| typed.shown).any(kind)
    }
}

fn is_inquiry(receipt: Receipt) -> bool {
    matches!(receipt, Receipt::Balance { .. } | Receipt::Verified { .. } | Receipt::Payee { .. })
}

/// The amounts deposited and withdrawn by a receipt.
fn totals(receipt: Receipt) -> (Amount, Amount) {
    match receipt {
        Receipt::Deposited { amount, .. } => (amount, Amount::ZERO),
        Receipt::Withdrawn { amount, .. } => (Amount::ZERO, amount),
        // The rest moves no money where access is open.
        _ => (Amount::ZERO, Amount::ZERO),
    }
}

/// Is access by card?
fn prompt_is_of_card(prompt: Option<Screen>) -> bool {
    matches!(prompt, Some(Screen::Card(_)))
}

/// The operation that an answer asks for at a prompt, by rules written independently of the session's.
fn meaning(text: &str, prompt: Screen) -> Option<Operation> {
    let units = |text: &str| text.parse().ok().and_then(Amount::from_units);
    let prompt = if prompt == Screen::Card(CardScreen::Menu) { Screen::Menu } else { prompt };
    if let Screen::Card(CardScreen::ConfirmPrompt { payee, amount, .. }) = prompt {
        return (text == "yes").then_some(Operation::Transfer { payee, amount });
    }
    if prompt == Screen::Card(CardScreen::PayeePrompt) {
        return text.parse().ok().map(|number| Operation::LookUp { payee: AccountNumber(number) });
    }
    match (text.split_once(' '), prompt) {
        (Some(("deposit", amount)), Screen::Menu) => units(amount).map(Operation::Deposit),
        (Some(("withdraw", amount)), Screen::Menu) => units(amount).map(Operation::Withdraw),
        (None, Screen::Menu) => (text == "balance").then_some(Operation::Inquiry),
        (None, Screen::DepositPrompt) => units(text).map(Operation::Deposit),
        (None, Screen::WithdrawPrompt { .. }) => units(text).map(Operation::Withdraw),
        _ => None,
    }
}
