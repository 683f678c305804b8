"""Answers five questions with `mlsm query`, DuckDB, polars and pandas: `python3 four_tools.py MLSM STORE`.

Each tool opens the tables with the lines that `mlsm tables NAME` prints for it, executed as they stand, and asks in its
own idiom. Prints a table of questions and tools; ends with 1 where an answer is not that of `mlsm query`, or a tool or
pyarrow reads other values. Numbers are equal within 1e-9 of themselves, since each tool adds in an order of its own.
"""

import json
import math
import subprocess
import sys

import environment

SQL = {
    "accuracy by method": """
        SELECT r.method, r.levels, r.image_source, r.k_shot, avg(e.accuracy) AS accuracy,
               1.96 * stddev_samp(e.accuracy) / sqrt(count(*)) AS ci95
        FROM episodes e JOIN results r USING (node) GROUP BY ALL ORDER BY 1, 2, 3, 4""",
    "most confused pairs": """
        SELECT t.class_name AS truth, p.class_name AS taken_for, count(*) AS times
        FROM predictions q JOIN splits t ON t.class_id = q.class_id JOIN splits p ON p.class_id = q.predicted_class_id
        WHERE q.class_id <> q.predicted_class_id GROUP BY ALL ORDER BY times DESC, truth, taken_for LIMIT 10""",
    "crops that miss the bird": """
        SELECT c.node, i.path, c.iou FROM crops c JOIN images i USING (image_id)
        WHERE c.iou < 0.3 ORDER BY c.iou, c.node, i.path LIMIT 20""",
    "cost of each stage": """
        SELECT stage, sum(seconds) AS seconds, count(*) FILTER (WHERE outcome = 'executed') AS executed
        FROM nodes SEMI JOIN (FROM runs ORDER BY started DESC LIMIT 20) USING (run_id) GROUP BY stage ORDER BY stage""",
    "nearest images": """
        WITH whole AS (SELECT image_id, split, embedding::DOUBLE[] AS v FROM features WHERE source = 'image'),
             asked AS (FROM whole WHERE split = 'novel' ORDER BY image_id LIMIT 1)
        SELECT w.image_id, list_cosine_similarity(w.v, a.v) AS similarity
        FROM whole w JOIN asked a ON w.image_id <> a.image_id ORDER BY similarity DESC, w.image_id LIMIT 10""",
}
TABLES = ["episodes", "results", "predictions", "splits", "crops", "images", "nodes", "runs", "features"]


def openers(program, store, table):
    """Returns the lines that open the files of a table, by tool, as `mlsm tables NAME` prints them."""
    command = [program, "tables", table, "--store", store]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = {}
    for line in printed.splitlines():
        tool, _, opener = line.partition(" ")
        if tool in ("duckdb", "polars", "pandas", "pyarrow") and "read_" in opener:
            lines.setdefault(tool, []).append(opener.strip())
    return lines


class Duckdb:
    """The queries themselves, over tables that the printed SELECTs fill."""

    def __init__(self, lines):
        import duckdb

        self.connection = duckdb.connect()
        for table, openers in lines.items():
            self.connection.execute(f"CREATE VIEW {table} AS {' UNION ALL BY NAME '.join(openers['duckdb'])}")

    def answer(self, question):
        return self.connection.execute(SQL[question]).fetchall()


class Polars:
    """Expressions of polars."""

    def __init__(self, lines):
        import polars as pl

        self.pl = pl
        for table, openers in lines.items():
            setattr(self, table, pl.concat([eval(line, {"pl": pl}) for line in openers["polars"]]))

    def answer(self, question):
        pl = self.pl
        if question == "accuracy by method":
            key = ["method", "levels", "image_source", "k_shot"]
            rows = self.episodes.select("node", "accuracy").join(self.results.select("node", *key), on="node")
            interval = 1.96 * pl.col("accuracy").std() / pl.len().sqrt()
            answer = rows.group_by(key).agg(pl.col("accuracy").mean(), interval.alias("ci95")).sort(key)
        elif question == "most confused pairs":
            wrong = self.predictions.filter(pl.col("class_id") != pl.col("predicted_class_id"))
            pairs = wrong.group_by("class_id", "predicted_class_id").len("times")
            names = self.splits.select("class_id", "class_name")
            pairs = pairs.join(names.rename({"class_name": "truth"}), on="class_id")
            pairs = pairs.join(
                names.rename({"class_name": "taken_for", "class_id": "predicted_class_id"}), on="predicted_class_id"
            )
            pairs = pairs.sort(["times", "truth", "taken_for"], descending=[True, False, False])
            answer = pairs.select("truth", "taken_for", "times").head(10)
        elif question == "crops that miss the bird":
            missed = self.crops.filter(pl.col("iou") < 0.3).join(self.images.select("image_id", "path"), on="image_id")
            answer = missed.select("node", "path", "iou").sort("iou", "node", "path").head(20)
        elif question == "cost of each stage":
            last = self.runs.sort("started", descending=True).head(20)
            executed = (pl.col("outcome") == "executed").sum().alias("executed")
            answer = (
                self.nodes.join(last, on="run_id", how="semi")
                .group_by("stage")
                .agg(pl.col("seconds").sum(), executed)
                .sort("stage")
            )
        else:
            whole = self.features.filter(pl.col("source") == "image").sort("image_id")
            asked = whole.filter(pl.col("split") == "novel").head(1)["image_id"].item()
            near = whole.select(
                "image_id", similarity=cosines(whole["embedding"].to_list(), whole["image_id"].to_list(), asked)
            )
            answer = (
                near.filter(pl.col("image_id") != asked)
                .sort(["similarity", "image_id"], descending=[True, False])
                .head(10)
            )
        return answer.rows()


class Pandas:
    """Data frames of pandas."""

    def __init__(self, lines):
        import pandas as pd

        self.pd = pd
        for table, openers in lines.items():
            setattr(self, table, pd.concat([eval(line, {"pd": pd}) for line in openers["pandas"]], ignore_index=True))

    def answer(self, question):
        if question == "accuracy by method":
            key = ["method", "levels", "image_source", "k_shot"]
            rows = self.episodes[["node", "accuracy"]].merge(self.results[["node", *key]], on="node")
            answer = rows.groupby(key)["accuracy"].agg(["mean", "std", "size"]).reset_index()
            answer["ci95"] = 1.96 * answer["std"] / answer["size"] ** 0.5
            answer = answer[[*key, "mean", "ci95"]]
        elif question == "most confused pairs":
            wrong = self.predictions[self.predictions["class_id"] != self.predictions["predicted_class_id"]]
            pairs = wrong.groupby(["class_id", "predicted_class_id"]).size().reset_index(name="times")
            names = self.splits.set_index("class_id")["class_name"]
            pairs["truth"], pairs["taken_for"] = pairs["class_id"].map(names), pairs["predicted_class_id"].map(names)
            pairs = pairs.sort_values(["times", "truth", "taken_for"], ascending=[False, True, True])
            answer = pairs[["truth", "taken_for", "times"]].head(10)
        elif question == "crops that miss the bird":
            missed = self.crops[self.crops["iou"] < 0.3].merge(self.images[["image_id", "path"]], on="image_id")
            answer = missed[["node", "path", "iou"]].sort_values(["iou", "node", "path"]).head(20)
        elif question == "cost of each stage":
            last = self.runs.nlargest(20, "started")["run_id"]
            nodes = self.nodes[self.nodes["run_id"].isin(last)].assign(executed=lambda n: n["outcome"] == "executed")
            answer = (
                nodes.groupby("stage").agg({"seconds": "sum", "executed": "sum"}).reset_index().sort_values("stage")
            )
        else:
            whole = self.features[self.features["source"] == "image"].sort_values("image_id")
            asked = int(whole.loc[whole["split"] == "novel", "image_id"].iloc[0])
            near = whole[["image_id"]].assign(
                similarity=cosines(whole["embedding"].to_list(), whole["image_id"].to_list(), asked)
            )
            near = near[near["image_id"] != asked]
            answer = near.sort_values(["similarity", "image_id"], ascending=[False, True]).head(10)
        return list(answer.itertuples(index=False, name=None))


def cosines(vectors, ids, asked):
    """Returns the cosine of each vector and the one whose id is asked."""
    import numpy

    matrix = numpy.array(vectors, dtype=numpy.float64)
    matrix /= numpy.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix @ matrix[ids.index(asked)]


def mlsm(program, store, question):
    command = [program, "query", "--store", store, "--format", "json", SQL[question]]
    rows = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return [tuple(row.values()) for row in rows]


def alike(rows, others):
    """Says whether two answers are the same rows in the same order."""

    def close(a, b):
        return math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) else a == b

    return len(rows) == len(others) and all(
        len(row) == len(other) and all(map(close, row, other)) for row, other in zip(rows, others)
    )


def read_alike(tools, lines):
    """Says which tables pyarrow reads otherwise than polars, value by value."""
    import polars as pl
    import pyarrow.parquet as pq

    differing = []
    for table, openers in lines.items():
        arrow = pl.concat([pl.from_arrow(eval(line, {"pq": pq})) for line in openers["pyarrow"]])
        if not arrow.equals(getattr(tools["polars"], table)):
            differing.append(table)
    return differing


def main(program, store):
    lines = {table: openers(program, store, table) for table in TABLES}
    tools = {"duckdb": Duckdb(lines), "polars": Polars(lines), "pandas": Pandas(lines)}
    print(f"{'question':<26}{'rows':>5}{'mlsm query':>12}" + "".join(f"{name:>10}" for name in tools))
    is_wrong = False
    for question in SQL:
        wanted = mlsm(program, store, question)
        words = ["equal" if alike(wanted, tool.answer(question)) else "DIFFERS" for tool in tools.values()]
        print(f"{question:<26}{len(wanted):>5}{'asked':>12}" + "".join(f"{word:>10}" for word in words))
        is_wrong |= "DIFFERS" in words or not wanted
    differing = read_alike(tools, lines)
    print(f"pyarrow reads {len(lines) - len(differing)} of {len(lines)} tables as polars does {' '.join(differing)}")
    sys.exit(1 if is_wrong or differing else 0)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    environment.enter()
    main(*sys.argv[1:])
