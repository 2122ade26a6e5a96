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
RAM, VERDICT = "core/src/ledger/ram.rs", "core/src/ledger/verdict.rs"
CONVERSATION, TERMINAL = "core/src/host/conversation.rs", "core/src/terminal.rs"

# name: (file, text, replacement). Mutants of the host's ledger are simulated on a faulty disk.
MUTANTS = {
    # The ledger does not recognise the idempotency key of an operation that it has carried out.
    "forget-id": (RAM, "(terminal, record) {", "(terminal, record.filter(|_| false)) {"),
    # It recognises the keys of operations that were done, but not of those that were refused.
    "forget-refusal": (
        RAM,
        "(terminal, record) {",
        "(terminal, record.filter(|record| !matches!(record.outcome, Outcome::Refused(_)))) {",
    ),
    # It answers "not done" for an unknown id without committing a void: the operation may still come.
    "void-without-commit": (
        VERDICT,
        "Self::Commit { outcome, balance, record: Some(Record { id, operation: None, outcome }) }",
        "{ let _ = balance; Self::Tell(outcome) }",
    ),
    # It answers "not done" instead of "unknown" for an id below the last one.
    "not-done-for-lower-id": (
        VERDICT,
        "Known::Last(last) if last.id > id => Self::Tell(Outcome::Unknown),\n            // Where",
        "Known::Last(last) if last.id > id => Self::Tell(Outcome::NotDone),\n            // Where",
    ),
    # The host accepts an answer to an earlier prompt as one to the open prompt.
    "accept-stale-answer": (CONVERSATION, "Some(re) if re != open =>", "Some(re) if re > open =>"),
    # The terminal does not store the number of the prompt whose answer has no reply.
    "forget-pending-answer": (TERMINAL, "self.memory.pending = prompt;", ""),
    # The ledger gives out numbers without reserving them.
    "skip-number-reservation": (
        RAM,
        "self.next_number = self.next_number.saturating_add(u64::from(BLOCK)).min(Numbers::MAX);",
        "",
    ),
    # The terminal retransmits an answer although it gave up on it.
    "retransmit-after-give-up": (TERMINAL, "        self.resume = false;\n        self.answer = None;\n", ""),
    # The ledger on disk acknowledges a commit that is not synced.
    "acknowledge-before-sync": (JOURNAL, "        self.bytes.sync_data()?;\n", ""),
    # It takes every commit in doubt for done.
    "assume-doubtful-commit-done": (KEEPER, "if head == doubt.after {", "if head.number > 0 {"),
    # It gives out the numbers again that it gave out before a restart.
    "reuse-numbers-after-restart": (STORE, "books.next = books.reserved;", "books.next = 1;"),
}


def occurrences(tree, name):
    """Nothing if the mutant's text occurs once in its file; otherwise why it does not apply."""
    file, old, _ = MUTANTS[name]
    path = tree / file
    count = path.read_text().count(old) if path.exists() else 0
    return None if count == 1 else f"does not apply: {count} places in {file} read {old!r}"


def run(tree, target, name):
    """Builds and simulates one mutant; nothing if it is detected, otherwise why not."""
    if why := occurrences(tree, name):
        return why
    file, old, new = MUTANTS[name]
    path = tree / file
    original = path.read_text()
    path.write_text(original.replace(old, new))
    try:
        cargo = ["cargo", "build", "-q", "--profile", "campaign", "-p", "atm-sim"]
        subprocess.run(cargo + ["--target-dir", target], cwd=tree, check=True)
        durable = ["--durable"] if file.startswith("host/") else []
        simulate = [pathlib.Path(target) / "campaign" / "simulate", *SIMULATE, *durable]
        ran = subprocess.run(simulate, stdout=subprocess.PIPE, text=True, timeout=300)
    finally:
        path.write_text(original)
    violations = [line for line in ran.stdout.splitlines() if line.startswith("seed ")]
    if ran.returncode != 1 or not violations:
        return f"not detected by simulate {' '.join(SIMULATE + durable)}"
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
