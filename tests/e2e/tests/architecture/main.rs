//! The map of the rooms holds: a room of the core knows only the rooms above it, drivers only drive, and nothing that
//! bytes can reach is allowed to panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file that is not only there for tests.
struct Source {
    path: PathBuf,
    /// Its module, from the crate's root.
    module: Vec<String>,
    /// Its text without comments, strings and parts that are only compiled for tests.
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Every source file of a crate, found by its modules.
fn sources(krate: &str, entry: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open = vec![(root().join(krate).join("src").join(entry), Vec::new())];
    while let Some((path, module)) = open.pop() {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let code = without_tests(&without_prose(&text));
        let folder =
            if module.is_empty() { path.parent().unwrap().to_owned() } else { path.with_extension("") };
        for name in declared(&code) {
            let path = folder.join(&name).with_extension("rs");
            open.push((path, [&module[..], &[name]].concat()));
        }
        found.push(Source { path, module, code });
    }
    found
}

/// The modules that are files of their own.
fn declared(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("mod ") {
        let word = at == 0 || code[..at].ends_with(|c: char| c.is_whitespace());
        let Some((name, _)) = code[at + 4..].split_once(';') else { continue };
        if word && name.trim().chars().all(is_word) {
            names.push(name.trim().to_owned());
        }
    }
    names
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The text with a blank for every comment and every string.
fn without_prose(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest).filter(|_| !code.ends_with(is_word)) {
            length
        } else if c == '"' {
            string(rest, '"')
        } else if c == '\'' && is_character(rest) {
            string(rest, '\'')
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[length..];
    }
    code
}

/// Not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

fn string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let body = after.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(after.len() - body.len()));
    let length = body.strip_prefix('"')?.find(&end)? + 1 + end.len();
    Some(text.len() - body.len() + length)
}

/// The code without what stands behind `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut rest = code;
    while let Some((before, behind)) = rest.split_once(MARK) {
        kept.push_str(before);
        let mut depth = 0;
        let end = behind.char_indices().find_map(|(at, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            (depth == 0 && (c == ';' || c == '}')).then_some(at + 1)
        });
        rest = &behind[end.unwrap_or(behind.len())..];
    }
    kept + rest
}

/// Every path that begins with `start`, without it; groups are taken apart.
fn paths(code: &str, start: &str) -> Vec<String> {
    let start = format!("{start}::");
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&start) {
        if !code[..at].ends_with(|c: char| is_word(c) || c == ':') {
            tree(&code[at + start.len()..], "", &mut found);
        }
    }
    found
}

/// Collects the paths of a `use` tree that stands at the start of `code`; returns its length.
fn tree(code: &str, before: &str, found: &mut Vec<String>) -> usize {
    let blank = code.len() - code.trim_start().len();
    if code[blank..].starts_with('{') {
        let mut at = blank + 1;
        loop {
            at += tree(&code[at..], before, found);
            let rest = code[at..].trim_start();
            at = code.len() - rest.len() + 1;
            if !rest.starts_with(',') {
                return at;
            }
        }
    }
    let length = code[blank..].find(|c: char| !is_word(c) && c != '*').unwrap_or(0);
    let name = &code[blank..blank + length];
    let path = if before.is_empty() { name.to_owned() } else { format!("{before}::{name}") };
    let after = &code[blank + length..];
    if let Some(rest) = after.strip_prefix("::") {
        return blank + length + 2 + tree(rest, &path, found);
    }
    if !path.is_empty() {
        found.push(path);
    }
    // A new name for it, if there is one.
    let end = after.find([',', '}', ';', '(', ')']).unwrap_or(0);
    blank + length + if after.trim_start().starts_with("as ") { end } else { 0 }
}

/// The rooms in their order, as the core's own page tells it.
fn rooms() -> Vec<String> {
    let page = fs::read_to_string(root().join("core/src/lib.rs")).unwrap();
    let (_, table) = page.split_once("//! # Modules\n").expect("the page has a table of modules");
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | "));
    let rooms: Vec<String> = rows.filter_map(|row| row.split('`').nth(1).map(str::to_owned)).collect();
    assert!(rooms.len() >= 10 && rooms[0] == "money", "{rooms:?}");
    rooms
}

#[test]
fn a_room_knows_only_the_rooms_above_it() {
    let rooms = rooms();
    let rank = |name: &str| rooms.iter().position(|room| room == name);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for Source { path, module, code } in sources("core", "lib.rs") {
        let Some(room) = module.first() else { continue };
        let path = path.strip_prefix(root()).unwrap().display().to_string();
        let mut complain = |what: String| wrong.push(format!("{path}: {what}"));
        if ["time", "number", "checksum"].contains(&room.as_str()) {
            if let [used, ..] = &paths(&code, "crate")[..] {
                complain(format!("{room} knows no room, and names {used}"));
            }
            continue;
        }
        let Some(own) = rank(room) else {
            complain(format!("{room} is not in the list of rooms"));
            continue;
        };
        for used in paths(&code, "crate") {
            seen += 1;
            let other = used.split("::").next().unwrap();
            let fits = match (other, rank(other)) {
                // How numbers are written serves whatever holds some, and the check sum what has one.
                ("number" | "checksum", _) => true,
                // Time serves the endpoints, and what drives them.
                ("time", _) => own >= rank("host").unwrap(),
                (_, Some(other)) => other <= own,
                (_, None) => false,
            };
            if !fits {
                complain(format!("{room} names {used}, which is below it"));
            }
        }
        // A way around the list.
        let up = "super::".repeat(module.len());
        if code.contains(&up) {
            complain(format!("{up} leads out of the room"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 40, "only {seen} paths were found: is this test still reading them?");
}

#[test]
fn drivers_only_drive() {
    for (krate, entries) in [("host", &["lib.rs", "main.rs"][..]), ("firmware-sim", &["lib.rs", "main.rs"])] {
        let mut seen = 0;
        for Source { path, code, .. } in entries.iter().flat_map(|entry| sources(krate, entry)) {
            for used in paths(&code, "atm_core") {
                seen += 1;
                let inside =
                    ["frame", "codec::json", "codec::postcard", "session::Session", "session::Action"];
                let within =
                    inside.iter().any(|inside| used == *inside || used.starts_with(&format!("{inside}::")));
                assert!(!within, "{} names {used}, which is the endpoints' own", path.display());
            }
        }
        assert!(seen > 5, "only {seen} paths were found in {krate}");
    }
}

#[test]
fn nothing_is_allowed_to_panic() {
    const CALLS: [&str; 8] = [
        ".unwrap()",
        ".unwrap_err()",
        ".expect(",
        "panic!",
        "unreachable!",
        "unimplemented!",
        "todo!",
        "get_unchecked",
    ];
    const LINTS: [&str; 7] =
        ["unwrap_used", "expect_used", "panic", "unreachable", "indexing_slicing", "todo", "clippy::all"];
    let crates = [
        ("core", "lib.rs"),
        ("host", "lib.rs"),
        ("host", "main.rs"),
        ("firmware-sim", "lib.rs"),
        ("firmware-sim", "main.rs"),
    ];
    let mut wrong = Vec::new();
    for (krate, entry) in crates {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{krate} takes the workspace's lints");
        for Source { path, code, .. } in sources(krate, entry) {
            let attributes = code
                .match_indices("#")
                .filter_map(|(at, _)| code[at..].split_once(']'))
                .map(|(text, _)| text);
            for attribute in attributes.filter(|text| text.contains("allow(") || text.contains("expect(")) {
                if LINTS.iter().any(|lint| attribute.contains(lint)) {
                    wrong.push(format!("{}: {attribute}]", path.display()));
                }
            }
            for call in CALLS.iter().filter(|call| code.contains(**call)) {
                wrong.push(format!("{}: {call}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The lints that hold indexing back, which no search for a word would find.
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for lint in ["indexing_slicing", "unwrap_used", "expect_used", "panic", "unreachable", "todo"] {
        assert!(manifest.contains(&format!("\n{lint} = \"warn\"")), "{lint} is not on in the workspace");
    }
}

#[test]
fn this_test_reads_code() {
    let text = "use crate::{a::{b, c as d}, e::*, f}; // crate::no\n let x = \"crate::no\"; r#\"crate::no\"#; '\"'; crate::g::h(); \
        fn l<'a>(x: &'a str) {} #[cfg(test)] mod tests { use crate::no; fn t() {} } crate::i; #[cfg(test)] mod no; mod yes;";
    let code = without_tests(&without_prose(text));
    assert_eq!(paths(&code, "crate"), ["a::b", "a::c", "e::*", "f", "g::h", "i"]);
    assert_eq!(declared(&code), ["yes"]);
}
