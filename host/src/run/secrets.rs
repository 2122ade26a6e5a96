//! `atm secrets`: makes the file of keys, and replaces those of cards in three steps.
use super::{ledger::reader, print};
use crate::cli::{
    access::{CardKey, Secrets},
    ledger::Source,
};
use anyhow::{Context, Result, ensure};
use atm_core::ledger::card::KeyId;
use atm_host::{
    access::{
        self,
        secrets::{self, KeyChange},
    },
    exit::Exit,
    ledger::store::StoreFault,
};
use std::path::Path;

/// A path that no file lies in: where no ledger is named, none is compared with.
const NO_LEDGER: &str = "";

/// Cards that an error names.
const SHOWN: usize = 20;

pub(super) fn run(command: &Secrets) -> Result<Exit> {
    match command {
        Secrets::New { file } => {
            access::Secrets::generate().context("there are no random numbers for keys")?.create(file)?;
            print(&format!("{}: new keys", file.display()))
        }
        Secrets::Add { kind, file } => {
            change(file, Path::new(NO_LEDGER), *kind, KeyChange::Add, |_| Ok(()))?;
            let (path, kind) = (file.display(), word(*kind));
            print(&format!(
                "{path}: a key of {kind} is added; give every server this file, and restart it, before `atm secrets use {kind}`"
            ))
        }
        Secrets::Use { kind, file } => {
            change(file, Path::new(NO_LEDGER), *kind, KeyChange::Use, |_| Ok(()))?;
            let (path, kind) = (file.display(), word(*kind));
            print(&format!(
                "{path}: the other key of {kind} is used; give every server this file, and restart it"
            ))
        }
        Secrets::Remove { kind, file, source } => {
            change(file, source.folder(), *kind, KeyChange::Remove, |key| are_without(source, *kind, key))?;
            let (path, kind) = (file.display(), word(*kind));
            print(&format!(
                "{path}: one key of {kind} is left; give every server this file, and restart it, and destroy copies of the former one"
            ))
        }
    }
}

/// Changes a file, if `check` takes the key that is not used.
fn change(
    file: &Path,
    ledger: &Path,
    kind: CardKey,
    change: KeyChange,
    check: impl FnOnce(KeyId) -> Result<()>,
) -> Result<()> {
    let mut secrets = access::Secrets::read(file, ledger)?;
    let kind = match kind {
        CardKey::Tokens => secrets::CardKey::Tokens,
        CardKey::Pins => secrets::CardKey::Pins,
    };
    let key = secrets.change(kind, change).with_context(|| file.display().to_string())?;
    check(key)?;
    Ok(secrets.replace(file)?)
}

/// Whether no card that is in use needs this key.
fn are_without(source: &Source, kind: CardKey, key: KeyId) -> Result<()> {
    let mut needs = Vec::new();
    reader(source)?.cards::<StoreFault>(|(row, card)| {
        let keys = [card.token.key, card.verifier.token_key, card.verifier.key];
        if !card.is_blocked && keys.contains(&key) {
            needs.push(row.to_string());
        }
        Ok(())
    })?;
    let shown = needs.get(..SHOWN).map_or_else(|| needs.join(" "), |first| format!("{} …", first.join(" ")));
    let way = match kind {
        CardKey::Tokens => "the next right PIN gives a card the other one",
        CardKey::Pins => "the next right PIN, or `atm card set-pin`, gives a card the other one",
    };
    ensure!(
        needs.is_empty(),
        "cards with the key that is to be removed: {shown}; {way}, and one that is blocked is lost with the key"
    );
    Ok(())
}

fn word(kind: CardKey) -> &'static str {
    match kind {
        CardKey::Tokens => "tokens",
        CardKey::Pins => "pins",
    }
}
