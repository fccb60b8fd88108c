"""The same work with Python's sqlite3: prints a line of JSON."""

import json, os, sqlite3, sys, time

folder, seconds, rows = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
connection = sqlite3.connect(os.path.join(folder, "python.db"), isolation_level=None)
for pragma in ["page_size = 4096", "journal_mode = WAL", "synchronous = FULL", "cache_size = -16384"]:
    connection.execute("PRAGMA " + pragma).fetchall()
connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, value REAL) STRICT")
INSERT = "INSERT INTO item (name, value) VALUES (?, ?)"


def rate(work):
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        work(count)
        count += 1
    return count / (time.perf_counter() - started)


result = {"durable": rate(lambda at: connection.execute(INSERT, (f"name {at}", at / 2)))}
connection.execute("PRAGMA synchronous = NORMAL")
result["written"] = rate(lambda at: connection.execute(INSERT, (f"name {at}", at / 2)))
started = time.perf_counter()
connection.execute("BEGIN")
connection.executemany(INSERT, ((f"name {at}", at / 2) for at in range(rows)))
connection.execute("COMMIT")
result["bulk"] = rows / (time.perf_counter() - started)
count = connection.execute("SELECT count(*) FROM item").fetchone()[0]
SELECT = "SELECT name, value FROM item WHERE id = ?"
result["read"] = rate(lambda at: connection.execute(SELECT, (at * 7919 % count + 1,)).fetchall())
print(json.dumps(result))
