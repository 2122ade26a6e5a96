//! Exit codes of the program `atm`, the same for every command.
use atm_core::screen::Failure;
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// An error, which was printed.
    Error = 1,
    /// The command line is wrong. (The parser of the command line ends with this code by itself.)
    Usage = 2,
    /// An operation was refused, or a line could not be sent.
    Refused = 3,
    /// The outcome of an operation is unknown.
    Unknown = 4,
    /// The operation was not done and never will be.
    NotDone = 5,
    /// Another start finds the same: the ledger is damaged, behind its mark, or of another format (`EX_CONFIG`,
    /// sysexits.h).
    Permanent = 78,
    /// Interrupted, as by ctrl-C: 128 and the number of SIGINT, as shells have it.
    Interrupted = 130,
}

impl Exit {
    /// Every exit code.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Error,
        Self::Usage,
        Self::Refused,
        Self::Unknown,
        Self::NotDone,
        Self::Permanent,
        Self::Interrupted,
    ];

    /// Its meaning in a few words, for `--help`.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Error => "an error",
            Self::Usage => "wrong usage",
            Self::Refused => "refused",
            Self::Unknown => "outcome unknown",
            Self::NotDone => "not done",
            Self::Permanent => "another start finds the same",
            Self::Interrupted => "interrupted",
        }
    }

    /// All codes with their meanings, in one line.
    pub fn summary() -> String {
        let codes = Self::ALL.map(|exit| format!("{} {}", exit as u8, exit.meaning()));
        format!("Exit codes: {}.", codes.join(", "))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        (exit as u8).into()
    }
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused => Self::Refused,
            Failure::NotDone => Self::NotDone,
            Failure::Unknown => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_documentation_have_every_code() {
        let summary = "Exit codes: 0 done, 1 an error, 2 wrong usage, 3 refused, 4 outcome unknown, 5 not done, \
                       78 another start finds the same, 130 interrupted.";
        assert_eq!(Exit::summary(), summary);
        let page = include_str!("../../docs/operations.md");
        let (_, section) = page.split_once("\n## Exit codes\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let documented: Vec<_> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse::<u8>().ok())
            .collect();
        assert_eq!(documented, Exit::ALL.map(|exit| exit as u8));
    }

    /// Another start would end with these codes too (systemd.service(5)).
    #[test]
    fn the_sample_unit_does_not_restart_what_another_start_finds_again() {
        let unit = include_str!("../../examples/atm.service");
        let codes = format!("RestartPreventExitStatus={} {}", Exit::Usage as u8, Exit::Permanent as u8);
        assert!(unit.lines().any(|line| line == codes), "{codes}");
    }
}
