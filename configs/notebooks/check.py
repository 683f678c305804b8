"""Executes both notebooks over a store, and compares their answers: `python3 check.py MLSM STORE`.

Exit code 1 when a cell fails, when a notebook is committed with outputs, or when an answer of one differs from that of the
other or from `mlsm query`. Numbers are equal within 1e-9, since each adds in an order of its own.
"""

import json
import math
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "pipelines" / "peers"))
import environment  # noqa: E402

DUCKDB = re.search(r'"duckdb-cli==([0-9.]+)"', (ROOT / "src/cmd/query/engine.rs").read_text()).group(1)
PACKAGES = [
    "nbclient==0.11.0", "nbformat==5.11.1", "ipykernel==7.4.0", f"duckdb=={DUCKDB}", "pandas==3.1.1", "pyarrow==26.0.1",
    "matplotlib==3.11.2", "pytz==2026.6",
]  # fmt: skip
QUESTIONS = ["accuracy", "confused", "missed", "cost", "nearest"]
PRINT = "import json\nprint(json.dumps({name: globals()[name].to_dict('records') for name in %r}, default=float))" % QUESTIONS


def answers(name, store):
    """Executes a notebook; returns its answers by question."""
    import nbclient
    import nbformat

    notebook = nbformat.read(HERE / name, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if any(cell.outputs or cell.execution_count for cell in code):
        sys.exit(f"error: {name} is committed with outputs\n  fix: clear them")
    notebook.cells.append(nbformat.v4.new_code_cell(PRINT))
    os.environ["MLSM_STORE"] = str(store)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    drawn = sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    if drawn != 1:
        sys.exit(f"error: {name} drew {drawn} figures, not one")
    printed = "".join(output.text for output in notebook.cells[-1].outputs if output.output_type == "stream")
    return json.loads(printed)


def of_program(program, store):
    """The same questions, asked of `mlsm query` with the SQL of the notebook for DuckDB."""
    cells = json.loads((HERE / "duckdb.ipynb").read_text())["cells"]
    found = {}
    for cell in cells:
        asked = re.match(r'(\w+) = connection\.sql\("""(.+)"""\)\.df\(\)', "".join(cell["source"]), re.DOTALL)
        if asked:
            command = [program, "--store", store, "query", asked[2], "--format", "json"]
            found[asked[1]] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def is_same(a, b):
    if isinstance(a, list):
        return len(a) == len(b) and all(map(is_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(a[key], b[key]) for key in a)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return a == b


def main():
    environment.inside("notebooks", PACKAGES)
    program, store = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
    expected = of_program(program, store)
    wrong = []
    for name in ("pandas.ipynb", "duckdb.ipynb"):
        found = answers(name, store)
        wrong += [f"{name}: {q}: {found[q][:2]} … {expected[q][:2]}" for q in QUESTIONS if not is_same(found[q], expected[q])]
        print(f"{name}: executed; {', '.join(f'{q} {len(found[q])} rows' for q in QUESTIONS)}")
    print("\n".join(wrong) or "the answers are those of `mlsm query`")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
