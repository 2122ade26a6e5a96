//! `atm terminal` and `atm access`: who may use a terminal's name.
//!
//! A key file is written before the order is committed, and removed where the order is refused: no key is issued that is not
//! on the disk. Where the commit is in doubt, it stays.
use super::{ledger::reader, print, write_output};
use crate::cli::{
    access::{Access, SecretsFile, Terminal},
    ledger::Source,
};
use anyhow::{Context, Result};
use atm_core::{
    ledger::{self, Name},
    seal::TerminalKey,
};
use atm_host::{
    access::{self, Enrolment, KeyFile, Status},
    clock::unix_time,
    exit::Exit,
    ledger::{
        enrol::Order,
        operator::{Operator, OrderFault},
        sqlite::FILE,
    },
};
use std::{fs, num::NonZeroU32, path::Path};

pub(super) fn terminal(command: &Terminal) -> Result<Exit> {
    match command {
        Terminal::Add { name, out: Some(out), source, secrets, .. } => {
            let series = issue(source, name, Order::AddKey, secrets, out)?;
            print(&format!("{name}: enrolled, series {series}; its key is in {}", out.display()))
        }
        Terminal::Add { name, out: None, source, .. } => {
            open(source)?.order(name, Order::AddCertificate, None, unix_time())?;
            print(&format!("{name}: enrolled for TLS, under a certificate with this name"))
        }
        Terminal::Rotate { name, out, source, secrets } => {
            let series = issue(source, name, Order::Rotate, secrets, out)?;
            print(&format!("{name}: series {series} is issued; its key is in {}", out.display()))
        }
        Terminal::Revoke { name, source } => {
            open(source)?.order(name, Order::Revoke, None, unix_time())?;
            print(&format!("{name}: revoked; no key and no certificate of this name is served any more"))
        }
        #[cfg(unix)]
        Terminal::Provision { eeprom, key } => {
            let file = KeyFile::read(key)?;
            access::eeprom::provision(eeprom, &file).with_context(|| eeprom.display().to_string())?;
            let (name, series, step) = (&file.terminal, file.key.series(), file.key.step());
            print(&format!("{name}: the key of series {series}, step {step} is in {}", eeprom.display()))
        }
        Terminal::List { source, json } => list(source, *json),
    }
}

pub(super) fn access(command: &Access) -> Result<Exit> {
    let Access::Confirm { names, source } = command;
    let mut operator = open(source)?;
    if names.is_empty() {
        let opened = operator.confirm_all(unix_time())?;
        let terminals = if opened == 1 { "terminal is" } else { "terminals are" };
        return print(&format!("confirmed: {opened} {terminals} back in service"));
    }
    for name in names {
        operator.order(name, Order::Confirm, None, unix_time())?;
        print(&format!("{name}: back in service"))?;
    }
    Ok(Exit::Done)
}

/// Reads the secrets file that the command line names, or the unit's; `what` needs it.
pub(super) fn read_secrets(file: &SecretsFile, source: &Source, what: &str) -> Result<access::Secrets> {
    let path = file.secrets.clone().or_else(access::secrets::credential);
    let path = path.with_context(|| format!("{what} needs the secrets file: --secrets FILE"))?;
    Ok(access::Secrets::read(&path, source.folder())?)
}

/// Opens a ledger for orders.
pub(super) fn open(source: &Source) -> Result<Operator> {
    let owner = getrandom::u64().context("there is no random number for this process")?;
    #[cfg(feature = "postgres")]
    if let Some(database) = source.database.address()? {
        return Operator::open_database(&database, owner).with_context(|| database.display().to_string());
    }
    let folder = source.folder();
    Operator::open(folder, owner).with_context(|| folder.join(FILE).display().to_string())
}

/// Issues a terminal's next key into a new file; returns its series.
fn issue(source: &Source, name: &Name, order: Order, file: &SecretsFile, out: &Path) -> Result<u32> {
    let mut operator = open(source)?;
    let series = operator.preview(name, order)?.series;
    let secrets = read_secrets(file, source, "a key")?;
    let number = NonZeroU32::new(series).context("no series of keys")?;
    let key = TerminalKey::derive(secrets.terminals(), number, name);
    KeyFile { terminal: name.clone(), key }.create(out)?;
    match operator.order(name, order, Some(series), unix_time()) {
        Ok(_) => Ok(series),
        Err(fault @ OrderFault::InDoubt(_)) => {
            Err(fault).with_context(|| format!("{}: the key is kept", out.display()))
        }
        Err(fault) => {
            fs::remove_file(out).with_context(|| format!("{fault}; {}", out.display()))?;
            Err(fault.into())
        }
    }
}

fn list(source: &Source, json: bool) -> Result<Exit> {
    let rows = reader(source)?.enrolments()?;
    write_output(|out| {
        if !json {
            writeln!(
                out,
                "{:<32}  {:<11}  {:>10}  {:>10}  {:>20}  state",
                "terminal", "with", "series", "step", "last start"
            )?;
        }
        for (name, row, enrolment) in rows {
            writeln!(
                out,
                "{}",
                if json { object(&name, &row, &enrolment) } else { line(&name, &row, &enrolment) }
            )?;
        }
        Ok(())
    })
}

/// The step and the start of the last hello; none before the first under this enrolment.
fn last_hello(row: &ledger::Terminal, enrolment: &Enrolment) -> Option<(u32, u64)> {
    let epoch =
        row.epoch.filter(|epoch| enrolment.is_enrolled() && (epoch.start, epoch.attempt) != (0, 0))?;
    Some((epoch.step, epoch.start))
}

fn line(name: &Name, row: &ledger::Terminal, enrolment: &Enrolment) -> String {
    let or_dash = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    let has_key = enrolment.series > 0 && !enrolment.tls;
    let last = last_hello(row, enrolment);
    let series = or_dash(has_key.then(|| enrolment.series.to_string()));
    let step = or_dash(last.filter(|_| has_key).map(|(step, _)| step.to_string()));
    let start = or_dash(last.map(|(_, start)| start.to_string()));
    let with = match enrolment.status() {
        Status::Certificate => "certificate",
        Status::Key => "key",
        Status::Revoked | Status::NotEnrolled => "-",
    };
    let state = match enrolment.status() {
        Status::Revoked | Status::NotEnrolled => "revoked",
        _ if enrolment.closed => "closed",
        _ => "in service",
    };
    format!("{:<32}  {with:<11}  {series:>10}  {step:>10}  {start:>20}  {state}", name.as_str())
}

fn object(name: &Name, row: &ledger::Terminal, enrolment: &Enrolment) -> String {
    let (step, start) = last_hello(row, enrolment)
        .map_or(("null".to_owned(), "null".to_owned()), |(step, start)| {
            (step.to_string(), start.to_string())
        });
    let Enrolment { series, tls, closed, .. } = enrolment;
    let revoked = !enrolment.is_enrolled();
    format!(
        "{{\"terminal\":\"{name}\",\"series\":{series},\"step\":{step},\"start\":{start},\"tls\":{tls},\"closed\":{},\
         \"revoked\":{revoked}}}",
        *closed && !revoked
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::ledger::Epoch;

    /// The line and the object of a terminal, of which the last hello has this epoch.
    fn shown(epoch: Option<Epoch>, enrolment: Enrolment) -> (Vec<String>, String) {
        let row = ledger::Terminal { epoch, ..ledger::Terminal::NEW };
        let (name, enrolment) = ("kiosk-7".parse().unwrap(), Enrolment { epoch, ..enrolment });
        let line = line(&name, &row, &enrolment);
        (line.split_whitespace().map(str::to_owned).collect(), object(&name, &row, &enrolment))
    }

    fn epoch(series: u32, step: u32, start: u64) -> Option<Epoch> {
        Some(Epoch { series, step, start, attempt: u32::from(start > 0) })
    }

    #[test]
    fn a_terminal_is_listed_by_its_enrolment_and_its_last_hello() {
        let key = Enrolment { series: 2, ..Enrolment::default() };
        let certificate = Enrolment { series: 2, tls: true, ..Enrolment::default() };
        for (epoch, enrolment, words) in [
            (epoch(2, 0, 0), key, "kiosk-7 key 2 - - in service"),
            (epoch(1, 3, 9), key, "kiosk-7 key 2 3 9 in service"),
            (epoch(2, 3, 9), Enrolment { closed: true, ..key }, "kiosk-7 key 2 3 9 closed"),
            (epoch(3, 0, 0), Enrolment { closed: true, ..key }, "kiosk-7 - 2 - - revoked"),
            (None, certificate, "kiosk-7 certificate - - - in service"),
            (epoch(0, 0, 9), certificate, "kiosk-7 certificate - - 9 in service"),
        ] {
            assert_eq!(shown(epoch, enrolment).0.join(" "), words);
        }
    }

    #[test]
    fn an_object_has_no_hello_and_is_not_closed_once_the_terminal_is_revoked() {
        let key = Enrolment { series: 2, closed: true, ..Enrolment::default() };
        let begin = r#"{"terminal":"kiosk-7","series":2,"#;
        let served = format!(r#"{begin}"step":3,"start":9,"tls":false,"closed":true,"revoked":false}}"#);
        assert_eq!(shown(epoch(2, 3, 9), key).1, served);
        let revoked =
            format!(r#"{begin}"step":null,"start":null,"tls":false,"closed":false,"revoked":true}}"#);
        assert_eq!(shown(epoch(3, 3, 9), key).1, revoked);
    }
}
