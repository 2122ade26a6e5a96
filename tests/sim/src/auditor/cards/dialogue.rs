//! Dialogue: what was typed at a terminal since its last card prompt, read from the texts shown and nothing else.

/// A prompt of a card's session, known by its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prompt {
    Card,
    Pin,
    Account,
    Menu,
    Deposit,
    Withdraw,
    Payee,
    Transfer,
    Confirm,
    OldPin,
    NewPin,
    RepeatPin,
}

/// The beginning and the end of each prompt's text.
const TEXTS: [(&str, &str, Prompt); 12] = [
    ("Welcome to the ATM.", "the number of your card. (exit ends the session)", Prompt::Card),
    ("Please type your PIN.", "(or back)", Prompt::Pin),
    ("Which account?", "(its number, or back)", Prompt::Account),
    ("What would you like to do?", "exit ends the session.", Prompt::Menu),
    ("How much would you like to deposit?", "or back)", Prompt::Deposit),
    ("Balance: ", "(whole units, all, or back)", Prompt::Withdraw),
    ("To which account would you like to transfer?", "(its number, or back)", Prompt::Payee),
    ("Account ", "How much would you like to transfer? (as in 12 or 12.34, or back)", Prompt::Transfer),
    ("Transfer ", "(yes, or back)", Prompt::Confirm),
    ("Please type your present PIN.", "(or back)", Prompt::OldPin),
    ("Please type the new PIN: ", "(or back)", Prompt::NewPin),
    ("Please type the new PIN again.", "(or back)", Prompt::RepeatPin),
];

impl Prompt {
    /// The prompt in which a reply's text ends.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let last = text.rsplit("\n\n").next()?;
        let is = |(start, end, _): &&(&str, &str, Self)| last.starts_with(start) && last.ends_with(end);
        TEXTS.iter().find(is).map(|(_, _, prompt)| *prompt)
    }

    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Pin | Self::OldPin | Self::NewPin | Self::RepeatPin)
    }
}

/// What was typed since the card prompt.
#[derive(Clone, Debug, Default)]
pub(super) struct Dialogue {
    life: u64,
    /// The open prompt.
    prompt: Option<Prompt>,
    /// The card's digits.
    pub(super) card: Option<String>,
    /// The number of the PIN prompt that was answered last: the id of the verification that opened the session.
    pub(super) verification: Option<u64>,
    pub(super) account: Option<u32>,
    pub(super) payee: Option<u32>,
    /// What to transfer.
    pub(super) amount: String,
    pub(super) old_pin: String,
    pub(super) new_pin: String,
    /// The text of the last confirmation prompt.
    pub(super) confirmation: String,
}

/// An answer, with what was typed before it and itself.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) prompt: Prompt,
    pub(super) text: String,
    pub(super) dialogue: Dialogue,
}

impl Dialogue {
    /// The terminal starts another life: what was typed before it counts for nothing.
    fn enter(&mut self, life: u64) {
        if self.life != life {
            *self = Self { life, ..Self::default() };
        }
    }

    /// A reply was shown.
    pub(super) fn show(&mut self, life: u64, text: &str) {
        self.enter(life);
        self.prompt = Prompt::of(text);
        match self.prompt {
            Some(Prompt::Card) => *self = Self { life, prompt: self.prompt, ..Self::default() },
            Some(Prompt::Pin) => self.verification = None,
            Some(Prompt::Account) => self.account = None,
            Some(Prompt::Confirm) => {
                self.confirmation = text.rsplit("\n\n").next().unwrap_or_default().to_owned();
            }
            _ => {}
        }
    }

    /// An answer was typed at the open prompt; `None` if that is none of a card's.
    pub(super) fn answer(&mut self, life: u64, number: u64, text: &str) -> Option<Typed> {
        self.enter(life);
        let prompt = self.prompt?;
        let typed = text.trim().to_owned();
        match prompt {
            Prompt::Card => self.card = Some(typed.split_whitespace().collect()),
            Prompt::Pin => self.verification = Some(number),
            Prompt::Account => self.account = typed.parse().ok(),
            Prompt::Payee => self.payee = typed.parse().ok(),
            Prompt::Transfer => self.amount = typed,
            Prompt::OldPin => self.old_pin = typed,
            Prompt::NewPin => self.new_pin = typed,
            Prompt::Menu | Prompt::Deposit | Prompt::Withdraw | Prompt::Confirm | Prompt::RepeatPin => {}
        }
        Some(Typed { prompt, text: text.trim().to_owned(), dialogue: self.clone() })
    }
}
