"""Asks `mlsm query` and DuckDB's Python package the same: `python3 differential.py MLSM STORE [--queries N --seed N]`.

N queries are drawn from the seed (`generate.py`), and those of `questions.sql` are asked as they are. The formats of
`mlsm query` take turns. Answers are compared value by value; rows in their order where the query orders all of them.
With one thread, floating-point numbers are equal to the bit; with more, sums may differ by 1e-12 of themselves.
Prints how many queries were tried, equal, refused and wrong. Ends with 1 where one is wrong.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys

import environment
import generate
import tables
import answers

QUESTIONS = pathlib.Path(__file__).with_name("questions.sql")
PRINTED = 20
TOLERANCE = 1e-12


def written():
    """Returns the written questions. Those with an ORDER BY at the end order all rows."""
    blocks = QUESTIONS.read_text().split("\n\n")
    queries = ["\n".join(line for line in block.splitlines() if not line.startswith("--")) for block in blocks]
    return [(sql, is_ordered(sql)) for sql in queries if sql.strip()]


def is_ordered(sql):
    """Says whether the query ends in an ORDER BY of its own, outside all brackets."""
    outside, depth = [], 0
    for letter in sql:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        outside.append(letter if depth == 0 else " ")
    return re.search(r"\bORDER\s+BY\b", "".join(outside)) is not None


class Comparison:
    """Asks both, and counts."""

    def __init__(self, program, store, threads):
        self.program, self.store, self.threads = program, store, threads
        self.tables = tables.describe(program, store)
        self.connection = tables.connect(self.tables, threads)
        self.counts = collections.Counter()
        self.refusals = collections.Counter()
        self.refused = []
        self.wrong = []

    def ask(self, sql, form):
        command = [self.program, "query", "--store", self.store, "--threads", str(self.threads), "--format", form, sql]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def compare(self, sql, ordered, form):
        import duckdb

        self.counts["tried"] += 1
        try:
            columns, rows = answers.expected(self.connection, sql, form)
            refused = None
        except duckdb.Error as error:
            refused = str(error)
        answer = self.ask(sql, form)
        said = answer.stderr.decode(errors="replace")
        if answer.returncode != 0:
            self.refuse(sql, form, answer, said, refused)
        elif refused:
            self.miss(sql, form, f"answered, though DuckDB refuses: {refused}")
        else:
            tolerance = TOLERANCE if self.threads > 1 else 0
            found = answers.difference(columns, rows, answer.stdout, said, form, ordered, tolerance)
            self.miss(sql, form, found) if found else self.counts.update(["equal"])

    def refuse(self, sql, form, answer, said, refused):
        if answer.returncode != 2 or "why: " not in said or "fix: " not in said:
            self.miss(sql, form, f"ended with {answer.returncode}: {said}")
        elif answer.stdout:
            self.miss(sql, form, f"wrote {answer.stdout[:60]!r} and then refused: {said}")
        else:
            why = re.search(r"why: (.*)", said).group(1)
            who = "both refuse" if refused else "mlsm refuses"
            reason = re.sub(r"\"[^\"]*\"|'[^']*'|\d+", "…", why)[:110]
            self.counts.update(["refused", who])
            self.refusals[f"{who}: {reason}"] += 1
            if not refused:
                self.refused.append((sql, form, why))

    def miss(self, sql, form, why):
        self.counts.update(["wrong"])
        self.wrong.append((sql, form, why))


def report(kind, comparison):
    counts = comparison.counts
    print(
        f"{kind}: tried {counts['tried']}, equal {counts['equal']}, refused {counts['refused']} (by both "
        f"{counts['both refuse']}, by mlsm alone {counts['mlsm refuses']}), wrong {counts['wrong']}"
    )
    for reason, number in comparison.refusals.most_common():
        print(f"  {number:>5} {reason}")
    for word, found in (("refused by mlsm alone", comparison.refused), ("wrong", comparison.wrong)):
        for sql, form, why in found[:PRINTED]:
            print(f"\n{word}, --format {form}: {why[:600]}\n{sql}")
    if len(comparison.wrong) > PRINTED:
        print(f"\nand {len(comparison.wrong) - PRINTED} more are wrong")
    sys.stdout.flush()


def main(arguments):
    forms = arguments.formats.split(",")
    is_wrong = False
    first = Comparison(arguments.program, arguments.store, arguments.threads)
    generator = generate.Generator(first.connection, first.tables, arguments.seed)
    drawn = [generator.query() for _ in range(arguments.queries)]
    for kind, queries in (("drawn", drawn), ("written", written())):
        comparison = Comparison(arguments.program, arguments.store, arguments.threads)
        for number, (sql, ordered) in enumerate(queries):
            if number and number % 200 == 0:
                print(f"{number} of {len(queries)} {kind} queries asked", file=sys.stderr)
            comparison.compare(sql, ordered, forms[number % len(forms)])
        report(kind, comparison)
        is_wrong |= bool(comparison.wrong)
    sys.exit(1 if is_wrong else 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("store")
    parser.add_argument("--queries", type=int, default=2000, help="how many queries are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--formats", default=",".join(answers.FORMATS), help="the formats that take turns")
    arguments = parser.parse_args()
    environment.enter()
    main(arguments)
