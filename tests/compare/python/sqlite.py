# Updates one row of an SQLite database (WAL, synchronous=FULL), a transaction each, from as many threads as are asked for,
# and tells how often, as JSON. The threads share one connection, as those of a server would: only one can write anyway, and
# connections of their own would wait for each other's lock by sleeping.
# python3 sqlite.py FILE THREADS WARM_UP DURATION (seconds)
import json
import sqlite3
import sys
import threading
import time

path, threads, warm_up, duration = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
assert connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
connection.execute("PRAGMA synchronous=FULL")
assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")
connection.execute("INSERT INTO account VALUES (1, 100)")

lock = threading.Lock()
taken = [[] for _ in range(threads)]
counts = [0] * threads
begin = time.perf_counter() + warm_up
end = begin + duration


def work(number):
    mine = taken[number]
    while True:
        asked = time.perf_counter()
        if asked >= end:
            return
        with lock:
            # A transaction of its own: SQLite commits it before this returns.
            connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")
        done = time.perf_counter()
        counts[number] += 1
        if begin <= done < end:
            mine.append(done - asked)


workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
(balance,) = connection.execute("SELECT balance FROM account").fetchone()
assert balance == 100 + sum(counts), (balance, sum(counts))
times = sorted(time for mine in taken for time in mine)
if not times:
    sys.exit("nothing was committed in the time")
share = lambda part: times[min(len(times) - 1, int(len(times) * part))]
print(json.dumps({"rate": len(times) / duration, "p50": share(0.5), "p99": share(0.99)}))
