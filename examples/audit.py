"""Audits the output of `atm ledger export`: entry numbers, the hash chain, and double-entry balances."""
import collections, csv, hashlib, sys

lines = sys.stdin.read().splitlines()
names = lines[0].split(",")
head, balances = "0" * 64, collections.Counter()
for number, line in enumerate(lines[1:], 1):
    text, _, stored = line.rpartition(",")
    head = hashlib.sha256(f"{head}\n{text}".encode()).hexdigest()
    assert stored == head, f"entry {number}: its hash is not the one that follows"
    entry = dict(zip(names, next(csv.reader([line]))))
    assert entry["number"] == str(number), f"entry {number} is missing"
    if entry["debit"]:
        balances[entry["debit"]] -= int(entry["amount"])
        balances[entry["credit"]] += int(entry["amount"])
        balance = balances[f"account:{entry['account']}"]
        assert balance == int(entry["balance"]), f"entry {number}: the balance is not {entry['balance']}"
assert sum(balances.values()) == 0
for side in sorted(balances):
    print(f"{side:40} {balances[side] / 100:20,.2f}")
print(f"ok: {len(lines) - 1} entries, the last hash is {head}")
