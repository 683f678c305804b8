"""Few-shot image recognition as an incremental pipeline: the compiled program `mlsm`, and nothing to import.

`python -m mlsm` and the command `mlsm` both start the program. It computes with libtorch of the `torch` package in the
same environment, and `mlsm query` asks DuckDB of the `duckdb-cli` package there.
"""
