//! Menu: shown whole once, and then as one line. The client knows it by the core's text.
use atm_core::screen::{Screen, asks_for_amount};

/// The words of the menu and the client's own; an amount may follow the first two.
const WORDS: [&str; 6] = ["deposit ", "withdraw ", "balance", "help", "exit", "quit"];

/// The further words of the prompts for an amount.
const AMOUNT_WORDS: [&str; 2] = ["back", "all"];

/// The line in place of a menu that was shown before.
const BRIEF: &str = "Deposit, withdraw, balance or exit? (help shows the menu)";

/// What `help` adds to the menu.
const HELP: &str = "help, ? or an empty line shows this menu; Tab completes a word.";

/// The open prompt's text, and whether the person has seen the menu.
#[derive(Debug, Default)]
pub(super) struct Menu {
    is_seen: bool,
    prompt: String,
}

impl Menu {
    /// Splits the text of a message that opens a prompt into notices and the prompt as it is shown.
    pub(super) fn shorten<'a>(&mut self, text: &'a str) -> (&'a str, &'a str) {
        let (notices, prompt) = text.rsplit_once("\n\n").unwrap_or(("", text));
        prompt.clone_into(&mut self.prompt);
        if !is_menu(prompt) {
            return (notices, prompt);
        }
        (notices, if std::mem::replace(&mut self.is_seen, true) { BRIEF } else { prompt })
    }

    /// The text that an answer asks for where it is `help`, `?` or empty, and a prompt of ours is open.
    pub(super) fn help(&self, answer: &str) -> Option<String> {
        let asks = answer.is_empty() || answer == "?" || answer.eq_ignore_ascii_case("help");
        match self.prompt.as_str() {
            _ if !asks => None,
            prompt if is_menu(prompt) => Some(format!("{prompt}\n{HELP}")),
            prompt if asks_for_amount(prompt) => Some(prompt.to_owned()),
            _ => None,
        }
    }
}

fn is_menu(prompt: &str) -> bool {
    prompt == Screen::Menu.to_string()
}

/// The words that complete the beginning of a line at the menu, or at a prompt for an amount, and where the word begins in it.
pub(super) fn completions(line: &str, asks_for_amount: bool) -> (usize, Vec<String>) {
    let start = line.rfind([' ', '\t']).map_or(0, |blank| blank.saturating_add(1));
    let (before, word) = line.split_at_checked(start).unwrap_or(("", line));
    let (words, more): (&[&str], &[&str]) = match before.trim() {
        "" if asks_for_amount => (&WORDS, &AMOUNT_WORDS),
        "" => (&WORDS, &[]),
        first if first.eq_ignore_ascii_case("withdraw") => (&["all"], &[]),
        _ => (&[], &[]),
    };
    let fits = |whole: &&&str| whole.get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word));
    (start, words.iter().chain(more).filter(fits).map(|word| (*word).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::{money::Amount, screen::ScreenText};

    #[test]
    fn the_menu_is_whole_once_and_then_brief() {
        let mut menu = Menu::default();
        let whole = Screen::Menu.to_string();
        assert_eq!(menu.shorten(&whole), ("", whole.as_str()));
        let text = ScreenText(&[Screen::InvalidChoice, Screen::Menu]).to_string();
        assert_eq!(menu.shorten(&text), ("That is not a valid choice.", BRIEF));
        assert_eq!(menu.shorten(&whole), ("", BRIEF));
        for answer in ["", "?", "Help"] {
            assert_eq!(menu.help(answer).unwrap(), format!("{whole}\n{HELP}"));
        }
        assert_eq!(menu.help("help me"), None);
    }

    #[test]
    fn help_at_another_prompt_of_ours_shows_that() {
        let mut menu = Menu::default();
        let prompt = Screen::WithdrawPrompt { balance: Amount::ZERO }.to_string();
        assert_eq!(menu.shorten(&prompt), ("", prompt.as_str()));
        assert_eq!(menu.help("?"), Some(prompt));
        // A host of others may know the word.
        assert_eq!(menu.shorten("Well?"), ("", "Well?"));
        assert_eq!((menu.help("?"), menu.help("")), (None, None));
    }

    #[test]
    fn words_are_completed() {
        for (line, start, words) in [
            ("dep", 0, &["deposit "][..]),
            ("B", 0, &["balance"]),
            ("a", 0, &[]),
            ("withdraw ", 9, &["all"]),
            ("withdraw a", 9, &["all"]),
            ("deposit 4", 8, &[]),
            ("é", 0, &[]),
        ] {
            let words = words.iter().map(|word| word.to_string()).collect();
            assert_eq!(completions(line, false), (start, words));
        }
        assert_eq!(completions("", false).1, WORDS);
        assert_eq!(completions("B", true).1, ["balance", "back"]);
        assert_eq!(completions("a", true).1, ["all"]);
    }
}
