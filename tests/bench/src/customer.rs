//! The person at one session: what they want, what they type, and whether what they are told can be so.
use super::{
    balance_auditor::{AuditSnapshot, BalanceAuditor, Movement},
    mix::{Mix, OperationKind},
    protocol::{Received, SessionError},
};
use atm_core::money::Amount;
use fastrand::Rng;
use std::fmt;

/// The most that is moved at once, in whole units.
const MOST: u64 = 100;

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenPrompt {
    /// At the menu.
    Menu,
    /// Asked how much to deposit.
    Deposit,
    /// Asked how much to withdraw.
    Withdraw {
        /// The balance that was shown with the question, where it could be read.
        balance: Option<Amount>,
    },
}

/// What became of an operation, as far as a wire tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedOutcome {
    /// The balance.
    Balance(Amount),
    /// Money was moved; the program that this one replaces does not say how much.
    Moved(Movement, Option<Amount>, Amount),
    /// There is not as much as was asked for; here is what there is, where that is told.
    Insufficient(Option<Amount>),
    /// The account cannot hold as much.
    BalanceLimit(Option<Amount>),
}

/// What a reply tells, whatever the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedReply {
    /// The prompt that is open now.
    pub at: OpenPrompt,
    /// The outcome that it tells.
    pub outcome: Option<ReportedOutcome>,
}

/// What was typed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastInput {
    Nothing,
    Balance,
    Choice(Movement),
    Move(Movement, Amount),
    Back,
}

/// How people ask for money to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputStyle {
    /// They choose from the menu and then name an amount: two answers.
    Menu,
    /// They type both at once, as in `deposit 40`: one answer.
    Words,
}

/// The person at one session.
#[derive(Debug)]
pub struct Customer<'a> {
    books: &'a BalanceAuditor,
    mix: Mix,
    manner: InputStyle,
    rng: Rng,
    at: OpenPrompt,
    typed: LastInput,
    since: AuditSnapshot,
    /// Only the balance is of interest any more.
    asking: bool,
    told: Option<Amount>,
    /// What was settled.
    pub counts: OperationCounts,
}

/// Operations that were settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// Balances that were asked for and told.
    pub balances: u64,
    /// Deposits done.
    pub deposits: u64,
    /// Withdrawals done.
    pub withdrawals: u64,
    /// Deposits and withdrawals refused.
    pub refused: u64,
}

impl OperationCounts {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.balances
            .saturating_add(self.deposits)
            .saturating_add(self.withdrawals)
            .saturating_add(self.refused)
    }

    /// Adds another person's.
    pub fn add(&mut self, other: &Self) {
        self.balances = self.balances.saturating_add(other.balances);
        self.deposits = self.deposits.saturating_add(other.deposits);
        self.withdrawals = self.withdrawals.saturating_add(other.withdrawals);
        self.refused = self.refused.saturating_add(other.refused);
    }
}

impl<'a> Customer<'a> {
    /// Somebody who was not greeted yet.
    pub fn new(books: &'a BalanceAuditor, mix: Mix, manner: InputStyle, seed: u64) -> Self {
        Self {
            books,
            mix,
            manner,
            rng: Rng::with_seed(seed),
            at: OpenPrompt::Menu,
            typed: LastInput::Nothing,
            since: AuditSnapshot::default(),
            asking: false,
            told: None,
            counts: OperationCounts::default(),
        }
    }

    /// Only asks for the balance until [`told`](Self::told) has it.
    pub fn ask_balance(&mut self) {
        self.asking = true;
        self.told = None;
    }

    /// The balance that was asked for with [`ask_balance`](Self::ask_balance).
    pub fn told(&self) -> Option<Amount> {
        self.told
    }

    /// Goes on as the mix says.
    pub fn go_on(&mut self) {
        self.asking = false;
    }

    /// Hands what is typed next to `write`: a word, and a number of whole units where one follows it.
    pub fn answer(&mut self, write: impl FnOnce(&str, Option<u64>)) {
        let (typed, word, number) = self.next();
        self.typed = typed;
        self.since = self.books.ask(match typed {
            LastInput::Move(way, amount) => Some((way, amount)),
            _ => None,
        });
        write(word, number);
    }

    fn next(&mut self) -> (LastInput, &'static str, Option<u64>) {
        let way = match (self.at, self.asking) {
            (OpenPrompt::Menu, true) => return (LastInput::Balance, "3", None),
            (OpenPrompt::Menu, false) => match self.mix.draw(&mut self.rng) {
                OperationKind::Balance => return (LastInput::Balance, "3", None),
                OperationKind::Deposit => Movement::Deposit,
                OperationKind::Withdrawal => Movement::Withdrawal,
            },
            (_, true) => return (LastInput::Back, "back", None),
            // What was refused is not asked for again.
            _ if !matches!(self.typed, LastInput::Choice(_)) => return (LastInput::Back, "back", None),
            (OpenPrompt::Deposit, false) => Movement::Deposit,
            (OpenPrompt::Withdraw { .. }, false) => Movement::Withdrawal,
        };
        let word = match (way, self.at, self.manner) {
            (Movement::Deposit, OpenPrompt::Menu, InputStyle::Menu) => {
                return (LastInput::Choice(way), "1", None);
            }
            (Movement::Withdrawal, OpenPrompt::Menu, InputStyle::Menu) => {
                return (LastInput::Choice(way), "2", None);
            }
            (Movement::Deposit, OpenPrompt::Menu, InputStyle::Words) => "deposit ",
            (Movement::Withdrawal, OpenPrompt::Menu, InputStyle::Words) => "withdraw ",
            _ => "",
        };
        let units = self.rng.u64(1..=MOST);
        (LastInput::Move(way, Amount::from_units(units).unwrap_or(Amount::ZERO)), word, Some(units))
    }

    /// Takes the reply to what was typed last, or the greeting.
    ///
    /// # Errors
    /// Where it is no reply to that: nothing that follows would mean anything.
    pub fn hear(&mut self, told: &ParsedReply) -> Result<Received, SessionError> {
        let settles = self.settle(told)?;
        self.at = told.at;
        Ok(Received::Reply { settles })
    }

    fn settle(&mut self, told: &ParsedReply) -> Result<bool, SessionError> {
        match (self.typed, told.outcome, told.at) {
            (LastInput::Nothing | LastInput::Back, None, OpenPrompt::Menu)
            | (LastInput::Choice(Movement::Deposit), None, OpenPrompt::Deposit) => {
                return Ok(false);
            }
            (LastInput::Choice(Movement::Withdrawal), None, OpenPrompt::Withdraw { balance }) => {
                if let Some(balance) = balance {
                    self.books.check(balance, self.since, None);
                }
                return Ok(false);
            }
            // There is nothing to withdraw.
            (
                LastInput::Choice(Movement::Withdrawal),
                None | Some(ReportedOutcome::Insufficient(_)),
                OpenPrompt::Menu,
            ) => {
                self.books.check(Amount::ZERO, self.since, None);
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            (LastInput::Balance, Some(ReportedOutcome::Balance(balance)), OpenPrompt::Menu) => {
                self.books.check(balance, self.since, None);
                self.told = Some(balance);
                self.counts.balances = self.counts.balances.saturating_add(1);
            }
            (
                LastInput::Move(way, asked),
                Some(ReportedOutcome::Moved(moved, amount, balance)),
                OpenPrompt::Menu,
            ) if moved == way => {
                let amount = amount.unwrap_or(asked);
                if amount != asked {
                    self.books.fail(format!("{asked} was asked for, and {amount} was moved"));
                }
                self.books.check(balance, self.since, Some((way, asked)));
                self.books.settle((way, asked));
                let count = match way {
                    Movement::Deposit => &mut self.counts.deposits,
                    Movement::Withdrawal => &mut self.counts.withdrawals,
                };
                *count = count.saturating_add(1);
            }
            (
                LastInput::Move(Movement::Withdrawal, asked),
                Some(ReportedOutcome::Insufficient(balance)),
                at,
            ) if at != OpenPrompt::Deposit => {
                self.books.refuse((Movement::Withdrawal, asked));
                if let Some(balance) = balance {
                    self.books.check(balance, self.since, None);
                    if balance >= asked {
                        self.books.fail(format!("{asked} of {balance} was refused: there is enough"));
                    }
                }
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            (LastInput::Move(Movement::Deposit, asked), Some(ReportedOutcome::BalanceLimit(balance)), at)
                if !matches!(at, OpenPrompt::Withdraw { .. }) =>
            {
                self.books.refuse((Movement::Deposit, asked));
                if let Some(balance) = balance {
                    self.books.check(balance, self.since, None);
                    if balance.checked_add(asked).is_some() {
                        self.books.fail(format!("{asked} on top of {balance} was refused: it can be held"));
                    }
                }
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            // Asked again: the machine takes no such amount (`--limit`), whatever the balance.
            (LastInput::Move(way @ Movement::Deposit, asked), None, OpenPrompt::Deposit)
            | (LastInput::Move(way @ Movement::Withdrawal, asked), None, OpenPrompt::Withdraw { .. }) => {
                self.books.refuse((way, asked));
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            // There is nothing to withdraw: that comes before an amount is looked at.
            (LastInput::Move(Movement::Withdrawal, asked), None, OpenPrompt::Menu)
                if self.books.may_be_empty(self.since, asked) =>
            {
                self.books.refuse((Movement::Withdrawal, asked));
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            (LastInput::Move(..), None, OpenPrompt::Menu) if self.manner == InputStyle::Words => {
                let why =
                    "the server does not know an operation in words, as in `deposit 40`: leave out --words";
                return Err(SessionError(why.to_owned()));
            }
            (typed, outcome, at) => {
                let outcome = outcome.map_or_else(|| "no outcome".to_owned(), |outcome| outcome.to_string());
                return Err(SessionError(format!("{typed} was answered with {outcome}, {at}")));
            }
        }
        Ok(true)
    }
}

impl fmt::Display for LastInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("a new session"),
            Self::Balance => f.write_str("the choice of the balance"),
            Self::Choice(way) => write!(f, "the choice of {way}"),
            Self::Move(way, amount) => write!(f, "{way} of {amount}"),
            Self::Back => f.write_str("`back`"),
        }
    }
}

impl fmt::Display for ReportedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balance(balance) => write!(f, "a balance of {balance}"),
            Self::Moved(way, Some(amount), balance) => {
                write!(f, "{way} of {amount} and a balance of {balance}")
            }
            Self::Moved(way, None, balance) => write!(f, "{way} and a balance of {balance}"),
            Self::Insufficient(_) => f.write_str("a refusal, for there is not enough"),
            Self::BalanceLimit(_) => f.write_str("a refusal, for the account cannot hold as much"),
        }
    }
}

impl fmt::Display for OpenPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Menu => "at the menu",
            Self::Deposit => "at the question how much to deposit",
            Self::Withdraw { .. } => "at the question how much to withdraw",
        })
    }
}

#[cfg(test)]
mod tests;
