//! Properties: invariants of every state, and states that must be reachable, so that the invariants are not
//! vacuous.
//!
//! | property | statement |
//! |---|---|
//! | safety: exactly once | an operation moves money at most once |
//! | safety: as typed | money moves only for a typed answer, by what it says |
//! | safety: person present | no money moves once the person has left and a later one was shown something |
//! | safety: final outcomes | an operation moves no money once an outcome of it was shown |
//! | safety: true outcomes | the outcome shown is the committed one; "unknown" only of an id that is not reserved |
//! | safety: one outcome | the outcome shown of an operation never changes |
//! | safety: reply order | replies are shown once and in the order of their numbers |
//! | safety: fenced | no request of an earlier turn, or of a host without the turn, is carried out |
//! | safety: proved | a hello that has seen more than was reserved, and no other, is told of the set-back |
//! | safety: reserved | money moves only under an id whose number is reserved |
//! | safety: verified | money moves only after the right PIN in this session, by a card that was not blocked since |
//! | safety: right PIN | a PIN is judged as it was typed, for the card that was typed |
//! | safety: tries | a card counts each wrong PIN in the commit that judges it, once, and is blocked by the third |
//! | safety: balances | an account has its balance at the start and its movements, a transfer's two accounts at once |
//! | safety: no doubt | the ledger in memory never returns an error |
//! | invariant: conservation | the balance is the starting balance plus all movements |
//! | liveness: quiescence | without further faults, each outcome is shown and each terminal served |
//! | reachable: … | outcomes are shown, every answer gets one, a conversation is taken over |
//!
//! [`Violation`] has the safety properties in detail, the `liveness` module the fault-free runs.
use super::{
    AtmModel, ModelState, audit::Violation, bounds::Bounds, cards::CardBank, driver::Driver, interned,
    ledger::ModelLedger, station::Station,
};
use atm_core::{
    ledger::{Outcome, Refusal, Response, card::TRIES},
    money::Amount,
};
use stateright::Property;

/// The properties within `bounds`.
pub(super) fn all(bounds: &Bounds) -> Vec<Property<AtmModel>> {
    let mut properties = vec![
        Property::always("safety: exactly once", |_, s: &ModelState| !s.has(&[Violation::MovedTwice])),
        Property::always("safety: as typed", |_, s: &ModelState| !s.has(&[Violation::NotRequested])),
        Property::always("safety: person present", |_, s: &ModelState| !s.has(&[Violation::PersonGone])),
        Property::always("safety: final outcomes", |_, s: &ModelState| !s.has(&[Violation::AfterOutcome])),
        Property::always("safety: true outcomes", |_, s: &ModelState| {
            !s.has(&[Violation::FalseOutcome, Violation::UnknownOutcome, Violation::SetBack])
        }),
        Property::always("safety: one outcome", |_, s: &ModelState| !s.has(&[Violation::OutcomeChanged])),
        Property::always("safety: reply order", |_, s: &ModelState| !s.has(&[Violation::ReplyOrder])),
        Property::always("safety: fenced", |_, s: &ModelState| !s.has(&[Violation::NotFenced])),
        Property::always("safety: proved", |_, s: &ModelState| !s.has(&[Violation::NotProved])),
        Property::always("safety: reserved", |_, s: &ModelState| !s.has(&[Violation::NotReserved])),
        Property::always("safety: no doubt", |_, s: &ModelState| !s.has(&[Violation::LedgerFailed])),
        Property::always("safety: verified", |_, s: &ModelState| !s.has(&[Violation::NotVerified])),
        Property::always("safety: right PIN", |_, s: &ModelState| !s.has(&[Violation::Misjudged])),
        Property::always("safety: tries", |_, s: &ModelState| !s.has(&[Violation::TriesLost])),
        Property::always("safety: balances", |_, s: &ModelState| !s.has(&[Violation::Unbalanced])),
        Property::always("invariant: conservation", AtmModel::conserves_money),
        Property::always("liveness: quiescence", AtmModel::comes_to_rest),
        // Without these, the model could hold because nothing happens in it.
        Property::sometimes("reachable: done is shown", |_, s: &ModelState| {
            s.has_shown(|outcome| matches!(outcome, Outcome::Done(_)))
        }),
        Property::sometimes("reachable: not done is shown", |_, s: &ModelState| {
            s.has_shown(|outcome| outcome == Outcome::NotDone)
        }),
        Property::sometimes("reachable: a refusal is shown", |_, s: &ModelState| {
            s.has_shown(|outcome| matches!(outcome, Outcome::Refused(_)))
        }),
    ];
    if bounds.cards {
        // A number and three PINs.
        if bounds.answers > TRIES.into() {
            properties
                .push(Property::sometimes("reachable: a card has no tries left", |_, s: &ModelState| {
                    s.ledger.cards.as_ref().is_some_and(CardBank::has_no_tries)
                }));
        }
        if bounds.orders > 0 {
            properties.push(Property::sometimes("reachable: a session is over", |_, s: &ModelState| {
                s.has_shown(|outcome| outcome == Outcome::Refused(Refusal::NoAccess))
            }));
        }
    } else {
        properties.push(Property::sometimes(
            "reachable: every answer gets an outcome",
            |model: &AtmModel, s: &ModelState| {
                let answers = model.bounds.answers;
                let all = |station: &Station| {
                    station.audit.answers() == answers && station.audit.all_answers_resolved()
                };
                s.stations.iter().any(|station| all(station))
            },
        ));
    }
    if bounds.links > 1 {
        properties
            .push(Property::sometimes("reachable: a conversation is taken over", |_, s: &ModelState| {
                s.stations.iter().any(|station| station.was_taken_over())
            }));
    }
    if bounds.hosts > 1 || bounds.set_backs > 0 {
        properties.push(Property::sometimes("reachable: a request is fenced", |_, s: &ModelState| {
            let mut hosts = s.stations.iter().flat_map(|station| &station.hosts);
            hosts.any(|host| host.responses.iter().any(|(_, response)| *response == Response::Fenced))
        }));
    }
    if bounds.set_backs > 0 {
        properties.push(Property::sometimes("reachable: unknown is shown", |_, s: &ModelState| {
            s.has_shown(|outcome| outcome == Outcome::Unknown)
        }));
    }
    properties
}

impl ModelState {
    /// Has a station one of these violations?
    fn has(&self, violations: &[Violation]) -> bool {
        self.stations
            .iter()
            .any(|station| station.audit.violation.is_some_and(|found| violations.contains(&found)))
    }

    /// Was such an outcome shown?
    fn has_shown(&self, kind: impl Fn(Outcome) -> bool + Copy) -> bool {
        self.stations.iter().any(|station| station.audit.has_shown(kind))
    }
}

impl AtmModel {
    fn conserves_money(&self, state: &ModelState) -> bool {
        let totals = state.stations.iter().try_fold((self.total(), Amount::ZERO), |totals, station| {
            let (deposited, withdrawn) = station.audit.totals();
            Some((totals.0.checked_add(deposited)?, totals.1.checked_add(withdrawn)?))
        });
        totals.and_then(|(plus, minus)| plus.checked_sub(minus)) == Some(state.ledger.balance())
    }

    fn comes_to_rest(&self, state: &ModelState) -> bool {
        state.stations.iter().all(|station| {
            let key = interned::hash_of(&(station.hash(), state.ledger.hash()));
            let driver = || Driver {
                station: Station::clone(station),
                ledger: ModelLedger::clone(&state.ledger),
                capacity: 0,
            };
            station.audit.violation.is_some() || self.liveness.holds_from(key, driver, &self.bounds)
        })
    }
}
