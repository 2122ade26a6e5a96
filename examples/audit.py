"""Audits what `atm ledger export` writes: the numbers, the chain of hashes, and both sides of every movement."""
import collections, csv, hashlib, sys

lines = sys.stdin.read().splitlines()
names = lines[0].split(",")
before, books = "0" * 64, collections.Counter()
for number, line in enumerate(lines[1:], 1):
    text, _, told = line.rpartition(",")
    before = hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()
    assert told == before, f"entry {number}: its hash is not the one that follows"
    entry = dict(zip(names, next(csv.reader([line]))))
    assert entry["number"] == str(number), f"entry {number} is missing"
    if entry["debit"]:
        books[entry["debit"]] -= int(entry["amount"])
        books[entry["credit"]] += int(entry["amount"])
        account = f"account:{entry['account']}"
        assert books[account] == int(entry["balance"]), f"entry {number}: the balance is not {entry['balance']}"
assert sum(books.values()) == 0
for side in sorted(books):
    print(f"{side:40} {books[side] / 100:20,.2f}")
print(f"ok: {len(lines) - 1} entries, the last hash is {before}")
