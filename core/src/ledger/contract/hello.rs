//! Clauses about hellos: turns, epochs, numbers, and the proof that the ledger was set back.
use super::*;

pub(super) const CLAUSES: &[Clause] = &[turns, equal_epoch, fence, claims];

fn turns(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let first = books.hello("a")?;
    hold(first.former.is_none(), "a first hello has no former epoch")?;
    let former = books.epoch();
    let second = books.hello("a")?;
    hold(second.former == Some(former), "a hello gets the epoch of the hello before it")?;
    hold(second.turn > first.turn, "an admitted hello raises the turn")
}

fn equal_epoch(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    books.hello("a")?;
    let equal = books.claim();
    let rejected = books.claims("a", equal)? == Err(Rejection::InUse);
    hold(rejected, "a hello of the admitted epoch is rejected")?;
    let done = books.operate("a", 5, Operation::Deposit(units(1)))?;
    hold(matches!(done, Outcome::Done(_)), "a rejected hello changes nothing")?;
    let retransmitted = books.claims("a", HelloClaim { admit_equal: true, ..equal })?;
    hold(retransmitted.is_ok(), "a hello that may be a retransmission is admitted")?;
    for _ in 0..2 {
        let plain = books.claims("a", HelloClaim { epoch: Epoch::PLAIN, ..equal })?;
        hold(plain.is_ok(), "each hello of a plain client is admitted")?;
    }
    Ok(())
}

fn fence(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let earlier = books.hello("a")?.turn;
    books.hello("a")?;
    let id = books.id("a", 5)?;
    let deposit = Command::Operate { id, operation: Operation::Deposit(units(1)) };
    for command in [deposit, Command::Settle { id }, Command::Reserve] {
        let response = books.ask(named("a")?, earlier, command)?;
        hold(response == Response::Fenced, "a request of an earlier turn is fenced")?;
    }
    let done = books.operate("a", 5, Operation::Deposit(units(2)))?;
    hold(matches!(done, Outcome::Done(_)), "a fenced request records nothing")?;
    books.has(units(102))?;
    if books.keeps_rows {
        let (turn, id) = (books.turn("a")?, books.id("a", 6)?);
        books.hello("b")?;
        let settled = books.ask(named("a")?, turn, Command::Settle { id })?;
        hold(settled != Response::Fenced, "a hello fences no other terminal")?;
    }
    Ok(())
}

fn claims(books: &mut Books<dyn Ledger>) -> Result<(), Broken> {
    let ledger = books.hello("a")?.ledger;
    let next = |books: &mut Books<dyn Ledger>, ledger, seen| {
        let claim = HelloClaim { ledger: Some(ledger), seen, ..books.new_claim() };
        books.claims("a", claim)
    };
    let far = next(books, ledger, FAR)?;
    hold(far == Err(Rejection::Unsound), "a claim far above the reserved numbers is unsound")?;
    let LedgerId(bits) = ledger;
    let Ok(other) = next(books, LedgerId(!bits), FAR)? else {
        return Err("a claim about another ledger is ignored");
    };
    let ignored = other.set_back.is_none() && books.highest < FAR;
    hold(ignored, "a claim about another ledger is ignored")?;
    let seen = books.highest;
    let Ok(sound) = next(books, ledger, seen)? else { return Err("a claim of reserved numbers is admitted") };
    hold(sound.set_back.is_none(), "a claim of reserved numbers proves no set-back")
}

/// Numbers are unique for each terminal; other terminals may have the same.
pub(super) fn no_number_twice<S: Store>(store: &mut S) -> Result<(), Broken> {
    let mut books = Books::create(store);
    let mut highest = [0, 0];
    for _ in 0..3 {
        for (terminal, highest) in ["a", "b"].into_iter().zip(&mut highest) {
            let Admission { turn, numbers, .. } = books.hello(terminal)?;
            let Response::Reserved(more) = books.ask(named(terminal)?, turn, Command::Reserve)? else {
                return Err("a request for numbers gets numbers");
            };
            for block in [numbers, more] {
                let (first, last) = ends(block).ok_or("a request for numbers gets one at least")?;
                hold(first > *highest, "no number is given twice, and later ones are greater")?;
                *highest = last;
            }
        }
        books = books.reopen(store);
    }
    Ok(())
}

pub(super) fn set_back<S: Store>(store: &mut S) -> Result<(), Broken> {
    let mut books = Books::create(store);
    let ledger = Some(books.hello("a")?.ledger);
    let seen = books.highest.saturating_add(SET_BACK);
    let inside = seen.saturating_sub(SET_BACK / 2);
    books.hello("a")?;
    let claim = HelloClaim { ledger, seen, ..books.new_claim() };
    let Ok(admission) = books.claims("a", claim)? else {
        return Err("a hello that proves a set-back is admitted");
    };
    let first = ends(admission.numbers).map_or(0, |(first, _)| first);
    hold(first > seen, "numbers begin above all that the terminal has seen")?;
    let gap = admission.set_back.ok_or("a claim above the reserved numbers proves a set-back")?;
    hold(gap.contains(seen) && gap.contains(inside), "the gap has the numbers that the terminal has seen")?;
    let again = HelloClaim { ledger, seen: books.highest.saturating_add(SET_BACK), ..books.new_claim() };
    hold(books.claims("a", again)? == Err(Rejection::TooSoon), "one set-back a minute is served")?;
    for _ in 0..2 {
        let turn = books.turn("a")?;
        for id in [inside, seen] {
            hold(books.is_unknown("a", turn, id)?, "an id inside the gap is unknown for ever")?;
        }
        books = books.reopen(store);
    }
    let turn = books.turn("a")?;
    let above = books.ask(named("a")?, turn, Command::Settle { id: first })?;
    let expected = Response::Settled { id: first, outcome: Outcome::NotDone };
    hold(above == expected, "an id above the gap is settled")?;
    books.has(START)
}

pub(super) fn rows_survive_a_loss_of_power<S: Store>(store: &mut S) -> Result<(), Broken> {
    let mut books = Books::create(store);
    let earlier = books.hello("a")?.turn;
    let turn = books.hello("a")?.turn;
    let id = books.id("a", 5)?;
    let mut books = books.reopen(store);
    let fenced = books.ask(named("a")?, earlier, Command::Settle { id })?;
    hold(fenced == Response::Fenced, "a turn survives a loss of power")?;
    let settled = books.ask(named("a")?, turn, Command::Settle { id })?;
    hold(matches!(settled, Response::Settled { .. }), "a conversation survives a loss of power")?;
    let equal = books.claims("a", books.claim())?;
    hold(equal == Err(Rejection::InUse), "an epoch survives a loss of power")
}

pub(super) fn full<S: Store>(store: &mut S, terminals: u32) -> Result<(), Broken> {
    let mut books = Books::create(store);
    let operation = Operation::Deposit(units(1));
    // The identities of ledgers are names too.
    let origin = |number: u32| named(&LedgerId(u64::from(number)).digits());
    let hello = |books: &mut Books<S::Ledger>, number: u32| {
        let command = Command::Hello(books.new_claim());
        books.ask(origin(number)?, 0, command)
    };
    for number in 0..terminals {
        let Response::Admitted(Admission { turn, mut numbers, .. }) = hello(&mut books, number)? else {
            return Err("there is room for so many terminals");
        };
        let id = numbers.take().unwrap_or(0);
        let outcome = books.outcome(origin(number)?, turn, Command::Operate { id, operation })?;
        hold(matches!(outcome, Outcome::Done(_)), "there is room for so many terminals")?;
    }
    let rejected = hello(&mut books, terminals)? == Response::Rejected(Rejection::Full);
    hold(rejected, "a full ledger rejects another terminal")?;
    let operate = Command::Operate { id: 1, operation };
    for command in [operate, Command::Settle { id: 1 }] {
        let unknown = books.outcome(origin(terminals)?, 0, command)? == Outcome::Unknown;
        hold(unknown, "a full ledger does nothing for another terminal")?;
    }
    let known = hello(&mut books, 0)?;
    hold(matches!(known, Response::Admitted(_)), "a full ledger admits the terminals that it knows")
}
