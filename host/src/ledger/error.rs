//! What can be wrong with a ledger on disk.
use std::{error, fmt, io, path::PathBuf};
use tracing::debug;

/// What is wrong.
#[derive(Debug)]
pub enum Fault {
    /// The system says so: no room, no permission, no medium.
    Io(io::Error),
    /// Another process works on it, of this number if that is known.
    InUse(Option<u32>),
    /// Somebody reads it and does not let go of it.
    InReading,
    /// It was closed: its server stops, or finds out what a fault has left of it.
    Closed,
    /// There is no ledger.
    Missing,
    /// There is one already.
    Exists,
    /// It is not a ledger.
    Foreign,
    /// It was removed, or replaced, while it was open.
    Taken,
    /// It was written by a later version, in this format.
    Newer(u64),
    /// It is a ledger and something in it was changed.
    Damaged(String),
    /// It is a backup, and not all of one.
    NotWhole(String),
}

impl Fault {
    /// Does it stay wrong, however often it is tried again?
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Io(_) | Self::Closed)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::InUse(None) => f.write_str("another process works on it"),
            Self::InUse(Some(process)) => write!(f, "another process works on it (its number is {process})"),
            Self::InReading => f.write_str("somebody reads it, and has not let go of it in time"),
            Self::Closed => f.write_str("it is closed for now"),
            Self::Missing => f.write_str("there is no ledger (`atm serve --data DIR` makes one)"),
            Self::Exists => f.write_str("it exists already, and is not overwritten"),
            Self::Foreign => f.write_str("this is not a ledger of atm"),
            Self::Taken => f.write_str("somebody has removed it, or put another in its place"),
            Self::Newer(format) => write!(f, "a later version of atm wrote this, in format {format}"),
            Self::Damaged(what) => {
                let then = "restore its last backup into another folder (`atm ledger restore`)";
                write!(f, "it is damaged: {what}; {then}")
            }
            Self::NotWhole(what) => write!(f, "this is no whole backup: {what}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                debug!(%error, "redb");
                Self::Damaged("a part of it is missing or is not what it should be".to_owned())
            }
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::Corrupted(what) => {
                debug!(what, "redb");
                Self::Damaged("its pages do not have the sums that were written with them".to_owned())
            }
            // It has panicked before.
            redb::Error::LockPoisoned(_) => {
                Self::Damaged("what is in its pages contradicts itself".to_owned())
            }
            redb::Error::DatabaseClosed => Self::Closed,
            redb::Error::DatabaseAlreadyOpen => Self::InUse(None),
            redb::Error::UpgradeRequired(version) => {
                Self::Damaged(format!("redb's file format {version} is not the one that atm writes"))
            }
            redb::Error::TableDoesNotExist(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableIsNotMultimap(_) => Self::Foreign,
            redb::Error::PreviousIo => {
                Self::Io(io::Error::other("it could not be read or written, and is to be opened anew"))
            }
            // Whatever else fails is tried again on a store that was opened anew.
            other => Self::Io(io::Error::other(other)),
        }
    }
}

/// What is wrong with a ledger, and where it lies.
#[derive(Debug)]
pub struct Error {
    /// Its folder or its file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.fault)
    }
}

impl error::Error for Error {}
