//! The person at one session: what they want, what they type, and whether what they are told can be so.
use super::{
    books::{Books, Since, Way},
    dialogue::{Heard, Lost},
    mix::{Mix, Wish},
};
use atm_core::money::Amount;
use fastrand::Rng;

/// The most that is moved at once, in whole units.
const MOST: u64 = 100;

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
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
pub enum Outcome {
    /// The balance.
    Balance(Amount),
    /// Money was moved; the program that this one replaces does not say how much.
    Moved(Way, Option<Amount>, Amount),
    /// There is not as much as was asked for; here is what there is, where that is told.
    Insufficient(Option<Amount>),
    /// The account cannot hold as much.
    BalanceLimit(Option<Amount>),
}

/// What a reply tells, whatever the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The prompt that is open now.
    pub at: At,
    /// The outcome that it tells.
    pub outcome: Option<Outcome>,
}

/// What was typed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typed {
    Nothing,
    Balance,
    Choice(Way),
    Move(Way, Amount),
    Back,
}

/// How people ask for money to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// They choose from the menu and then name an amount: two answers.
    Menu,
    /// They type both at once, as in `deposit 40`: one answer.
    Words,
}

/// The person at one session.
#[derive(Debug)]
pub struct Person<'a> {
    books: &'a Books,
    mix: Mix,
    manner: Manner,
    rng: Rng,
    at: At,
    typed: Typed,
    since: Since,
    /// Only the balance is of interest any more.
    asking: bool,
    told: Option<Amount>,
    /// What was settled.
    pub counts: Counts,
}

/// Operations that were settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Balances that were asked for and told.
    pub balances: u64,
    /// Deposits done.
    pub deposits: u64,
    /// Withdrawals done.
    pub withdrawals: u64,
    /// Deposits and withdrawals refused.
    pub refused: u64,
}

impl Counts {
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

impl<'a> Person<'a> {
    /// Somebody who was not greeted yet.
    pub fn new(books: &'a Books, mix: Mix, manner: Manner, seed: u64) -> Self {
        Self {
            books,
            mix,
            manner,
            rng: Rng::with_seed(seed),
            at: At::Menu,
            typed: Typed::Nothing,
            since: Since::default(),
            asking: false,
            told: None,
            counts: Counts::default(),
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
            Typed::Move(way, amount) => Some((way, amount)),
            _ => None,
        });
        write(word, number);
    }

    fn next(&mut self) -> (Typed, &'static str, Option<u64>) {
        let way = match (self.at, self.asking) {
            (At::Menu, true) => return (Typed::Balance, "3", None),
            (At::Menu, false) => match self.mix.draw(&mut self.rng) {
                Wish::Balance => return (Typed::Balance, "3", None),
                Wish::Deposit => Way::Deposit,
                Wish::Withdrawal => Way::Withdrawal,
            },
            (_, true) => return (Typed::Back, "back", None),
            // What was refused is not asked for again.
            _ if !matches!(self.typed, Typed::Choice(_)) => return (Typed::Back, "back", None),
            (At::Deposit, false) => Way::Deposit,
            (At::Withdraw { .. }, false) => Way::Withdrawal,
        };
        let word = match (way, self.at, self.manner) {
            (Way::Deposit, At::Menu, Manner::Menu) => return (Typed::Choice(way), "1", None),
            (Way::Withdrawal, At::Menu, Manner::Menu) => return (Typed::Choice(way), "2", None),
            (Way::Deposit, At::Menu, Manner::Words) => "deposit ",
            (Way::Withdrawal, At::Menu, Manner::Words) => "withdraw ",
            _ => "",
        };
        let units = self.rng.u64(1..=MOST);
        (Typed::Move(way, Amount::from_units(units).unwrap_or(Amount::ZERO)), word, Some(units))
    }

    /// Takes the reply to what was typed last, or the greeting.
    ///
    /// # Errors
    /// Where it is no reply to that: nothing that follows would mean anything.
    pub fn hear(&mut self, told: &Told) -> Result<Heard, Lost> {
        let settles = self.settle(told)?;
        self.at = told.at;
        Ok(Heard::Reply { settles })
    }

    fn settle(&mut self, told: &Told) -> Result<bool, Lost> {
        match (self.typed, told.outcome, told.at) {
            (Typed::Nothing | Typed::Back, None, At::Menu)
            | (Typed::Choice(Way::Deposit), None, At::Deposit) => {
                return Ok(false);
            }
            (Typed::Choice(Way::Withdrawal), None, At::Withdraw { balance }) => {
                if let Some(balance) = balance {
                    self.books.check(balance, self.since, None);
                }
                return Ok(false);
            }
            // There is nothing to withdraw.
            (Typed::Choice(Way::Withdrawal), None | Some(Outcome::Insufficient(_)), At::Menu) => {
                self.books.check(Amount::ZERO, self.since, None);
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            (Typed::Balance, Some(Outcome::Balance(balance)), At::Menu) => {
                self.books.check(balance, self.since, None);
                self.told = Some(balance);
                self.counts.balances = self.counts.balances.saturating_add(1);
            }
            (Typed::Move(way, asked), Some(Outcome::Moved(moved, amount, balance)), At::Menu)
                if moved == way =>
            {
                let amount = amount.unwrap_or(asked);
                if amount != asked {
                    self.books.fail(format!("{asked} was asked for, and {amount} was moved"));
                }
                self.books.check(balance, self.since, Some((way, asked)));
                self.books.settle((way, asked));
                let count = match way {
                    Way::Deposit => &mut self.counts.deposits,
                    Way::Withdrawal => &mut self.counts.withdrawals,
                };
                *count = count.saturating_add(1);
            }
            (Typed::Move(Way::Withdrawal, asked), Some(Outcome::Insufficient(balance)), at)
                if at != At::Deposit =>
            {
                self.books.refuse((Way::Withdrawal, asked));
                if let Some(balance) = balance {
                    self.books.check(balance, self.since, None);
                    if balance >= asked {
                        self.books.fail(format!("{asked} of {balance} was refused: there is enough"));
                    }
                }
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            (Typed::Move(Way::Deposit, asked), Some(Outcome::BalanceLimit(balance)), at)
                if !matches!(at, At::Withdraw { .. }) =>
            {
                self.books.refuse((Way::Deposit, asked));
                if let Some(balance) = balance {
                    self.books.check(balance, self.since, None);
                    if balance.checked_add(asked).is_some() {
                        self.books.fail(format!("{asked} on top of {balance} was refused: it can be held"));
                    }
                }
                self.counts.refused = self.counts.refused.saturating_add(1);
            }
            (typed, outcome, at) => {
                return Err(Lost(format!("{typed:?} was answered with {outcome:?}, at {at:?}")));
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(units: u64) -> Amount {
        Amount::from_units(units).unwrap()
    }

    /// Somebody at the menu, who only wants this.
    fn person(books: &Books, wish: Wish, manner: Manner) -> Person<'_> {
        let mut person = Person::new(books, Mix::only(wish), manner, 3);
        person.hear(&Told { at: At::Menu, outcome: None }).unwrap();
        person
    }

    /// What is typed next, and the amount in it.
    fn typed(person: &mut Person<'_>) -> (String, Amount) {
        let (mut text, mut amount) = (String::new(), 0);
        person.answer(|word, number| {
            amount = number.unwrap_or(0);
            text = format!("{word}{}", number.map(|number| number.to_string()).unwrap_or_default());
        });
        (text, units(amount))
    }

    fn faults(books: &Books) -> Vec<String> {
        books.faults().1
    }

    #[test]
    fn what_was_refused_is_not_asked_for_again() {
        let books = Books::default();
        books.open(Amount::ZERO);
        let mut person = person(&books, Wish::Withdrawal, Manner::Words);
        let (text, _) = typed(&mut person);
        assert!(text.starts_with("withdraw "), "{text}");
        let told = Told {
            at: At::Withdraw { balance: None },
            outcome: Some(Outcome::Insufficient(Some(Amount::ZERO))),
        };
        assert_eq!(person.hear(&told), Ok(Heard::Reply { settles: true }));
        assert_eq!(typed(&mut person).0, "back");
        assert_eq!(person.hear(&Told { at: At::Menu, outcome: None }), Ok(Heard::Reply { settles: false }));
        assert!(typed(&mut person).0.starts_with("withdraw "));
        assert_eq!((person.counts.refused, person.counts.all(), faults(&books)), (1, 1, vec![]));
        assert_eq!(books.asked(Way::Withdrawal) - books.done(Way::Withdrawal), books.asked(Way::Withdrawal));
    }

    #[test]
    fn an_empty_account_is_told_before_an_amount_is_asked_for() {
        for balance in [0, 5] {
            let books = Books::default();
            books.open(units(balance));
            let mut person = person(&books, Wish::Withdrawal, Manner::Menu);
            assert_eq!(typed(&mut person).0, "2");
            assert_eq!(
                person.hear(&Told { at: At::Menu, outcome: None }),
                Ok(Heard::Reply { settles: true })
            );
            assert_eq!(faults(&books).len(), usize::from(balance > 0));
        }
    }

    #[test]
    fn another_amount_than_was_asked_for_is_a_fault() {
        let books = Books::default();
        let mut person = person(&books, Wish::Deposit, Manner::Words);
        let (_, amount) = typed(&mut person);
        let more = amount.checked_add(units(1)).unwrap();
        let outcome = Some(Outcome::Moved(Way::Deposit, Some(more), units(500)));
        person.hear(&Told { at: At::Menu, outcome }).unwrap();
        assert_eq!(faults(&books), [format!("{amount} was asked for, and {more} was moved")]);
    }

    #[test]
    fn a_refusal_without_a_reason_is_a_fault() {
        let books = Books::default();
        let mut taker = person(&books, Wish::Withdrawal, Manner::Words);
        let (_, amount) = typed(&mut taker);
        let outcome = Some(Outcome::Insufficient(Some(amount)));
        taker.hear(&Told { at: At::Withdraw { balance: None }, outcome }).unwrap();
        assert_eq!(faults(&books).len(), 1, "there was just enough");
        let mut giver = person(&books, Wish::Deposit, Manner::Words);
        let (_, amount) = typed(&mut giver);
        for (held, wrong) in [(Amount::MAX, 1), (Amount::MAX.checked_sub(amount).unwrap(), 2)] {
            let outcome = Some(Outcome::BalanceLimit(Some(held)));
            giver.hear(&Told { at: At::Deposit, outcome }).unwrap();
            assert_eq!(faults(&books).len(), wrong, "{held}");
        }
    }

    #[test]
    fn a_reply_to_something_else_ends_it() {
        let books = Books::default();
        let balance = units(7);
        for (wish, told) in [
            (Wish::Balance, Told { at: At::Menu, outcome: None }),
            (Wish::Balance, Told { at: At::Deposit, outcome: Some(Outcome::Balance(balance)) }),
            (Wish::Deposit, Told { at: At::Menu, outcome: None }),
            (Wish::Deposit, Told { at: At::Withdraw { balance: None }, outcome: None }),
            (Wish::Withdrawal, Told { at: At::Deposit, outcome: None }),
            (Wish::Withdrawal, Told { at: At::Menu, outcome: Some(Outcome::Balance(balance)) }),
        ] {
            let mut person = person(&books, wish, Manner::Menu);
            typed(&mut person);
            assert!(person.hear(&told).is_err(), "{wish:?}: {told:?}");
        }
    }

    #[test]
    fn the_balance_is_asked_for_from_wherever_it_stands() {
        let books = Books::default();
        let mut person = person(&books, Wish::Deposit, Manner::Menu);
        assert_eq!(typed(&mut person).0, "1");
        person.hear(&Told { at: At::Deposit, outcome: None }).unwrap();
        person.ask_balance();
        assert_eq!(typed(&mut person).0, "back");
        person.hear(&Told { at: At::Menu, outcome: None }).unwrap();
        assert_eq!((typed(&mut person).0.as_str(), person.told()), ("3", None));
        person.hear(&Told { at: At::Menu, outcome: Some(Outcome::Balance(units(7))) }).unwrap();
        assert_eq!(person.told(), Some(units(7)));
        person.go_on();
        assert_eq!(typed(&mut person).0, "1");
    }
}
