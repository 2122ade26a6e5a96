//! Broken rules: what `--break` changes in the tables by hand before the last audit, which must find it.

/// The last operation of a terminal that was done.
macro_rules! last {
    () => {
        "(journal, number) = (SELECT journal, number FROM entries WHERE terminal = 'kiosk-0' AND kind = 'done' ORDER BY id DESC LIMIT 1)"
    };
}

/// Their names, and the statement of each.
pub(crate) const BREAKS: [(&str, &str); 5] = [
    ("missing", concat!("DELETE FROM entries WHERE ", last!())),
    (
        "duplicate",
        concat!(
            "UPDATE entries SET id = (SELECT min(id) FROM entries WHERE terminal = 'kiosk-0') WHERE ",
            last!()
        ),
    ),
    ("outcome", concat!("UPDATE entries SET kind = 'void', operation = NULL WHERE ", last!())),
    ("balance", "UPDATE accounts SET balance = balance + 1"),
    ("epoch", "UPDATE journals SET epoch = 0"),
];

/// The statement of this name.
///
/// # Errors
/// The names that there are.
pub(crate) fn statement(name: &str) -> Result<&'static str, String> {
    let names = || BREAKS.map(|(name, _)| name).join(", ");
    let found = BREAKS.iter().find(|(known, _)| *known == name);
    found.map(|(_, sql)| *sql).ok_or_else(|| format!("it is one of {}", names()))
}
