# Load generator of SQLite: THREADS threads run transactions of one update each, all of the same row (WAL,
# synchronous=FULL); prints throughput and latency as JSON. The threads share one connection, as those of a
# server would: SQLite has one writer at a time, and separate connections would wait for its lock by sleeping.
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
latencies = [[] for _ in range(threads)]
counts = [0] * threads
begin = time.perf_counter() + warm_up
end = begin + duration


def work(number):
    mine = latencies[number]
    while True:
        started = time.perf_counter()
        if started >= end:
            return
        with lock:
            # A transaction of its own: SQLite commits it before this returns.
            connection.execute("UPDATE account SET balance = balance + 1 WHERE id = 1")
        done = time.perf_counter()
        counts[number] += 1
        if begin <= done < end:
            mine.append(done - started)


workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
(balance,) = connection.execute("SELECT balance FROM account").fetchone()
assert balance == 100 + sum(counts), (balance, sum(counts))
times = sorted(time for mine in latencies for time in mine)
if not times:
    sys.exit("nothing was committed in the measured time")
quantile = lambda part: times[min(len(times) - 1, int(len(times) * part))]
print(json.dumps({"throughput": len(times) / duration, "p50": quantile(0.5), "p99": quantile(0.99)}))
