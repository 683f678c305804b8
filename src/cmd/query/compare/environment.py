"""The packages that the comparisons need, in a virtual environment of their own below the folder of caches."""

import os
import pathlib
import re
import subprocess
import sys
import venv

# DuckDB is of the version that `mlsm query` fetches; it needs pytz for times with a zone.
ENGINE = pathlib.Path(__file__).resolve().parent.parent / "engine.rs"
DUCKDB = re.search(r'"duckdb-cli==([0-9.]+)"', ENGINE.read_text()).group(1)
PACKAGES = [f"duckdb=={DUCKDB}", "pyarrow==26.0.1", "polars==2.1.0", "pandas==3.1.1", "numpy==2.4.6", "pytz==2026.6"]


def caches():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")


def duckdb_program():
    """The engine of `mlsm query`, which fetches it at the first query."""
    return os.environ.get("MLSM_DUCKDB") or caches() / "mlsm" / f"duckdb-cli-{DUCKDB}" / "duckdb_cli" / "duckdb"


def enter():
    """Makes the environment where it is not whole yet, and goes on inside it."""
    home = caches() / "mlsm" / ("sql-" + "-".join(package.split("==")[1] for package in PACKAGES))
    if pathlib.Path(sys.prefix) == home:
        return
    python, whole = home / "bin" / "python", home / "whole"
    if not whole.is_file():
        print(f"installing {', '.join(PACKAGES)} into {home}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        whole.touch()
    os.execv(python, [str(python), *sys.argv])
