//! Heads of journals as lines of text: `show` and `verify` print them, `verify --expect` reads them.
use atm_host::ledger::{entry::Hash, reader::Journal};

/// A journal's name, its last entry's number and hash, in a line.
pub(super) fn line(Journal { name, head, .. }: &Journal) -> String {
    format!("journal {name} {} {}", head.number, head.hash)
}

/// The heads in a text, in which other lines say other things. `None` if there is none.
pub(super) fn parse(text: &str) -> Option<Vec<(String, u64, Hash)>> {
    let heads = text.lines().filter(|line| line.starts_with("journal ")).map(|line| {
        let mut words = line.split(' ').skip(1);
        let name = words.next()?.to_owned();
        Some((name, words.next()?.parse().ok()?, Hash::parse(words.next()?)?))
    });
    heads.collect::<Option<Vec<_>>>().filter(|heads| !heads.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_host::ledger::entry::Head;

    #[test]
    fn what_was_printed_is_read_again() {
        let hash = Hash::default().next("a line");
        let journals = [("host", 9, hash), ("operator", 0, Hash::default())].map(|(name, number, hash)| {
            Journal { journal: 1, name: name.to_owned(), head: Head { batches: 7, number, hash } }
        });
        let text = journals.each_ref().map(line).join("\n");
        let heads = journals.map(|Journal { name, head, .. }| (name, head.number, head.hash));
        assert_eq!(parse(&format!("ok\nledger     7\n{text}\nanything\n")), Some(heads.to_vec()));
        for text in ["", "ok\n", "journal host 9\n", "journal host x 00\n", &text[..text.len() - 1]] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
