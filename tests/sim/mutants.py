#!/usr/bin/env python3
"""Breaks the code on purpose, one rule at a time, and sees that the simulation finds each break.

Usage: mutants.py [NAME ...]    (without a name: all of them)

Each break is one replacement in a copy of the tree. It must be found exactly once, so that a break which the code has
outgrown is told instead of passing unseen.
"""
import pathlib, shutil, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIMULATE = ["--seeds", "2000", "--seed", "1"]
STORE, KEEPER = "host/src/ledger/store.rs", "host/src/ledger/keeper.rs"
JOURNAL = "host/src/ledger/journal.rs"
RAM, VERDICT = "core/src/ledger/ram.rs", "core/src/ledger/verdict.rs"
VISIT, TERMINAL = "core/src/host/visit.rs", "core/src/terminal.rs"

# name: (file, what stands there, what stands there instead); those of the ledger on disk are looked for there
BREAKS = {
    "forget-the-id": (RAM, "(terminal, record) {", "(terminal, record.filter(|_| false)) {"),
    "forget-a-refusal": (
        RAM,
        "(terminal, record) {",
        "(terminal, record.filter(|record| !matches!(record.outcome, Outcome::Refused(_)))) {",
    ),
    "say-not-done-without-a-void": (
        VERDICT,
        "Self::Commit { outcome, balance, record: Some(Record { id, operation: None, outcome }) }",
        "{ let _ = balance; Self::Tell(outcome) }",
    ),
    "say-not-done-of-a-lower-id": (
        VERDICT,
        "Known::Last(last) if last.id > id => Self::Tell(Outcome::Unknown),\n            // Where",
        "Known::Last(last) if last.id > id => Self::Tell(Outcome::NotDone),\n            // Where",
    ),
    "accept-any-re": (VISIT, "Some(re) if re != open =>", "Some(re) if re > open =>"),
    "forget-what-is-pending": (TERMINAL, "self.memory.pending = prompt;", ""),
    "reserve-no-numbers": (
        RAM,
        "self.next_number = self.next_number.saturating_add(u64::from(BLOCK)).min(Numbers::MAX);",
        "",
    ),
    "answer-for-ever": (TERMINAL, "        self.resume = false;\n        self.answer = None;\n", ""),
    # Of the ledger on disk.
    "tell-before-it-is-on-the-disk": (JOURNAL, "        self.bytes.sync_data()?;\n", ""),
    "believe-a-commit-that-failed": (KEEPER, "if head == doubt.after {", "if head.number > 0 {"),
    "give-numbers-again-after-a-start": (STORE, "books.next = books.reserved;", "books.next = 1;"),
}


def run(tree, target, name):
    file, old, new = BREAKS[name]
    path = tree / file
    whole = path.read_text()
    if whole.count(old) != 1:
        return f"the code has outgrown it: {whole.count(old)} places in {file} read {old!r}"
    path.write_text(whole.replace(old, new))
    try:
        cargo = ["cargo", "build", "-q", "--profile", "mutants", "-p", "atm-sim"]
        subprocess.run(cargo + ["--target-dir", target], cwd=tree, check=True)
        durable = ["--durable"] if file.startswith("host/") else []
        simulate = [pathlib.Path(target) / "mutants" / "simulate", *SIMULATE, *durable]
        ran = subprocess.run(simulate, stdout=subprocess.PIPE, text=True, timeout=300)
    finally:
        path.write_text(whole)
    found = [line for line in ran.stdout.splitlines() if line.startswith("seed ")]
    if ran.returncode != 1 or not found:
        return f"not found by {SIMULATE}"
    print(f"found  {name}: {found[0]}", flush=True)


def main():
    names = sys.argv[1:] or list(BREAKS)
    with tempfile.TemporaryDirectory() as scratch:
        tree = pathlib.Path(scratch) / "tree"
        skip = shutil.ignore_patterns("target", ".git", "corpus", "artifacts")
        shutil.copytree(ROOT, tree, ignore=skip)
        missed = {name: why for name in names if (why := run(tree, str(ROOT / "target"), name))}
    for name, why in missed.items():
        print(f"MISSED {name}: {why}")
    sys.exit(1 if missed else 0)


main()
