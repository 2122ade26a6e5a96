"""Audits the output of `atm ledger export`: entry numbers, the hash chain of each journal, and double-entry balances."""
import collections, csv, hashlib, sys

lines = sys.stdin.read().splitlines()
names = lines[0].split(",")
heads = collections.defaultdict(lambda: (0, "0" * 64))
balances, ended = collections.Counter(), set()
for line in lines[1:]:
    text, _, stored = line.rpartition(",")
    entry = dict(zip(names, next(csv.reader([line]))))
    journal, number = entry["journal"], int(entry["number"])
    where, (last, head) = f"entry {number} of journal {journal}", heads[journal]
    if entry["kind"] == "head":
        assert (last, head) == (number, stored), f"{where} is missing"
        ended.add(journal)
        continue
    assert number == last + 1, f"{where} does not follow entry {last}"
    head = hashlib.sha256(f"{head}\n{text}".encode()).hexdigest()
    assert stored == head, f"{where}: its hash is not the one that follows"
    heads[journal] = number, head
    if entry["debit"]:
        balances[entry["debit"]] -= int(entry["amount"])
        balances[entry["credit"]] += int(entry["amount"])
        balance = balances[f"account:{entry['account']}"]
        assert balance == int(entry["balance"]), f"{where}: the balance is not {entry['balance']}"
    if entry["payee_version"]:
        assert balances[f"account:{entry['payee']}"] == int(entry["payee_balance"]), f"{where}: the payee has another balance"
assert ended == set(heads), "the end is missing"
assert sum(balances.values()) == 0
for side in sorted(balances):
    units, cents = divmod(abs(balances[side]), 100)
    money = "-" * (balances[side] < 0) + f"${units}" + f".{cents:02}" * (cents > 0)
    print(f"{side:40} {money:>20}")
for journal, (number, head) in sorted(heads.items()):
    print(f"ok: journal {journal} has {number} entries, the last hash is {head}")
