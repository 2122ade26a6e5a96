//! No oracle: a wrong PIN, an unknown card and a blocked card have one reply, the same writes and the same distribution of times, over sealed
//! links with the ledger on disk.
use crate::branch::{Branch, Terminal};
use atm_e2e::{Direction, FrameProxy, Program, Rng, Value, seeded_rng};
use atm_host::{access::draw, client::Target};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::{Duration, Instant},
};

const REFUSED: &str = "The card and the PIN were not accepted.\n\nPlease type your PIN. (or back)";

/// Why a card is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Case {
    WrongPin,
    Unknown,
    Blocked,
}

const CASES: [Case; 3] = [Case::WrongPin, Case::Unknown, Case::Blocked];

/// A branch whose second card is blocked.
fn branch() -> Branch {
    let branch = Branch::new();
    branch.order(&["card", "block", "2"]);
    branch
}

impl Case {
    /// A number and a PIN that are refused for this reason. The blocked card gets its right PIN.
    fn card(self, branch: &Branch) -> (String, String) {
        let wrong = if branch.cards[0].1 == "2580" { "1379" } else { "2580" };
        match self {
            Self::WrongPin => (branch.cards[0].0.clone(), wrong.to_owned()),
            Self::Unknown => {
                let (_, number) = draw::card_number(&"9999".parse().unwrap()).unwrap();
                (number.to_string(), wrong.to_owned())
            }
            Self::Blocked => branch.cards[1].clone(),
        }
    }
}

/// `sqlite3` on the ledger. `None` on a machine without it, where the test is skipped with a message.
fn sqlite3(branch: &Branch) -> Option<Command> {
    if !Command::new("sqlite3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no sqlite3 on this machine");
        return None;
    }
    let mut command = Command::new("sqlite3");
    // It waits for a commit of the server.
    command.args(["-cmd", ".timeout 20000"]).arg(format!("{}/ledger.db", branch.path("data")));
    Some(command)
}

/// The rows of every table, by the table's name and the row's number.
type Tables = BTreeMap<(String, usize), Value>;

fn tables(branch: &Branch) -> Option<Tables> {
    let query = |text: &str| {
        let mut command = sqlite3(branch)?;
        command.args(["-readonly", "-json", text]);
        let done = Program::run(command, "");
        assert_eq!(done.code, Some(0), "{done:?}");
        Some(serde_json::from_str::<Vec<Value>>(&done.stdout).unwrap_or_default())
    };
    let mut tables = Tables::new();
    for name in query("SELECT name FROM sqlite_schema WHERE type = 'table'")? {
        let name = name["name"].as_str().unwrap();
        let rows = query(&format!("SELECT * FROM {name} ORDER BY rowid"))?;
        tables.extend(rows.into_iter().enumerate().map(|(at, row)| ((name.to_owned(), at), row)));
    }
    assert!(tables.keys().any(|(name, _)| name == "cards"));
    Some(tables)
}

/// How many rows of each table have changed or are new, and in which columns.
fn changed(before: &Tables, after: &Tables) -> BTreeMap<String, (usize, BTreeSet<String>)> {
    let mut changed: BTreeMap<_, (usize, BTreeSet<_>)> = BTreeMap::new();
    for ((table, at), row) in after.iter().filter(|(key, row)| before.get(*key) != Some(*row)) {
        let (count, columns) = changed.entry(table.clone()).or_default();
        *count += 1;
        for (column, value) in row.as_object().unwrap() {
            let former = before.get(&(table.clone(), *at)).map(|row| &row[column.as_str()]);
            // Of a blocked card it is as great as it can be: the row is written all the same.
            if former != Some(value) && (table.as_str(), column.as_str()) != ("cards", "tries") {
                columns.insert(column.clone());
            }
        }
    }
    changed
}

#[test]
fn a_wrong_pin_an_unknown_and_a_blocked_card_have_one_reply_and_the_same_writes() {
    let branch = branch();
    let server = branch.serve(&[]);
    let (proxy, mut seen) = (FrameProxy::to(server.address), BTreeMap::new());
    for case in CASES {
        let name = format!("{case:?}");
        branch.enrol(&name);
        let mut terminal = branch.terminal(&name, Target::Tcp(vec![proxy.address.to_string()]));
        let (number, pin) = case.card(&branch);
        terminal.ask(&number);
        let (Some(before), frames) = (tables(&branch), proxy.recorded().len()) else { return };
        let reply = terminal.ask(&pin);
        assert_eq!(reply.text, REFUSED, "{case:?}");
        let frames: Vec<_> = proxy.recorded()[frames..]
            .iter()
            .map(|frame| (frame.direction == Direction::Up, frame.body.len()))
            .collect();
        let writes = changed(&before, &tables(&branch).unwrap());
        assert_eq!(writes["cards"], (1, BTreeSet::from(["refusals".to_owned()])), "{case:?}");
        assert_eq!((writes["entries"].0, writes["terminals"].0, frames.len()), (1, 1, 2), "{case:?}");
        seen.insert(case, (reply.outcome, reply.failure, frames, writes));
    }
    assert_eq!(seen[&Case::WrongPin], seen[&Case::Unknown]);
    assert_eq!(seen[&Case::WrongPin], seen[&Case::Blocked]);
    // A third wrong PIN, which blocks the card.
    for name in ["second", "third"] {
        let mut terminal = branch.at_card(name, &server);
        let (number, pin) = Case::WrongPin.card(&branch);
        terminal.ask(&number);
        assert_eq!(terminal.ask(&pin).text, REFUSED);
    }
    let list = branch.order(&["card", "list", "--json"]).stdout;
    assert_eq!(list.matches("\"blocked\":true").count(), 2, "{list}");
    server.stop();
}

/// Refusals of each kind that are timed.
const EACH: usize = 200;

/// The quartiles of the times of refusals, which come in a random order at several terminals.
fn quartiles(
    branch: &Branch,
    terminals: &mut [Terminal],
    sqlite3: &mut Program,
    rng: &mut Rng,
) -> BTreeMap<Case, [Duration; 3]> {
    let mut order: Vec<Case> = CASES.iter().flat_map(|case| [*case; EACH]).collect();
    rng.shuffle(&mut order);
    let mut times: BTreeMap<Case, Vec<Duration>> = BTreeMap::new();
    for (turn, case) in order.into_iter().enumerate() {
        let count = terminals.len();
        let (terminal, (number, pin)) = (&mut terminals[turn % count], case.card(branch));
        assert!(terminal.ask(&number).text.starts_with("Please type your PIN."));
        let began = Instant::now();
        let reply = terminal.ask(&pin);
        times.entry(case).or_default().push(began.elapsed());
        assert_eq!(reply.text, REFUSED, "{case:?}");
        terminal.ask("back");
        // So that the next PIN is judged too: there is no delay, and the first card is not blocked.
        sqlite3.type_line(
            "UPDATE cards SET tries = 0, blocked = 0, version = 0 WHERE card = 1;
             UPDATE terminals SET delay_until = 0, delay_length = 0;
             SELECT 'done';",
        );
        sqlite3.wait_for_times("done\n", turn + 1);
    }
    let quartiles = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        [1, 2, 3].map(|quarter| times[times.len() * quarter / 4])
    };
    times.iter_mut().map(|(case, times)| (*case, quartiles(times))).collect()
}

#[test]
fn the_time_until_a_refusal_does_not_say_why() {
    let (branch, mut rng) = (branch(), seeded_rng());
    let server = branch.serve(&["--log", "error", "--refusal-alarm", "1000000"]);
    let mut terminals: Vec<_> =
        (0..4).map(|number| branch.at_card(&format!("kiosk-{number}"), &server)).collect();
    // A difference by chance, on a busy machine, does not come each time.
    let mut differs = true;
    for attempt in 0..5 {
        let Some(sqlite3) = sqlite3(&branch) else { return };
        let quartiles = quartiles(&branch, &mut terminals, &mut Program::start(sqlite3), &mut rng);
        let spread = quartiles.values().map(|[low, _, high]| *high - *low).min().unwrap();
        println!("attempt {attempt}: {quartiles:?}, bound {:?}", spread / 3);
        differs = CASES.iter().any(|case| {
            let pairs = quartiles[case].iter().zip(quartiles[&Case::WrongPin]);
            pairs.into_iter().any(|(one, other)| one.abs_diff(other) > spread / 3)
        });
        if !differs {
            break;
        }
    }
    drop(terminals);
    server.stop();
    assert!(!differs, "the times of refusals differ by their reason");
}
