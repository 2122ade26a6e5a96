//! Enrolment orders: what an operator's order does to a terminal's row, as a pure function.
//!
//! The command and [verification](super::verify) apply the same rules, as with [`decide`](atm_core::ledger::decide) for money.
use super::Enrolment;
use crate::access::Status;
use atm_core::ledger::{Epoch, Terminal};
use std::fmt;

/// An operator's order about one terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Enrol it, with the first key of its next series.
    AddKey,
    /// Enrol it, with a certificate for TLS.
    AddCertificate,
    /// Issue the next series: the former one is valid until the first hello of the next.
    Rotate,
    /// Refuse every key that was issued, its certificate, and the requests of its conversation.
    Revoke,
    /// Open it again.
    Confirm,
}

/// Why an order is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is enrolled with a key already.
    Enrolled,
    /// It was never enrolled.
    NotEnrolled,
    /// It was enrolled, and is not any more.
    Revoked,
    /// It is enrolled with a certificate, and has no series.
    HasCertificate,
    /// It is in service.
    InService,
    /// No higher series can be issued.
    NoSeries,
}

impl Order {
    /// The kind of its entry.
    pub fn word(self) -> &'static str {
        match self {
            Self::AddKey | Self::AddCertificate => "enrolled",
            Self::Rotate => "rotated",
            Self::Revoke => "revoked",
            Self::Confirm => "confirmed",
        }
    }

    /// The order whose entry has this kind, and a series or none.
    pub fn of(word: &str, has_series: bool) -> Option<Self> {
        Some(match (word, has_series) {
            ("enrolled", true) => Self::AddKey,
            ("enrolled", false) => Self::AddCertificate,
            ("rotated", true) => Self::Rotate,
            ("revoked", true) => Self::Revoke,
            ("confirmed", false) => Self::Confirm,
            _ => return None,
        })
    }

    /// The series that its entry has.
    pub fn series(self, enrolment: &Enrolment) -> Option<u32> {
        matches!(self, Self::AddKey | Self::Rotate | Self::Revoke).then_some(enrolment.series)
    }

    /// Carries it out on the rows of the terminal.
    ///
    /// A change of who may use the name raises the turn: the next request of a conversation that began before is refused.
    ///
    /// # Errors
    /// [`Refused`]; the rows are unchanged.
    pub fn apply(self, terminal: &mut Terminal, enrolment: &mut Enrolment) -> Result<(), Refused> {
        let status = enrolment.status();
        let next =
            || enrolment.series.checked_add(1).filter(|next| *next < u32::MAX).ok_or(Refused::NoSeries);
        match (self, status) {
            (Self::AddKey | Self::AddCertificate, Status::Key) => return Err(Refused::Enrolled),
            (Self::Rotate | Self::Revoke | Self::Confirm, Status::NotEnrolled) => {
                return Err(Refused::NotEnrolled);
            }
            (Self::Rotate | Self::Revoke | Self::Confirm, Status::Revoked) => return Err(Refused::Revoked),
            (Self::AddKey | Self::AddCertificate | Self::Rotate, Status::Certificate) => {
                return Err(Refused::HasCertificate);
            }
            (Self::Confirm, _) if !enrolment.closed => return Err(Refused::InService),
            (Self::AddKey, _) => {
                enrolment.series = next()?;
                terminal.epoch = Some(Epoch { series: enrolment.series, ..Epoch::PLAIN });
            }
            (Self::AddCertificate, _) => {
                enrolment.tls = true;
                // The hellos over TLS have no series, so that a row with one would refuse them.
                terminal.epoch = terminal.epoch.filter(|epoch| epoch.series == 0);
            }
            (Self::Rotate, _) => enrolment.series = next()?,
            (Self::Revoke, _) => {
                enrolment.tls = false;
                terminal.epoch = Some(Epoch { series: next()?, ..Epoch::PLAIN });
            }
            (Self::Confirm, _) => {}
        }
        if !matches!(self, Self::Rotate) {
            enrolment.closed = false;
        }
        if matches!(self, Self::AddKey | Self::AddCertificate | Self::Revoke) {
            terminal.turn = terminal.turn.wrapping_add(1);
        }
        enrolment.epoch = terminal.epoch;
        Ok(())
    }
}

/// Whether an order has changed who may use the name since the last hello that was admitted: then the order has fenced the
/// conversation, and no hello has.
pub fn is_changed_since_hello(terminal: &Terminal) -> bool {
    let has_no_hello =
        |epoch: Epoch| epoch.series > 0 && (epoch.step, epoch.start, epoch.attempt) == (0, 0, 0);
    terminal.epoch.is_none_or(has_no_hello)
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enrolled => {
                "it is enrolled already: `atm terminal rotate` issues a new key, and after a leak `revoke`, then `add`"
            }
            Self::NotEnrolled => "it is not enrolled (`atm terminal add`)",
            Self::Revoked => "it is revoked (`atm terminal add` enrols it again)",
            Self::HasCertificate => "it is enrolled with a certificate, which its authority replaces, and has no key",
            Self::InService => "it is in service",
            Self::NoSeries => "no series of keys is left for this name",
        })
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row after these orders.
    fn after(orders: &[Order]) -> (Terminal, Enrolment) {
        let (mut terminal, mut enrolment) = (Terminal::NEW, Enrolment::default());
        for order in orders {
            order.apply(&mut terminal, &mut enrolment).unwrap();
        }
        (terminal, enrolment)
    }

    #[test]
    fn a_new_key_refuses_every_hello_in_clear_and_fences_the_conversation() {
        let (mut terminal, mut enrolment) = (
            Terminal { epoch: Some(Epoch::clear(u64::MAX, 9)), turn: 4, ..Terminal::NEW },
            Enrolment::default(),
        );
        Order::AddKey.apply(&mut terminal, &mut enrolment).unwrap();
        assert!(terminal.epoch > Some(Epoch::clear(u64::MAX, u32::MAX)) && terminal.turn == 5);
        assert!(enrolment.may_use(1) && !enrolment.may_use(2));
    }

    #[test]
    fn the_former_series_is_valid_until_a_hello_of_the_next() {
        let (terminal, mut enrolment) = after(&[Order::AddKey, Order::Rotate]);
        assert!(enrolment.may_use(1) && enrolment.may_use(2) && !enrolment.may_use(3));
        assert_eq!(terminal.turn, 1, "its conversation goes on");
        enrolment.epoch = Some(Epoch { series: 2, step: 0, start: 1, attempt: 1 });
        assert!(!enrolment.may_use(1) && enrolment.may_use(2));
    }

    #[test]
    fn no_key_is_valid_after_a_revocation_but_that_of_a_later_enrolment() {
        let (terminal, enrolment) = after(&[Order::AddKey, Order::Rotate, Order::Revoke]);
        assert_eq!((enrolment.status(), terminal.turn), (Status::Revoked, 2));
        assert!(!(0..9).any(|series| enrolment.may_use(series)));
        let (_, enrolment) = after(&[Order::AddKey, Order::Rotate, Order::Revoke, Order::AddKey]);
        let valid: Vec<_> = (0..9).filter(|series| enrolment.may_use(*series)).collect();
        assert_eq!(valid, [3]);
    }

    #[test]
    fn a_certificate_after_a_key_admits_hellos_without_a_series_and_no_old_key() {
        let (terminal, enrolment) = after(&[Order::AddKey, Order::Revoke, Order::AddCertificate]);
        assert_eq!((terminal.epoch, enrolment.status()), (None, Status::Certificate));
        assert!(!(0..9).any(|series| enrolment.may_use(series)));
        let (terminal, enrolment) = after(&[Order::AddCertificate, Order::Revoke]);
        assert_eq!(
            (terminal.epoch.map(|epoch| epoch.series), enrolment.status()),
            (Some(1), Status::Revoked)
        );
    }

    #[test]
    fn a_row_says_whether_an_order_or_a_hello_came_last() {
        use Order::{AddCertificate, AddKey, Revoke, Rotate};
        for orders in
            [&[AddKey][..], &[AddKey, Rotate], &[AddCertificate, Revoke], &[AddKey, Revoke, AddCertificate]]
        {
            let (mut terminal, _) = after(orders);
            assert!(is_changed_since_hello(&terminal), "{orders:?}");
            for series in [0, 1] {
                terminal.epoch = Some(Epoch { series, step: 0, start: 1, attempt: 1 });
                assert!(!is_changed_since_hello(&terminal), "{orders:?}");
            }
        }
        assert!(!is_changed_since_hello(&Terminal { epoch: Some(Epoch::PLAIN), ..Terminal::NEW }));
    }

    #[test]
    fn what_does_not_fit_the_row_is_refused_and_changes_nothing() {
        use Order::{AddCertificate, AddKey, Confirm, Revoke, Rotate};
        for (orders, order, reason) in [
            (&[][..], Rotate, Refused::NotEnrolled),
            (&[], Revoke, Refused::NotEnrolled),
            (&[], Confirm, Refused::NotEnrolled),
            (&[AddKey], AddKey, Refused::Enrolled),
            (&[AddKey], AddCertificate, Refused::Enrolled),
            (&[AddKey], Confirm, Refused::InService),
            (&[AddCertificate], AddKey, Refused::HasCertificate),
            (&[AddCertificate], Rotate, Refused::HasCertificate),
            (&[AddKey, Revoke], Rotate, Refused::Revoked),
            (&[AddKey, Revoke], Revoke, Refused::Revoked),
        ] {
            let (before, mut terminal, mut enrolment) = {
                let (terminal, enrolment) = after(orders);
                ((terminal, enrolment), terminal, enrolment)
            };
            assert_eq!(order.apply(&mut terminal, &mut enrolment), Err(reason), "{orders:?} {order:?}");
            assert_eq!((terminal, enrolment), before);
        }
        let (mut terminal, mut enrolment) = after(&[AddKey]);
        enrolment.series = u32::MAX - 1;
        assert_eq!(Rotate.apply(&mut terminal, &mut enrolment), Err(Refused::NoSeries));
    }
}
