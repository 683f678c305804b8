"""Draws queries over the published tables, as people write them: each has an answer, and the answer has one right value.

An order is drawn over all columns, or none; a LIMIT stands behind an order alone. What adds floating-point numbers sees
them in one order when one thread reads them. Large tables are cut down by a filter, so that no join multiplies them.
"""

import random

LARGE = 2000
NUMBERS = ("BIGINT", "DOUBLE")
# Columns that mean the same in several tables, and are joined by.
KEYS = {
    "image_id": "image", "class_id": "class", "predicted_class_id": "class", "cam_class_id": "class", "node": "node",
    "run_id": "run", "split": "part", "part": "part", "episode": "episode", "k_shot": "shots", "method": "method",
}
WIDE = ("part", "episode", "shots", "method")  # keys that many rows share


class Generator:
    """Draws from what `mlsm tables` says of the tables, and from values that are in them."""

    def __init__(self, connection, tables, seed):
        self.rng = random.Random(seed)
        self.sizes = {name: table["rows"] for name, table in tables.items()}
        self.columns = {name: {c["column"]: c["type"] for c in table["columns"]} for name, table in tables.items()}
        self.values = {}
        for name, columns in self.columns.items():
            plain = [c for c, kind in columns.items() if not kind.endswith("[]")]
            sample = connection.execute(
                f"SELECT {', '.join(plain)} FROM {name} LIMIT 1500"
            ).fetchall()
            for column, drawn in zip(plain, zip(*sample) if sample else [[]] * len(plain)):
                known = sorted({value for value in drawn if value is not None}, key=str)
                self.values[name, column] = self.rng.sample(known, min(12, len(known)))
        self.kinds = [
            self.rows, self.join, self.self_join, self.group, self.window, self.table_expression, self.subquery,
            self.set_operation, self.lists, self.times, self.numbers, self.texts, self.sets_of_groups, self.nulls,
        ]

    def query(self):
        """Returns a query, and whether it orders all its rows."""
        return self.rng.choice(self.kinds)()

    def table(self, *, small=False):
        return self.rng.choice([t for t, n in self.sizes.items() if n and not (small and n > LARGE)])

    def source(self, table, alias):
        """Returns the table as it stands in FROM; a large one is cut down."""
        if self.sizes[table] <= LARGE:
            return f"{table} {self.rng.choice(['AS ', ''])}{alias}"
        cuts = {"crops": "image_id % 17 = {}", "features": "image_id % 19 = {}", "episodes": "episode % 31 = {}",
                "predictions": "episode < 3 AND class_id % 5 = {}"}
        return f"(SELECT * FROM {table} WHERE {cuts[table].format(self.rng.randrange(5))}) AS {alias}"

    def column(self, table, kinds):
        fitting = [c for c, kind in self.columns[table].items() if kind in kinds]
        return self.rng.choice(fitting) if fitting else None

    def some(self, table, number):
        """Returns some columns that can be ordered by."""
        plain = [c for c, kind in self.columns[table].items() if not kind.endswith("[]")]
        return self.rng.sample(plain, min(number, len(plain)))

    def literal(self, table, column):
        known = self.values.get((table, column))
        if not known:
            return "NULL"
        value = self.rng.choice(known)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, (int, float)):
            if isinstance(value, int) and self.rng.random() < 0.2:
                return self.rng.choice(["1e3", "1e1", "2.5", "-1", "0", "100::UINTEGER", "7::UTINYINT"])
            return repr(value)
        text = str(value).replace("'", "''")
        return f"TIMESTAMP '{text}'" if self.columns[table][column] == "TIMESTAMP" else f"'{text}'"

    def condition(self, table, alias, depth=0):
        rng = self.rng
        if depth < 2 and rng.random() < 0.35:
            word = rng.choice([" AND ", " OR "])
            pair = [self.condition(table, alias, depth + 1) for _ in range(2)]
            return f"({word.join(pair)})" if rng.random() < 0.8 else f"NOT ({pair[0]})"
        name = rng.choice(self.some(table, 3))
        column, kind, value = f"{alias}.{name}", self.columns[table][name], lambda: self.literal(table, name)
        if kind == "VARCHAR":
            word = rng.choice(["a", "e", "mlsm", "conv", "1", "novel", "%", "_", "A", "class"])
            return rng.choice([
                f"{column} = {value()}", f"{column} <> {value()}", f"{column} != {value()}", f"{column} LIKE '%{word}%'",
                f"{column} NOT LIKE '{word}%'", f"{column} ILIKE '%{word}'", f"{column} IN ({value()}, {value()}, NULL)",
                f"{column} NOT IN ({value()}, {value()})", f"length({column}) > {rng.randrange(12)}",
                f"{column} IS NOT DISTINCT FROM {value()}", f"{column} IS NULL", f"starts_with({column}, '{word}')",
            ])
        if kind == "BOOLEAN":
            return rng.choice([column, f"NOT {column}", f"{column} IS NOT TRUE", f"{column} IS NULL", f"{column} = {value()}"])
        if kind == "TIMESTAMP":
            return rng.choice([f"{column} >= {value()}", f"{column} < now()::TIMESTAMP - INTERVAL 1 HOUR", f"{column} IS NULL"])
        return rng.choice([
            f"{column} {rng.choice(['<', '<=', '>', '>=', '=', '<>'])} {value()}", f"{column} BETWEEN {value()} AND {value()}",
            f"{column} - {value()} < 0", f"{column} IN ({value()}, {value()})", f"{column} IS NULL", f"{column} IS NOT NULL",
            f"{column} > (SELECT avg({name}) FROM {table})", f"coalesce({column}, -1) >= {value()}",
            f"abs({column} - 100) > 1e1", f"NOT ({column} > {value()})",
        ])

    def where(self, table, alias):
        return f" WHERE {self.condition(table, alias)}" if self.rng.random() < 0.7 else ""

    def value(self, table, alias):
        """Returns an expression over one row, of a type that can be ordered by."""
        rng = self.rng
        name = rng.choice(self.some(table, 3))
        column, kind = f"{alias}.{name}", self.columns[table][name]
        if kind == "BIGINT":
            return rng.choice([
                column, f"{column} - 1000", f"{column} * -3 % 7", f"{column} // 4", f"{column} / 4", f"-{column}",
                f"CAST({column} AS DOUBLE) / 3", f"CAST({column} % 100 AS UTINYINT)", f"{column}::VARCHAR || '!'",
                f"nullif({column}, {self.literal(table, name)})", f"{column} + 0.1", f"{column}::HUGEINT * 2",
                f"CASE WHEN {column} > 3 THEN 'many' WHEN {column} IS NULL THEN 'none' ELSE 'few' END", f"{column} * 1e3",
                f"CAST({column} % 50 AS DECIMAL(9, 2))", f"greatest({column}, 5)", f"xor({column}, 3)", f"{column} << 2",
            ])
        if kind == "DOUBLE":
            return rng.choice([
                column, f"round({column}, 2)", f"floor({column})", f"CAST({column} * 10 AS INTEGER)", f"{column}::FLOAT",
                f"sqrt(abs({column}))", f"{column} / nullif({column}, 0)", f"{column} > 0.5", f"-{column}",
                f"CAST({column} AS DECIMAL(12, 4))", f"ln(1 + abs({column}))", f"coalesce({column}, 0)", f"sign({column})",
            ])
        if kind == "VARCHAR":
            return rng.choice([
                column, f"upper({column})", f"length({column})", f"substr({column}, 2, 4)", f"split_part({column}, ':', 1)",
                f"replace({column}, 'a', '''')", f"nullif({column}, '')", f"{column} LIKE '%a%'", f"left({column}, 3)",
                f"coalesce(nullif({column}, ''), '(none)')", f"regexp_extract({column}, '[0-9]+')", f"reverse({column})",
                f"strpos({column}, 'e')", f"concat({column}, NULL, '-')", f"{column} || NULL", f"md5({column})",
            ])
        if kind == "TIMESTAMP":
            return rng.choice([column, f"date_trunc('hour', {column})", f"CAST({column} AS DATE)", f"epoch_ms({column})",
                               f"{column} + INTERVAL 90 MINUTE", f"strftime({column}, '%Y-%m-%d')"])
        return rng.choice([column, f"NOT {column}", f"{column}::INTEGER", f"coalesce({column}, false)"])

    def aggregate(self, table, alias):
        rng = self.rng
        name = self.column(table, NUMBERS)
        other = rng.choice(self.some(table, 2))
        texts = [f"count(DISTINCT {alias}.{other})", f"min({alias}.{other})", f"max({alias}.{other})", "count(*)",
                 f"count({alias}.{other})", f"list(DISTINCT {alias}.{other} ORDER BY {alias}.{other})[1:3]"]
        if name is None:
            return rng.choice(texts)
        column = f"{alias}.{name}"
        return rng.choice(texts + [
            f"sum({column})", f"avg({column})", f"stddev_samp({column})", f"median({column})", f"var_pop({column})",
            f"quantile_cont({column}, 0.25)", f"count(*) FILTER (WHERE {column} > {self.literal(table, name)})",
            f"sum({column}) / count(*)", f"max({column}) - min({column})", f"bool_or({column} > 1)", f"sum({column} - 200)",
            f"round(avg({column}), 3)", f"quantile_disc({column}, 0.9)", f"sum(CASE WHEN {column} < 1 THEN 1 ELSE 0 END)",
        ])

    def ordered(self, select, number, limit=True):
        """Sometimes orders the answer by all of its columns."""
        rng = self.rng
        if rng.random() < 0.4:
            return select, False
        places = rng.sample(range(1, number + 1), number)
        words = [f"{place}{rng.choice(['', ' DESC', ' ASC', ' NULLS FIRST', ' DESC NULLS LAST'])}" for place in places]
        cut = f" LIMIT {rng.randrange(1, 60)}{rng.choice(['', ' OFFSET 3'])}" if limit and rng.random() < 0.5 else ""
        return f"{select} ORDER BY {', '.join(words)}{cut}", True

    def rows(self):
        table, rng = self.table(), self.rng
        number = rng.randrange(1, 6)
        values = ", ".join(f"{self.value(table, 't')} AS v{i}" for i in range(number))
        word = rng.choice(["", "", "DISTINCT "])
        return self.ordered(f"SELECT {word}{values} FROM {self.source(table, 't')}{self.where(table, 't')}", number)

    def pair(self):
        """Returns two tables and a condition that joins them by a key."""
        while True:
            a, b = self.table(), self.table()
            keys = [(x, y) for x in self.columns[a] for y in self.columns[b]
                    if KEYS.get(x, x + a) == KEYS.get(y) and KEYS[y] not in WIDE]
            if keys:
                x, y = self.rng.choice(keys)
                return a, b, f"a.{x} = b.{y}"

    def join(self):
        rng = self.rng
        a, b, on = self.pair()
        kind = rng.choice(["JOIN", "INNER JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN", "LEFT JOIN"])
        if rng.random() < 0.6:
            table, alias = rng.choice([(a, "a"), (b, "b")])
            on = f"{on} AND {self.condition(table, alias, 1)}"
        body = f"FROM {self.source(a, 'a')} {kind} {self.source(b, 'b')} ON {on}"
        sides = [(a, "a")] if kind in ("SEMI JOIN", "ANTI JOIN") else [(a, "a"), (b, "b")]
        if rng.random() < 0.5:
            key = self.value(*sides[0])
            parts = [f"{key} AS k", "count(*) AS n", *(f"{self.aggregate(*side)} AS m{i}" for i, side in enumerate(sides))]
            having = rng.choice(["", " HAVING count(*) > 1", " HAVING count(*) <> 2"])
            return self.ordered(f"SELECT {', '.join(parts)} {body} GROUP BY {key}{having}", len(parts))
        where = f" WHERE {self.condition(*rng.choice(sides))}"
        parts = [f"{self.value(*side)} AS v{i}" for i, side in enumerate(sides * 2)]
        select, _ = f"SELECT {', '.join(parts)} {body}{where}", None
        order = ", ".join(str(i + 1) for i in range(len(parts)))
        return f"{select} ORDER BY {order} LIMIT {rng.randrange(1, 400)}", True

    def self_join(self):
        rng = self.rng
        table = self.table(small=True)
        keys = [c for c in self.columns[table] if c in KEYS] or self.some(table, 1)
        key, other = rng.choice(keys), rng.choice(self.some(table, 1))
        compare = rng.choice(["<", "<>", "<=", "IS DISTINCT FROM"])
        kind = rng.choice(["JOIN", "LEFT JOIN"])
        body = f"FROM {table} a {kind} {table} b ON a.{key} = b.{key} AND a.{other} {compare} b.{other}"
        return self.ordered(f"SELECT a.{key} AS k, count(*) AS n, count(b.{key}) AS m, {self.aggregate(table, 'b')} AS g {body} GROUP BY a.{key}", 4)

    def group(self):
        rng, table = self.rng, self.table()
        keys = [self.value(table, "t") for _ in range(rng.randrange(0, 3))]
        values = [self.aggregate(table, "t") for _ in range(rng.randrange(1, 4))]
        parts = [f"{part} AS c{i}" for i, part in enumerate(keys + values)]
        select = f"SELECT {', '.join(parts)} FROM {self.source(table, 't')}{self.where(table, 't')}"
        if not keys:
            return select, False
        select += f" GROUP BY {rng.choice([', '.join(str(i + 1) for i in range(len(keys))), ', '.join(keys), 'ALL'])}"
        if rng.random() < 0.4:
            select += f" HAVING {rng.choice(['count(*) > 2', 'count(*) != 1', 'count(*) * 2 >= 1e1', 'max(1) = 1'])}"
        if rng.random() < 0.4:
            places = [str(i + 1) for i in range(len(parts))]
            return f"{select} ORDER BY {self.aggregate(table, 't')} DESC, {', '.join(places)}", True
        return self.ordered(select, len(parts))

    def window(self):
        rng, table = self.rng, self.table()
        order = ", ".join(f"t.{c}{rng.choice(['', ' DESC'])}" for c in self.columns[table] if not self.columns[table][c].endswith("[]"))
        part = rng.choice(["", f"PARTITION BY t.{rng.choice(self.some(table, 2))} "])
        number = self.column(table, NUMBERS)
        few = f"t.{rng.choice(self.some(table, 2))}"
        values = [f"row_number() OVER ({part}ORDER BY {order})", f"rank() OVER ({part}ORDER BY {few})", f"dense_rank() OVER ({part}ORDER BY {few} DESC)",
                  f"count(*) OVER ({part}ORDER BY {few})", f"ntile(4) OVER ({part}ORDER BY {order})", f"count(*) OVER ({part})",
                  f"first_value({few}) OVER ({part}ORDER BY {order})", f"lag({few}, 2) OVER ({part}ORDER BY {order})",
                  f"percent_rank() OVER ({part}ORDER BY {few})", f"cume_dist() OVER ({part}ORDER BY {few})"]
        if number:
            values += [f"sum(t.{number}) OVER ({part}ORDER BY {order} ROWS BETWEEN {rng.randrange(4)} PRECEDING AND CURRENT ROW)",
                       f"max(t.{number}) OVER ({part}ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
                       f"avg(t.{number}) OVER ({part}ORDER BY {order} ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)",
                       f"t.{number} - lead(t.{number}) OVER ({part}ORDER BY {order})", f"min(t.{number}) OVER ({part})"]
        parts = [f"{v} AS w{i}" for i, v in enumerate([few, *rng.sample(values, 2)])]
        if rng.random() < 0.25:
            grouped = f"SELECT {few} AS k, count(*) AS n, sum(count(*)) OVER () AS s, rank() OVER (ORDER BY count(*) DESC) AS r"
            return self.ordered(f"{grouped} FROM {self.source(table, 't')} GROUP BY {few}", 4)
        last = rng.choice(["", f" QUALIFY row_number() OVER ({part}ORDER BY {order}) <= 3"])
        return self.ordered(f"SELECT {', '.join(parts)} FROM {self.source(table, 't')}{self.where(table, 't')}{last}", 3)

    def table_expression(self):
        rng = self.rng
        a, b, on = self.pair()
        key, other = on.replace(" ", "").split("=")
        where = self.where(a, "a")
        text = (f"WITH few AS (SELECT {key} AS k, count(*) AS n FROM {self.source(a, 'a')}{where} GROUP BY 1), "
                f"many AS {rng.choice(['', 'MATERIALIZED '])}(SELECT {other} AS k, {self.aggregate(b, 'b')} AS g FROM {self.source(b, 'b')} GROUP BY 1) "
                f"SELECT few.k AS k, n, g FROM few {rng.choice(['JOIN', 'LEFT JOIN', 'FULL JOIN'])} many {rng.choice(['USING (k)', 'ON few.k = many.k AND n > 1'])}")
        return self.ordered(text, 3)

    def subquery(self):
        rng = self.rng
        a, b, on = self.pair()
        value = self.value(a, "a")
        inner = self.source(b, "b")
        condition = rng.choice([
            f"EXISTS (SELECT 1 FROM {inner} WHERE {on} AND {self.condition(b, 'b', 1)})", f"NOT EXISTS (SELECT 1 FROM {inner} WHERE {on})",
            f"(SELECT count(*) FROM {inner} WHERE {on}) {rng.choice(['>', '<=', '='])} {rng.randrange(3)}",
            f"{on.split(' = ')[0]} IN (SELECT {on.split(' = ')[1]} FROM {inner}{self.where(b, 'b')})",
        ])
        scalar = rng.choice([f"(SELECT {self.aggregate(b, 'b')} FROM {inner} WHERE {on})", f"(SELECT count(*) FROM {b})", f"(SELECT {self.aggregate(b, 'b')} FROM {inner})"])
        return self.ordered(f"SELECT {value} AS v, {scalar} AS s FROM {self.source(a, 'a')} WHERE {condition}", 2)

    def set_operation(self):
        rng = self.rng
        kind = rng.choice(["VARCHAR", "BIGINT"])
        sides = []
        for _ in range(rng.randrange(2, 4)):
            table = self.table()
            while not self.column(table, [kind]):
                table = self.table()
            sides.append(f"SELECT t.{self.column(table, [kind])} AS v FROM {self.source(table, 't')}{self.where(table, 't')}")
        word = rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL"])
        text = f" {word} ".join(sides)
        return self.ordered(f"SELECT v, count(*) AS n FROM ({text}) AS u GROUP BY v", 2) if word != "UNION" else self.ordered(text, 1)

    def lists(self):
        rng = self.rng
        table, name = rng.choice([(t, c) for t, columns in self.columns.items() for c, kind in columns.items() if kind.endswith("[]")])
        column = f"t.{name}"
        key = rng.choice([c for c in self.columns[table] if c in KEYS])
        values = [f"{column}[1]", f"len({column})", f"{column}[-1] - {column}[1]", f"list_sort({column})[1:4]", f"{column}[2:5]", f"list_max({column}) > 3",
                  f"list_contains({column}, 5)", f"list_sum({column})", f"list_transform({column}[:3], x -> x * 2)", f"list_filter({column}[:9], x -> x > 0)",
                  f"list_reduce({column}[:4], (x, y) -> x + y)", f"array_to_string({column}[:2], '|')", f"list_distinct({column}) IS NULL",
                  f"{{'first': {column}[1], 'size': len({column})}}", f"[{column}[1], NULL]", f"list_position({column}, {column}[2])", f"list_aggregate({column}, 'avg')",
                  f"list_zip({column}[:2], [1, 2])[1][2]", f"list_cosine_similarity({column}, {column}) > 0", f"MAP {{'k': {column}[1]}}", f"{column}"]
        if rng.random() < 0.3:
            text = f"SELECT u.x AS x, count(*) AS n FROM {self.source(table, 't')}, LATERAL (SELECT unnest({column}[:4])::DOUBLE AS x) AS u GROUP BY u.x"
            return self.ordered(text, 2)
        parts = [f"t.{key} AS k", *(f"{v} AS l{i}" for i, v in enumerate(rng.sample(values, 3)))]
        return f"SELECT {', '.join(parts)} FROM {self.source(table, 't')}{self.where(table, 't')}", False

    def times(self):
        rng = self.rng
        values = ["started", "finished - started", "date_trunc('minute', started)", "started::DATE", "date_diff('second', started, finished)", "started + INTERVAL 3 MONTH",
                  "strftime(finished, '%H:%M')", "extract(hour FROM started)", "started::TIME", "epoch(finished) - epoch(started)", "finished > started", "dayname(started)",
                  "CAST(started AS TIMESTAMP_MS)", "started::TIMESTAMPTZ", "age(finished, started)", "time_bucket(INTERVAL 15 MINUTE, started)", "date_part('doy', started)",
                  "started - INTERVAL '1 day 2 hours'", "to_timestamp(0)", "make_date(2024, 2, 29) + INTERVAL 1 YEAR", "last_day(started)", "started::VARCHAR", "[started, finished]", "{'at': started}"]
        parts = [f"{v} AS t{i}" for i, v in enumerate(rng.sample(values, rng.randrange(1, 5)))]
        join = rng.choice(["", " JOIN nodes USING (run_id)"])
        return f"SELECT {', '.join(parts)} FROM runs{join}", False

    def numbers(self):
        rng = self.rng
        values = ["3::UBIGINT - 4::BIGINT", "5::UINTEGER - 3::UINTEGER", "200::UTINYINT + 55::UTINYINT", "1e3", "1e-310", "-7 // 2", "-7 % 3", "7 / 2", "0.1 + 0.2", "0.1::DOUBLE + 0.2",
                  "1/0", "0.0/0", "'nan'::DOUBLE", "-'inf'::DOUBLE", "2 ** 62", "9007199254740993", "9007199254740993::DOUBLE", "1.1::FLOAT", "CAST(2.5 AS INTEGER)", "CAST(3.5 AS INTEGER)",
                  "round(-2.5)", "CAST('12' AS BIGINT) + 1", "TRY_CAST('x' AS INTEGER)", "1 = 1.0", "NULL + 1", "sum(range)", "avg(range)", "count(*)::UBIGINT", "sum(range)::HUGEINT * 3",
                  "123456789012345678.9", "0.1::DECIMAL(18, 17)", "[0.5::DOUBLE, NULL]", "{'n': sum(range)}", "[sum(range)]", "bit_count(255)", "hash(1) % 10", "1::DECIMAL(9, 3)", "-0.0::DOUBLE", "pi()"]
        parts = [f"{v} AS n{i}" for i, v in enumerate(rng.sample(values, rng.randrange(2, 6)))]
        return f"SELECT {', '.join(parts)} FROM range({rng.randrange(1, 50)})", False

    def texts(self):
        rng = self.rng
        values = ["'it''s'", "''", "NULL", "' a '", "chr(9) || 'b'", "'a' || chr(10) || 'b'", "'\"'", "'ä' || 'ß'", "upper('straße')", "'a,b;c'", "'=1+1'", "lower('ÀB')", "length('鳥')", "repeat('ab', 300)",
                  "string_split('a:b:c', ':')", "['a,b', '', NULL, 'NULL']", "{'k': 'v, w'}", "'NULL'", "'null'", "'1'", "concat_ws('-', 'a', NULL, 'b')", "format('{:.3f}', 0.1234)", "printf('%d', 3)", "'\\n'",
                  "'101'::BIT", "'\\xAA'::BLOB", "'6c2f8f4e-0c45-4e10-9d5b-2a2a3c3f1b10'::UUID", "'b'::ENUM('a', 'b')", "'[1]'::JSON", "'a' < 'B'", "'a' COLLATE NOCASE = 'A'", "'x' SIMILAR TO '[x-z]'", "'50%' LIKE '50!%' ESCAPE '!'"]
        drawn = rng.sample(values, rng.randrange(2, 6))
        names = [rng.choice([f"c{i}", f'"of {i}"', '"n"', '"N"', f'"ä,{i}"']) for i in range(len(drawn))]
        return "SELECT " + ", ".join(f"{v} AS {n}" for v, n in zip(drawn, names)), False

    def sets_of_groups(self):
        rng, table = self.rng, self.table()
        a, b = (self.some(table, 2) * 2)[:2]
        by = rng.choice([f"ROLLUP (t.{a}, t.{b})", f"CUBE (t.{a}, t.{b})", f"GROUPING SETS ((t.{a}), (t.{b}), ())"])
        return self.ordered(f"SELECT t.{a} AS a, t.{b} AS b, grouping(t.{a}) AS g, count(*) AS n, {self.aggregate(table, 't')} AS m FROM {self.source(table, 't')} GROUP BY {by}", 5)

    def nulls(self):
        rng, table = self.rng, self.table()
        column = f"t.{rng.choice(self.some(table, 2))}"
        few = f"t.{rng.choice(self.some(table, 2))}"
        return self.ordered(
            f"SELECT {rng.choice([column + ' IS NULL', few])} AS k, count({column}) AS n, count(*) - count({column}) AS missing, min({column}) IS DISTINCT FROM max({column}) AS d "
            f"FROM {self.source(table, 't')}{self.where(table, 't')} GROUP BY ALL", 4)
