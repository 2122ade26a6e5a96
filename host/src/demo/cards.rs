//! The demo of access by card: a server in memory with three accounts and cards, and a client of it at the card prompt.
//!
//! This is the one place where cards are served in clear: on loopback, for keys, numbers and PINs that end with the process.
use crate::{
    access::{
        Secrets,
        draw::{self, Prefix},
    },
    client::{self, Options, Target},
    exit::Exit,
    server::{CardAccess, CardsInMemory, Server, ServerConfig},
};
use anyhow::{Context, Result, bail};
use atm_core::{
    ledger::{
        AccountNumber,
        card::{Accounts, Card, CardAccount, CardKeys},
    },
    message::Capabilities,
    money::Amount,
    terminal::Profile,
    wire::Wire,
};
use std::{fmt::Write, thread};

/// The accounts: owner, and whole units.
const ACCOUNTS: [(&str, u64); 3] = [("Ada Lovelace", 250), ("Grace Hopper", 1200), ("Alan Turing", 40)];

/// The terminal's name.
const TERMINAL: &str = "demo";

/// Runs a client on this process's standard streams, at the card prompt of a server in memory; it shows the cards with their PINs to each
/// person. Returns the client's exit code.
///
/// # Errors
/// The system has no random numbers, or the server failed.
pub fn run_with_cards() -> Result<Exit> {
    let access = CardAccess::new(Secrets::generate().context("there are no random numbers")?.cards());
    let mut ledger = CardsInMemory::new(&access)?;
    let mut table = String::new();
    writeln!(table, "{:<20} {:<6} {:>7}  {:<14} {:>8}", "card", "PIN", "account", "owner", "balance")?;
    for ((owner, units), number) in ACCOUNTS.into_iter().zip(1..) {
        let balance = Amount::from_units(units).unwrap_or(Amount::ZERO);
        let account = CardAccount::new(AccountNumber(number), balance, owner.parse()?);
        let (card, shown) = draw_card(&access.keys, account.account.number)?;
        writeln!(table, "{shown} {number:>7}  {owner:<14} {:>8}", balance.to_string())?;
        ledger.add(account, card)?;
    }
    writeln!(
        table,
        "\nThey are lost at the end. Type the number of a card, with or without blanks, then its PIN.\n"
    )?;

    let config = ServerConfig { cards: Some(access), ..ServerConfig::new(Wire::Json) };
    let mut server = Server::bind("127.0.0.1:0", config).context("cannot listen on 127.0.0.1")?;
    server.set_cards(ledger);
    let (address, stop) = (server.local_addr(), server.stop_handle());
    let serving = thread::Builder::new().name("server".into()).spawn(move || server.run())?;
    let profile = Profile {
        name: Some(TERMINAL.parse()?),
        start: client::start_from_clock(),
        capabilities: Capabilities::SECRET_PROMPTS,
        ..Profile::default()
    };
    // Numbers of cards are not for a file.
    let options = Options {
        profile: Some(profile),
        keeps_history: false,
        banner: table,
        ..Options::new(Target::Tcp(vec![address.to_string()]))
    };
    let exit = client::run(&options, None, "");
    stop.stop();
    match serving.join() {
        Ok(served) => served.context("the server failed").map(|()| exit),
        Err(_) => bail!("the server's thread failed"),
    }
}

/// Draws a card for an account; returns it with its number and PIN, to be printed.
fn draw_card(keys: &CardKeys, account: AccountNumber) -> Result<(Card, String)> {
    let (number, digits) = draw::card_number(&Prefix::default())?;
    let (pin, pin_digits) = draw::pin(4)?;
    let claim = keys.claim(&number);
    let proof = keys.proof(&claim, &pin);
    let accounts = Accounts::new(&[account]).context("a card has room for one account")?;
    let groups: Vec<_> = digits.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
    let shown = format!("{:<20} {:<6}", groups.join(" "), *pin_digits);
    Ok((Card::new(&claim, &proof, number.last_four(), accounts), shown))
}
