//! Response log: one event for each operation that the ledger has answered, and for what it did with a hello.
use crate::{
    log::{LEDGER, OPERATION, SESSION},
    metrics::operation_word,
};
use atm_core::{
    ledger::{Admission, Operation, Origin, Outcome, Receipt, Rejection, Request, Response},
    money::Amount,
};
use tracing::{Level, enabled, field::display, info, warn};

/// Logs an operation, an outcome that was asked for, a hello that was not admitted, a fenced request, and the proof that the
/// ledger was set back.
pub(super) fn log_response(request: &Request, response: &Response) {
    match (response, request.origin.terminal()) {
        (Response::Settled { id, outcome }, _) => log_outcome(request, *id, outcome),
        (Response::Statement { id, .. }, Some(name)) => {
            let operation = operation_word(Operation::Statement);
            info!(target: OPERATION, terminal = %name, id, operation, outcome = "done", "operation");
        }
        (
            Response::Admitted(Admission { set_back: Some(gap), .. })
            | Response::Rejected(Rejection::SetBack(gap)),
            Some(name),
        ) => {
            let out_of_service = matches!(response, Response::Rejected(_));
            warn!(
                target: LEDGER, terminal = %name, start = gap.start, end = gap.end, out_of_service,
                "the ledger was set back: the terminal has seen replies that are not in it, and the outcomes of their numbers, below the end, are unknown"
            );
        }
        (Response::Rejected(Rejection::Revoked), Some(name)) => {
            warn!(target: SESSION, terminal = %name, "request fenced: an operator has revoked or enrolled the terminal since its hello");
        }
        (Response::Rejected(reason), Some(name)) => {
            info!(target: SESSION, terminal = %name, ?reason, "hello rejected by the ledger");
        }
        (Response::Fenced, Some(name)) => {
            info!(target: SESSION, terminal = %name, "request fenced: the terminal has said hello elsewhere");
        }
        _ => {}
    }
}

/// Amounts are in minor units. Nothing names a card. A session without a name has its number in place of a terminal.
fn log_outcome(request: &Request, id: u64, outcome: &Outcome) {
    if !enabled!(target: OPERATION, Level::INFO) {
        return;
    }
    let (terminal, session) = match &request.origin {
        Origin::Terminal(name) => (Some(display(name)), None),
        Origin::Session(session) => (None, Some(session.number)),
    };
    let reason = match outcome {
        Outcome::Refused(refusal) => Some(refusal.code()),
        _ => None,
    };
    let moved = match outcome {
        Outcome::Done(
            Receipt::Deposited { amount, .. }
            | Receipt::Withdrawn { amount, .. }
            | Receipt::Transferred { amount, .. },
        ) => Some(*amount),
        _ => None,
    };
    if let Some(operation) = request.command.operation() {
        let amount = moved.or(named_amount(operation)).map(Amount::minor);
        info!(
            target: OPERATION, terminal, session, id, operation = operation_word(operation), outcome = outcome.code(), reason, amount,
            "operation"
        );
    } else {
        let amount = moved.map(Amount::minor);
        info!(target: OPERATION, terminal, id, outcome = outcome.code(), reason, amount, "outcome of an earlier operation");
    }
}

fn named_amount(operation: Operation) -> Option<Amount> {
    match operation {
        Operation::Deposit(amount) | Operation::Withdraw(amount) | Operation::Transfer { amount, .. } => {
            Some(amount)
        }
        _ => None,
    }
}
