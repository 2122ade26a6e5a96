//! Architecture: reads the sources and checks that a module of the core uses only the modules above it in the table of
//! core/src/lib.rs, that host and firmware-sim use only the endpoints' API and their modules nothing that ARCHITECTURE.md rules
//! out, and that no lint against panics is allowed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use atm_e2e::project_root;
use std::{fs, path::PathBuf};

/// A source file, without those that are only compiled for tests.
struct Source {
    path: PathBuf,
    /// The path of its module from the crate's root.
    module: Vec<String>,
    /// The text without comments, strings and the items behind `#[cfg(test)]`.
    code: String,
}

/// All source files of a crate, found by following its `mod` items.
fn sources(krate: &str, entry: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open = vec![(project_root().join(krate).join("src").join(entry), Vec::new())];
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

/// The modules declared without a body: those in files of their own.
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

/// The text with each comment and string literal replaced by a blank.
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

/// Whether the quote begins a character literal, and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

/// The length of the literal at the start of `text`.
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

/// The length of the raw string at the start of `text`, if one is there.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let body = after.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(after.len() - body.len()));
    let length = body.strip_prefix('"')?.find(&end)? + 1 + end.len();
    Some(text.len() - body.len() + length)
}

/// The code without the items behind `#[cfg(test)]`.
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

/// All paths that begin with `start`, without that; a group `{…}` of a `use` is one path an entry.
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

/// Collects the paths of the `use` tree at the start of `code`; returns the tree's length.
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
    // Skips a rename: `as name`.
    let end = after.find([',', '}', ';', '(', ')']).unwrap_or(0);
    blank + length + if after.trim_start().starts_with("as ") { end } else { 0 }
}

/// Whether the code uses `path`, such as `mio` or `crate::ledger`, or something in it.
fn uses(code: &str, path: &str) -> bool {
    let (start, rest) = path.split_once("::").unwrap_or((path, ""));
    paths(code, start).iter().any(|used| {
        rest.is_empty()
            || used.strip_prefix(rest).is_some_and(|more| more.is_empty() || more.starts_with("::"))
    })
}

/// The modules of the core in the order of the table on its crate page.
fn modules() -> Vec<String> {
    let page = fs::read_to_string(project_root().join("core/src/lib.rs")).unwrap();
    let (_, table) = page.split_once("//! # Modules\n").expect("the crate page has a table of modules");
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | "));
    let modules: Vec<String> = rows.filter_map(|row| row.split('`').nth(1).map(str::to_owned)).collect();
    assert!(modules.len() >= 10 && modules[0] == "money", "{modules:?}");
    modules
}

#[test]
fn architecture_md_lists_the_modules_in_the_order_of_the_crate_page() {
    let page = fs::read_to_string(project_root().join("ARCHITECTURE.md")).unwrap();
    let (_, table) = page.split_once("| module (`core/src`) |").expect("the page has a table of modules");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
    let first_cells = rows.filter_map(|row| row.split('|').nth(1));
    let listed: Vec<&str> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert_eq!(listed, modules());
}

#[test]
fn a_core_module_uses_only_the_modules_above_it() {
    let modules = modules();
    let rank = |name: &str| modules.iter().position(|module| module == name);
    let (mut violations, mut seen) = (Vec::new(), 0);
    for Source { path, module, code } in sources("core", "lib.rs") {
        let Some(own) = module.first() else { continue };
        let path = path.strip_prefix(project_root()).unwrap().display().to_string();
        let mut report = |what: String| violations.push(format!("{path}: {what}"));
        if ["time", "number", "checksum", "xof"].contains(&own.as_str()) {
            if let [used, ..] = &paths(&code, "crate")[..] {
                report(format!("{own} must use no module, and uses {used}"));
            }
            continue;
        }
        let Some(own_rank) = rank(own) else {
            report(format!("{own} is not in the table of modules"));
            continue;
        };
        for used in paths(&code, "crate") {
            seen += 1;
            let other = used.split("::").next().unwrap();
            let allowed = match (other, rank(other)) {
                ("number" | "checksum" | "xof", _) => true,
                // The ledger's wall clock, which no timer has.
                ("time", _) if own == "ledger" => used == "time::UnixTime",
                // The endpoints and the kiosk's loop, which drives one.
                ("time", _) => own_rank >= rank("host").unwrap(),
                (_, Some(other)) => other <= own_rank,
                (_, None) => false,
            };
            if !allowed {
                report(format!("{own} uses {used}, which is not above it in the table"));
            }
        }
        // `super::` must not leave the module: only paths from `crate::` are checked above.
        let up = "super::".repeat(module.len());
        if code.contains(&up) {
            report(format!("{up} leaves the module {own}"));
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(seen > 40, "only {seen} paths were found: does this test still read the sources?");
}

#[test]
fn drivers_use_only_the_endpoints_api() {
    for (krate, entries) in [("host", &["lib.rs", "main.rs"][..]), ("firmware-sim", &["lib.rs", "main.rs"])] {
        let mut seen = 0;
        for Source { path, code, .. } in entries.iter().flat_map(|entry| sources(krate, entry)) {
            for used in paths(&code, "atm_core") {
                seen += 1;
                let internal =
                    ["frame", "codec::json", "codec::postcard", "session::Session", "session::Action"];
                let is_internal =
                    internal.iter().any(|module| used == *module || used.starts_with(&format!("{module}::")));
                assert!(!is_internal, "{} uses {used}, which is internal to the endpoints", path.display());
            }
        }
        assert!(seen > 5, "only {seen} paths were found in {krate}");
    }
}

/// Modules of the drivers, and what they must not know by the tables of ARCHITECTURE.md.
const MUST_NOT_KNOW: [(&str, &str, &[&str]); 25] = [
    ("host", "server::accept", &["crate::ledger", "atm_core::ledger"]),
    ("host", "server::connection", &["crate::ledger", "crate::metrics"]),
    ("host", "server::admission", &["crate::ledger", "mio::net"]),
    ("host", "server::certificates", &["crate::ledger", "mio::net"]),
    ("host", "tls", &["crate::server", "mio", "atm_core::host", "atm_core::terminal", "atm_core::message"]),
    ("host", "stream", &["crate::server", "crate::client", "atm_core"]),
    ("host", "server::opening", &["crate", "atm_core", "mio"]),
    ("host", "server::conversations", &["crate::ledger", "mio::net"]),
    ("host", "server::dispatch", &["crate::ledger", "mio::net", "std::fs"]),
    ("host", "server::committer", &["crate::ledger", "crate::server", "crate::metrics", "mio", "std::fs"]),
    ("host", "server::disk_ledger", &["mio"]),
    ("host", "server::response_log", &["mio", "std::fs"]),
    ("host", "server::timers", &["crate"]),
    ("host", "server::serial", &["mio", "std::net"]),
    (
        "host",
        "ledger",
        &["crate::server", "crate::client", "mio", "atm_core::host", "atm_core::session", "atm_core::wire"],
    ),
    ("host", "ledger::entry", &["rusqlite", "std::fs", "crate"]),
    ("host", "ledger::words", &["rusqlite", "std::fs", "crate"]),
    ("host", "ledger::batch", &["rusqlite", "std::fs", "crate"]),
    ("host", "ledger::store", &["rusqlite", "std::fs", "crate", "atm_core::ledger::decide"]),
    ("host", "ledger::committer", &["rusqlite", "std::fs"]),
    ("host", "metrics", &["crate::server", "crate::ledger", "crate::client"]),
    ("host", "client", &["crate::server", "crate::ledger", "crate::metrics", "atm_core::money"]),
    ("host", "serial", &["crate", "atm_core"]),
    (
        "firmware-sim",
        "board",
        &["atm_core::host", "atm_core::terminal", "atm_core::ledger", "atm_core::wire", "std"],
    ),
    ("firmware-sim", "fault_injector", &["atm_core::message", "atm_core::wire", "atm_core::host"]),
];

#[test]
fn a_module_of_a_driver_does_not_use_what_it_must_not_know() {
    for (krate, module, forbidden) in MUST_NOT_KNOW {
        let sources = sources(krate, "lib.rs");
        let within = |source: &&Source| {
            let path = source.module.join("::");
            path == module || path.starts_with(&format!("{module}::"))
        };
        let files: Vec<&Source> = sources.iter().filter(within).collect();
        assert!(!files.is_empty(), "{krate} has no module {module}");
        for source in files {
            for path in forbidden {
                assert!(!uses(&source.code, path), "{} uses {path}", source.path.display());
            }
        }
    }
}

#[test]
fn every_event_has_a_public_target() {
    let mut seen = 0;
    for Source { path, code, .. } in ["lib.rs", "main.rs"].iter().flat_map(|entry| sources("host", entry)) {
        for event in ["error!(", "warn!(", "info!(", "debug!(", "trace!(", "enabled!("] {
            for (at, _) in code.match_indices(event) {
                seen += 1;
                let has_target = code[at + event.len()..].trim_start().starts_with("target:");
                assert!(has_target, "{}: {event} without a target", path.display());
            }
        }
    }
    assert!(seen > 30, "only {seen} events were found");
}

#[test]
fn no_code_allows_a_panic() {
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
    let mut violations = Vec::new();
    for (krate, entry) in crates {
        let manifest = fs::read_to_string(project_root().join(krate).join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{krate} does not have the workspace's lints"
        );
        for Source { path, code, .. } in sources(krate, entry) {
            let attributes = code
                .match_indices("#")
                .filter_map(|(at, _)| code[at..].split_once(']'))
                .map(|(text, _)| text);
            for attribute in attributes.filter(|text| text.contains("allow(") || text.contains("expect(")) {
                if LINTS.iter().any(|lint| attribute.contains(lint)) {
                    violations.push(format!("{}: {attribute}]", path.display()));
                }
            }
            for call in CALLS.iter().filter(|call| code.contains(**call)) {
                violations.push(format!("{}: {call}", path.display()));
            }
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
    // Indexing is found only by a lint, not by a search of the text.
    let manifest = fs::read_to_string(project_root().join("Cargo.toml")).unwrap();
    for lint in ["indexing_slicing", "unwrap_used", "expect_used", "panic", "unreachable", "todo"] {
        assert!(manifest.contains(&format!("\n{lint} = \"warn\"")), "the workspace does not warn of {lint}");
    }
}

#[test]
fn paths_and_modules_are_read_from_code_only() {
    let text = "use crate::{a::{b, c as d}, e::*, f}; // crate::no\n let x = \"crate::no\"; r#\"crate::no\"#; '\"'; crate::g::h(); \
        fn l<'a>(x: &'a str) {} #[cfg(test)] mod tests { use crate::no; fn t() {} } crate::i; #[cfg(test)] mod no; mod yes;";
    let code = without_tests(&without_prose(text));
    assert_eq!(paths(&code, "crate"), ["a::b", "a::c", "e::*", "f", "g::h", "i"]);
    assert_eq!(declared(&code), ["yes"]);
    assert!(uses(&code, "crate::a") && uses(&code, "crate::a::b") && uses(&code, "crate"));
    assert!(!uses(&code, "crate::no") && !uses(&code, "mio"));
}
