//! A batch in doubt: what the journal was before it and is after it, so that a settling write can tell whether it stands.
use super::{GroupCommitter, State};
use crate::{
    ledger::{
        batch::Answered,
        store::{Head, Store, StoreFault, Turn},
    },
    log::LEDGER,
};
use atm_core::{
    ledger::{Outcome, Refusal, Request, Response},
    time::UnixTime,
};
use std::time::{Duration, Instant};
use tracing::{error, info};

/// The shortest and the longest wait between two attempts to settle; each is twice the one before.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(2);

/// What is known of the batch.
pub(super) struct Doubt {
    /// The journal before the batch, and its epoch.
    pub(super) before: Head,
    pub(super) epoch: u64,
    /// The journal after the batch.
    pub(super) after: Head,
    /// The journal after the voids, once a settling write with them was tried.
    pub(super) voided: Option<Head>,
    /// The responses that the requests have if it stands.
    pub(super) answered: Vec<Answered>,
    /// The new names that there are if it stands.
    pub(super) names: u64,
    /// The time of the voids: each attempt writes the same entries.
    pub(super) time: UnixTime,
    pub(super) backoff: Duration,
    /// The fault as it was logged: it may be met many times.
    pub(super) logged: String,
}

impl Doubt {
    /// Whether the batch stands in a journal of ours; `None` if it is neither before nor after it. A batch raises the
    /// count of batches, a settling write that and the epoch. One that fails may take the batch with it that it found,
    /// so the journal is compared anew at each attempt.
    pub(super) fn stands(&self, found: &Head, epoch: u64) -> Option<bool> {
        let batches = found.batches.wrapping_sub(epoch.wrapping_sub(self.epoch));
        let is_at = |head: &Head| (found.number, found.hash) == (head.number, head.hash);
        if batches == self.after.batches && is_at(&self.after) {
            return Some(true);
        }
        let is_before = is_at(&self.before) || self.voided.as_ref().is_some_and(is_at);
        (batches == self.before.batches && is_before).then_some(false)
    }
}

impl<S: Store> GroupCommitter<S> {
    /// Closes the ledger until a write settles what may stand of the batch between these heads.
    pub(super) fn doubt(
        &mut self,
        fault: &StoreFault,
        before: Head,
        after: Head,
        answered: Vec<Answered>,
        names: u64,
    ) {
        if matches!(fault, StoreFault::Damaged(_) | StoreFault::Fenced(_)) {
            return self.fail(fault);
        }
        let logged = fault.to_string();
        self.metrics.update(|counters| {
            counters.is_ledger_open = Some(false);
            counters.doubts += u64::from(before != after);
            counters.is_in_doubt = before != after;
        });
        if before == after {
            error!(target: LEDGER, error = logged, "the ledger's database does not answer: nothing is committed before it does");
        } else {
            error!(target: LEDGER, error = logged, "the ledger's commit failed: no outcome is sent before it is settled");
        }
        let (epoch, voided, time, backoff) = (self.turn.epoch, None, (self.clock)(), FIRST_RETRY);
        let doubt = Doubt { before, epoch, after, voided, answered, names, time, backoff, logged };
        self.state = State::InDoubt(Box::new(doubt));
        self.retry_at = Some(Instant::now() + FIRST_RETRY);
        self.withdraw_unnamed();
    }

    /// Settles the batch in doubt by a write.
    pub(super) fn settle(&mut self) {
        let State::InDoubt(mut doubt) = std::mem::replace(&mut self.state, State::Failed) else { return };
        match self.try_settle(&mut doubt) {
            Ok((answered, again)) => {
                self.metrics.update(|counters| {
                    counters.is_ledger_open = Some(true);
                    counters.settled += u64::from(doubt.before != doubt.after);
                    counters.is_in_doubt = false;
                });
                info!(target: LEDGER, "the ledger takes entries again, and the last requests are settled");
                self.state = State::Open;
                self.answered.extend(answered);
                self.put_back(again);
            }
            Err(fault @ (StoreFault::Damaged(_) | StoreFault::Fenced(_))) => self.fail(&fault),
            Err(fault) => {
                let fault = fault.to_string();
                if fault != doubt.logged {
                    error!(target: LEDGER, error = fault, "the ledger is still closed");
                    doubt.logged = fault;
                }
                doubt.backoff = doubt.backoff.saturating_mul(2).min(MAX_RETRY);
                self.retry_at = Some(Instant::now() + doubt.backoff);
                self.state = State::InDoubt(doubt);
            }
        }
    }

    /// Returns the settled responses, and the requests that are to be decided again.
    fn try_settle(&mut self, doubt: &mut Doubt) -> Result<(Vec<Answered>, Vec<Request>), StoreFault> {
        self.store.reopen()?;
        self.metrics.update(|counters| counters.reconnects += 1);
        let mut batch = self.load(&mut doubt.answered.iter().map(|(request, _)| request))?;
        let Turn { epoch, owner } = batch.turn;
        let is_ours = owner == self.turn.owner;
        let Some(stands) = doubt.stands(&batch.head, epoch).filter(|_| is_ours) else {
            self.store.abandon();
            let lost =
                format!("it has lost commits that were acknowledged: it is at entry {}", batch.head.number);
            return Err(if is_ours {
                StoreFault::Damaged(lost)
            } else {
                StoreFault::Fenced(Some(batch.turn))
            });
        };
        let (mut settled, mut again) = (doubt.answered.clone(), Vec::new());
        if !stands {
            settled.retain_mut(|(request, response)| {
                let is_conflict = matches!(
                    response,
                    Response::Settled { outcome: Outcome::Refused(Refusal::Conflict), .. }
                );
                let voided = if is_conflict { None } else { batch.void(request, doubt.time) };
                match voided {
                    Some(voided) => *response = voided,
                    None => again.push(request.clone()),
                }
                voided.is_some()
            });
            doubt.voided = Some(batch.head);
        }
        self.save(&mut batch, Turn { epoch: epoch.saturating_add(1), owner })?;
        if stands {
            self.names.take(doubt.names);
        }
        Ok((settled, again))
    }
}
