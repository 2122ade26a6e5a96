#!/usr/bin/env python3
"""Mutation tests of the simulation: each mutant breaks one rule of the code, and the simulation must detect it.

A mutant replaces one text in a copy of the tree. The text must occur exactly once, or the mutant must follow the
code that has changed. `--check` verifies only that, in a second and without a build.
"""
import argparse, pathlib, shutil, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIMULATE = ["--seeds", "2000", "--seed", "1"]
# A run with PostgreSQL takes as long as hundreds in memory.
SIMULATE_DATABASE = ["--seeds", "60", "--seed", "1"]
COMMITTER, BATCH = "host/src/ledger/committer.rs", "host/src/ledger/batch.rs"
DOUBT = "host/src/ledger/committer/doubt.rs"
SQLITE, CELLS = "host/src/ledger/sqlite.rs", "host/src/ledger/cells.rs"
DECIDE, REQUEST = "core/src/ledger/decide.rs", "core/src/ledger/request.rs"
CONVERSATION, HELLO = "core/src/host/conversation.rs", "core/src/host/conversation/hello.rs"
REPLY, OUTSTANDING = "core/src/host/conversation/reply.rs", "core/src/host/conversation/request.rs"
TERMINAL = "core/src/terminal.rs"
HOST_SEALING, TERMINAL_SEALING = "core/src/host/sealing.rs", "core/src/terminal/sealing.rs"
# Where the simulation finds a mutant.
ONE_HOST, TWO_HOSTS, SET_BACK, DURABLE = [], ["--hosts", "2"], ["--hosts", "2", "--set-back"], ["--durable"]
SEALED, CARDS, DURABLE_CARDS = ["--sealed"], ["--cards"], ["--cards", "--durable"]
DATABASE = ["--database"]
POSTGRES, STATEMENTS = "host/src/ledger/postgres.rs", "host/src/ledger/postgres/statements.rs"
SESSION, POSTGRES_TABLES = "host/src/ledger/postgres/session.rs", "host/src/ledger/postgres/tables.rs"
CARD_ROW, CARD_RULES = "core/src/ledger/card/row.rs", "core/src/ledger/card/perform.rs"
CARD_CONVERSATION = "core/src/host/conversation/card.rs"

# name: (options of the simulation, file, text, replacement). In place of options, the name of a test of the ledger on the
# faulty disk (tests/sim/tests/ledger), `cards::` and that of one with cards (tests/sim/tests/cards), or `postgres::` and that of one with
# PostgreSQL (host/tests/postgres).
MUTANTS = {
    # The ledger does not recognise the idempotency key of an operation that it has carried out.
    "forget-id": (
        ONE_HOST,
        DECIDE,
        "_ => last.outcome,",
        "_ => return false,",
    ),
    # It recognises the keys of operations that were done, but not of those that were refused.
    "forget-refusal": (
        ONE_HOST,
        DECIDE,
        "_ => last.outcome,",
        "_ if matches!(last.outcome, Outcome::Refused(_)) => return false, _ => last.outcome,",
    ),
    # It answers "not done" instead of "unknown" for an id below the last one.
    "not-done-for-lower-id": (
        ONE_HOST,
        DECIDE,
        "Some(last) if last.id > id => Outcome::Unknown,",
        "Some(last) if last.id > id => Outcome::NotDone,",
    ),
    # It gives out numbers without reserving them.
    "skip-number-reservation": (
        ONE_HOST,
        DECIDE,
        "    terminal.next_number = numbers.end();\n",
        "",
    ),
    # It carries out requests of an earlier turn: any, or only operations.
    "ignore-turn": (TWO_HOSTS, DECIDE, "_ if is_known && self.terminal.turn != request.turn =>", "_ if false =>"),
    "carry-out-fenced-operation": (
        TWO_HOSTS,
        DECIDE,
        "_ if is_known && self.terminal.turn != request.turn =>",
        "_ if is_known && self.terminal.turn != request.turn && !matches!(request.command, Command::Operate { .. }) =>",
    ),
    # A hello of the same life does not raise the turn.
    "keep-turn-in-same-life": (
        TWO_HOSTS,
        DECIDE,
        "terminal.turn = terminal.turn.wrapping_add(1);",
        "terminal.turn += u64::from(former.is_none_or(|former| former.start != claim.epoch.start));",
    ),
    # The ledger admits a hello again on another connection.
    "admit-equal-hello": (TWO_HOSTS, DECIDE, " && !claim.admit_equal {", " && false {"),
    # A host moves a conversation to a connection with an equal hello.
    "move-for-equal-hello": (TWO_HOSTS, REQUEST, "self > held || (self", "self >= held || (self"),
    # A host resumes a conversation although another one has served the terminal since.
    "resume-after-another-host": (
        TWO_HOSTS,
        HELLO,
        "let is_ours = self.turn != 0\n            && admission.former == Some(self.committed)\n"
        "            && admission.turn == self.turn.wrapping_add(1);",
        "let is_ours = true;",
    ),
    # A conversation takes the response to an earlier request.
    "ignore-ticket": (TWO_HOSTS, OUTSTANDING, "if ticket != self.ticket {", "if false {"),
    # The numbers after a set-back do not begin above those that were shown.
    "reuse-numbers-after-set-back": (SET_BACK, DECIDE, "        terminal.next_number = end;\n", ""),
    # The numbers that a set-back has lost are not kept.
    "forget-gap": (
        SET_BACK,
        DECIDE,
        "        terminal.gap = terminal.gap.extended(terminal.next_number, end);\n",
        "",
    ),
    # An id that was never reserved counts as unused.
    "use-unreserved-id": (SET_BACK, DECIDE, "_ if id >= terminal.next_number || terminal", "_ if terminal"),
    # "Not done" for the id of a name without a row.
    "not-done-without-row": (
        SET_BACK,
        DECIDE,
        "Command::Operate { id, .. } | Command::Settle { id } => {\n                *response = Response::Settled { id: *id, outcome: Outcome::Unknown };",
        "Command::Operate { id, .. } | Command::Settle { id } => {\n                *response = Response::Settled { id: *id, outcome: Outcome::NotDone };",
    ),
    # No zero before a frame on an idle line: a byte of noise before each frame keeps every session out.
    "no-zero-before-a-frame": (ONE_HOST, "core/src/wire.rs", "Self::Postcard => Some(cobs::DELIMITER),", "Self::Postcard => None,"),
    # The host accepts an answer to an earlier prompt as one to the open prompt.
    "accept-stale-answer": (
        ONE_HOST,
        CONVERSATION,
        "Some(re) if re != open =>",
        "Some(re) if re > open =>",
    ),
    # The terminal does not store the number of the prompt whose answer has no reply.
    "forget-pending-answer": (ONE_HOST, TERMINAL, "self.memory.pending = prompt;", ""),
    # The terminal retransmits an answer although it gave up on it.
    "retransmit-after-give-up": (
        ONE_HOST,
        TERMINAL,
        "        self.resume = false;\n        self.answer = None;\n",
        "",
    ),
    # The ledger on disk acknowledges a commit that is not synced.
    "acknowledge-before-sync": (DURABLE, SQLITE, '("synchronous", "full")', '("synchronous", "normal")'),
    # It takes every commit in doubt for done, without a look at the journal's head.
    "assume-doubtful-commit-done": (DURABLE, DOUBT, "        if !stands {\n", "        if !stands && false {\n"),
    # It does not look who wrote that head.
    "owner-not-compared": (
        "a_process_that_was_replaced",
        DOUBT,
        "let is_ours = owner == self.turn.owner;",
        "let is_ours = owner == owner;",
    ),
    # It answers "not done" for an operation of a batch that did not stand, and commits no void.
    "void-not-written": (
        DURABLE,
        BATCH,
        "Some(self.decide(&Request { ticket, origin, turn, command: Command::Settle { id } }, time))",
        "{ let _ = (ticket, origin, turn, time); Some(Response::Settled { id, outcome: Outcome::NotDone }) }",
    ),
    # It does not note what it has acknowledged.
    "mark-not-written": (
        "each_file_and_each_pair",
        SQLITE,
        "self.mark.write(&batch.head)",
        "Ok::<(), StoreFault>(())",
    ),
    # It notes a commit before it is durable.
    "note-before-commit": (
        DURABLE,
        SQLITE,
        '        execute(connection, "COMMIT")?;\n        let noted',
        '        self.mark.write(&batch.head)?;\n        execute(self.connection()?, "COMMIT")?;\n        let noted',
    ),
    # It does not verify a ledger whose files are copies.
    "copy-not-verified": ("a_hot_copy", SQLITE, "        if is_copy || lost.is_some() {\n", "        if is_copy && false {\n"),
    # It recovers from frames that only the page cache has.
    "keep-cached-log": (
        "a_process_is_killed_after_a_sync_that_failed",
        SQLITE,
        "disk.drop_cached(&log);",
        "let _ = (disk, &log);",
    ),
    # It does not notice that it has no write-ahead log, and loses commits when a journal reappears.
    "log-not-checked": (
        "an_error_at_each_call_of_a_day_with_a_reader",
        SQLITE,
        "set.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;",
        "vec![set.query_row([], |row| row.get(0))?];",
    ),
    # It gives out the numbers again that it gave out before.
    "reuse-numbers-after-restart": (DURABLE, CELLS, "next_number: number(row, 6, damaged)?,", "next_number: 1,"),
    # A terminal with a key reads a reply in clear.
    "accept-clear-reply": (
        SEALED,
        TERMINAL_SEALING,
        "                false\n            }\n            _ => false,",
        "                false\n            }\n            _ => true,",
    ),
    # A host that serves only sealed links reads an answer in clear.
    "accept-clear-answer": (
        SEALED,
        HOST_SEALING,
        "let is_in_clear = !self.config.sealed_only && !keys.is_some_and(Keys::are_sealed);",
        "let is_in_clear = true;",
    ),
    # A hello with a wrong tag takes the terminal's conversation over, and changes its keys.
    "accept-unauthentic-hello": (
        SEALED,
        HOST_SEALING,
        ".and_then(|key| key.verify(self.inbox.decoded().1));",
        ".and_then(|key| {\n            let body = self.inbox.decoded().1;\n"
        "            key.verify(body).or_else(|| Some(key.prove(body.split_last_chunk::<{ seal::TAG }>()?.0)))\n        });",
    ),
    # The ledger admits an older sealed hello, as it has no conversation after a restart.
    "admit-older-hello": (SEALED, DECIDE, "held.is_sealed() && held > claim.epoch", "false && held > claim.epoch"),
    # A terminal's hello has no random bytes, so that one of a memory that was set back equals an earlier one.
    "no-salt-in-hello": (SEALED, "core/src/terminal/config.rs", "salt: self.salt })", "salt: 0 })"),
    # Keys that do not depend on the welcome's header are found by core/tests/sealed (`a_session_that_a_set_back_ledger_forgot_…` and the
    # property), and not here: it takes an attacker who drops the terminal's next hello, and this one drops nothing.
    # A wrong PIN is not counted.
    "no-try-counted": (CARDS, CARD_ROW, "        self.tries = self.tries.saturating_add(1).min(TRIES);\n", ""),
    # A duplicate of a verification is judged again.
    "judge-duplicate": (
        CARDS,
        CARD_RULES,
        "if !operation.is_report() && look_up(",
        "if !operation.is_report() && operation != Operation::Verify && look_up(",
    ),
    # A blocked card is verified.
    "verify-blocked-card": (CARDS, CARD_ROW, "is_own && !self.is_blocked {", "is_own {"),
    # A session goes on after a block, an unblock or another PIN.
    "ignore-version": (CARDS, CARD_ROW, "            && self.version == access.version\n", ""),
    # The withdrawals of a day are not added up, or the clock alone says which day it is.
    "forget-day-limit": (CARDS, CARD_ROW, "(self.day, self.withdrawn) = (day, sum", "let _ = (day, sum"),
    "day-of-the-clock": (CARDS, CARD_ROW, "self.day.max(now.millis() / DAY)", "now.millis() / DAY"),
    # A transfer takes nothing from the payer.
    "transfer-without-debit": (CARDS, CARD_RULES, "(Some(moved(account, after)), Some(moved(to", "(Some(moved(account, after.max(balance))), Some(moved(to"),
    # A wrong PIN, or a block, is not stored.
    "try-not-stored": (
        DURABLE_CARDS,
        "host/src/ledger/sqlite/batch.rs",
        "for (number, card) in changed_cards {",
        "for (number, card) in changed_cards.filter(|(_, card)| card.tries == 0) {",
    ),
    "block-not-stored": (DURABLE_CARDS, CELLS, "is_blocked: flag(row, 7, damaged)?,", "is_blocked: false,"),
    # A frozen account gives money.
    "frozen-moves": (CARDS, CARD_RULES, "AccountState::Frozen => Err(Refusal::Frozen),", "AccountState::Frozen => Ok(row),"),
    # A refused PIN delays nothing; after the clock was set back, a delay lasts until it is again where it was.
    "no-delay": (CARDS, CARD_RULES, "            *delay = delay.after_refusal(now);\n", "            let _ = now;\n"),
    "delay-for-ever": (CARDS, CARD_RULES, "            *delay = now.map_or(*delay, |now| delay.bounded(now));\n", ""),
    # The session of a card goes on after a restart of its terminal, at what is shown as a card prompt.
    "resume-card-session": (CARDS, HELLO, "        self.session = self.first_session();\n", ""),
    # The next person is shown what was done with another card.
    "outcome-of-another-card": (CARDS, CARD_CONVERSATION, "Some((own, receipt)) if own == card =>", "Some((_, receipt)) =>"),
    "outcome-without-a-card": (CARDS, HELLO, "        if self.is_card {\n            return self.reply_in_brief", "        if false {\n            return self.reply_in_brief"),
    # Each sending of a prompt begins its idle time anew, so that the last answer replayed holds a session open.
    "idle-from-last-sending": (["--cards", "--sealed"], REPLY, "self.replied_at.get_or_insert(now);", "self.replied_at = Some(now);"),
    # Debug shows what was typed.
    "debug-answer": (CARDS, "core/src/session/answer.rs", 'f.write_str("Answer(..)")', 'write!(f, "{:?}", self.0)'),
    # A PIN is compared with another answer to its prompt: a conflict would show which PIN was typed first.
    "digest-pin": ("cards::tells_nothing", CONVERSATION, "() if is_secret => Fingerprint::SECRET,", "() if is_secret && false => Fingerprint::SECRET,"),
    # A refused verification of a card that is not known writes no row of a card.
    "decoy-not-written": (
        "cards::the_same_rows_are_written",
        CARD_RULES,
        "(self.card != *self.rows.card).then_some(self.card);",
        "(self.card != *self.rows.card && self.card.token != Card::DECOY.token).then_some(self.card);",
    ),
    # The reply of a blocked card differs from that of a wrong PIN.
    "blocked-is-said": (
        "cards::the_same_bytes",
        CARD_RULES,
        "Err(Refusal::NotVerified)",
        "Err(if self.card.is_blocked { Refusal::NoAccess } else { Refusal::NotVerified })",
    ),
    # A shared ledger. Every commit in doubt counts as done; one that did not stand is not voided; it is noted before it is done.
    "assume-shared-commit-done": (DATABASE, DOUBT, "        if !stands {\n", "        if !stands && false {\n"),
    "void-not-shared": (
        "postgres::a_commit_without_an_answer",
        BATCH,
        "Some(self.decide(&Request { ticket, origin, turn, command: Command::Settle { id } }, time))",
        "{ let _ = (ticket, origin, turn, time); Some(Response::Settled { id, outcome: Outcome::NotDone }) }",
    ),
    "note-before-shared-commit": (
        DATABASE,
        POSTGRES,
        "let saved = self.save_batch(batch, &loaded);",
        "self.mark.write(&batch.head)?;\n        let saved = self.save_batch(batch, &loaded);",
    ),
    # A host goes on although another process has its journal.
    "fenced-host-goes-on": (DATABASE, COMMITTER, "Ok(batch) if batch.turn == self.turn => {", "Ok(batch) if batch.turn == self.turn || true => {"),
    # A save does not look whether the journal is as it was loaded.
    "save-not-compared": ("postgres::a_save_fails_by_itself", STATEMENTS, "THEN 1 ELSE 0 END)", "THEN 1 ELSE 1 END)"),
    # A row is read and not locked, or is not there.
    "journal-not-locked": ("postgres::a_commit_that_arrives_late", STATEMENTS, "WHERE journal = $1 FOR UPDATE", "WHERE journal = $1"),
    "terminal-not-locked": ("postgres::one_operation_at_two_hosts", STATEMENTS, "ORDER BY terminal FOR UPDATE", "ORDER BY terminal"),
    "account-not-locked": ("postgres::two_hosts_that_wait_for_one_account", STATEMENTS, "ORDER BY account FOR UPDATE", "ORDER BY account"),
    "card-not-locked": ("postgres::wrong_pins_at_two_hosts", STATEMENTS, "ORDER BY card FOR UPDATE", "ORDER BY card"),
    "blocked-card-not-locked": ("postgres::a_card_that_is_blocked", STATEMENTS, "ORDER BY card FOR UPDATE", "ORDER BY card"),
    "name-not-placed": (
        "postgres::a_new_name_at_two_hosts",
        POSTGRES,
        "(!new.is_empty()).then(|| (&statements.place, vec![&new as _])),",
        "None,",
    ),
    # A commit that came with a warning is acknowledged; one that may have been done is done again.
    "commit-warning-ignored": ("postgres::a_commit_whose_wait", SESSION, "if self.take_warning() {", "if self.take_warning() && false {"),
    "unknown-completion-again": (
        "postgres::only_what_the_server",
        SESSION,
        "| SqlState::LOCK_NOT_AVAILABLE => Self::Busy,",
        "| SqlState::LOCK_NOT_AVAILABLE\n            | SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN => Self::Busy,",
    ),
    # A conflict that the server has reported is in doubt.
    "conflict-in-doubt": ("postgres::only_what_the_server", SESSION, "SqlState::T_R_DEADLOCK_DETECTED\n            | ", ""),
    # A session leaves to the database how long it waits, and whether a commit is synchronous.
    "session-without-settings": (
        "postgres::each_session_sets",
        SESSION,
        "client.batch_execute(&settings(database.deadline)).await?;",
        "let _ = settings(database.deadline);",
    ),
    # The mark, the engine, and the constraints of the tables are not compared.
    "shared-mark-not-compared": (
        "postgres::a_database_behind_the_mark",
        POSTGRES_TABLES,
        "if head.batches >= noted.batches && hash == Some(noted.hash) {",
        "if head.batches >= noted.batches || hash != Some(noted.hash) {",
    ),
    "engine-not-compared": ("postgres::another_version", POSTGRES_TABLES, "if any || version", "if any || version.len() > 1 || version"),
    "constraints-not-compared": ("postgres::tables_that_were_changed", "host/src/ledger/postgres/shape.rs", "if database.any_engine {", "if database.any_engine || found.len() > 1 {"),
    # The tag of a body is not compared.
    "tag-not-compared": (SEALED, "core/src/seal/body.rs", "if !bool::from(expected.ct_eq(tag)) {", "if false {"),
}


def occurrences(tree, name):
    """Nothing if the mutant's text occurs once in its file; otherwise why it does not apply."""
    _, file, old, _ = MUTANTS[name]
    path = tree / file
    count = path.read_text().count(old) if path.exists() else 0
    return None if count == 1 else f"does not apply: {count} places in {file} read {old!r}"


def run(tree, target, name):
    """Builds and simulates one mutant; nothing if it is detected, otherwise why not."""
    if why := occurrences(tree, name):
        return why
    options, file, old, new = MUTANTS[name]
    is_test = isinstance(options, str)
    path = tree / file
    original = path.read_text()
    path.write_text(original.replace(old, new))
    package = ["--profile", "campaign", "-p", "atm-sim", "--target-dir", target]
    try:
        if is_test:
            binary, _, test_name = options.rpartition("::")
            if binary == "postgres":
                # With the profile in which these tests were built.
                package = ["-p", "atm-host", "--features", "postgres", "--target-dir", target]
            test = ["cargo", "test", "-q", *package, "--test", binary or "ledger"]
            subprocess.run([*test, "--no-run"], cwd=tree, check=True)
            detector = [*test, test_name]
        else:
            has_database = options == DATABASE
            features = ["--features", "postgres"] if has_database else []
            subprocess.run(["cargo", "build", "-q", *package, *features], cwd=tree, check=True)
            seeds = SIMULATE_DATABASE if has_database else SIMULATE
            detector = [pathlib.Path(target) / "campaign" / "simulate", *seeds, *options]
        ran = subprocess.run(detector, cwd=tree, capture_output=True, text=True, timeout=300)
    finally:
        path.write_text(original)
        # Cargo takes what was built of the copy for what it would build of this tree, unless that is newer.
        (ROOT / file).touch()
    found = "test result: FAILED" if is_test else "seed "
    violations = [line for line in ran.stdout.splitlines() if line.startswith(found)]
    if ran.returncode == 0 or not violations:
        return f"not detected by {options if is_test else ' '.join(map(str, detector))}"
    print(f"detected  {name}: {violations[0]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only verify that the mutants apply to the code")
    # No `choices`: with nargs="*", an empty list would have to be one of them.
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(MUTANTS)}")
    arguments = parser.parse_args()
    names = arguments.names or list(MUTANTS)
    if unknown := [name for name in names if name not in MUTANTS]:
        parser.error(f"no such mutant: {', '.join(unknown)}")
    if arguments.check:
        results = {name: occurrences(ROOT, name) for name in names}
    else:
        with tempfile.TemporaryDirectory() as scratch:
            tree = pathlib.Path(scratch) / "tree"
            skip = shutil.ignore_patterns("target", ".git", "corpus", "artifacts")
            shutil.copytree(ROOT, tree, ignore=skip)
            results = {name: run(tree, str(ROOT / "target"), name) for name in names}
    failures = {name: why for name, why in results.items() if why}
    for name, why in failures.items():
        print(f"FAILED  {name}: {why}")
    sys.exit(1 if failures else 0)


main()
