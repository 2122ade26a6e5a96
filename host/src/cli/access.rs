//! Command line of `atm terminal`, `atm access` and `atm secrets`.
use super::ledger::Source;
use atm_core::ledger::Name;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The keys from which those of terminals follow.
#[derive(Debug, Args)]
pub(crate) struct SecretsFile {
    /// The secrets file, which `atm secrets new` writes, outside the ledger's folder [default: the unit's credential `secrets`]
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Terminal {
    /// Enrol a terminal: with a key, written to a new file, or with a certificate
    ///
    /// A name with a key is served only over sealed links (experimental). A server of TLS serves only
    /// names with a certificate.
    #[command(group(ArgGroup::new("with").args(["out", "tls"]).required(true)))]
    Add {
        /// The terminal's name
        name: Name,
        /// The key file to create, for the terminal
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Enrol it for TLS, under a certificate with its name; there is no key
        #[arg(long, conflicts_with = "secrets")]
        tls: bool,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        secrets: SecretsFile,
    },
    /// Issue a terminal's next key; the former one is valid until the terminal says hello with the next
    Rotate {
        /// The terminal's name
        name: Name,
        /// The key file to create, for the terminal
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        secrets: SecretsFile,
    },
    /// Refuse a terminal's keys, the certificates of its name and the next request of its session
    Revoke {
        /// The terminal's name
        name: Name,
        #[command(flatten)]
        source: Source,
    },
    /// Write a terminal's key into the EEPROM image of a microcontroller (experimental)
    ///
    /// Both ends of its line need the key: the terminal, and the kiosk that it is connected to. What else is in the image stays: a ledger, a
    /// terminal's memory. A key that was there is overwritten. Without a file at this path, an erased EEPROM is made.
    #[cfg(unix)]
    Provision {
        /// The file with the EEPROM's content, 65,536 bytes: for QEMU, or for a programmer
        #[arg(long, value_name = "FILE")]
        eeprom: PathBuf,
        /// The key file, which `add` or `rotate` writes
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// List the terminals that were ever enrolled: with a key or a certificate, in service, closed or revoked
    List {
        #[command(flatten)]
        source: Source,
        /// Print an object a line, in JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Access {
    /// Put terminals back into service after a ledger was restored or set back; without a name, all
    Confirm {
        /// The terminals' names
        names: Vec<Name>,
        #[command(flatten)]
        source: Source,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Write new random keys to a new file, which only its owner can read
    ///
    /// Keep it outside the ledger's folder, and a copy elsewhere: without it every terminal needs a new key, and every card is lost.
    New {
        /// The file to create
        file: PathBuf,
    },
    /// Add a new key of cards: it is accepted, and not used yet (experimental)
    ///
    /// The first of three steps to replace a key. Give every server this file, and restart it, before the next step.
    Add {
        /// The kind of key
        kind: CardKey,
        /// The secrets file
        file: PathBuf,
    },
    /// Use the other key of cards for all that is written; the one before is still accepted (experimental)
    ///
    /// The second step: every server must have the key by then. A card gets it with its next right PIN, or by `atm card set-pin`.
    Use {
        /// The kind of key
        kind: CardKey,
        /// The secrets file
        file: PathBuf,
    },
    /// Remove the key of cards that is not used, unless a card needs it (experimental)
    ///
    /// The last step. It is refused while a card that is not blocked has the key.
    Remove {
        /// The kind of key
        kind: CardKey,
        /// The secrets file
        file: PathBuf,
        #[command(flatten)]
        source: Source,
    },
}

/// A key that cards are found or verified by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CardKey {
    /// That of the tokens in the place of numbers
    Tokens,
    /// That of the verifiers in the place of PINs
    Pins,
}
