//! Log targets: the public names under which a server's events are logged, one for each subject.
//!
//! `docs/operations.md` documents them. No event has the text of an answer.

pub(crate) mod limit;

/// Operations: one event for each response of the ledger to one, with its terminal (or session), id, outcome and amount.
pub const OPERATION: &str = "atm::operation";

/// Sessions and hellos: opened, closed, turned away.
pub const SESSION: &str = "atm::session";

/// The ledger: opened, closed, in doubt, set back.
pub const LEDGER: &str = "atm::ledger";

/// The server itself: start, signals, stop, its links.
pub const SERVER: &str = "atm::server";

/// The page of the metrics.
pub const METRICS: &str = "atm::metrics";

/// Every target.
pub const ALL: [&str; 5] = [OPERATION, SESSION, LEDGER, SERVER, METRICS];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn the_documentation_has_every_target() {
        let page = include_str!("../../docs/operations.md");
        let (_, section) = page.split_once("\n## Log\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let documented: Vec<_> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next().filter(|cell| cell.contains("::")))
            .collect();
        assert_eq!(documented, ALL);
    }
}
