//! `atm card`: issues, lists and blocks cards, and gives them PINs.
//!
//! A number or a PIN is printed after the commit, and is nowhere else; where printing fails, the card is in the list, and can be
//! blocked. Its own number is never an argument, because every user of a machine can read those.
use super::{
    access::{open, read_secrets},
    hidden,
    ledger::reader,
    print, write_output,
};
use crate::cli::{
    access::SecretsFile,
    card::{Card, NamedCard, NewPin},
    ledger::Source,
};
use anyhow::{Context, Result};
use atm_core::ledger::card::{self, CardKeys, CardNumber, Claim, Pin};
use atm_host::{
    access::{Secrets, draw, secrets::credential},
    clock::unix_time,
    exit::Exit,
    ledger::{
        card_order::{CardOrder, Refused},
        operator::{Operator, OrderFault},
    },
};
use zeroize::Zeroizing;

/// Numbers that are drawn for a card, at most, where other cards have those before: with any prefix, most numbers are free.
const DRAWS: usize = 100;

/// Room for what is printed once, so that it is not copied while it grows.
const MAX_TEXT: usize = 256;

pub(super) fn run(command: &Card) -> Result<Exit> {
    match command {
        Card::Issue { accounts, prefix, pin, source, secrets, json } => {
            let mut operator = open(source)?;
            let accounts = operator.may_issue(accounts)?;
            let keys = read_secrets(secrets, source, "a card")?.cards();
            let (pin, shown) = new_pin(pin)?;
            let mut draws = 0;
            let (row, number) = loop {
                draws += 1;
                let (number, text) = draw::card_number(prefix).context("no number can be drawn")?;
                let claim = keys.claim(&number);
                let card = card::Card::new(&claim, &keys.proof(&claim, &pin), number.last_four(), accounts);
                match operator.issue(&claim, &card, unix_time()) {
                    Err(OrderFault::Card(_, Refused::NumberTaken)) if draws < DRAWS => {}
                    issued => break (issued?, text),
                }
            };
            let lost = || {
                format!(
                    "card {row} is issued, and its number and its PIN cannot be printed: `atm card block {row}`, and issue another"
                )
            };
            print_once(row, Some(&number), shown.as_ref(), *json).with_context(lost)
        }
        Card::List { source, secrets, json } => list(source, given_keys(secrets, source)?.as_ref(), *json),
        Card::Block { card, source, secrets } => {
            order(card, source, secrets, CardOrder::Block, "blocked, and its sessions are over")
        }
        Card::Unblock { card, source, secrets } => {
            order(card, source, secrets, CardOrder::Unblock, "unblocked; its PIN may be tried three times")
        }
        Card::SetPin { card, pin, source, secrets, json } => {
            let mut operator = open(source)?;
            let secrets = read_secrets(secrets, source, "a PIN")?;
            let row = named(card, &operator, || Ok(secrets.clone()))?;
            let check = |card: &card::Card| {
                if secrets.has_token_key(card.token.key) { Ok(()) } else { Err(Refused::OtherKeys) }
            };
            check(&operator.card(row)?).map_err(|refused| OrderFault::Card(Some(row), refused))?;
            let (pin, shown) = new_pin(pin)?;
            let keys = secrets.cards();
            let set_pin = |card: &card::Card| {
                check(card)?;
                Ok(CardOrder::SetPin(keys.proof(&Claim::of(card.token), &pin).newest()))
            };
            operator.order_card(row, set_pin, unix_time())?;
            if shown.is_none() && !*json {
                return print(&format!("card {row}: it has the new PIN, and its sessions are over"));
            }
            let lost = || format!("card {row} has another PIN, which cannot be printed: set one more");
            print_once(row, None, shown.as_ref(), *json).with_context(lost)
        }
    }
}

/// What is said of a card that was unblocked.
const LACKS_KEYS: &str = "; but the secrets file has no keys of it, so that its right PIN counts as wrong";

/// The keys of the secrets file, if one is given.
fn given_keys(secrets: &SecretsFile, source: &Source) -> Result<Option<CardKeys>> {
    let is_given = secrets.secrets.is_some() || credential().is_some();
    is_given.then(|| Ok(read_secrets(secrets, source, "a card")?.cards())).transpose()
}

fn has_keys(keys: &CardKeys, card: &card::Card) -> bool {
    keys.can_judge(&card.token, &card.verifier)
}

fn order(
    card: &NamedCard,
    source: &Source,
    secrets: &SecretsFile,
    order: CardOrder,
    done: &str,
) -> Result<Exit> {
    let mut operator = open(source)?;
    let row = named(card, &operator, || read_secrets(secrets, source, "a card's own number"))?;
    operator.order_card(row, |_| Ok(order), unix_time())?;
    let lacks_keys = match given_keys(secrets, source)? {
        Some(keys) => !has_keys(&keys, &operator.card(row)?),
        None => false,
    };
    let note = if lacks_keys && order == CardOrder::Unblock { LACKS_KEYS } else { "" };
    print(&format!("card {row}: {done}{note}"))
}

/// The number in the table of the card that the command names.
fn named(card: &NamedCard, operator: &Operator, secrets: impl FnOnce() -> Result<Secrets>) -> Result<u64> {
    if let Some(row) = card.card {
        return Ok(row);
    }
    let keys = secrets()?.cards();
    let number: CardNumber = hidden::Terminal::open()?.ask("Card number: ")?.parse()?;
    operator
        .find_card(&keys.claim(&number))?
        .context("no card of the ledger has this number under the keys of the secrets file")
}

/// A new PIN, and its text if it was drawn.
fn new_pin(new: &NewPin) -> Result<(Pin, Option<Zeroizing<String>>)> {
    if let Some(descriptor) = new.pin_fd {
        return Ok((Pin::chosen(&hidden::read_descriptor(descriptor)?)?, None));
    }
    if !new.ask_pin {
        let (pin, text) = draw::pin(new.digits.into()).context("no PIN can be drawn")?;
        return Ok((pin, Some(text)));
    }
    let terminal = hidden::Terminal::open().context("a program gives a PIN by --pin-fd")?;
    loop {
        let first = terminal.ask("New PIN: ")?;
        match Pin::chosen(&first) {
            Ok(pin) if *terminal.ask("Again: ")? == *first => return Ok((pin, None)),
            Ok(_) => hidden::show("These are two different PINs.\n"),
            Err(error) => hidden::show(&format!("{error}\n")),
        }
    }
}

/// Prints what was drawn for a card.
fn print_once(
    row: u64,
    number: Option<&Zeroizing<String>>,
    pin: Option<&Zeroizing<String>>,
    json: bool,
) -> Result<Exit> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
    text.push_str(&if json { format!("{{\"card\":{row}") } else { format!("card    {row}\n") });
    for (name, label, value) in [("number", "number  ", number), ("pin", "PIN     ", pin)] {
        let Some(value) = value else { continue };
        if json {
            for part in [",\"", name, "\":\"", value, "\""] {
                text.push_str(part);
            }
            continue;
        }
        text.push_str(label);
        for (at, digit) in value.chars().enumerate() {
            if name == "number" && at > 0 && at % 4 == 0 {
                text.push(' ');
            }
            text.push(digit);
        }
        text.push('\n');
    }
    if json {
        text.push_str("}\n");
    }
    hidden::print(&text)?;
    Ok(Exit::Done)
}

fn list(source: &Source, keys: Option<&CardKeys>, json: bool) -> Result<Exit> {
    let reader = reader(source)?;
    write_output(|out| {
        if !json {
            writeln!(out, "{:>9}  {:<6}  {:<7}  {:>5}  accounts", "card", "number", "state", "tries")?;
        }
        let text = |(row, card): (u64, card::Card)| {
            let has_keys = keys.map(|keys| has_keys(keys, &card));
            if json { object(row, &card, has_keys) } else { line(row, &card, has_keys) }
        };
        reader.cards(|card| Ok(writeln!(out, "{}", text(card))?))
    })
}

fn line(row: u64, card: &card::Card, has_keys: Option<bool>) -> String {
    let state = match has_keys {
        _ if card.is_blocked => "blocked",
        Some(false) => "no keys",
        _ => "in use",
    };
    let (last_four, accounts) = (String::from_utf8_lossy(&card.last_four), numbers(card, " "));
    format!("{row:>9}  …{last_four:<5}  {state:<7}  {:>5}  {accounts}", card.tries)
}

fn object(row: u64, card: &card::Card, has_keys: Option<bool>) -> String {
    let has_keys = has_keys.map(|has_keys| format!(",\"has_keys\":{has_keys}")).unwrap_or_default();
    let (last_four, accounts) = (String::from_utf8_lossy(&card.last_four), numbers(card, ","));
    let card::Card { is_blocked, tries, refusals, version, .. } = card;
    format!(
        "{{\"card\":{row},\"last_four\":\"{last_four}\",\"accounts\":[{accounts}],\"blocked\":{is_blocked},\"tries\":{tries},\
         \"refusals\":{refusals},\"version\":{version}{has_keys}}}"
    )
}

/// The numbers of a card's accounts.
fn numbers(card: &card::Card, separator: &str) -> String {
    Vec::from_iter(card.accounts.iter().map(|number| number.0.to_string())).join(separator)
}
