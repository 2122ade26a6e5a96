//! Simulated customer: draws operations from the mix, writes the input for each prompt and checks every
//! reply.
use super::{
    balance_auditor::{AuditSnapshot, BalanceAuditor, Movement},
    mix::{Mix, OperationKind},
    protocol::{Received, SessionError},
};
use atm_core::money::Amount;
use fastrand::Rng;
use std::fmt;

mod counts;
pub use counts::OperationCounts;

/// The greatest amount of one operation, in whole units.
const MAX_UNITS: u64 = 100;

/// The prompt that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenPrompt {
    /// The menu.
    Menu,
    /// How much to deposit.
    Deposit,
    /// How much to withdraw.
    Withdraw {
        /// The balance in the prompt, if it could be parsed.
        balance: Option<Amount>,
    },
}

/// The outcome of an operation, as far as the wire reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedOutcome {
    /// The balance.
    Balance(Amount),
    /// The movement, its amount (which the program that this one replaces does not report) and the balance
    /// after it.
    Moved(Movement, Option<Amount>, Amount),
    /// The balance is too small for the withdrawal; the balance, if it is reported.
    Insufficient(Option<Amount>),
    /// The balance would exceed its limit; the balance, if it is reported.
    BalanceLimit(Option<Amount>),
}

/// A reply of the server, on any wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedReply {
    /// The prompt that it opens.
    pub prompt: OpenPrompt,
    /// The outcome that it reports.
    pub outcome: Option<ReportedOutcome>,
}

/// The last input that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastInput {
    Nothing,
    Balance,
    Choice(Movement),
    Move(Movement, Amount),
    Back,
}

/// How a customer requests a movement of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputStyle {
    /// A choice from the menu, then the amount: two answers.
    Menu,
    /// Both at once, as in `deposit 40`: one answer.
    Words,
}

/// The simulated customer of one session.
#[derive(Debug)]
pub struct Customer<'a> {
    auditor: &'a BalanceAuditor,
    mix: Mix,
    input_style: InputStyle,
    rng: Rng,
    prompt: OpenPrompt,
    last_input: LastInput,
    snapshot: AuditSnapshot,
    /// During a balance query: nothing is drawn from the mix.
    querying_balance: bool,
    queried_balance: Option<Amount>,
    /// The completed operations.
    pub counts: OperationCounts,
}

impl<'a> Customer<'a> {
    /// A customer whose session is not greeted yet.
    pub fn new(auditor: &'a BalanceAuditor, mix: Mix, input_style: InputStyle, seed: u64) -> Self {
        Self {
            auditor,
            mix,
            input_style,
            rng: Rng::with_seed(seed),
            prompt: OpenPrompt::Menu,
            last_input: LastInput::Nothing,
            snapshot: AuditSnapshot::default(),
            querying_balance: false,
            queried_balance: None,
            counts: OperationCounts::default(),
        }
    }

    /// Starts a balance query: the next inputs lead to the balance, until
    /// [`queried_balance`](Self::queried_balance) has it.
    pub fn start_balance_query(&mut self) {
        self.querying_balance = true;
        self.queried_balance = None;
    }

    /// The result of the balance query.
    pub fn queried_balance(&self) -> Option<Amount> {
        self.queried_balance
    }

    /// Ends the balance query: the next operation is drawn from the mix.
    pub fn end_balance_query(&mut self) {
        self.querying_balance = false;
    }

    /// Is the next input the choice of an operation?
    pub fn is_at_menu(&self) -> bool {
        self.prompt == OpenPrompt::Menu
    }

    /// Passes the next input to `write`: a word, and the number of whole units that follows it, if any.
    pub fn write_input(&mut self, write: impl FnOnce(&str, Option<u64>)) {
        let (input, word, number) = self.next_input();
        self.last_input = input;
        self.snapshot = self.auditor.request(match input {
            LastInput::Move(movement, amount) => Some((movement, amount)),
            _ => None,
        });
        write(word, number);
    }

    fn next_input(&mut self) -> (LastInput, &'static str, Option<u64>) {
        let movement = match (self.prompt, self.querying_balance) {
            (OpenPrompt::Menu, true) => return (LastInput::Balance, "3", None),
            (OpenPrompt::Menu, false) => match self.mix.draw(&mut self.rng) {
                OperationKind::Balance => return (LastInput::Balance, "3", None),
                OperationKind::Deposit => Movement::Deposit,
                OperationKind::Withdrawal => Movement::Withdrawal,
            },
            (_, true) => return (LastInput::Back, "back", None),
            // After a refusal the server asks for the amount again.
            _ if !matches!(self.last_input, LastInput::Choice(_)) => return (LastInput::Back, "back", None),
            (OpenPrompt::Deposit, false) => Movement::Deposit,
            (OpenPrompt::Withdraw { .. }, false) => Movement::Withdrawal,
        };
        let word = match (movement, self.prompt, self.input_style) {
            (Movement::Deposit, OpenPrompt::Menu, InputStyle::Menu) => {
                return (LastInput::Choice(movement), "1", None);
            }
            (Movement::Withdrawal, OpenPrompt::Menu, InputStyle::Menu) => {
                return (LastInput::Choice(movement), "2", None);
            }
            (Movement::Deposit, OpenPrompt::Menu, InputStyle::Words) => "deposit ",
            (Movement::Withdrawal, OpenPrompt::Menu, InputStyle::Words) => "withdraw ",
            _ => "",
        };
        let units = self.rng.u64(1..=MAX_UNITS);
        (LastInput::Move(movement, Amount::from_units(units).unwrap_or(Amount::ZERO)), word, Some(units))
    }

    /// Takes the reply to the last input, or the greeting, and checks it.
    ///
    /// # Errors
    /// It is not a reply to that input; the session cannot continue.
    pub fn receive(&mut self, reply: &ParsedReply) -> Result<Received, SessionError> {
        let completes_operation = self.check_reply(reply)?;
        self.prompt = reply.prompt;
        Ok(Received::Reply { completes_operation })
    }

    /// Returns whether the reply completes an operation.
    fn check_reply(&mut self, reply: &ParsedReply) -> Result<bool, SessionError> {
        match (self.last_input, reply.outcome, reply.prompt) {
            (LastInput::Nothing | LastInput::Back, None, OpenPrompt::Menu)
            | (LastInput::Choice(Movement::Deposit), None, OpenPrompt::Deposit) => {
                return Ok(false);
            }
            (LastInput::Choice(Movement::Withdrawal), None, OpenPrompt::Withdraw { balance }) => {
                if let Some(balance) = balance {
                    self.auditor.check(balance, self.snapshot, None);
                }
                return Ok(false);
            }
            // The account is empty.
            (
                LastInput::Choice(Movement::Withdrawal),
                None | Some(ReportedOutcome::Insufficient(_)),
                OpenPrompt::Menu,
            ) => {
                self.auditor.check(Amount::ZERO, self.snapshot, None);
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            (LastInput::Balance, Some(ReportedOutcome::Balance(balance)), OpenPrompt::Menu) => {
                self.auditor.check(balance, self.snapshot, None);
                self.queried_balance = Some(balance);
                self.counts.balances = self.counts.balances.saturating_add(1);
            }
            (
                LastInput::Move(movement, requested),
                Some(ReportedOutcome::Moved(moved, amount, balance)),
                OpenPrompt::Menu,
            ) if moved == movement => {
                let amount = amount.unwrap_or(requested);
                if amount != requested {
                    self.auditor
                        .report_violation(format!("{requested} was requested, but {amount} was moved"));
                }
                self.auditor.check(balance, self.snapshot, Some((movement, requested)));
                self.auditor.acknowledge((movement, requested));
                let count = match movement {
                    Movement::Deposit => &mut self.counts.deposits,
                    Movement::Withdrawal => &mut self.counts.withdrawals,
                };
                *count = count.saturating_add(1);
            }
            (
                LastInput::Move(Movement::Withdrawal, requested),
                Some(ReportedOutcome::Insufficient(balance)),
                prompt,
            ) if prompt != OpenPrompt::Deposit => {
                self.auditor.refuse((Movement::Withdrawal, requested));
                if let Some(balance) = balance {
                    self.auditor.check(balance, self.snapshot, None);
                    if balance >= requested {
                        self.auditor.report_violation(format!(
                            "a withdrawal of {requested} was refused with a balance of {balance}, which is enough"
                        ));
                    }
                }
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            (
                LastInput::Move(Movement::Deposit, requested),
                Some(ReportedOutcome::BalanceLimit(balance)),
                prompt,
            ) if !matches!(prompt, OpenPrompt::Withdraw { .. }) => {
                self.auditor.refuse((Movement::Deposit, requested));
                if let Some(balance) = balance {
                    self.auditor.check(balance, self.snapshot, None);
                    if balance.checked_add(requested).is_some() {
                        self.auditor.report_violation(format!(
                            "a deposit of {requested} was refused with a balance of {balance}, which leaves room for it"
                        ));
                    }
                }
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            // The server asks for the amount again: it exceeds the limit of one operation (`--limit`).
            (LastInput::Move(movement @ Movement::Deposit, requested), None, OpenPrompt::Deposit)
            | (
                LastInput::Move(movement @ Movement::Withdrawal, requested),
                None,
                OpenPrompt::Withdraw { .. },
            ) => {
                self.auditor.refuse((movement, requested));
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            // The account is empty, which the server checks before the amount.
            (LastInput::Move(Movement::Withdrawal, requested), None, OpenPrompt::Menu)
                if self.auditor.may_be_empty(self.snapshot, requested) =>
            {
                self.auditor.refuse((Movement::Withdrawal, requested));
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            (LastInput::Move(..), None, OpenPrompt::Menu) if self.input_style == InputStyle::Words => {
                let why =
                    "the server does not take an operation in words, as in `deposit 40`: leave out --words";
                return Err(SessionError(why.to_owned()));
            }
            (input, outcome, prompt) => {
                let outcome = outcome.map_or_else(|| "no outcome".to_owned(), |outcome| outcome.to_string());
                return Err(SessionError(format!("{input} was answered with {outcome}, {prompt}")));
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
            Self::Choice(movement) => write!(f, "the choice of {movement}"),
            Self::Move(movement, amount) => write!(f, "{movement} of {amount}"),
            Self::Back => f.write_str("`back`"),
        }
    }
}

impl fmt::Display for ReportedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balance(balance) => write!(f, "a balance of {balance}"),
            Self::Moved(movement, Some(amount), balance) => {
                write!(f, "{movement} of {amount} and a balance of {balance}")
            }
            Self::Moved(movement, None, balance) => write!(f, "{movement} and a balance of {balance}"),
            Self::Insufficient(_) => f.write_str("a refusal: the balance is too small"),
            Self::BalanceLimit(_) => f.write_str("a refusal: the balance would exceed its limit"),
        }
    }
}

impl fmt::Display for OpenPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Menu => "at the menu",
            Self::Deposit => "at the prompt for the amount of a deposit",
            Self::Withdraw { .. } => "at the prompt for the amount of a withdrawal",
        })
    }
}

#[cfg(test)]
mod tests;
