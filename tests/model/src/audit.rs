//! What a bystander knows of one terminal: what was typed, what moved money, what was told.
use atm_core::{
    ledger::{Operation, Outcome, Receipt, Request, Response},
    money::Amount,
    screen::Screen,
};

/// What can be wrong with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Violation {
    /// An operation's money moved a second time.
    MovedTwice,
    /// Money moved that nobody asked for, or other money than was asked for.
    NotRequested,
    /// Money moved for somebody who is known to be gone.
    PersonGone,
    /// Money moved for an operation of which something else was told already.
    AfterOutcome,
    /// What was told is not what the ledger did.
    FalseOutcome,
    /// Two outcomes of one operation were told.
    OutcomeChanged,
    /// A ledger that forgot nothing was said not to know.
    UnknownOutcome,
    /// A reply was shown that is not newer than the one before.
    ReplyOrder,
    /// A ledger in memory failed.
    LedgerFailed,
}

/// An answer that was typed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TypedAnswer {
    /// The number of the prompt.
    id: u64,
    /// Is whoever typed it still there?
    present: bool,
    /// Has somebody else been shown something since?
    abandoned: bool,
    /// What it means, if it means an operation.
    operation: Option<Operation>,
    moved: Option<Receipt>,
    reported: Option<Outcome>,
}

/// What a bystander at one terminal knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Audit {
    typed: Vec<TypedAnswer>,
    /// The number of the reply that was shown last in this life.
    shown: u64,
    /// The prompt of that reply.
    asks: Option<Screen>,
    /// What is wrong.
    pub(super) violation: Option<Violation>,
}

impl Audit {
    /// How many answers were typed.
    pub(super) fn answers(&self) -> usize {
        self.typed.len()
    }

    /// The prompt that was shown last.
    pub(super) fn asks(&self) -> Option<Screen> {
        self.asks
    }

    /// Somebody else stands there: after a loss of power, after giving up and after the end of a session.
    pub(super) fn person_left(&mut self) {
        for typed in self.typed.iter_mut().filter(|typed| typed.reported.is_none()) {
            typed.present = false;
        }
    }

    /// The terminal starts anew.
    pub(super) fn restart(&mut self) {
        self.person_left();
        self.shown = 0;
        self.asks = None;
    }

    pub(super) fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// Somebody typed `text` at the prompt `id`.
    pub(super) fn typed(&mut self, id: u64, text: &str) {
        let operation = self.asks.and_then(|asks| meaning(text, asks));
        self.typed.push(TypedAnswer {
            id,
            present: true,
            abandoned: false,
            operation,
            moved: None,
            reported: None,
        });
    }

    /// The ledger answered `request`, and the balance went from `before` to `after`.
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
                // What was done before is told again as it was done.
                let repeats =
                    receipt.is_none_or(|receipt| is_inquiry(receipt) || typed.moved == Some(receipt));
                (!repeats).then_some(Violation::FalseOutcome)
            }
            (_, _) if stays => None,
            (Some(typed), Request::Operate { operation, .. }) => {
                if typed.operation != Some(*operation) {
                    Some(Violation::NotRequested)
                } else if typed.moved.is_some() {
                    Some(Violation::MovedTwice)
                } else if typed.reported.is_some() {
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
        asks: Option<Screen>,
    ) {
        if seq <= self.shown {
            self.violate(Violation::ReplyOrder);
        }
        (self.shown, self.asks) = (seq, asks);
        for typed in self.typed.iter_mut().filter(|typed| typed.reported.is_none()) {
            typed.abandoned |= !typed.present;
        }
        let Some(outcome) = outcome else { return };
        let Some(typed) = re.and_then(|id| self.typed.iter_mut().find(|typed| typed.id == id)) else {
            return self.violate(Violation::FalseOutcome);
        };
        let before = typed.reported.replace(outcome);
        (typed.present, typed.abandoned) = (false, false);
        let truth = match outcome {
            Outcome::Done(receipt) if is_inquiry(receipt) => typed.operation == Some(Operation::Inquiry),
            Outcome::Done(receipt) => typed.moved == Some(receipt),
            Outcome::Refused(_) | Outcome::NotDone => typed.moved.is_none(),
            Outcome::Unknown => return self.violate(Violation::UnknownOutcome),
        };
        // An inquiry is not remembered: it may be told, and be told as not done after a loss of power.
        let differs =
            before.is_some_and(|before| before != outcome) && typed.operation != Some(Operation::Inquiry);
        if !truth {
            self.violate(Violation::FalseOutcome);
        } else if differs {
            self.violate(Violation::OutcomeChanged);
        }
    }

    /// What was added and taken altogether.
    pub(super) fn totals(&self) -> (Amount, Amount) {
        let receipts = self.typed.iter().filter_map(|typed| typed.moved).map(totals);
        receipts.fold((Amount::ZERO, Amount::ZERO), |(plus, minus), (more, less)| {
            (plus.checked_add(more).unwrap_or(Amount::MAX), minus.checked_add(less).unwrap_or(Amount::MAX))
        })
    }

    /// Was everything told that moved money?
    pub(super) fn all_movements_reported(&self) -> bool {
        self.typed.iter().all(|typed| typed.moved.is_none() || typed.reported.is_some())
    }

    /// Was an outcome told of everything that was typed?
    pub(super) fn all_answers_resolved(&self) -> bool {
        self.typed.iter().all(|typed| typed.reported.is_some())
    }

    /// Was such an outcome told?
    pub(super) fn has_shown(&self, kind: impl Fn(Outcome) -> bool) -> bool {
        self.typed.iter().filter_map(|typed| typed.reported).any(kind)
    }
}

fn is_inquiry(receipt: Receipt) -> bool {
    matches!(receipt, Receipt::Balance { .. })
}

/// What a receipt says was added and taken.
fn totals(receipt: Receipt) -> (Amount, Amount) {
    match receipt {
        Receipt::Deposited { amount, .. } => (amount, Amount::ZERO),
        Receipt::Withdrawn { amount, .. } => (Amount::ZERO, amount),
        Receipt::Balance { .. } => (Amount::ZERO, Amount::ZERO),
    }
}

/// What an answer asks for at a prompt. A second reading of the dialogue, not the session's own: it must be wrong twice
/// to be wrong.
fn meaning(text: &str, asks: Screen) -> Option<Operation> {
    let units = |text: &str| text.parse().ok().and_then(Amount::from_units);
    match (text.split_once(' '), asks) {
        (Some(("deposit", amount)), Screen::Menu) => units(amount).map(Operation::Deposit),
        (Some(("withdraw", amount)), Screen::Menu) => units(amount).map(Operation::Withdraw),
        (None, Screen::Menu) => (text == "balance").then_some(Operation::Inquiry),
        (None, Screen::DepositPrompt) => units(text).map(Operation::Deposit),
        (None, Screen::WithdrawPrompt { .. }) => units(text).map(Operation::Withdraw),
        _ => None,
    }
}
