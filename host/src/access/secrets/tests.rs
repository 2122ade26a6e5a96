//! Secrets files: what is written, refused, and given to others.
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
fn a_key_of_cards_is_added_then_used_and_the_other_removed() {
    use {
        CardKey::{Pins, Tokens},
        KeyChange::{Add, Remove, Use},
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets");
    let first = Secrets::generate().unwrap();
    first.create(&path).unwrap();
    for (kind, live) in
        [(Tokens, (|secrets| &secrets.tokens) as fn(&Secrets) -> &Live), (Pins, |secrets| &secrets.pins)]
    {
        let mut secrets = read(&path).unwrap();
        let old = live(&secrets).newest.clone();
        for early in [Use, Remove] {
            assert!(secrets.change(kind, early).unwrap_err().to_string().contains("`atm secrets add`"));
        }
        let id = secrets.change(kind, Add).unwrap();
        let new = live(&secrets).former.clone().unwrap();
        assert_eq!((&live(&secrets).newest, new.0), (&old, id));
        assert!(secrets.change(kind, Add).unwrap_err().to_string().contains("two keys"));
        secrets.replace(&path).unwrap();
        assert_eq!(read(&path).unwrap(), secrets, "it is accepted, and not used");
        assert_eq!(secrets.change(kind, Use).unwrap(), old.0);
        assert_eq!(*live(&secrets), Live { newest: new.clone(), former: Some(old.clone()) });
        // Back, where a host lacks the new one after all.
        assert_eq!(secrets.change(kind, Use).unwrap(), new.0);
        secrets.change(kind, Use).unwrap();
        assert_eq!(secrets.change(kind, Remove).unwrap(), old.0);
        assert_eq!(*live(&secrets), Live { newest: new, former: None });
        secrets.replace(&path).unwrap();
    }
    assert_eq!(read(&path).unwrap().terminals, first.terminals);
    assert_ne!(read(&path).unwrap().tokens, first.tokens);
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
    for (mode, is_refused) in [(0o400, false), (0o440, metadata.uid() != 0), (0o620, true), (0o604, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let read = read(&path);
        assert_eq!(read.is_err_and(|error| error.to_string().contains("chmod 600")), is_refused, "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    for not_a_file in [&link, folder.path()] {
        let error = read(not_a_file).unwrap_err().to_string();
        assert!(error.contains("regular file"), "{error}");
    }
}
