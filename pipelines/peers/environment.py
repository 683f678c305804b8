"""A virtual environment with the packages that a comparison needs."""

import os
import pathlib
import subprocess
import sys
import venv


def inside(name, packages):
    """Installs the packages into an environment of their own once, named after the first, and goes on inside it."""
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    environment = base / "mlsm" / (f"{name}-" + packages[0].replace("==", "-"))
    python, whole = environment / "bin" / "python", environment / "whole"
    if not whole.is_file():
        print(f"installing {', '.join(packages)} into {environment}", file=sys.stderr)
        venv.create(environment, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        whole.touch()
    if pathlib.Path(sys.prefix) != environment:
        os.execv(python, [str(python), *sys.argv])
