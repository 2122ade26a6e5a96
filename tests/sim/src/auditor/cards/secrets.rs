//! Secrets: the digits of every card number and PIN of a run, and a search for them in bytes and in Debug texts.
use std::collections::HashSet;

/// The fewest digits that are searched for: fewer may be in a number by chance.
const SHORTEST: usize = 10;

/// What must not be found.
#[derive(Debug, Default)]
pub(super) struct Secrets(HashSet<String>);

impl Secrets {
    /// Adds what was typed, or issued, if it is long enough.
    pub(super) fn add(&mut self, text: &str) {
        let digits: String = text.split_whitespace().collect();
        if digits.len() >= SHORTEST && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            self.0.insert(digits);
        }
    }

    /// A secret among these bytes.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<&str> {
        let runs = bytes.split(|byte| !byte.is_ascii_digit()).filter(|run| run.len() >= SHORTEST);
        let mut runs = runs.filter_map(|run| std::str::from_utf8(run).ok());
        runs.find_map(|run| self.0.iter().find(|secret| run.contains(*secret))).map(String::as_str)
    }

    /// A long one, in a file with many other digits.
    pub(super) fn find_long(&self, bytes: &[u8]) -> Option<&str> {
        self.find(bytes).filter(|secret| secret.len() > SHORTEST + 1)
    }

    /// A secret in a Debug text: as digits, or as a list of their bytes.
    pub(super) fn find_in_debug(&self, text: &str) -> Option<&str> {
        let bytes = text.split(", ").map(|number| {
            let number = number.trim_matches(|c: char| !c.is_ascii_digit());
            number.parse().ok().filter(u8::is_ascii_digit).unwrap_or(b' ')
        });
        self.find(text.as_bytes()).or_else(|| self.find(&bytes.collect::<Vec<u8>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_lists_of_bytes_are_found() {
        let mut secrets = Secrets::default();
        secrets.add("4111 1111 1111 1111");
        secrets.add("2580");
        assert_eq!(secrets.find(b"x94111111111111111x"), Some("4111111111111111"));
        assert_eq!(secrets.find(b"4111 1111 1111 1111 2580"), None);
        let list = format!("Body([{:?}])", "4111111111111111".as_bytes());
        assert_eq!(secrets.find_in_debug(&list), Some("4111111111111111"));
        assert_eq!(secrets.find_in_debug("Body([52, 49, 7])"), None);
    }
}
