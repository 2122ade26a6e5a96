//! `atm account`: opens, shows, freezes and closes the accounts of cards.
use super::{access::open, ledger::reader, print, write_output};
use crate::cli::{card::Account, ledger::Source};
use anyhow::{Context, Result};
use atm_core::ledger::{
    AccountNumber,
    card::{Kind, Owner},
};
use atm_host::{
    clock::unix_time,
    exit::Exit,
    ledger::{
        card_order::AccountOrder,
        reader::{AccountRow, AccountView},
        words::state_word,
    },
};
use std::io::Write;

pub(super) fn run(command: &Account) -> Result<Exit> {
    let order = |number: &AccountNumber, source: &Source, order: AccountOrder, done: &str| {
        open(source)?.order_account(*number, order, unix_time())?;
        print(&format!("account {}: {done}", number.0))
    };
    match command {
        Account::Open { owner, number, balance, source } => {
            let opened = open(source)?.open_account(*number, owner.clone(), *balance, unix_time())?;
            print(&opened.0.to_string())
        }
        Account::List { source, json } => list(source, *json),
        Account::Show { number, source, json } => show(source, *number, *json),
        Account::Freeze { number, source } => {
            order(number, source, AccountOrder::Freeze, "frozen; no money moves until `atm account unfreeze`")
        }
        Account::Unfreeze { number, source } => order(number, source, AccountOrder::Unfreeze, "open again"),
        Account::Close { number, source } => order(number, source, AccountOrder::Close, "closed for ever"),
    }
}

fn list(source: &Source, json: bool) -> Result<Exit> {
    let reader = reader(source)?;
    write_output(|out| {
        if !json {
            writeln!(out, "{:>9}  {:<6}  {:>16}  owner", "account", "state", "balance")?;
        }
        let text = |row| if json { format!("{{{}}}", fields(&row)) } else { line(&row) };
        reader.accounts(|row| Ok(writeln!(out, "{}", text(row))?))
    })
}

fn line(AccountRow { account, owner, state }: &AccountRow) -> String {
    let owner = owner.as_ref().map_or("(open access)", Owner::as_str);
    format!(
        "{:>9}  {:<6}  {:>16}  {owner}",
        account.number.0,
        state_word(*state),
        account.balance.to_string()
    )
}

/// The fields of an account's object.
fn fields(AccountRow { account, owner, state }: &AccountRow) -> String {
    let owner = owner.as_ref().map_or_else(|| "null".to_owned(), |owner| string(owner.as_str()));
    let (number, balance) = (account.number.0, account.balance.minor());
    format!(
        "\"account\":{number},\"owner\":{owner},\"state\":\"{}\",\"balance\":{balance}",
        state_word(*state)
    )
}

/// A name, which has no control characters, as a string in JSON.
fn string(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn show(source: &Source, number: AccountNumber, json: bool) -> Result<Exit> {
    let view = reader(source)?.account(number)?;
    let view = view.with_context(|| format!("account {}: there is none (`atm account list`)", number.0))?;
    write_output(|out| if json { Ok(writeln!(out, "{}", object(&view))?) } else { text(&view, out) })
}

fn text(AccountView { row, cards, statement }: &AccountView, out: &mut dyn Write) -> Result<()> {
    let AccountRow { account, owner, state } = row;
    writeln!(out, "account  {}", account.number.0)?;
    writeln!(out, "owner    {}", owner.as_ref().map_or("(open access)", Owner::as_str))?;
    writeln!(out, "state    {}", state_word(*state))?;
    writeln!(out, "balance  {}", account.balance)?;
    for (number, card) in cards {
        let blocked = if card.is_blocked { ", blocked" } else { "" };
        writeln!(out, "card     {number} (…{}{blocked})", String::from_utf8_lossy(&card.last_four))?;
    }
    for movement in statement.lines() {
        let date = movement.date.map_or_else(|| "-".to_owned(), |date| date.to_string());
        let (amount, balance) = (movement.amount.to_string(), movement.balance.to_string());
        writeln!(out, "{date:<10}  {:<12}  {amount:>16}  {balance:>16}", kind(movement.kind))?;
    }
    Ok(())
}

fn object(AccountView { row, cards, statement }: &AccountView) -> String {
    let cards: Vec<_> = cards.iter().map(|(number, _)| number.to_string()).collect();
    let movements: Vec<_> = statement
        .lines()
        .map(|line| {
            let date = line.date.map_or_else(|| "null".to_owned(), |date| format!("\"{date}\""));
            let (kind, amount, balance) = (kind(line.kind), line.amount.minor(), line.balance.minor());
            format!("{{\"date\":{date},\"kind\":\"{kind}\",\"amount\":{amount},\"balance\":{balance}}}")
        })
        .collect();
    format!("{{{},\"cards\":[{}],\"movements\":[{}]}}", fields(row), cards.join(","), movements.join(","))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Deposit => "deposit",
        Kind::Withdrawal => "withdrawal",
        Kind::TransferOut => "transfer-out",
        Kind::TransferIn => "transfer-in",
    }
}
