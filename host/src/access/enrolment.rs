//! Enrolment: which keys and certificates a ledger's row admits a terminal with.
use atm_core::ledger::Epoch;

/// What the row of a terminal says about who may use its name.
///
/// A name has a key or a certificate, never both: the hellos of a certificate have no series, and a row with a series
/// refuses them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enrolment {
    /// The highest series that was issued for the name; 0 before the first key.
    pub series: u32,
    /// The epoch of its row: no hello of a smaller one is admitted.
    pub epoch: Option<Epoch>,
    /// Whether it is served over TLS under a certificate with its name.
    pub tls: bool,
    /// Whether it is out of service until an operator confirms it.
    pub closed: bool,
}

/// How a terminal may use its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was never enrolled.
    NotEnrolled,
    /// With a key, over a sealed link.
    Key,
    /// With a certificate, over TLS.
    Certificate,
    /// It was enrolled, and is not any more.
    Revoked,
}

impl Enrolment {
    /// How the terminal may use its name.
    pub fn status(&self) -> Status {
        let floor = self.epoch.map_or(0, |epoch| epoch.series);
        match (self.tls, self.series) {
            (true, _) => Status::Certificate,
            (false, series) if floor > series => Status::Revoked,
            (false, 0) => Status::NotEnrolled,
            (false, _) => Status::Key,
        }
    }

    /// Whether the terminal has a key or a certificate now.
    pub fn is_enrolled(&self) -> bool {
        matches!(self.status(), Status::Key | Status::Certificate)
    }

    /// Whether a key of this series is valid: it was issued, is not revoked, and no hello of a later series was admitted.
    pub fn may_use(&self, series: u32) -> bool {
        let floor = self.epoch.map_or(0, |epoch| epoch.series);
        self.status() == Status::Key && series > 0 && (floor..=self.series).contains(&series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(series: u32, floor: u32) -> Enrolment {
        Enrolment { series, epoch: Some(Epoch { series: floor, ..Epoch::PLAIN }), ..Enrolment::default() }
    }

    #[test]
    fn a_key_is_valid_from_the_rows_series_to_the_one_issued_last() {
        let row = with(4, 3);
        let valid: Vec<_> = (0..7).filter(|series| row.may_use(*series)).collect();
        assert_eq!((row.status(), valid), (Status::Key, vec![3, 4]));
    }

    #[test]
    fn no_key_of_a_revoked_terminal_is_valid() {
        for row in [with(4, 5), with(0, 1)] {
            assert_eq!((row.status(), row.is_enrolled()), (Status::Revoked, false));
            assert!(!(0..7).any(|series| row.may_use(series)), "{row:?}");
        }
    }

    #[test]
    fn no_key_of_a_name_without_one_is_valid() {
        let row = Enrolment { epoch: Some(Epoch::clear(7, 1)), ..Enrolment::default() };
        assert_eq!(row.status(), Status::NotEnrolled);
        assert!(!row.may_use(0) && !row.may_use(1));
        let row = Enrolment { tls: true, series: 3, epoch: None, closed: false };
        assert_eq!((row.status(), row.is_enrolled()), (Status::Certificate, true));
        assert!(!row.may_use(3), "a key from before the certificate");
    }
}
