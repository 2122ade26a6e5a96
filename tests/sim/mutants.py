#!/usr/bin/env python3
"""Mutation tests of the simulation: each mutant breaks one rule of the code, and the simulation must detect it.

A mutant replaces one text in a copy of the tree. The text must occur exactly once, or the mutant must follow the
code that has changed. `--check` verifies only that, in a second and without a build.
"""
import argparse, pathlib, shutil, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIMULATE = ["--seeds", "2000", "--seed", "1"]
STORE, KEEPER = "host/src/ledger/store.rs", "host/src/ledger/keeper.rs"
JOURNAL = "host/src/ledger/journal.rs"
DECIDE, REQUEST = "core/src/ledger/decide.rs", "core/src/ledger/request.rs"
CONVERSATION, HELLO = "core/src/host/conversation.rs", "core/src/host/conversation/hello.rs"
TERMINAL = "core/src/terminal.rs"
# Where the simulation finds a mutant.
ONE_HOST, TWO_HOSTS, SET_BACK, DURABLE = [], ["--hosts", "2"], ["--hosts", "2", "--set-back"], ["--durable"]

# name: (options of the simulation, file, text, replacement).
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
    "move-for-equal-hello": (TWO_HOSTS, REQUEST, "self > held || self", "self >= held || self"),
    # A host resumes a conversation although another one has served the terminal since.
    "resume-after-another-host": (
        TWO_HOSTS,
        HELLO,
        "let is_ours = self.turn != 0\n            && admission.former == Some(self.committed)\n"
        "            && admission.turn == self.turn.wrapping_add(1);",
        "let is_ours = true;",
    ),
    # A conversation takes the response to an earlier request.
    "ignore-ticket": (TWO_HOSTS, CONVERSATION, "if ticket != self.ticket {", "if false {"),
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
        "Response::Settled { id: *id, outcome: Outcome::Unknown };",
        "Response::Settled { id: *id, outcome: Outcome::NotDone };",
    ),
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
    "acknowledge-before-sync": (DURABLE, JOURNAL, "        self.bytes.sync_data()?;\n", ""),
    # It takes every commit in doubt for done.
    "assume-doubtful-commit-done": (
        DURABLE,
        KEEPER,
        "doubt if head == self.books.head() => {",
        "doubt if head.number > 0 => {",
    ),
    # It gives out the numbers again that it gave out before a restart.
    "reuse-numbers-after-restart": (
        DURABLE,
        STORE,
        "books.start = books.reserved;",
        "books.start = 1;",
    ),
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
    path = tree / file
    original = path.read_text()
    path.write_text(original.replace(old, new))
    try:
        cargo = ["cargo", "build", "-q", "--profile", "campaign", "-p", "atm-sim"]
        subprocess.run(cargo + ["--target-dir", target], cwd=tree, check=True)
        simulate = [pathlib.Path(target) / "campaign" / "simulate", *SIMULATE, *options]
        ran = subprocess.run(simulate, stdout=subprocess.PIPE, text=True, timeout=300)
    finally:
        path.write_text(original)
    violations = [line for line in ran.stdout.splitlines() if line.startswith("seed ")]
    if ran.returncode != 1 or not violations:
        return f"not detected by simulate {' '.join(SIMULATE + options)}"
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
