//! Secrets file: the keys from which all others follow, kept apart from the ledger and readable by their owner alone.
//!
//! The file is text in TOML, exactly as [`Secrets`] writes it: a table for each kind of key, with an id and 32 random bytes.
//! While a key of cards is replaced, there are two: a table `KIND.former` comes after the one that new rows are written with.
//!
//! ```text
//! [terminals]
//! id = "16 hexadecimal digits"
//! key = "64 hexadecimal digits"
//! ```
//!
//! Every terminal's key follows from that of `terminals`; those of `tokens` and `pins` are for cards.
use super::file::{self, FileError};
use crate::private_file;
use atm_core::{
    ledger::card::{Card, CardKeys, KeyId, LiveKey},
    seal::Key,
};
use std::{
    io,
    path::{Path, PathBuf},
    str::Lines,
};
use zeroize::Zeroizing;

/// The kinds of keys, in the order of the file.
const KINDS: [&str; 3] = ["tokens", "pins", "terminals"];

/// Room for the text, so that it is not copied while it grows: six tables of at most 120 bytes.
const MAX_TEXT: usize = 1024;

/// The file `secrets` among the credentials of this process's unit (systemd.exec(5), `LoadCredential=`), if it is there.
pub fn credential() -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join("secrets");
    path.exists().then_some(path)
}

/// The id of the decoy's keys, which no key has.
const NO_KEY: KeyId = Card::DECOY.token.key;

/// The keys of one kind that are valid, with the ids that rows have of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Live {
    newest: LiveKey,
    former: Option<LiveKey>,
}

/// The content of a secrets file. `Debug` shows no key, and keys are wiped when the value is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    tokens: Live,
    pins: Live,
    terminals: Live,
}

/// The keys of cards, which are replaced while the cards are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKey {
    /// Of tokens, which stand for numbers.
    Tokens,
    /// Of verifiers, which stand for PINs.
    Pins,
}

/// A step of the replacement of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// A new key is added: it is accepted, and nothing is written with it.
    Add,
    /// The two keys change places: the other one is written with.
    Use,
    /// The key that nothing is written with is removed.
    Remove,
}

const WHAT: &str = "secrets file";

const NOT_SECRETS: &str = "it is not one that `atm secrets new` has written, or it is damaged";

impl Secrets {
    /// New keys, from the system's random numbers.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> io::Result<Self> {
        let live = || Ok::<_, io::Error>(Live { newest: new_key()?, former: None });
        Ok(Self { tokens: live()?, pins: live()?, terminals: live()? })
    }

    /// Writes a new file, which only its owner can read. It is durable when this returns.
    ///
    /// # Errors
    /// A file or a link is there already, or the file system's error.
    pub fn create(&self, path: &Path) -> Result<(), FileError> {
        private_file::create(path, self.text().as_bytes()).map_err(|error| FileError::new(WHAT, path, error))
    }

    /// Writes the file anew, in the place of the one that was read. It is durable when this returns.
    ///
    /// # Errors
    /// The file system's error; the former content stands then.
    pub fn replace(&self, path: &Path) -> Result<(), FileError> {
        private_file::replace(path, self.text().as_bytes()).map_err(|error| FileError::new(WHAT, path, error))
    }

    /// Reads a file, and keeps this process's memory out of core dumps. `ledger` is the ledger's folder.
    ///
    /// # Errors
    /// It is inside the ledger's folder, it is no regular file of this user or of root, other users can use it, it is no secrets file,
    /// or core dumps cannot be turned off.
    pub fn read(path: &Path, ledger: &Path) -> Result<Self, FileError> {
        if is_inside(path, ledger) {
            let reason = format!(
                "it is inside the ledger's folder {}, so a copy of the folder has every key: move it elsewhere",
                ledger.display()
            );
            return Err(FileError::new(WHAT, path, reason));
        }
        let not_secrets = || FileError::new(WHAT, path, NOT_SECRETS);
        let text = file::read(path, true, MAX_TEXT).map_err(|reason| FileError::new(WHAT, path, reason))?;
        let text = text.ok_or_else(not_secrets)?;
        let secrets = parse(&text).ok_or_else(not_secrets)?;
        // Only the exact text that this program writes is valid.
        if *secrets.text() == *text { Ok(secrets) } else { Err(not_secrets()) }
    }

    /// The newest master of the terminals' keys.
    pub fn terminals(&self) -> &Key {
        &self.terminals.newest.1
    }

    /// The keys of the cards' tokens and PINs: the newest, and those that they replace.
    pub fn cards(&self) -> CardKeys {
        let Self { tokens, pins, .. } = self.clone();
        CardKeys::new(tokens.newest, tokens.former, pins.newest, pins.former)
    }

    /// Takes a step of the replacement of a key; returns the id of the key that is not written with, if there is one then, or that
    /// was removed.
    ///
    /// # Errors
    /// The step does not come now, or the system has no random numbers. Nothing has changed.
    pub fn change(&mut self, kind: CardKey, change: KeyChange) -> io::Result<KeyId> {
        let live = match kind {
            CardKey::Tokens => &mut self.tokens,
            CardKey::Pins => &mut self.pins,
        };
        let former = match (change, &mut live.former) {
            (KeyChange::Add, Some(_)) => {
                return Err(io::Error::other("it has two keys of this kind already"));
            }
            (KeyChange::Use | KeyChange::Remove, None) => {
                return Err(io::Error::other("it has one key of this kind, and no other: `atm secrets add`"));
            }
            (KeyChange::Add, former @ None) => former.insert(new_key()?).0,
            (KeyChange::Use, Some(former)) => {
                std::mem::swap(&mut live.newest, former);
                former.0
            }
            (KeyChange::Remove, Some(former)) => former.0,
        };
        if change == KeyChange::Remove {
            live.former = None;
        }
        Ok(former)
    }

    /// Whether a key of tokens has this id.
    pub fn has_token_key(&self, id: KeyId) -> bool {
        let Live { newest, former } = &self.tokens;
        newest.0 == id || former.as_ref().is_some_and(|former| former.0 == id)
    }

    fn text(&self) -> Zeroizing<String> {
        use std::fmt::Write;
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        for (kind, Live { newest, former }) in KINDS.iter().zip([&self.tokens, &self.pins, &self.terminals]) {
            for (secret, end) in [(Some(newest), ""), (former.as_ref(), ".former")] {
                let Some((KeyId(id), key)) = secret else { continue };
                // Writing to a string cannot fail.
                let _ = write!(text, "[{kind}{end}]\nid = \"{id:016x}\"\n");
                file::push_key(&mut text, key);
            }
        }
        text
    }
}

fn new_key() -> io::Result<LiveKey> {
    let mut bytes = Zeroizing::new([0; Key::LENGTH]);
    getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
    loop {
        let id = KeyId(getrandom::u64().map_err(io::Error::other)?);
        if id != NO_KEY {
            return Ok((id, Key::from(*bytes)));
        }
    }
}

/// Whether a file lies in a folder, without links in both paths. A file or a folder that is not there does not.
fn is_inside(file: &Path, folder: &Path) -> bool {
    matches!((file.canonicalize(), folder.canonicalize()), (Ok(file), Ok(folder)) if file.starts_with(&folder))
}

fn parse(text: &str) -> Option<Secrets> {
    let mut lines = text.lines();
    let mut live = |kind: &str| {
        let newest = secret(&mut lines, &format!("[{kind}]"))?;
        // It is only consumed where it is there.
        let mut ahead = lines.clone();
        let former = secret(&mut ahead, &format!("[{kind}.former]"));
        if let Some((id, _)) = &former {
            // An id is of one key alone.
            if *id == newest.0 {
                return None;
            }
            lines = ahead;
        }
        Some(Live { newest, former })
    };
    let [tokens, pins, terminals] = KINDS.map(&mut live);
    Some(Secrets { tokens: tokens?, pins: pins?, terminals: terminals? })
}

/// The table with this title, if it is next.
fn secret(lines: &mut Lines<'_>, title: &str) -> Option<LiveKey> {
    if lines.next()? != title {
        return None;
    }
    let id = KeyId(u64::from_str_radix(file::quoted(lines.next(), "id")?, 16).ok()?);
    let key = file::key(lines.next())?;
    (id != NO_KEY).then_some((id, key))
}

#[cfg(test)]
mod tests;
