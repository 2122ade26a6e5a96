//! How many bytes an answer and its reply take on each wire, frames included.
#![allow(missing_docs, clippy::unwrap_used)]
use atm_counts::Round;

#[test]
fn an_answer_and_its_reply_take_so_many_bytes() {
    let taken = |wire: &str| {
        [&["?"][..], &["3"], &["2", "20"], &["deposit 40"], &["withdraw 20"]]
            .map(|texts| Round::new(wire.parse().unwrap(), texts).sizes())
    };
    // Not a choice; the balance; the amount of a withdrawal, after the question; a deposit and a withdrawal in one line.
    assert_eq!(taken("json"), [(25, 238), (25, 295), (26, 333), (34, 332), (35, 333)]);
    assert_eq!(taken("postcard"), [(12, 16), (12, 22), (13, 24), (21, 24), (22, 24)]);
    assert_eq!(taken("raw"), [(1, 215), (1, 213), (2, 235), (10, 236), (11, 235)]);
}
