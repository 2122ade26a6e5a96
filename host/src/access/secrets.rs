//! Secrets file: the keys from which all others follow, kept apart from the ledger and readable by their owner alone.
//!
//! The file is text in TOML, exactly as [`Secrets`] writes it: a table for each kind of key, with an id and 32 random bytes.
//! While a key is replaced, the former one is in a table `KIND.former` after it.
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

const WHAT: &str = "secrets file";

const NOT_SECRETS: &str = "it is not one that `atm secrets new` has written, or it is damaged";

impl Secrets {
    /// New keys, from the system's random numbers.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> io::Result<Self> {
        let live = || {
            let mut bytes = Zeroizing::new([0; Key::LENGTH]);
            getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
            let id = loop {
                let id = KeyId(getrandom::u64().map_err(io::Error::other)?);
                if id != NO_KEY {
                    break id;
                }
            };
            Ok::<_, io::Error>(Live { newest: (id, Key::from(*bytes)), former: None })
        };
        Ok(Self { tokens: live()?, pins: live()?, terminals: live()? })
    }

    /// Writes a new file, which only its owner can read. It is durable when this returns.
    ///
    /// # Errors
    /// A file or a link is there already, or the file system's error.
    pub fn create(&self, path: &Path) -> Result<(), FileError> {
        private_file::create(path, self.text().as_bytes()).map_err(|error| FileError::new(WHAT, path, error))
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
mod tests {
    use super::*;
    use std::fs;

    fn read(path: &Path) -> Result<Secrets, FileError> {
        Secrets::read(path, Path::new("no-ledger"))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        let secrets = Secrets::generate().unwrap();
        assert_ne!(secrets.tokens, secrets.pins);
        secrets.create(&path).unwrap();
        assert_eq!(read(&path).unwrap(), secrets);
        assert!(secrets.create(&path).unwrap_err().to_string().contains("secrets: "), "not overwritten");
        assert_eq!(read(&path).unwrap(), secrets);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_inside_the_ledgers_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [data, below, link] = ["data", "data/below", "link"].map(|name| folder.path().join(name));
        fs::create_dir_all(&below).unwrap();
        std::os::unix::fs::symlink(&below, &link).unwrap();
        let secrets = Secrets::generate().unwrap();
        secrets.create(&folder.path().join("data.secrets")).unwrap();
        secrets.create(&data.join("secrets")).unwrap();
        secrets.create(&below.join("secrets")).unwrap();
        for inside in ["data/secrets", "data/below/secrets", "link/secrets", "data/../data/secrets"] {
            let error = Secrets::read(&folder.path().join(inside), &data).unwrap_err().to_string();
            assert!(error.contains("inside the ledger's folder") && error.contains(inside), "{error}");
        }
        for outside in ["data.secrets", "data/../data.secrets"] {
            assert_eq!(Secrets::read(&folder.path().join(outside), &data).unwrap(), secrets, "{outside}");
        }
        assert!(Secrets::read(&data.join("secrets"), &link).is_ok(), "another folder's");
    }

    #[test]
    fn a_kind_has_at_most_two_keys() {
        let [Secrets { mut terminals, .. }, secrets] = [(); 2].map(|()| Secrets::generate().unwrap());
        terminals.former = Some(secrets.terminals.newest.clone());
        let both = Secrets { terminals: terminals.clone(), ..secrets };
        let text = both.text();
        assert_eq!(parse(&text).as_ref(), Some(&both));
        assert_eq!(both.terminals(), &terminals.newest.1);
        let (_, former) = text.split_once("[terminals.former]").unwrap();
        let third = format!("{}[terminals.former]{former}", *text);
        assert!(parse(&third).is_none_or(|read| *read.text() != third));
        assert!(text.len() < MAX_TEXT);
    }

    #[test]
    fn a_card_has_a_token_under_the_newest_and_the_former_key() {
        let [old, new] = [(); 2].map(|()| Secrets::generate().unwrap());
        let former = Some(old.tokens.newest.clone());
        let both = Secrets { tokens: Live { former, ..new.tokens.clone() }, ..new.clone() };
        let [number, pin] = ["4000 0000 0000 0002", "2580"];
        let (number, pin) = (number.parse().unwrap(), pin.parse().unwrap());
        let claim = both.cards().claim(&number);
        assert_eq!(*claim.tokens(), [&new, &old].map(|secrets| secrets.cards().claim(&number).newest()));
        assert_eq!(claim.newest().key, new.tokens.newest.0);
        assert!(claim.tokens().iter().all(|token| both.has_token_key(token.key)));
        assert!(new.has_token_key(claim.newest().key) && !old.has_token_key(claim.newest().key));
        let proof = both.cards().proof(&claim, &pin);
        let (newest, pins) = (proof.newest(), &new.pins.newest);
        assert_eq!((newest.token_key, newest.key), (new.tokens.newest.0, pins.0));
        assert_eq!(*new.cards().proof(&new.cards().claim(&number), &pin).verifiers(), [newest; 4]);
    }

    #[test]
    fn an_id_is_of_one_key_alone() {
        let secrets = Secrets::generate().unwrap();
        let mut twice = secrets.clone();
        twice.pins.former = Some((secrets.pins.newest.0, secrets.tokens.newest.1.clone()));
        assert_eq!(parse(&twice.text()), None);
        let mut decoy = secrets;
        decoy.pins.newest.0 = Card::DECOY.verifier.key;
        assert_eq!(parse(&decoy.text()), None);
    }

    #[test]
    fn damage_is_refused_without_a_word_of_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        let secrets = Secrets::generate().unwrap();
        secrets.create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for damaged in [
            String::new(),
            text.replacen("tokens", "pins", 1),
            text.replacen("id", "key", 1),
            text.to_uppercase(),
            format!("{text}\n"),
            text[..text.len() - 2].to_owned(),
            text.replacen('\n', "\r\n", 1),
        ] {
            fs::write(&path, &damaged).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("it is damaged") && error.len() < 200 + path.as_os_str().len(), "{error}");
        }
    }

    #[test]
    fn no_key_is_in_the_debug_text() {
        let secrets = Secrets::generate().unwrap();
        let text = format!("{secrets:?}");
        let digits: String = secrets.terminals().bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(text.contains("Key(..)") && !text.contains(&digits), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_use_and_a_link_are_refused() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        Secrets::generate().unwrap().create(&path).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
        for (mode, is_refused) in [(0o400, false), (0o440, metadata.uid() != 0), (0o620, true), (0o604, true)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read(&path);
            assert_eq!(
                read.is_err_and(|error| error.to_string().contains("chmod 600")),
                is_refused,
                "{mode:o}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        for not_a_file in [&link, folder.path()] {
            let error = read(not_a_file).unwrap_err().to_string();
            assert!(error.contains("regular file"), "{error}");
        }
    }
}
