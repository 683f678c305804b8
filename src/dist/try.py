"""Tries a wheel as its user would, without a compiler: `python3 try.py WHEEL LIBTORCH [CONFIG]`.

An empty environment and an empty home: the program must state its version, lie beside its manual and completions, finish the pipeline of CONFIG (`tiny` when left
out), find nothing to do the second time, and answer SQL. LIBTORCH is a folder that holds `torch/` and `nvidia/`; it takes
the place of the `torch` wheel, which is 0.5 GB and asks for 4 GB more.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile


def answer(command, folder):
    """Runs the program and returns its last line of JSON."""
    environment = {"PATH": str(command[0].parent), "HOME": folder}
    done = subprocess.run([*command, "--output", "json"], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: `mlsm {' '.join(command[1:])}` ended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: try.py WHEEL LIBTORCH [CONFIG]")
    wheel, libtorch = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    config = sys.argv[3] if len(sys.argv) == 4 else "tiny"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
        python = pathlib.Path(folder, "venv", "bin", "python")
        mlsm = python.parent / "mlsm"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
        code = "import sysconfig; print(sysconfig.get_path('platlib'))"
        site = pathlib.Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
        for part in ("torch", "nvidia"):
            if (libtorch / part).exists():
                os.symlink(libtorch / part, site / part)
        version = subprocess.run([mlsm, "--version"], cwd=folder, env={}, capture_output=True, text=True, check=True).stdout
        share = python.parents[1] / "share"
        beside = ["man/man1/mlsm-run.1", "bash-completion/completions/mlsm", "zsh/site-functions/_mlsm", "fish/vendor_completions.d/mlsm.fish"]
        missing = [file for file in beside if not (share / file).read_text()]
        if missing:
            sys.exit(f"error: empty in {share}: {', '.join(missing)}")
        outcomes = [{node["outcome"] for node in answer([mlsm, "run", "--config", config], folder)["nodes"]} for _ in "12"]
        if outcomes != [{"executed"}, {"cached"}]:
            sys.exit(f"error: `mlsm run --config {config}`, twice: the nodes were {outcomes}")
        rows = answer([mlsm, "query", "SELECT count(*) AS n FROM results"], folder)[0]["n"]
        print(f"{version.strip()}: installed; ran {config}; had nothing to do the second time; answers {rows} rows")


if __name__ == "__main__":
    main()
