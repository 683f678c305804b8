"""Draws queries over the published tables, as people write them, each with one right answer.

An order is drawn over all columns of the answer, or none; a LIMIT stands behind an order alone. Large tables are cut
down by a filter, so that no join multiplies them.
"""

import random
import re

import expressions

LARGE = 2000
# Columns that mean the same in several tables, and are joined by. Keys that many rows share are left out.
KEYS = {
    "image_id": "image",
    "class_id": "class",
    "predicted_class_id": "class",
    "cam_class_id": "class",
    "node": "node",
    "run_id": "run",
}
CUTS = {
    "crops": "image_id % 17 = {}",
    "features": "image_id % 19 = {}",
    "episodes": "episode % 31 = {}",
    "predictions": "episode < 3 AND class_id % 5 = {}",
}
NEAR = ["1e3", "1e1", "2.5", "-1", "0", "100::UINTEGER", "7::UTINYINT"]
WORDS = ["a", "e", "mlsm", "conv", "1", "novel", "%", "_", "A", "class"]


class Columns:
    """What `mlsm tables` says of the tables, values that are in them, and expressions over both."""

    def __init__(self, connection, tables, seed):
        self.rng = random.Random(seed)
        self.sizes = {name: table["rows"] for name, table in tables.items()}
        self.columns = {name: {c["column"]: c["type"] for c in table["columns"]} for name, table in tables.items()}
        self.values = {}
        for table in self.columns:
            plain = self.plain(table)
            sample = connection.execute(f"SELECT {', '.join(plain)} FROM {table} LIMIT 1500").fetchall()
            for column, drawn in zip(plain, zip(*sample)):
                known = sorted({value for value in drawn if value is not None}, key=str)
                self.values[table, column] = self.rng.sample(known, min(12, len(known)))

    def plain(self, table):
        """Returns the columns that can be ordered by: all but lists."""
        return [column for column, kind in self.columns[table].items() if not kind.endswith("[]")]

    def some(self, table, number=1):
        return self.rng.sample(self.plain(table), min(number, len(self.plain(table))))

    def table(self, small=False):
        return self.rng.choice([t for t, rows in self.sizes.items() if 0 < rows <= (LARGE if small else rows)])

    def source(self, table, alias):
        """Returns the table as it stands in FROM; a large one is cut down."""
        if self.sizes[table] <= LARGE:
            return f"{table} {self.rng.choice(['AS ', ''])}{alias}"
        return f"(SELECT * FROM {table} WHERE {CUTS[table].format(self.rng.randrange(5))}) AS {alias}"

    def literal(self, table, column):
        known = self.values.get((table, column))
        if not known:
            return "NULL"
        value = self.rng.choice(known)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, (int, float)):
            return self.rng.choice(NEAR) if isinstance(value, int) and self.rng.random() < 0.2 else repr(value)
        kind = "TIMESTAMP " if self.columns[table][column] == "TIMESTAMP" else ""
        return kind + "'" + str(value).replace("'", "''") + "'"

    def fill(self, template, table, alias, column):
        """Puts a column and drawn values into an expression."""
        drawn = {
            "c": lambda: f"{alias}.{column}",
            "t": lambda: table,
            "n": lambda: column,
            "v": lambda: self.literal(table, column),
            "w": lambda: self.rng.choice(WORDS),
            "i": lambda: str(self.rng.randrange(12)),
        }
        return re.sub(r"\$([ctnvwi])\b", lambda found: drawn[found.group(1)](), template)

    def condition(self, table, alias, depth=0):
        if depth < 2 and self.rng.random() < 0.35:
            pair = [self.condition(table, alias, depth + 1) for _ in range(2)]
            return self.rng.choice(["({} AND {})", "({} OR {})", "NOT ({})", "(NOT {} OR {})"]).format(*pair)
        column = self.some(table)[0]
        template = self.rng.choice(expressions.CONDITIONS[self.columns[table][column]])
        return self.fill(template, table, alias, column)

    def where(self, table, alias):
        return f" WHERE {self.condition(table, alias)}" if self.rng.random() < 0.7 else ""

    def value(self, table, alias):
        """Returns an expression over one row that can be ordered by."""
        column = self.some(table)[0]
        return self.fill(self.rng.choice(expressions.VALUES[self.columns[table][column]]), table, alias, column)

    def number(self, table):
        fitting = [c for c, kind in self.columns[table].items() if kind in ("BIGINT", "DOUBLE")]
        return self.rng.choice(fitting) if fitting else None

    def aggregate(self, table, alias):
        number = self.number(table)
        if number and self.rng.random() < 0.7:
            return self.fill(self.rng.choice(expressions.SUMS), table, alias, number)
        return self.fill(self.rng.choice(expressions.AGGREGATES), table, alias, self.some(table)[0])

    def pair(self):
        """Returns two tables and the columns that join them."""
        while True:
            a, b = self.table(), self.table()
            keys = [(x, y) for x in self.columns[a] for y in self.columns[b] if x in KEYS and KEYS[x] == KEYS.get(y)]
            if keys:
                return a, b, *self.rng.choice(keys)


class Generator(Columns):
    """Draws whole queries; each method is a kind of query and says whether its answer is in one order."""

    def query(self):
        kinds = [self.rows, self.join, self.grouped_join, self.self_join, self.group, self.window, self.grouped_window]
        kinds += [self.table_expression, self.subquery, self.set_operation, self.lists, self.unnested, self.times]
        kinds += [self.numbers, self.texts, self.sets_of_groups, self.nulls, self.distinct]
        return self.rng.choice(kinds)()

    def ordered(self, select, number):
        """Mostly orders the answer by all of its columns."""
        if self.rng.random() < 0.4:
            return select, False
        ends = ["", " DESC", " ASC", " NULLS FIRST", " DESC NULLS LAST"]
        places = self.rng.sample(range(1, number + 1), number)
        order = ", ".join(f"{place}{self.rng.choice(ends)}" for place in places)
        cut = f" LIMIT {self.rng.randrange(1, 60)}{self.rng.choice(['', ' OFFSET 3'])}"
        return f"{select} ORDER BY {order}{self.rng.choice(['', cut])}", True

    def listed(self, values):
        return ", ".join(f"{value} AS c{i}" for i, value in enumerate(values))

    def rows(self):
        table, number = self.table(), self.rng.randrange(1, 6)
        values = self.listed(self.value(table, "t") for _ in range(number))
        word = self.rng.choice(["", "", "DISTINCT "])
        return self.ordered(f"SELECT {word}{values} FROM {self.source(table, 't')}{self.where(table, 't')}", number)

    def joined(self):
        """Returns FROM with a join, often on more than the key, and the sides that it has columns of."""
        a, b, x, y = self.pair()
        kinds = ["JOIN", "INNER JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN"]
        kind = self.rng.choice(kinds)
        on = f"a.{x} = b.{y}"
        if self.rng.random() < 0.6:
            on += f" AND {self.condition(*self.rng.choice([(a, 'a'), (b, 'b')]), 1)}"
        sides = [(a, "a")] if kind in ("SEMI JOIN", "ANTI JOIN") else [(a, "a"), (b, "b")]
        return f"FROM {self.source(a, 'a')} {kind} {self.source(b, 'b')} ON {on}", sides

    def join(self):
        source, sides = self.joined()
        values = [self.value(*side) for side in sides * 2]
        order = ", ".join(str(i + 1) for i in range(len(values)))
        where = f" WHERE {self.condition(*self.rng.choice(sides))}"
        return f"SELECT {self.listed(values)} {source}{where} ORDER BY {order} LIMIT {self.rng.randrange(1, 400)}", True

    def grouped_join(self):
        source, sides = self.joined()
        values = [self.value(*sides[0]), "count(*)", *(self.aggregate(*side) for side in sides)]
        having = self.rng.choice(["", " HAVING count(*) > 1", " HAVING count(*) <> 2"])
        return self.ordered(f"SELECT {self.listed(values)} {source} GROUP BY 1{having}", len(values))

    def self_join(self):
        table = self.table(small=True)
        key = self.rng.choice([c for c in self.columns[table] if c in KEYS] or self.some(table))
        other = self.some(table)[0]
        on = f"a.{key} = b.{key} AND a.{other} {self.rng.choice(['<', '<>', '<=', 'IS DISTINCT FROM'])} b.{other}"
        values = [f"a.{key}", "count(*)", f"count(b.{key})", self.aggregate(table, "b")]
        source = f"FROM {table} a {self.rng.choice(['JOIN', 'LEFT JOIN'])} {table} b ON {on}"
        return self.ordered(f"SELECT {self.listed(values)} {source} GROUP BY a.{key}", len(values))

    def group(self):
        table = self.table()
        keys = [self.value(table, "t") for _ in range(self.rng.randrange(0, 3))]
        values = keys + [self.aggregate(table, "t") for _ in range(self.rng.randrange(1, 4))]
        select = f"SELECT {self.listed(values)} FROM {self.source(table, 't')}{self.where(table, 't')}"
        if not keys:
            return select, False
        places = ", ".join(str(i + 1) for i in range(len(values)))
        select += f" GROUP BY {self.rng.choice([places[: 3 * len(keys) - 2], ', '.join(keys), 'ALL'])}"
        if self.rng.random() < 0.4:
            select += " HAVING " + self.rng.choice(
                ["count(*) > 2", "count(*) != 1", "count(*) * 2 >= 1e1", "max(1) = 1"]
            )
        if self.rng.random() < 0.4:
            return f"{select} ORDER BY {self.aggregate(table, 't')} DESC, {places}", True
        return self.ordered(select, len(values))

    def window(self):
        table = self.table()
        few, part = (f"t.{column}" for column in (self.some(table, 2) * 2)[:2])
        part = self.rng.choice(["", f"PARTITION BY {part} "])
        order = f"({part}ORDER BY {', '.join('t.' + c + self.rng.choice(['', ' DESC']) for c in self.plain(table))}"
        values = [f"row_number() OVER {order})", f"ntile(4) OVER {order})", f"first_value({few}) OVER {order})"]
        values += [f"lag({few}, 2) OVER {order})", f"count(*) OVER ({part})"]
        ranks = ["rank", "dense_rank", "percent_rank", "cume_dist"]
        values += [f"{rank}() OVER ({part}ORDER BY {few}{self.rng.choice(['', ' DESC'])})" for rank in ranks]
        values += [f"count(*) OVER ({part}ORDER BY {few})"]
        number = self.number(table)
        if number:
            values += [f"sum(t.{number}) OVER {order} ROWS BETWEEN {self.rng.randrange(4)} PRECEDING AND CURRENT ROW)"]
            values += [f"max(t.{number}) OVER {order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"]
            values += [f"avg(t.{number}) OVER {order} ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)"]
            values += [f"t.{number} - lead(t.{number}) OVER {order})", f"min(t.{number}) OVER ({part})"]
        last = self.rng.choice(["", f" QUALIFY row_number() OVER {order}) <= 3"])
        values = self.listed([few, *self.rng.sample(values, 2)])
        return self.ordered(f"SELECT {values} FROM {self.source(table, 't')}{self.where(table, 't')}{last}", 3)

    def grouped_window(self):
        table = self.table()
        few = f"t.{self.some(table)[0]}"
        over = ["sum(count(*)) OVER ()", "rank() OVER (ORDER BY count(*) DESC)", f"sum(count(*)) OVER (ORDER BY {few})"]
        over += ["count(*) / sum(count(*)) OVER ()", "max(count(*)) OVER () - count(*)", "count(*) OVER ()"]
        values = self.listed([few, "count(*)", *self.rng.sample(over, 2)])
        return self.ordered(f"SELECT {values} FROM {self.source(table, 't')}{self.where(table, 't')} GROUP BY {few}", 4)

    def table_expression(self):
        a, b, x, y = self.pair()
        few = f"SELECT a.{x} AS k, count(*) AS n FROM {self.source(a, 'a')}{self.where(a, 'a')} GROUP BY 1"
        many = f"SELECT b.{y} AS k, {self.aggregate(b, 'b')} AS g FROM {self.source(b, 'b')} GROUP BY 1"
        join = self.rng.choice(["JOIN", "LEFT JOIN", "FULL JOIN"])
        on = self.rng.choice(["USING (k)", "ON few.k = many.k AND n > 1"])
        word = self.rng.choice(["", "MATERIALIZED "])
        text = f"WITH few AS ({few}), many AS {word}({many}) SELECT few.k AS k, n, g FROM few {join} many {on}"
        return self.ordered(text, 3)

    def subquery(self):
        a, b, x, y = self.pair()
        inner, on = self.source(b, "b"), f"a.{x} = b.{y}"
        conditions = [f"EXISTS (SELECT 1 FROM {inner} WHERE {on} AND {self.condition(b, 'b', 1)})"]
        conditions += [f"NOT EXISTS (SELECT 1 FROM {inner} WHERE {on})"]
        conditions += [f"(SELECT count(*) FROM {inner} WHERE {on}) {self.rng.choice(['>', '<=', '='])} 1"]
        conditions += [f"a.{x} IN (SELECT b.{y} FROM {inner}{self.where(b, 'b')})"]
        scalars = [f"(SELECT {self.aggregate(b, 'b')} FROM {inner} WHERE {on})", f"(SELECT count(*) FROM {b})"]
        scalars += [f"(SELECT {self.aggregate(b, 'b')} FROM {inner})"]
        values = self.listed([self.value(a, "a"), self.rng.choice(scalars)])
        return self.ordered(f"SELECT {values} FROM {self.source(a, 'a')} WHERE {self.rng.choice(conditions)}", 2)

    def set_operation(self):
        kind = self.rng.choice(["VARCHAR", "BIGINT"])
        fitting = [(t, c) for t, columns in self.columns.items() for c, k in columns.items() if k == kind]
        sides = []
        for table, column in self.rng.sample(fitting, self.rng.randrange(2, 4)):
            sides.append(f"SELECT t.{column} AS v FROM {self.source(table, 't')}{self.where(table, 't')}")
        word = self.rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"])
        text = f" {word} ".join(sides)
        if word == "UNION":
            return self.ordered(text, 1)
        return self.ordered(f"SELECT v, count(*) AS n FROM ({text}) AS u GROUP BY v", 2)

    def a_list(self):
        return self.rng.choice(
            [(t, c) for t, cs in self.columns.items() for c, kind in cs.items() if kind.endswith("[]")]
        )

    def lists(self):
        table, column = self.a_list()
        values = [self.fill(value, table, "t", column) for value in self.rng.sample(expressions.LISTS, 3)]
        values = self.listed([f"t.{self.some(table)[0]}", *values])
        return f"SELECT {values} FROM {self.source(table, 't')}{self.where(table, 't')}", False

    def unnested(self):
        table, column = self.a_list()
        inner = f"LATERAL (SELECT unnest(t.{column}[:4])::DOUBLE AS x) AS u"
        where = self.where(table, "t")
        return self.ordered(
            f"SELECT u.x AS x, count(*) AS n FROM {self.source(table, 't')}, {inner}{where} GROUP BY u.x", 2
        )

    def times(self):
        values = self.listed(self.rng.sample(expressions.TIMES, self.rng.randrange(1, 5)))
        return f"SELECT {values} FROM runs{self.rng.choice(['', ' JOIN nodes USING (run_id)'])}", False

    def numbers(self):
        values = self.listed(self.rng.sample(expressions.NUMBERS, self.rng.randrange(2, 5)))
        return f"SELECT {values}, count(*) AS n FROM range({self.rng.randrange(1, 50)})", False

    def texts(self):
        """Also draws names that are hard to keep, and equal ones."""
        values = self.rng.sample(expressions.TEXTS, self.rng.randrange(2, 6))
        names = [
            self.rng.choice([f"c{i}", f'"of {i}"', '"n"', '"N"', f'"ä,{i}"', '"a""b"']) for i in range(len(values))
        ]
        return "SELECT " + ", ".join(f"{value} AS {name}" for value, name in zip(values, names)), False

    def sets_of_groups(self):
        table = self.table()
        a, b = (f"t.{column}" for column in (self.some(table, 2) * 2)[:2])
        by = self.rng.choice([f"ROLLUP ({a}, {b})", f"CUBE ({a}, {b})", f"GROUPING SETS (({a}), ({b}), ())"])
        values = self.listed([a, b, f"grouping({a})", "count(*)", self.aggregate(table, "t")])
        return self.ordered(f"SELECT {values} FROM {self.source(table, 't')} GROUP BY {by}", 5)

    def nulls(self):
        table = self.table()
        column, few = (f"t.{c}" for c in (self.some(table, 2) * 2)[:2])
        key = self.rng.choice([f"{column} IS NULL", few])
        values = [
            key,
            f"count({column})",
            f"count(*) - count({column})",
            f"min({column}) IS DISTINCT FROM max({column})",
        ]
        source = f"FROM {self.source(table, 't')}{self.where(table, 't')}"
        return self.ordered(f"SELECT {self.listed(values)} {source} GROUP BY ALL", 4)

    def distinct(self):
        """One row of each group, the first in an order of all columns."""
        table = self.table()
        key = f"t.{self.some(table)[0]}"
        order = ", ".join(f"t.{column}" for column in self.plain(table))
        values = self.listed([key, self.value(table, "t")])
        where = self.where(table, "t")
        return (
            f"SELECT DISTINCT ON ({key}) {values} FROM {self.source(table, 't')}{where} ORDER BY {key}, {order}",
            True,
        )
