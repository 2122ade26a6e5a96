//! The bytes of an answer and of its reply on each wire, frames included.
#![allow(missing_docs, clippy::unwrap_used)]
use atm_counts::Workload;

#[test]
fn the_sizes_of_answers_and_replies_stay_the_same() {
    let sizes = |link: &str| {
        [&["?"][..], &["3"], &["2", "20"], &["deposit 40"], &["withdraw 20"]]
            .map(|texts| Workload::new(link.parse().unwrap(), texts).sizes())
    };
    // An invalid choice; the balance; the amount of a withdrawal, at its prompt; a deposit and a withdrawal
    // in one line.
    assert_eq!(sizes("json"), [(25, 238), (25, 295), (26, 333), (34, 332), (35, 333)]);
    assert_eq!(sizes("postcard"), [(13, 17), (13, 23), (14, 25), (22, 25), (23, 25)]);
    // Each answer has one length, and so has each reply.
    assert_eq!(sizes("sealed"), [(104, 104); 5]);
    assert_eq!(sizes("raw"), [(1, 215), (1, 213), (2, 235), (10, 236), (11, 235)]);
}
