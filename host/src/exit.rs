//! Exit codes of the program `atm`.
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// An error, which was printed.
    Error = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The operation was refused.
    Refused = 3,
    /// The outcome of the operation is unknown.
    Unknown = 4,
    /// The operation was not done and never will be.
    NotDone = 5,
    /// Another start finds the same: the ledger is damaged, behind its mark, or of another format (`EX_CONFIG`,
    /// sysexits.h).
    Permanent = 78,
    /// Interrupted by ctrl-C: 128 and the number of the signal.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        (exit as u8).into()
    }
}
