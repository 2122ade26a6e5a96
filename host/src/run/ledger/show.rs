//! `atm ledger show`: what a ledger says of itself, of an account or of a terminal, for a person.
//!
//! Each answer takes a few look-ups, however many entries there are, and reads the rows of accounts and cards once. The cash of each terminal is the sum of all its
//! movements, which is a question for `sqlite3`:
//! `SELECT side, sum(amount) FROM movements GROUP BY side`.
use super::heads;
use anyhow::{Context, Result};
use atm_core::{
    ledger::{
        AccountNumber, Name, Record, Terminal,
        card::{Card, Delay},
    },
    money::SignedAmount,
    time::UnixTime,
};
use atm_host::ledger::{
    entry::COLUMNS,
    reader::{AccountRow, AccountView, Overview, Reader},
    store::StoreFault,
    words::{Figures, state_word, time_text, words},
};
use std::io::Write;

/// Shows the identity, balances, journals and so many of the newest entries.
pub(super) fn ledger(reader: &Reader, last: u64, out: &mut dyn Write) -> Result<()> {
    let Overview { ledger, entries, terminals, accounts, opening, journals } = reader.overview()?;
    writeln!(out, "ledger     {ledger}")?;
    writeln!(out, "entries    {entries}")?;
    writeln!(out, "terminals  {terminals}")?;
    let sum = SignedAmount(accounts.balance);
    match (accounts.count, accounts.first) {
        (1, Some(number)) => writeln!(out, "account    {}: {sum}", number.0)?,
        (count, _) => writeln!(out, "accounts   {count}, {sum} in all (`atm account list`)")?,
    }
    let (mut cards, mut blocked) = (0, 0);
    reader.cards::<StoreFault>(|(_, card)| {
        cards += 1;
        blocked += u64::from(card.is_blocked);
        Ok(())
    })?;
    if cards > 0 {
        writeln!(out, "cards      {cards}, {blocked} of them blocked")?;
    }
    let cash = accounts.balance - i128::from(opening);
    writeln!(out, "cash       {} came in less what went out", SignedAmount(cash))?;
    journals.iter().try_for_each(|journal| writeln!(out, "{}", heads::line(journal)))?;
    if last == 0 {
        return Ok(());
    }
    let titles = ["number", "time", "kind", "terminal", "operation", "amount", "balance"];
    writeln!(out, "\n{}", table_row(titles.map(str::to_owned)))?;
    let mut after = entries.saturating_sub(last);
    while let Some((row, entries)) = reader.range(after, entries)? {
        for entry in entries {
            writeln!(out, "{}", table_row(titles.map(|title| column(&entry.line, title))))?;
        }
        after = row;
    }
    Ok(())
}

/// Shows an account.
pub(super) fn account(reader: &Reader, number: AccountNumber, out: &mut dyn Write) -> Result<()> {
    let AccountView { row, cards, .. } =
        reader.account(number)?.with_context(|| format!("there is no account {}", number.0))?;
    let AccountRow { account, owner, state } = row;
    writeln!(out, "account    {}", number.0)?;
    if let Some(owner) = owner {
        writeln!(out, "owner      {}\nstate      {}", owner.as_str(), state_word(state))?;
    }
    writeln!(out, "balance    {}", account.balance)?;
    writeln!(out, "movements  {}", account.version)?;
    cards.iter().try_for_each(|card| Ok(writeln!(out, "card       {}", card_text(card))?))
}

/// A card's number in the table, and what may be shown of its own number.
fn card_text((number, card): &(u64, Card)) -> String {
    let blocked = if card.is_blocked { ", blocked" } else { "" };
    format!("{number} (\u{2026}{}{blocked})", String::from_utf8_lossy(&card.last_four))
}

/// Shows a terminal.
pub(super) fn terminal(reader: &Reader, name: &Name, out: &mut dyn Write) -> Result<()> {
    let terminal = reader.terminal(name)?.with_context(|| format!("no terminal {name} has said hello"))?;
    let card = terminal.last.and_then(|last| last.card);
    let mut found = None;
    reader.cards::<StoreFault>(|(number, row)| {
        if Some(row.token) == card {
            found = Some((number, row));
        }
        Ok(())
    })?;
    Ok(out.write_all(terminal_text(name, &terminal, found.as_ref()).as_bytes())?)
}

/// A column of an entry's line.
fn column(line: &str, name: &str) -> String {
    let mut columns = COLUMNS.split(',').zip(line.split(',').skip(1));
    let text = columns.find(|(column, _)| *column == name).map_or("", |(_, text)| text);
    match (name, text.parse()) {
        ("time", Ok(millis)) => time_text(UnixTime::from_millis(millis)),
        ("amount" | "balance", Ok(minor)) => SignedAmount(minor.into()).to_string(),
        _ => text.to_owned(),
    }
}

fn table_row(cells: [String; 7]) -> String {
    let [number, time, kind, terminal, operation, amount, balance] = cells;
    format!(
        "{number:>9}  {time:<24}  {kind:<9}  {terminal:<32}  {operation:<12}  {amount:>16}  {balance:>16}"
    )
}

/// A terminal; `card` is that of its last operation.
fn terminal_text(name: &Name, terminal: &Terminal, card: Option<&(u64, Card)>) -> String {
    let Terminal { epoch, turn, next_number, gap, set_back_at, last, delay } = terminal;
    let mut last = last.map_or_else(|| "none".to_owned(), |last| operation_text(&last));
    if let Some(card) = card {
        last.push_str(&format!(", card {}", card_text(card)));
    }
    if *delay != Delay::NONE {
        let (seconds, end) = (delay.length / 1000, time_text(delay.until));
        last.push_str(&format!("\ndelay           {seconds} s up to {end}, after a refused PIN"));
    }
    let set_back = set_back_at.map_or_else(String::new, |at| {
        let last = gap.end.saturating_sub(1);
        format!(
            "gap             {} to {last}: unknown, as the ledger was set back\nset back        found at {}\n",
            gap.start,
            time_text(at)
        )
    });
    let start = epoch.map_or(0, |epoch| epoch.start);
    format!(
        "terminal        {name}\nlast operation  {last}\nnumbers         reserved below {next_number}\n{set_back}\
         hellos          {turn}, the last in the terminal's start {start}\n"
    )
}

/// An operation and its outcome.
fn operation_text(record: &Record) -> String {
    let (operation, outcome, Figures { amount, balance, payee, .. }) = words(record);
    let operation = operation.map(|operation| format!(", {operation}"));
    let outcome = match outcome {
        "done" | "void" => outcome.to_owned(),
        reason => format!("refused ({reason})"),
    };
    let amount = amount.map(|amount| format!(" {amount}"));
    let payee = payee.map(|payee| format!(" to account {}", payee.0));
    let balance = balance.map(|balance| format!(", balance {balance}"));
    let [operation, amount, payee, balance] =
        [operation, amount, payee, balance].map(Option::unwrap_or_default);
    format!("number {}{operation}{amount}{payee}: {outcome}{balance}", record.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use atm_core::{
        ledger::{Epoch, Gap, Operation, Outcome, Receipt, Refusal},
        money::Amount,
    };

    #[test]
    fn a_terminal_is_described_with_its_last_operation_and_its_gap() {
        let name = "kiosk-7".parse().unwrap();
        let text = terminal_text(&name, &Terminal::NEW, None);
        assert!(text.contains("last operation  none\n") && !text.contains("gap"), "{text}");
        let units = |units| Amount::from_units(units).unwrap();
        let outcome = Outcome::Done(Receipt::Withdrawn { amount: units(100), balance: Amount::ZERO });
        let last = Record::new(400, Some(Operation::WithdrawAll), outcome);
        let terminal = Terminal {
            epoch: Some(Epoch::clear(3, 1)),
            turn: 2,
            next_number: 557,
            gap: Gap { start: 257, end: 301 },
            set_back_at: Some(UnixTime::from_millis(1_000)),
            last: Some(last),
            ..Terminal::NEW
        };
        assert_eq!(
            terminal_text(&name, &terminal, None),
            "terminal        kiosk-7\n\
             last operation  number 400, withdrawal-all $100: done, balance $0\n\
             numbers         reserved below 557\n\
             gap             257 to 300: unknown, as the ledger was set back\n\
             set back        found at 1970-01-01T00:00:01.000Z\n\
             hellos          2, the last in the terminal's start 3\n"
        );
        let last = Some(Record::new(400, Some(Operation::Verify), Outcome::Refused(Refusal::NotVerified)));
        let delay = Delay { until: UnixTime::from_millis(3_000), length: 2_000 };
        let card = Card { last_four: *b"4242", ..Card::DECOY };
        let text = terminal_text(&name, &Terminal { last, delay, ..terminal }, Some(&(7, card)));
        let shown = "last operation  number 400, verification: refused (not-verified), card 7 (…4242, blocked)\n\
                     delay           2 s up to 1970-01-01T00:00:03.000Z, after a refused PIN\n";
        assert!(text.contains(shown), "{text}");
        let last = terminal.last.unwrap();
        let outcome = Outcome::Refused(Refusal::Insufficient { balance: units(1) });
        let refused = Record { operation: Some(Operation::Withdraw(units(5))), outcome, ..last };
        assert_eq!(operation_text(&refused), "number 400, withdrawal $5: refused (insufficient), balance $1");
        let void = Record { operation: None, outcome: Outcome::NotDone, ..last };
        assert_eq!(operation_text(&void), "number 400: void");
    }
}
