//! What follows the outcome of a card's request: the screens, and the state of the dialogue.
use super::{At, CardSession, LOOK_UPS, Opened, Payee, Purpose};
use crate::{
    ledger::{
        Outcome, Receipt, Refusal,
        card::{Access, Statement},
    },
    screen::{CardScreen, Screen, Screens, screens},
    session::push,
};

impl CardSession {
    /// Takes the outcome of the outstanding operation and returns the screens to show.
    pub(in crate::session) fn complete(&mut self, outcome: Outcome) -> Screens {
        let notice = Screen::Outcome(outcome);
        match (*self, outcome) {
            (Self::Verifying { claim }, Outcome::Done(Receipt::Verified { version, accounts })) => {
                let mut numbers = accounts.iter();
                let (Some(account), second) = (numbers.next(), numbers.next()) else {
                    *self = Self::Card;
                    return self.after(Screen::Outcome(Outcome::Refused(Refusal::NoAccess)));
                };
                let access = Access { token: claim.newest(), version, account };
                let opened = Opened { access, accounts, failed: 0 };
                *self = if second.is_some() { Self::Account(opened) } else { Self::Open(opened, At::Menu) };
                screens([self.prompt_screen()])
            }
            // Whatever the reason, the card may be tried again.
            (Self::Verifying { claim }, Outcome::Refused(_)) => {
                *self = Self::Pin { claim };
                self.after(notice)
            }
            (Self::Open(..), Outcome::Refused(Refusal::NoAccess | Refusal::Closed)) => {
                *self = Self::Card;
                self.after(notice)
            }
            (Self::Open(opened, At::Waiting(purpose)), outcome) => self.proceed(opened, purpose, outcome),
            _ => {
                *self = Self::Card;
                self.after(notice)
            }
        }
    }

    /// What follows the outcome of an operation that its session still had access for.
    fn proceed(&mut self, mut opened: Opened, purpose: Purpose, outcome: Outcome) -> Screens {
        let notice = Screen::Outcome(outcome);
        *self = Self::Open(opened, At::Menu);
        match (purpose, outcome) {
            (Purpose::PromptWithdrawal(reason), Outcome::Done(Receipt::Balance { balance })) => {
                let mut shown = Screens::new();
                if let Some(reason) = reason {
                    push(&mut shown, reason);
                }
                if balance.is_zero() {
                    push(&mut shown, Screen::NoFunds);
                } else {
                    *self = Self::Open(opened, At::Withdraw(balance));
                }
                push(&mut shown, self.prompt_screen());
                shown
            }
            (Purpose::Withdraw, Outcome::Refused(Refusal::Insufficient { balance }))
                if !balance.is_zero() =>
            {
                *self = Self::Open(opened, At::Withdraw(balance));
                self.after(notice)
            }
            (Purpose::Deposit, Outcome::Refused(Refusal::BalanceLimit { .. })) => {
                *self = Self::Open(opened, At::Deposit);
                self.after(notice)
            }
            (Purpose::LookUp, Outcome::Done(Receipt::Payee { payee, owner })) => {
                *self = Self::Open(opened, At::Transfer(Payee { number: payee, owner }));
                screens([self.prompt_screen()])
            }
            (Purpose::LookUp, Outcome::Refused(Refusal::NoPayee | Refusal::SameAccount)) => {
                opened.failed = opened.failed.saturating_add(1);
                if opened.failed >= LOOK_UPS {
                    *self = Self::Card;
                    return screens([notice, Screen::Card(CardScreen::TooManyPayees), self.prompt_screen()]);
                }
                *self = Self::Open(opened, At::Payee);
                self.after(notice)
            }
            (_, Outcome::Done(Receipt::PinChanged)) => {
                opened.access.version = opened.access.version.wrapping_add(1);
                *self = Self::Open(opened, At::Menu);
                self.after(notice)
            }
            _ => self.after(notice),
        }
    }

    /// Takes the statement that was requested and returns the screens to show.
    pub(in crate::session) fn show_statement(&mut self, statement: &Statement) -> Screens {
        if let Self::Open(opened, _) = *self {
            *self = Self::Open(opened, At::Menu);
        }
        let mut shown = Screens::new();
        // The latest at the end, next to the menu.
        for line in statement.lines().rev() {
            push(&mut shown, Screen::Card(CardScreen::Movement(line)));
        }
        if shown.is_empty() {
            push(&mut shown, Screen::Card(CardScreen::NoMovements));
        }
        push(&mut shown, self.prompt_screen());
        shown
    }
}
