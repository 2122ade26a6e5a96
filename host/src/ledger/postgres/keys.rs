//! Keys: which rows the requests of a batch touch.
use atm_core::ledger::{AccountNumber, Command, Operation, Request, card::Claim};
use std::collections::{BTreeSet, HashSet};

/// The keys of the rows that a batch touches.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) names: BTreeSet<String>,
    /// Names that say hello.
    pub(super) new: BTreeSet<String>,
    pub(super) claims: HashSet<Claim>,
    pub(super) accounts: BTreeSet<i64>,
    pub(super) statements: BTreeSet<i64>,
}

impl Keys {
    /// Those of these requests.
    pub(super) fn of<'a>(requests: impl Iterator<Item = &'a Request>) -> Self {
        let mut keys = Self::default();
        for request in requests {
            if let Some(name) = request.origin.terminal() {
                keys.names.insert(name.to_string());
                if matches!(request.command, Command::Hello(_)) {
                    keys.new.insert(name.to_string());
                }
            }
            match &request.command {
                Command::Card { request: asked, .. } => {
                    let touched = request.command.touched();
                    let numbers = [touched.account, touched.payee]
                        .into_iter()
                        .flatten()
                        .map(|number| i64::from(number.0));
                    keys.accounts.extend(numbers.clone());
                    if asked.operation() == Operation::Statement {
                        keys.statements.extend(numbers);
                    }
                    keys.claims.insert(asked.claim());
                }
                Command::Operate { .. } => drop(keys.accounts.insert(AccountNumber::OPEN.0.into())),
                _ => {}
            }
        }
        keys
    }
}
