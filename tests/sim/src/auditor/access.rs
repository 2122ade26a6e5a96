//! The auditor where access is by card: hands what it sees to the audit of cards.
use super::{Auditor, CardAudit, CardCounts, CardEntry, CardRowsSeen};
use crate::bank::Bank;
use atm_core::{
    ledger::{Name, Request, Response},
    time::{Duration, Instant, UnixTime},
};

impl Auditor {
    /// Begins to audit cards.
    pub(crate) fn audit_cards(&mut self, bank: Bank) {
        self.cards = Some(CardAudit::new(bank));
    }

    /// What happened with cards.
    pub(crate) fn card_counts(&self) -> CardCounts {
        self.cards.as_ref().map(|cards| cards.counts).unwrap_or_default()
    }

    /// The cards, as they must be.
    pub(crate) fn cards(&self) -> Option<&CardAudit> {
        self.cards.as_ref()
    }

    /// The same, for an operator.
    pub(crate) fn cards_mut(&mut self) -> Option<&mut CardAudit> {
        self.cards.as_mut()
    }

    /// A terminal showed this text, as the reply `number` to the answer to the prompt `re`.
    pub(crate) fn shown_text(
        &mut self,
        name: &Name,
        reply: (u64, u64, Option<u64>),
        text: &str,
        now: Instant,
    ) {
        match self.cards.as_mut().map(|cards| cards.shown(name, reply, text, now)) {
            Some(Ok(true)) => self.reported.extend(reply.2.map(|re| (name.clone(), re))),
            Some(Err(what)) => self.violation(what),
            _ => {}
        }
    }

    /// A host requests something for an answer.
    pub(crate) fn requested(&mut self, request: &Request, idle: Duration, now: Instant) {
        if let Some(Err(what)) = self.cards.as_ref().map(|cards| cards.requested(request, idle, now)) {
            self.violation(what);
        }
    }

    /// The ledger committed a request, which changed the rows of cards so.
    pub(crate) fn committed_with_cards(
        &mut self,
        committed: (&Request, &Response),
        rows: (&CardRowsSeen, &CardRowsSeen),
        wall: UnixTime,
    ) {
        let Some(cards) = &mut self.cards else { return };
        let sum = |rows: &CardRowsSeen| rows.balances.iter().sum::<i128>();
        self.history.balance += sum(rows.1) - sum(rows.0);
        match cards.committed(committed, rows, wall) {
            Ok(None) => {}
            Ok(Some((id, operation, receipt))) => self.done(id, operation, receipt),
            Err(what) => self.violation(format!("{:?}: {what}", committed.0)),
        }
    }

    /// The ledger committed these entries, which made the rows of cards so.
    pub(crate) fn entered_with_cards(&mut self, entries: &[CardEntry], after: &CardRowsSeen) {
        for entry in entries {
            let Some(cards) = &mut self.cards else { return };
            let before = cards.total();
            let done = cards.entered(entry);
            self.history.balance += cards.total() - before;
            match done {
                Ok(None) => {}
                Ok(Some((id, operation, receipt))) => self.done(id, operation, receipt),
                Err(what) => self.violation(format!("{entry:?}: {what}")),
            }
        }
        if let Some(Err(what)) = self.cards.as_ref().map(|cards| cards.compare(after)) {
            self.violation(what);
        }
    }

    /// These bytes are in a file.
    pub(crate) fn stored_bytes(&mut self, bytes: &[u8]) {
        if let Some(what) = self.cards.as_ref().and_then(|cards| cards.secret_in_file(bytes)) {
            self.violation(what);
        }
    }

    /// These bytes are sent, by a host or on a sealed link.
    pub(crate) fn sent_bytes(&mut self, bytes: &[u8]) {
        if let Some(what) = self.cards.as_ref().and_then(|cards| cards.secret_in(bytes)) {
            self.violation(what);
        }
    }

    /// An endpoint, a host or the ledger is shown so by Debug.
    pub(crate) fn shown_by_debug(&mut self, text: &str) {
        if let Some(what) = self.cards.as_mut().and_then(|cards| cards.secret_in_debug(text)) {
            self.violation(what);
        }
    }
}
