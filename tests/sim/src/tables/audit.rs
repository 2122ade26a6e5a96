//! The audit: every table is derived again from the entries.
use super::{Settled, Tables, cards::Bank, get, moved, number, operation, opt};
use atm_core::{
    ledger::{Operation, Outcome, Receipt, Refusal},
    money::Amount,
};
use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// A terminal's last operation: id, operation, outcome, amount, balance, payee, detail, accounts.
type Last = (
    Option<u64>,
    Option<String>,
    Option<String>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<String>,
);

/// Reads and checks the tables, in one transaction.
///
/// # Errors
/// SQLite's.
pub fn audit(connection: &Connection) -> rusqlite::Result<Tables> {
    let transaction = connection.unchecked_transaction()?;
    let integrity: String = transaction.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    let mut audit = Audit::default();
    if integrity != "ok" {
        audit.fault(format!("integrity_check: {integrity}"));
    }
    audit.entries(&transaction)?;
    audit.journals(&transaction)?;
    audit.accounts(&transaction)?;
    let bank = std::mem::take(&mut audit.bank);
    bank.compare(&transaction, &mut audit.tables)?;
    audit.terminals(&transaction)?;
    let identities = rows(&transaction, "SELECT format || ',' || identity FROM ledger", |row| row.get(0))?;
    if identities.iter().map(String::as_str).ne(audit.identity.iter().map(String::as_str)) {
        audit.fault(format!("the ledger's row is {identities:?}, its entries say {:?}", audit.identity));
    }
    let sum: i64 = transaction.query_row("SELECT total(amount) FROM movements", [], |row| {
        row.get::<_, f64>(0).map(|sum| sum as i64)
    })?;
    if sum != 0 {
        audit.fault(format!("the movements' sum is {sum}"));
    }
    Ok(audit.tables)
}

/// An entry's line, by its columns.
const LINE: &str = "5 || ',' || journal || ',' || number || ',' || time || ',' || kind || ',' || ifnull(ledger, '')
    || ',' || ifnull(terminal, '') || ',' || ifnull(id, '') || ',' || ifnull(numbers, '') || ','
    || ifnull(operation, '') || ',' || ifnull(reason, '') || ',' || ifnull(account, '') || ',' || ifnull(debit, '')
    || ',' || ifnull(credit, '') || ',' || ifnull(amount, '') || ',' || ifnull(balance, '') || ','
    || ifnull(version, '') || ',' || ifnull(series, '') || ',' || ifnull(uid, '')
    || ',' || ifnull(card, '') || ',' || ifnull(accounts, '') || ',' || ifnull(owner, '') || ',' || ifnull(payee, '')
    || ',' || ifnull(payee_balance, '') || ',' || ifnull(payee_version, '') || ',' || ifnull(detail, '') || ',' || ifnull(digest, '')";

fn rows<T>(
    connection: &Connection,
    select: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(select)?.query_map([], read)?.collect()
}

#[derive(Default)]
struct Audit {
    tables: Tables,
    /// The last hash of each journal.
    hashes: HashMap<u64, String>,
    /// Format and identity.
    identity: Option<String>,
    /// Balance and version of each account, after each version.
    accounts: BTreeMap<u64, BTreeMap<u64, (i128, u64)>>,
    /// The last settled entry of each terminal.
    last: HashMap<String, Settled>,
    gaps: HashMap<String, (u64, u64)>,
    /// Cards, and owners and states of accounts.
    bank: Bank,
}

impl Audit {
    fn fault(&mut self, what: String) {
        self.tables.faults.push(what);
    }

    fn entries(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let lines = rows(
            connection,
            &format!("SELECT journal, number, hash, {LINE} FROM entries ORDER BY rowid"),
            |row| Ok((get(row, 0)?, get(row, 1)?, row.get::<_, String>(2)?, row.get::<_, String>(3)?)),
        )?;
        for (journal, number, hash, line) in lines {
            let before = self.hashes.remove(&journal).unwrap_or_else(|| "0".repeat(64));
            let digest = Sha256::digest(format!("{before}\n{line}").as_bytes());
            let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            if hash != expected {
                self.fault(format!("the chain is broken at {line}"));
            }
            if number != self.tables.heads.insert(journal, number).unwrap_or(0) + 1 {
                self.fault(format!("numbers are missing before {line}"));
            }
            self.hashes.insert(journal, hash.clone());
            let columns: Vec<&str> = line.split(',').collect();
            if let Err(what) = self.entry(&columns) {
                self.fault(format!("{what}: {line}"));
            }
        }
        Ok(())
    }

    fn entry(&mut self, columns: &[&str]) -> Result<(), &'static str> {
        let &[_, _, _, time, kind, ledger, name, id, numbers, word, reason, account, ref rest @ ..] = columns
        else {
            return Err("columns are missing");
        };
        let &[
            debit,
            credit,
            amount,
            balance,
            version,
            _,
            _,
            card,
            own,
            owner,
            payee,
            payee_balance,
            payee_version,
            detail,
            _,
        ] = rest
        else {
            return Err("columns are missing");
        };
        let delta = match kind {
            "restored" => {
                self.identity = Some(format!("5,{ledger}"));
                return Ok(());
            }
            "created" if debit == "opening" => {
                self.identity = Some(format!("5,{ledger}"));
                Some(i128::from(number(amount)?))
            }
            "opened" if debit == "opening" => {
                self.bank.open(number(account)?, owner)?;
                Some(i128::from(number(amount)?))
            }
            "frozen" | "unfrozen" | "closed" => return self.bank.order(kind, number(account)?),
            "issued" | "blocked" | "unblocked" | "pin-set" => {
                return self.bank.order_card(kind, number(card)?, own);
            }
            "enrolled" | "rotated" | "revoked" | "confirmed" => return Ok(()),
            "set-back" => {
                self.gaps.insert(name.to_owned(), (number(id)?, number(numbers)?));
                return Ok(());
            }
            _ => {
                let card = if card.is_empty() { None } else { Some(number(card)?) };
                let accounts = self.bank.accounts_of(card)?;
                let columns = [kind, reason, word, amount, balance, payee, detail];
                let (operation, outcome) = operation(columns, accounts)?;
                if let Some(card) = card {
                    self.bank.settle(card, outcome, number(time)?)?;
                }
                let key = if name.is_empty() { None } else { Some((name.to_owned(), number(id)?)) };
                let moved = moved(outcome);
                let cash = if name.is_empty() { "cash".to_owned() } else { format!("cash:{name}") };
                let own = format!("account:{account}");
                let other = format!("account:{payee}");
                let cash = if word == "transfer" { other } else { cash };
                let sides = match moved.signum() {
                    1 => (cash.as_str(), own.as_str()),
                    -1 => (own.as_str(), cash.as_str()),
                    _ => ("", ""),
                };
                if (debit, credit) != sides {
                    return Err("other sides expected");
                }
                if word == "transfer" && moved != 0 {
                    let versions = self.accounts.entry(number(payee)?).or_default();
                    if versions.insert(number(payee_version)?, (-moved, number(payee_balance)?)).is_some() {
                        return Err("the payee's version occurs twice");
                    }
                }
                self.settle(Settled { key, operation, outcome })?;
                if account.is_empty() {
                    return Ok(());
                }
                (moved != 0).then_some(moved)
            }
        };
        let (version, after) = (number(version)?, number(balance)?);
        let versions = self.accounts.entry(number(account)?).or_default();
        let Some(delta) = delta else {
            // A refusal: the account as it was.
            return match versions.get(&version) {
                Some((_, before)) if *before == after => Ok(()),
                _ => Err("another balance expected"),
            };
        };
        match versions.insert(version, (delta, after)) {
            None => Ok(()),
            Some(_) => Err("the account's version occurs twice"),
        }
    }

    fn settle(&mut self, settled: Settled) -> Result<(), &'static str> {
        if let Some((name, id)) = &settled.key {
            let last = self.last.insert(name.clone(), settled.clone());
            let last = last.and_then(|last| last.key).map(|(_, last)| last);
            if self.gaps.get(name).is_some_and(|(start, end)| (start..end).contains(&id)) {
                return Err("an id inside the gap");
            }
            if last.is_some_and(|last| last >= *id) {
                return Err("an id that is not above the terminal's last");
            }
        }
        self.tables.settled.push(settled);
        Ok(())
    }

    fn journals(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let select = "SELECT journal, number, hash FROM journals";
        let journals =
            rows(connection, select, |row| Ok((get(row, 0)?, get(row, 1)?, row.get::<_, String>(2)?)))?;
        for (journal, number, hash) in &journals {
            let last = self.hashes.get(journal).cloned().unwrap_or_else(|| "0".repeat(64));
            if *number != self.tables.heads.get(journal).copied().unwrap_or(0) || *hash != last {
                self.fault(format!("the row of journal {journal} is not at its last entry"));
            }
        }
        let known = |journal: &u64| journals.iter().any(|(known, ..)| known == journal);
        if !self.tables.heads.keys().all(known) {
            self.fault("a journal has no row".to_owned());
        }
        Ok(())
    }

    fn accounts(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let select = "SELECT account, balance, version FROM accounts";
        let accounts = rows(connection, select, |row| Ok((get(row, 0)?, get(row, 1)?, get(row, 2)?)))?;
        for (account, balance, version) in accounts {
            if account == 1 {
                self.tables.balance = balance;
            }
            self.tables.accounts.insert(account, balance);
            let versions = self.accounts.remove(&account).unwrap_or_default();
            let mut sum = 0;
            for (expected, (version, (delta, after))) in (1..).zip(&versions) {
                sum += delta;
                if *version != expected || i128::from(*after) != sum {
                    self.fault(format!("account {account} does not add up at version {version}"));
                }
            }
            if sum != i128::from(balance) || versions.len() as u64 != version {
                self.fault(format!("account {account} has {balance}, its entries come to {sum}"));
            }
        }
        if !self.accounts.is_empty() {
            self.fault("an account has no row".to_owned());
        }
        Ok(())
    }

    fn terminals(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let terminals = rows(
            connection,
            "SELECT terminal, next_number, gap_start, gap_end, turn, last_id, last_operation, last_outcome, \
             last_amount, last_balance, last_payee, last_detail, last_accounts FROM terminals",
            |row| {
                let words = (opt(row, 5)?, row.get(6)?, row.get(7)?, opt(row, 8)?, opt(row, 9)?);
                let (id, operation, outcome, amount, balance) = words;
                let rest = (opt(row, 10)?, opt(row, 11)?, row.get(12)?);
                let last: Last = (id, operation, outcome, amount, balance, rest.0, rest.1, rest.2);
                let numbers = [get(row, 1)?, get(row, 2)?, get(row, 3)?, get(row, 4)?];
                Ok((row.get::<_, String>(0)?, numbers, last))
            },
        )?;
        for (name, [next, start, end, turn], last) in terminals {
            let settled = self.last.remove(&name);
            let expected = settled.as_ref().map(row_of).unwrap_or_default();
            if last != expected {
                self.fault(format!("terminal {name} has {last:?}, its last entry says {expected:?}"));
            }
            let gap = self.gaps.remove(&name).unwrap_or_default();
            if gap != (start, end) && !(gap == (0, 0) && start >= end) {
                self.fault(format!("terminal {name} has the gap {start} to {end}, its entry says {gap:?}"));
            }
            let last_id = last.0.unwrap_or(0);
            if next <= last_id || next < end || turn == 0 {
                self.fault(format!("terminal {name}: numbers from {next} on, the last id is {last_id}"));
            }
            self.tables.terminals.insert(name, next);
        }
        if !self.last.is_empty() || !self.gaps.is_empty() {
            self.fault("a terminal has no row".to_owned());
        }
        Ok(())
    }
}

/// The columns of a terminal's row after this entry.
fn row_of(settled: &Settled) -> Last {
    let (word, asked, payee) = match settled.operation {
        Some(Operation::Deposit(amount)) => (Some("deposit"), Some(amount.minor()), None),
        Some(Operation::Withdraw(amount)) => (Some("withdrawal"), Some(amount.minor()), None),
        Some(Operation::WithdrawAll) => (Some("withdrawal-all"), None, None),
        Some(Operation::Verify) => (Some("verification"), None, None),
        Some(Operation::ChangePin) => (Some("pin-change"), None, None),
        Some(Operation::Transfer { payee, amount }) => {
            (Some("transfer"), Some(amount.minor()), Some(payee.0.into()))
        }
        _ => (None, None, None),
    };
    let (mut detail, mut accounts) = (None, None);
    let (outcome, amount, balance) = match settled.outcome {
        Outcome::Done(
            Receipt::Deposited { amount, balance }
            | Receipt::Withdrawn { amount, balance }
            | Receipt::Transferred { amount, balance, .. },
        ) => ("done", Some(amount.minor()), Some(balance.minor())),
        Outcome::Done(Receipt::Verified { version, accounts: own }) => {
            detail = Some(version.into());
            accounts = Some(own.iter().map(|own| own.0.to_string()).collect::<Vec<_>>().join(" "));
            ("done", None, None)
        }
        Outcome::Done(_) => ("done", None, None),
        Outcome::Refused(refusal) => {
            detail = match refusal {
                Refusal::Delayed { seconds } => Some(seconds.into()),
                Refusal::WithdrawalLimit { limit } => Some(limit.minor()),
                Refusal::DayLimit { left } => Some(left.minor()),
                _ => None,
            };
            (refusal.code(), asked, refusal.balance().map(Amount::minor))
        }
        _ => ("void", None, None),
    };
    let id = settled.key.as_ref().map(|(_, id)| *id);
    (id, word.map(str::to_owned), Some(outcome.to_owned()), amount, balance, payee, detail, accounts)
}
