#!/usr/bin/env python3
"""Auditor of the tables: derives everything in a ledger's database again from its entries, with nothing of ours.

`python3 audit_tables.py ledger.db` reads the file read-only, also beside a running server, in one transaction; so does
`python3 audit_tables.py postgres://USER@HOST/NAME` a shared ledger, through `psql`. It prints the balance of each account, and the first
faults or "ok", and ends with 1 or 0. Memory grows with the terminals.
"""
import hashlib, json, sqlite3, subprocess, sys, urllib.parse

FORMAT = 5
COLUMNS = ("journal", "number", "time", "kind", "ledger", "terminal", "id", "numbers", "operation", "reason", "account", "debit",
           "credit", "amount", "balance", "version", "series", "uid", "card", "accounts", "owner", "payee", "payee_balance",
           "payee_version", "detail", "digest")
faults = []


def check(is_right, what):
    if not is_right:
        faults.append(what)


def hashed(before, entry):
    """The hash of an entry: of the hash before it, a line feed, and the line with the format and all columns."""
    line = ",".join([str(FORMAT)] + ["" if entry[column] is None else str(entry[column]) for column in COLUMNS])
    return hashlib.sha256(f"{before}\n{line}".encode()).hexdigest()


def sides(entry):
    """The debited and the credited side, and what the account gains."""
    account = f"account:{entry['account']}"
    cash = "cash" if entry["terminal"] is None else f"cash:{entry['terminal']}"
    if entry["kind"] in ("created", "opened"):
        return "opening", account, entry["amount"]
    if entry["kind"] != "done" or entry["operation"] not in ("deposit", "withdrawal", "withdrawal-all", "transfer"):
        return None, None, 0
    if entry["operation"] == "transfer":
        return account, f"account:{entry['payee']}", -entry["amount"]
    deposit = entry["operation"] == "deposit"
    return (cash, account, entry["amount"]) if deposit else (account, cash, -entry["amount"])


def last_row(entry):
    """The columns `last_…` of a terminal's row behind this entry."""
    outcome = entry["reason"] or entry["kind"]
    has_balance = outcome in ("insufficient", "balance-limit") or entry["debit"] is not None
    balance = entry["balance"] if has_balance else None
    return entry["id"], entry["operation"], outcome, entry["amount"], balance, entry["payee"], entry["detail"]


def judged(card, entry):
    """A card after an operation: its accounts, tries, refusals, whether it is blocked, its version, and its day with the sum."""
    if entry["reason"] == "not-verified":
        card["tries"], card["refusals"] = min(card["tries"] + 1, 3), card["refusals"] + 1
        if card["tries"] == 3 and not card["blocked"]:
            card["blocked"], card["version"] = 1, card["version"] + 1
    elif entry["kind"] == "done":
        if entry["operation"] in ("verification", "pin-change"):
            card["tries"], card["version"] = 0, card["version"] + (entry["operation"] == "pin-change")
        if (entry["operation"] or "").startswith("withdrawal"):
            day = max(card["day"], entry["time"] // 86_400_000)
            card["day"], card["withdrawn"] = day, entry["amount"] + (card["withdrawn"] if day == card["day"] else 0)


def ordered(card, kind):
    """A card after an operator's order."""
    card["version"] += kind == "pin-set" or (kind == "blocked") != bool(card["blocked"])
    if kind != "pin-set":
        card["blocked"] = int(kind == "blocked")
    if kind == "unblocked":
        card["tries"] = 0


CARD = ("accounts", "tries", "refusals", "blocked", "version", "day", "withdrawn")
SECRETS = ("token", "verifier", "last_four")
STATES = {"frozen": "frozen", "unfrozen": "open", "closed": "closed"}


# In the order in which they are read.
TABLES = ("entries", "journals", "accounts", "cards", "terminals", "ledger", "movements")


def of_sqlite(path):
    """Reads the rows of a table in SQLite, those of entries in the order of their commits."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    database.execute("BEGIN")
    return lambda table: database.execute(f"SELECT * FROM {table}{' ORDER BY rowid' if table == 'entries' else ''}")


def of_postgres(url):
    """Reads the rows of a table in PostgreSQL: each is a line of JSON, and all are of one snapshot."""
    texts = [
        f"SELECT '{table}', row_to_json(t) FROM (SELECT * FROM {table}{' ORDER BY position' if table == 'entries' else ''}) AS t;"
        for table in TABLES
    ]
    script = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;" + "".join(texts) + "COMMIT; SELECT 'end', '{}';"
    command = ["psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-v", "FETCH_COUNT=1000", "-d", url, "-f", "-"]
    psql = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
    psql.stdin.write(script)
    psql.stdin.close()
    lines = (line.rstrip("\n").split("\t", 1) for line in psql.stdout)
    read = next(lines, None)

    def rows(table):
        nonlocal read
        while read and read[0] == table:
            yield json.loads(read[1])
            read = next(lines, None)
        # What is missing at the end would look like rows that are not there.
        if read is None:
            sys.exit(f"psql has ended with {psql.wait()} in the table {table}")

    return rows


def audit(rows):
    heads, accounts, last, gaps, identity, enrolled = {}, {}, {}, {}, None, {}
    owners, digests, cards = {1: (None, "open")}, {}, {0: dict(zip(CARD, ("", 0, 0, 1, 0, 0, 0)))}
    for entry in rows("entries"):
        where = f"entry {entry['number']} of journal {entry['journal']}"
        number, before = heads.get(entry["journal"], (0, "0" * 64))
        check(entry["number"] == number + 1, f"{where} does not follow entry {number}")
        check(entry["hash"] == hashed(before, entry), f"{where} has another hash")
        heads[entry["journal"]] = entry["number"], entry["hash"]
        if entry["kind"] in ("created", "restored"):
            identity = entry["ledger"]
        if entry["kind"] in ("opened", *STATES):
            check(entry["journal"] == 2, f"{where} is not the operator's")
            opened = entry["kind"] == "opened"
            owner = urllib.parse.unquote(entry["owner"]) if opened else owners.get(entry["account"], (None,))[0]
            owners[entry["account"]] = owner, "open" if opened else STATES[entry["kind"]]
        if entry["digest"] is not None:
            digests[entry["card"]] = entry["digest"]
        if entry["kind"] == "issued":
            check(entry["card"] == len(cards), f"{where} is not about the next card")
            cards[entry["card"]] = dict(zip(CARD, (entry["accounts"], 0, 0, 0, 0, 0, 0)))
        elif entry["card"] is not None:
            check(entry["card"] in cards, f"{where} is about no card")
            card = cards.setdefault(entry["card"], dict.fromkeys(CARD, 0))
            if entry["kind"] in ("blocked", "unblocked", "pin-set"):
                ordered(card, entry["kind"])
            else:
                judged(card, entry)
        if entry["payee_version"] is not None:
            balance, version = accounts.get(entry["payee"], (0, 0))
            accounts[entry["payee"]] = balance + entry["amount"], version + 1
            found = entry["payee_balance"], entry["payee_version"]
            check(found == accounts[entry["payee"]], f"{where}: the payee does not add up")
        if entry["account"] is not None and entry["kind"] not in STATES:
            balance, version = accounts.get(entry["account"], (0, 0))
            debit, credit, gain = sides(entry)
            check((entry["debit"], entry["credit"]) == (debit, credit), f"{where} has other sides")
            accounts[entry["account"]] = balance + gain, version + (debit is not None)
            check((entry["balance"], entry["version"]) == accounts[entry["account"]], f"{where} does not add up")
        if entry["kind"] in ("opened", "issued", "blocked", "unblocked", "pin-set", *STATES):
            continue
        name, number = entry["terminal"], entry["id"]
        if entry["kind"] in ("enrolled", "rotated", "revoked", "confirmed"):
            check(entry["journal"] == 2, f"{where} is not the operator's")
            if entry["kind"] != "confirmed":
                before = enrolled.get(name, (0, False))[0]
                series = before if entry["series"] is None else entry["series"]
                issued = entry["series"] is not None and entry["kind"] != "revoked"
                check(series == before + issued, f"{where} has not the next series")
                enrolled[name] = series, entry["kind"] == "enrolled" and not issued
            continue
        if name is None or entry["kind"] == "set-back":
            if name is not None:
                gaps[name] = number, entry["numbers"], entry["time"]
            continue
        start, end, _ = gaps.get(name, (0, 0, None))
        check(number > last.get(name, (0,))[0], f"{where}: the id is not above the terminal's last")
        check(not start <= number < end, f"{where}: the id is in the terminal's gap")
        last[name] = last_row(entry)
    for row in rows("journals"):
        check((row["number"], row["hash"]) == heads.pop(row["journal"], (0, "0" * 64)), f"the head of journal {row['name']}")
    check(not heads, f"journals without a row: {list(heads)}")
    for row in rows("accounts"):
        found = row["balance"], row["version"]
        check(found == accounts.pop(row["account"], None), f"account {row['account']} is {found}")
        found = row["owner"], row["state"]
        check(found == owners.pop(row["account"], None), f"account {row['account']} is {found}")
        units, cents = divmod(row["balance"], 100)
        print(f"account {row['account']}: ${units}{f'.{cents:02}' * (cents > 0)}")
    check(not accounts, f"accounts without a row: {list(accounts)}")
    of_cards = list(rows("cards"))
    found = {row["card"]: {column: row[column] for column in CARD} for row in of_cards}
    check(found == cards, f"the cards are {found} and not {cards}")
    for row in of_cards:
        if row["card"] == 0:
            continue
        keys = row["token"].split(":")[:1] + row["verifier"].split(":")[:2]
        sums = [hashlib.sha256(",".join(texts).encode()).hexdigest() for texts in (keys, [row[column] for column in SECRETS])]
        found = sums[0][:4] + sums[1][:12]
        check(found == digests.get(row["card"]), f"card {row['card']} has another token, verifier or last digits")
    names = set()
    for row in rows("terminals"):
        name = row["terminal"]
        names.add(name)
        found = tuple(row[f"last_{column}"] for column in ("id", "operation", "outcome", "amount", "balance", "payee", "detail"))
        check(found == last.get(name, (None,) * 7), f"terminal {name}: {found} and not {last.get(name)}")
        start, end, since = gaps.get(name, (0, 0, None))
        gap = row["gap_start"], row["gap_end"], row["set_back_at"]
        check(gap == (start, end, since) or (since is None and gap[0] >= gap[1]), f"terminal {name}: the gap {gap}")
        found = row["series"], bool(row["tls"])
        check(found == enrolled.pop(name, (0, False)), f"terminal {name}: the enrolment {found}")
        found = last.get(name, (None,))
        check(row["next_number"] > max(found[0] or 0, end - 1), f"terminal {name}: numbers that are not reserved")
    check(not enrolled and not (last.keys() | gaps.keys()) - names, "terminals without a row")
    found = [(row["format"], row["identity"]) for row in rows("ledger")]
    check(found == [(FORMAT, identity)], f"the ledger is {found}, its entries say {identity}")
    # Not in SQL: a sum there ends at 2^63.
    check(sum(row["amount"] for row in rows("movements")) == 0, "the movements' sum")


audit((of_postgres if sys.argv[1].startswith("postgres://") else of_sqlite)(sys.argv[1]))
print("\n".join(faults[:20]) or "ok")
sys.exit(1 if faults else 0)
