//! Ledgers that break a clause about hellos: turns, epochs, numbers, and the proof of a set-back.
use super::*;

/// Answers a hello of another claim.
fn claiming(ledger: &mut Plain, request: &Request, change: fn(&mut HelloClaim)) -> Response {
    let mut request = request.clone();
    if let Command::Hello(claim) = &mut request.command {
        change(claim);
    }
    ledger.apply(&request)
}

/// Changes the admission of a hello.
fn admitting(ledger: &mut Plain, request: &Request, change: fn(&mut Admission)) -> Response {
    let mut response = ledger.apply(request);
    if let Response::Admitted(admission) = &mut response {
        change(admission);
    }
    response
}

/// Changes the row of the terminal once the request is answered.
fn saving(ledger: &mut Plain, request: &Request, change: fn(&mut Terminal)) -> Response {
    let response = ledger.apply(request);
    if let Some(row) = ledger.row(request) {
        change(row);
    }
    response
}

/// Ledgers that break what they answer or save.
const BENT: &[(Broken, Bend)] = &[
    ("a hello is admitted or rejected", |ledger, request| match request.command {
        Command::Hello(_) => Response::Fenced,
        _ => ledger.apply(request),
    }),
    ("a hello of a new start is admitted", |ledger, request| match request.command {
        Command::Hello(_) => Response::Rejected(Rejection::InUse),
        _ => ledger.apply(request),
    }),
    ("an admission has a number at least", |ledger, request| {
        admitting(ledger, request, |admission| admission.numbers = Numbers::NONE)
    }),
    ("an admission has the terminal's last record", |ledger, request| {
        admitting(ledger, request, |admission| admission.last = None)
    }),
    (RECORD, |ledger, request| {
        admitting(ledger, request, |admission| {
            admission.last = admission.last.map(|last| Record { id: last.id + 1, ..last });
        })
    }),
    (RECORD, |ledger, request| {
        admitting(ledger, request, |admission| {
            admission.last = admission.last.map(|last| Record { operation: None, ..last });
        })
    }),
    (RECORD, |ledger, request| {
        admitting(ledger, request, |admission| {
            admission.last = admission.last.map(|last| Record { outcome: Outcome::NotDone, ..last });
        })
    }),
    ("a first hello has no former epoch", |ledger, request| {
        admitting(ledger, request, |admission| admission.former = Some(Epoch::PLAIN))
    }),
    ("a hello gets the epoch of the hello before it", |ledger, request| {
        saving(ledger, request, |row| row.epoch = None)
    }),
    // The first hello's epoch stays.
    ("a hello gets the epoch of the hello before it", |ledger, request| {
        saving(ledger, request, |row| row.epoch = Some(Epoch::clear(9, 9)))
    }),
    ("an admitted hello raises the turn", |ledger, request| {
        let turn = ledger.row(request).map(|row| row.turn);
        let mut response = ledger.apply(request);
        if let (Response::Admitted(admission), Some(row), Some(turn)) =
            (&mut response, ledger.row(request), turn)
        {
            (admission.turn, row.turn) = (turn, turn);
        }
        response
    }),
    ("a hello of the admitted epoch is rejected", |ledger, request| {
        claiming(ledger, request, |claim| claim.admit_equal = true)
    }),
    ("a rejected hello changes nothing", |ledger, request| {
        let response = ledger.apply(request);
        if let (Response::Rejected(_), Some(row)) = (response, ledger.row(request)) {
            row.last = Some(Record::new(u64::MAX, None, Outcome::NotDone));
        }
        response
    }),
    ("a hello that may be a retransmission is admitted", |ledger, request| {
        claiming(ledger, request, |claim| claim.admit_equal = false)
    }),
    // An epoch of a plain client is like any other.
    ("each hello of a plain client is admitted", |ledger, request| {
        match (ledger.row(request), request.command) {
            (Some(row), Command::Hello(claim)) if row.epoch == Some(claim.epoch) && !claim.admit_equal => {
                Response::Rejected(Rejection::InUse)
            }
            _ => ledger.apply(request),
        }
    }),
    ("a request of an earlier turn is fenced", |ledger, request| {
        let turn = ledger.row(request).map_or(0, |row| row.turn);
        ledger.apply(&Request { turn, ..request.clone() })
    }),
    ("a request of an earlier turn is fenced", |ledger, request| match request.command {
        // The fence is for operations alone.
        Command::Reserve => {
            let turn = ledger.row(request).map_or(0, |row| row.turn);
            ledger.apply(&Request { turn, ..request.clone() })
        }
        _ => ledger.apply(request),
    }),
    // It is fenced, and done.
    ("a fenced request records nothing", |ledger, request| {
        let response = ledger.apply(request);
        if let (Response::Fenced, Some(turn)) = (response, ledger.row(request).map(|row| row.turn)) {
            ledger.apply(&Request { turn, ..request.clone() });
        }
        response
    }),
    (SUM, |ledger, request| {
        let response = ledger.apply(request);
        if let (Response::Fenced, Command::Operate { operation, .. }) = (response, request.command) {
            ledger.unrecorded(operation);
        }
        response
    }),
    ("a hello fences no other terminal", |ledger, request| {
        let response = ledger.apply(request);
        if let Response::Admitted(_) = response {
            let name = request.origin.terminal();
            let others = ledger.terminals.iter_mut().filter(|(known, _)| Some(known) != name);
            others.for_each(|(_, row)| row.turn += 1);
        }
        response
    }),
    ("a claim far above the reserved numbers is unsound", |ledger, request| {
        claiming(ledger, request, |claim| claim.seen = claim.seen.min(1 << 20))
    }),
    ("a claim about another ledger is ignored", |ledger, request| {
        claiming(ledger, request, |claim| claim.ledger = claim.ledger.map(|_| LedgerId(7)))
    }),
    ("a claim about another ledger is ignored", |ledger, request| match request.command {
        // Its numbers begin above any claim.
        Command::Hello(HelloClaim { ledger: Some(LedgerId(other)), seen, .. }) if other != 7 => {
            if let Some(row) = ledger.row(request) {
                row.next_number = seen;
            }
            ledger.apply(request)
        }
        _ => ledger.apply(request),
    }),
    ("a claim of reserved numbers is admitted", |ledger, request| match request.command {
        Command::Hello(HelloClaim { ledger: Some(LedgerId(7)), seen: ..FAR, .. }) => {
            Response::Rejected(Rejection::Unsound)
        }
        _ => ledger.apply(request),
    }),
    ("a claim of reserved numbers proves no set-back", |ledger, request| {
        claiming(ledger, request, |claim| claim.seen += u64::from(claim.seen < FAR))
    }),
    ("a request for numbers gets numbers", |ledger, request| match request.command {
        Command::Reserve => Response::Fenced,
        _ => ledger.apply(request),
    }),
    ("a request for numbers gets one at least", |ledger, request| match ledger.apply(request) {
        Response::Reserved(_) => Response::Reserved(Numbers::NONE),
        other => other,
    }),
    // Each block is the first one.
    (NUMBERS, |ledger, request| {
        admitting(ledger, request, |admission| admission.numbers = Numbers::block(1, 256))
    }),
    // The last number of each block is the first of the next.
    (NUMBERS, |ledger, request| match ledger.apply(request) {
        Response::Reserved(mut numbers) => {
            Response::Reserved(Numbers::block(numbers.take().unwrap() - 1, 256))
        }
        other => other,
    }),
    ("a hello that proves a set-back is admitted", |ledger, request| match request.command {
        Command::Hello(HelloClaim { ledger: Some(LedgerId(7)), seen: SET_BACK..FAR, .. }) => {
            Response::Rejected(Rejection::Unsound)
        }
        _ => ledger.apply(request),
    }),
    ("numbers begin above all that the terminal has seen", |ledger, request| {
        claiming(ledger, request, |claim| claim.seen = if claim.seen < FAR { 0 } else { claim.seen })
    }),
    ("a claim above the reserved numbers proves a set-back", |ledger, request| {
        admitting(ledger, request, |admission| admission.set_back = None)
    }),
    ("the gap has the numbers that the terminal has seen", |ledger, request| {
        admitting(ledger, request, |admission| {
            admission.set_back = admission.set_back.map(|gap| Gap { end: gap.end - 1, ..gap });
        })
    }),
    ("the gap has the numbers that the terminal has seen", |ledger, request| {
        admitting(ledger, request, |admission| {
            admission.set_back = admission.set_back.map(|gap| Gap { start: gap.end - 1, ..gap });
        })
    }),
    ("one set-back a minute is served", |ledger, request| {
        saving(ledger, request, |row| row.set_back_at = None)
    }),
    (GAP, |ledger, request| saving(ledger, request, |row| row.gap = Gap::NONE)),
    (GAP, |ledger, request| saving(ledger, request, |row| row.gap.end = row.gap.end.saturating_sub(1))),
    ("an id above the gap is settled", |ledger, request| {
        saving(ledger, request, |row| {
            row.gap.end += u64::from(row.gap.start < row.gap.end);
        })
    }),
    ("there is room for so many terminals", |ledger, request| match request.command {
        Command::Hello(_) if ledger.terminals.len() == 2 && ledger.row(request).is_none() => {
            Response::Rejected(Rejection::Full)
        }
        _ => ledger.apply(request),
    }),
    // A terminal without room is admitted and has no row.
    ("a full ledger rejects another terminal", |ledger, request| match ledger.apply(request) {
        Response::Rejected(Rejection::Full) => ledger
            .clone()
            .apply(&Request { origin: Origin::Terminal(ledger.terminals[0].0.clone()), ..request.clone() }),
        other => other,
    }),
    ("a full ledger does nothing for another terminal", |ledger, request| match request.command {
        Command::Settle { id } if ledger.terminals.len() == 3 && ledger.row(request).is_none() => {
            Response::Settled { id, outcome: Outcome::NotDone }
        }
        _ => ledger.apply(request),
    }),
    ("a full ledger admits the terminals that it knows", |ledger, request| match request.command {
        Command::Hello(_) if ledger.terminals.len() == 3 => Response::Rejected(Rejection::Full),
        _ => ledger.apply(request),
    }),
    // Gaps of two terminals are one: no clause has two.
    (SAME, |ledger, request| {
        let response = ledger.apply(request);
        if let Some(gap) = ledger.row(request).map(|row| row.gap) {
            ledger.terminals.iter_mut().for_each(|(_, row)| row.gap = gap);
        }
        response
    }),
    // A number is skipped.
    (SAME, |ledger, request| match ledger.apply(request) {
        Response::Reserved(mut numbers) => {
            numbers.take();
            Response::Reserved(numbers)
        }
        other => other,
    }),
];

/// Ledgers that break what they remember.
const FORGETFUL: &[(Broken, Reopen)] = &[
    (NUMBERS, |old| with_rows(old, |row| row.next_number = 1)),
    (NUMBERS, |old| with_rows(old, |row| row.next_number -= 1)),
    (GAP, |old| with_rows(old, |row| row.gap = Gap::NONE)),
];

/// Ledgers that forget what a store may forget that keeps no rows.
const WITHOUT_ROWS: &[(Broken, Reopen)] = &[
    ("a turn survives a loss of power", |old| with_rows(old, |row| row.turn -= 1)),
    ("a conversation survives a loss of power", |old| with_rows(old, |row| row.turn += 1)),
    ("an epoch survives a loss of power", |old| with_rows(old, |row| row.epoch = None)),
    (SAME, |old| with_rows(old, |row| row.next_number += 4096)),
];

const RECORD: Broken = "the record has the id, the operation and its outcome";
const NUMBERS: Broken = "no number is given twice, and later ones are greater";
const GAP: Broken = "an id inside the gap is unknown for ever";

fn with_rows(mut ledger: Plain, change: fn(&mut Terminal)) -> Plain {
    ledger.terminals.iter_mut().for_each(|(_, row)| change(row));
    ledger
}

#[test]
fn the_suite_names_the_clause_that_a_ledger_breaks() {
    assert_named(BENT, FORGETFUL);
}

#[test]
fn a_store_that_keeps_no_rows_may_forget_turns_and_epochs() {
    for (number, (clause, reopen)) in WITHOUT_ROWS.iter().enumerate().step_by(crate::STRIDE) {
        assert_eq!(broken::<true>(Plain::apply, *reopen), Err(*clause), "ledger {number}");
        assert_eq!(broken::<false>(Plain::apply, *reopen), Ok(()), "ledger {number}");
    }
}

/// What no store may do, whatever it keeps: only the script finds these in a store that keeps no rows.
const WITHOUT_ROWS_BENT: &[Bend] = &[
    // A hello elsewhere takes the last record with it.
    |ledger, request| {
        let response = ledger.apply(request);
        if let (Response::Admitted(_), Command::Hello(HelloClaim { seen: 300.., .. })) =
            (response, request.command)
            && let Some(row) = ledger.row(request)
        {
            row.last = None;
        }
        response
    },
    // A later block is below an earlier one.
    |ledger, request| match ledger.apply(request) {
        Response::Reserved(numbers) if ends(numbers).is_some_and(|(first, _)| first > 2000) => {
            Response::Reserved(Numbers::block(2000, 256))
        }
        other => other,
    },
];

#[test]
#[cfg_attr(miri, ignore = "the script is shorter there")]
fn the_script_finds_a_ledger_that_keeps_no_rows_and_loses_records_or_numbers() {
    for (number, bend) in WITHOUT_ROWS_BENT.iter().enumerate() {
        assert_eq!(broken::<false>(*bend, |old| old), Err(SAME), "ledger {number}");
    }
}
