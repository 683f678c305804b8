"""Starts the compiled program in place of this interpreter."""

import os
import pathlib
import sys

PACKAGE = pathlib.Path(__file__).resolve().parent


def main():
    duckdb = PACKAGE.parent / "duckdb_cli" / "duckdb"
    if duckdb.exists():
        os.environ.setdefault("MLSM_DUCKDB", str(duckdb))
    os.execv(PACKAGE / "bin" / "mlsm", ["mlsm", *sys.argv[1:]])


if __name__ == "__main__":
    main()
