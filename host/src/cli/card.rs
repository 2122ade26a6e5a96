//! Command line of `atm account` and `atm card`.
use super::{access::SecretsFile, ledger::Source};
use atm_core::{
    ledger::{
        AccountNumber,
        card::{Owner, OwnerError},
    },
    money::Amount,
};
use atm_host::{access::draw::Prefix, client::is_unseen, ledger::card_order::MAX_ACCOUNT};
use clap::{ArgGroup, Args, Subcommand};

/// Reads the number of an account.
pub(super) fn account(text: &str) -> Result<AccountNumber, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_ACCOUNT).contains(number));
    number.map(AccountNumber).ok_or_else(|| "an account's number is 1 to 9 digits, not zero".to_owned())
}

/// Reads the name of an owner. Rows of other programs may have a character that this refuses.
fn owner(text: &str) -> Result<Owner, String> {
    if let Some(unseen) = text.chars().find(|c| is_unseen(*c)) {
        let code = u32::from(unseen);
        return Err(format!("it has a character that shows nothing, U+{code:04X}: leave it out"));
    }
    text.parse().map_err(|error: OwnerError| error.to_string())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Open an account, and print its number
    Open {
        /// The owner's name, at most 48 bytes, without characters that show nothing; the payer of a transfer is shown its initials
        #[arg(long, value_name = "NAME", value_parser = owner)]
        owner: Owner,
        /// The account's number, of 1 to 9 digits [default: the first from 1000 on that is free]
        #[arg(long, value_name = "N", value_parser = account)]
        number: Option<AccountNumber>,
        /// The balance that it begins with, in whole units or with two digits of cents
        #[arg(long, value_name = "AMOUNT", default_value = "0")]
        balance: Amount,
        #[command(flatten)]
        source: Source,
    },
    /// List the accounts: owner, state and balance
    List {
        #[command(flatten)]
        source: Source,
        /// Print an object a line, in JSON; balances are in cents
        #[arg(long)]
        json: bool,
    },
    /// Show an account, its cards and its last movements
    Show {
        /// The account's number
        #[arg(value_parser = account)]
        number: AccountNumber,
        #[command(flatten)]
        source: Source,
        /// Print one object, in JSON; amounts are in cents
        #[arg(long)]
        json: bool,
    },
    /// Freeze an account: its cards show it, and no money moves
    Freeze {
        /// The account's number
        #[arg(value_parser = account)]
        number: AccountNumber,
        #[command(flatten)]
        source: Source,
    },
    /// Unfreeze an account
    Unfreeze {
        /// The account's number
        #[arg(value_parser = account)]
        number: AccountNumber,
        #[command(flatten)]
        source: Source,
    },
    /// Close an empty account for ever; its number is not used again
    Close {
        /// The account's number
        #[arg(value_parser = account)]
        number: AccountNumber,
        #[command(flatten)]
        source: Source,
    },
}

/// Where a new PIN comes from. It is never an argument: those of a process can be read by all users.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("pin").args(["digits", "ask_pin", "pin_fd"])))]
pub(crate) struct NewPin {
    /// Draw a PIN of so many digits, 4 to 12, and print it
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=12))]
    pub(crate) digits: u8,
    /// Ask for the PIN twice, at a terminal that does not show it
    #[arg(long)]
    pub(crate) ask_pin: bool,
    /// Read the PIN, a line, from this file descriptor; 0 is standard input
    #[arg(long, value_name = "N")]
    pub(crate) pin_fd: Option<u32>,
}

/// A card that was issued.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("named").args(["card", "ask_number"]).required(true)))]
pub(crate) struct NamedCard {
    /// The card, as `atm card list` numbers it; its own number is never an argument
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) card: Option<u64>,
    /// Ask for the card's own number, at a terminal that does not show it; this needs the secrets file
    #[arg(long)]
    pub(crate) ask_number: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Card {
    /// Issue a card, and print its number and its PIN, once
    ///
    /// Both are drawn from the system's random numbers. What is printed is nowhere else: a card whose number or PIN is lost is blocked, and
    /// another issued.
    Issue {
        /// An account of the card; up to four times for as many accounts
        #[arg(long = "account", value_name = "N", required = true, value_parser = account)]
        accounts: Vec<AccountNumber>,
        /// The digits that the card's number begins with, 1 to 8, as the issuer was assigned; by default those of no other issuer
        #[arg(long, value_name = "DIGITS", default_value_t)]
        prefix: Prefix,
        #[command(flatten)]
        pin: NewPin,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        secrets: SecretsFile,
        /// Print one object, in JSON
        #[arg(long)]
        json: bool,
    },
    /// List the cards: the last four digits, accounts, state, and wrong PINs since the last right one. With --secrets also which cards that file has no keys of,
    /// so that their PINs count as wrong
    List {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        secrets: SecretsFile,
        /// Print an object a line, in JSON
        #[arg(long)]
        json: bool,
    },
    /// Block a card, and end its sessions
    Block {
        #[command(flatten)]
        card: NamedCard,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        secrets: SecretsFile,
    },
    /// Unblock a card: its PIN may be tried three times again
    Unblock {
        #[command(flatten)]
        card: NamedCard,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        secrets: SecretsFile,
    },
    /// Give a card another PIN, print it once, and end the card's sessions; a blocked card stays blocked
    SetPin {
        #[command(flatten)]
        card: NamedCard,
        #[command(flatten)]
        pin: NewPin,
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        secrets: SecretsFile,
        /// Print one object, in JSON
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn an_owner_has_no_character_that_shows_nothing() {
        for name in [
            "Ada Lovelace",
            "Zoë \"Z\" %2C, \\",
            "\u{5d3}\u{5d5}\u{5d3}",
            "\u{627}\u{62f}\u{627}",
            "\u{674e}\u{660e}",
        ] {
            assert_eq!(owner(name).unwrap().as_str(), name);
        }
        for (name, code) in [
            ("Ada\n", "U+000A"),
            ("A\u{1b}[2Jda", "U+001B"),
            ("Ada\u{202e}", "U+202E"),
            ("\u{2066}Ada", "U+2066"),
            ("A\u{200b}da", "U+200B"),
            ("Ada\u{feff}", "U+FEFF"),
            ("A\u{ad}da", "U+00AD"),
            ("Ada\u{2028}", "U+2028"),
        ] {
            let refusal = owner(name).unwrap_err();
            assert_eq!(
                refusal,
                format!("it has a character that shows nothing, {code}: leave it out"),
                "{name:?}"
            );
        }
        assert_eq!(owner(" ").unwrap_err(), "an owner's name is 1 to 48 bytes, without control characters");
    }
}
