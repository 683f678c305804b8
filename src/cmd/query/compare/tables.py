"""The published tables as `mlsm tables` describes them, opened in DuckDB's Python package."""

import json
import subprocess


def describe(program, store):
    """Returns the description of each table, by name: its columns, rows and files."""

    def ask(*words):
        command = [program, "tables", *words, "--store", store, "--output", "json"]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    return {line["table"]: ask(line["table"]) for line in ask()}


def text(value):
    """Quotes text for SQL."""
    return "'" + value.replace("'", "''") + "'"


def connect(tables, threads):
    """Returns a connection with a view of each table."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET threads={threads}; SET TimeZone='UTC'")
    for name, table in tables.items():
        files = ", ".join(text(file) for file in table["files"])
        select = f"SELECT * FROM read_parquet([{files}], hive_partitioning=false, union_by_name=true)"
        connection.execute(f'CREATE VIEW "{name}" AS {select}')
    return connection
