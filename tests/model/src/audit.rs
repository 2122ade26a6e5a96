//! Audit: checks one terminal from outside, by the answers typed, requests committed and replies shown.
use atm_core::{
    ledger::{Operation, Outcome, Receipt, Request, Response},
    money::Amount,
    screen::Screen,
};

/// A violation of a safety property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    /// An operation moved money a second time.
    MovedTwice,
    /// Money moved without an answer, or otherwise than it says.
    NotRequested,
    /// Money moved for an answer whose person had left, and a later person was shown something since.
    PersonGone,
    /// An operation moved money after an outcome of it was shown.
    AfterOutcome,
    /// The outcome shown is not what the ledger committed.
    FalseOutcome,
    /// Two different outcomes of one operation were shown.
    OutcomeChanged,
    /// The outcome "unknown" was shown, but the ledger has lost nothing.
    UnknownOutcome,
    /// A ledger that was set back was reported, but it has lost nothing.
    SetBack,
    /// A reply was shown whose number is not above the last one's.
    ReplyOrder,
    /// A ledger in memory returned an error.
    LedgerFailed,
}

/// A typed answer and what followed from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TypedAnswer {
    /// The number of the answered prompt: the idempotency key.
    id: u64,
    /// Is the person who typed it still at the terminal?
    present: bool,
    /// Was a later person shown something?
    abandoned: bool,
    /// The operation that it asks for, if any.
    operation: Option<Operation>,
    /// The receipt, if it moved money.
    moved: Option<Receipt>,
    /// The last outcome of it that was shown.
    shown: Option<Outcome>,
}

/// The audit of one terminal, by what can be observed from outside, and the first violation found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Audit {
    typed: Vec<TypedAnswer>,
    /// The number of the last reply shown in this life.
    last_reply: u64,
    /// The prompt of that reply.
    prompt: Option<Screen>,
    pub(super) violation: Option<Violation>,
}

impl Audit {
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
    }

    /// Records a violation, if it is the first.
    pub(super) fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// A person typed `text` at the prompt `id`.
    pub(super) fn typed(&mut self, id: u64, text: &str) {
        let operation = self.prompt.and_then(|prompt| meaning(text, prompt));
        self.typed.push(TypedAnswer {
            id,
            present: true,
            abandoned: false,
            operation,
            moved: None,
            shown: None,
        });
    }

    /// The ledger committed `request`, which took the balance from `before` to `after`.
    pub(super) fn committed(
        &mut self,
        request: &Request,
        response: &Response,
        before: Amount,
        after: Amount,
    ) {
        let receipt = match response {
            Response::Settled { outcome: Outcome::Done(receipt), .. } => Some(*receipt),
            _ => None,
        };
        let moved = receipt.map_or((Amount::ZERO, Amount::ZERO), totals);
        let stays = before == after;
        if !stays && before.checked_add(moved.0).and_then(|sum| sum.checked_sub(moved.1)) != Some(after) {
            return self.violate(Violation::FalseOutcome);
        }
        let (Request::Operate { id, .. } | Request::Settle { id, .. }) = request else {
            if !stays {
                self.violate(Violation::NotRequested);
            }
            return;
        };
        let known = self.typed.iter_mut().find(|typed| typed.id == *id);
        let violation = match (known, request) {
            (Some(typed), _) if stays => {
                // The response to a duplicate has the receipt of the first.
                let same = receipt.is_none_or(|receipt| is_inquiry(receipt) || typed.moved == Some(receipt));
                (!same).then_some(Violation::FalseOutcome)
            }
            (_, _) if stays => None,
            (Some(typed), Request::Operate { operation, .. }) => {
                if typed.operation != Some(*operation) {
                    Some(Violation::NotRequested)
                } else if typed.moved.is_some() {
                    Some(Violation::MovedTwice)
                } else if typed.shown.is_some() {
                    Some(Violation::AfterOutcome)
                } else if typed.abandoned {
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
    pub(super) fn shown(
        &mut self,
        seq: u64,
        re: Option<u64>,
        outcome: Option<Outcome>,
        prompt: Option<Screen>,
    ) {
        if seq <= self.last_reply {
            self.violate(Violation::ReplyOrder);
        }
        (self.last_reply, self.prompt) = (seq, prompt);
        for typed in self.typed.iter_mut().filter(|typed| typed.shown.is_none()) {
            typed.abandoned |= !typed.present;
        }
        let Some(outcome) = outcome else { return };
        let Some(typed) = re.and_then(|id| self.typed.iter_mut().find(|typed| typed.id == id)) else {
            return self.violate(Violation::FalseOutcome);
        };
        let before = typed.shown.replace(outcome);
        (typed.present, typed.abandoned) = (false, false);
        let truth = match outcome {
            Outcome::Done(receipt) if is_inquiry(receipt) => typed.operation == Some(Operation::Inquiry),
            Outcome::Done(receipt) => typed.moved == Some(receipt),
            Outcome::Refused(_) | Outcome::NotDone => typed.moved.is_none(),
            Outcome::Unknown => return self.violate(Violation::UnknownOutcome),
        };
        // The ledger does not remember inquiries: after a power loss, one that was done is "not done".
        let differs =
            before.is_some_and(|before| before != outcome) && typed.operation != Some(Operation::Inquiry);
        if !truth {
            self.violate(Violation::FalseOutcome);
        } else if differs {
            self.violate(Violation::OutcomeChanged);
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
        self.typed.iter().all(|typed| typed.moved.is_none() || typed.shown.is_some())
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
    matches!(receipt, Receipt::Balance { .. })
}

/// The amounts deposited and withdrawn by a receipt.
fn totals(receipt: Receipt) -> (Amount, Amount) {
    match receipt {
        Receipt::Deposited { amount, .. } => (amount, Amount::ZERO),
        Receipt::Withdrawn { amount, .. } => (Amount::ZERO, amount),
        Receipt::Balance { .. } => (Amount::ZERO, Amount::ZERO),
    }
}

/// The operation that an answer asks for at a prompt, by rules written independently of the session's.
fn meaning(text: &str, prompt: Screen) -> Option<Operation> {
    let units = |text: &str| text.parse().ok().and_then(Amount::from_units);
    match (text.split_once(' '), prompt) {
        (Some(("deposit", amount)), Screen::Menu) => units(amount).map(Operation::Deposit),
        (Some(("withdraw", amount)), Screen::Menu) => units(amount).map(Operation::Withdraw),
        (None, Screen::Menu) => (text == "balance").then_some(Operation::Inquiry),
        (None, Screen::DepositPrompt) => units(text).map(Operation::Deposit),
        (None, Screen::WithdrawPrompt { .. }) => units(text).map(Operation::Withdraw),
        _ => None,
    }
}
