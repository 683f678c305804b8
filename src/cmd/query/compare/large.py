"""Times `mlsm query` beside DuckDB on a table of many predictions: `python3 large.py MLSM STORE [ROUNDS]`.

All answer a count, a join and a group-by over the published tables, in turn, ROUNDS times (5). Printed are medians of
elapsed seconds: of `mlsm query` and of DuckDB's own program from start to end, of DuckDB's library from opening the files to
the last row, without the start of Python; the ratio of `mlsm query` to each; and the most memory that `mlsm` and what it
started took. Run it on a quiet machine, on a store that holds enough: 15 queries × 5 classes × 3,200 episodes × 42 rows are
10 million predictions.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import environment
from four_tools import openers

QUERIES = {
    "count": "SELECT count(*) AS n FROM predictions",
    "join": """SELECT c.class_name, count(*) AS wrong FROM predictions p JOIN splits c USING (class_id)
               WHERE p.class_id <> p.predicted_class_id GROUP BY ALL ORDER BY ALL""",
    "group by": """SELECT node, avg((class_id = predicted_class_id)::INT) AS accuracy, count(DISTINCT image_id) AS photos
                   FROM predictions GROUP BY node ORDER BY node""",
}


def by_mlsm(program, store, sql):
    """Returns the answer, elapsed seconds, and the most memory of the program and its children in MB."""
    begun = time.perf_counter()
    command = [program, "query", sql, "--store", store, "--format", "json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    answer = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with {status}")
    # A process that it waited for counts where that took more.
    return json.loads(answer), time.perf_counter() - begun, usage.ru_maxrss / 1024


def views(lines):
    return "".join(f"CREATE VIEW {table} AS {' UNION ALL BY NAME '.join(tools['duckdb'])};" for table, tools in lines.items())


def by_program(lines, sql):
    command = [environment.duckdb_program(), "-init", "/dev/null", "-batch", "-json", "-c", views(lines) + sql]
    begun = time.perf_counter()
    answer = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    return json.loads(answer), time.perf_counter() - begun


def by_library(lines, sql):
    import duckdb

    begun = time.perf_counter()
    connection = duckdb.connect(config={"threads": os.cpu_count()})
    connection.execute(views(lines))
    rows = connection.execute(sql)
    names = [column[0] for column in rows.description]
    answer = [dict(zip(names, row)) for row in rows.fetchall()]
    return answer, time.perf_counter() - begun


def main():
    program, store = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    lines = {table: openers(program, store, table) for table in ("predictions", "splits")}
    print(f"{'query':<10} {'rows':>10} {'mlsm s':>8} {'program s':>10} {'ratio':>6} {'library s':>10} {'ratio':>6} {'MB':>6}")
    (counted,), _, _ = by_mlsm(program, store, QUERIES["count"])
    for name, sql in QUERIES.items():
        ours, of_program, of_library, memory = [], [], [], []
        for _ in range(rounds):
            answer, seconds, peak = by_mlsm(program, store, sql)
            for by, times in ((by_program, of_program), (by_library, of_library)):
                expected, elapsed = by(lines, sql)
                if answer != expected:
                    sys.exit(f"{name}: {answer[:3]} is not {expected[:3]}")
                times.append(elapsed)
            ours.append(seconds)
            memory.append(peak)
        line = f"{name:<10} {counted['n']:>10} {statistics.median(ours):>8.3f}"
        for times in (of_program, of_library):
            median = statistics.median(times)
            line += f" {median:>10.3f} {statistics.median(ours) / median:>6.2f}"
        print(f"{line} {max(memory):>6.0f}", flush=True)


if __name__ == "__main__":
    environment.enter()
    main()
