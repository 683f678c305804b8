"""A virtual environment with the packages that a comparison or a check needs."""

import os
import pathlib
import subprocess
import sys
import venv


def python(name, packages):
    """Installs the packages into an environment of their own once, named after the first; returns its interpreter."""
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    environment = base / "mlsm" / (f"{name}-" + packages[0].replace("==", "-"))
    interpreter, whole = environment / "bin" / "python", environment / "whole"
    if not whole.is_file():
        print(f"installing {', '.join(packages)} into {environment}", file=sys.stderr)
        venv.create(environment, with_pip=True, clear=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *packages], check=True)
        whole.touch()
    return interpreter


def inside(name, packages):
    """Goes on inside that environment."""
    interpreter = python(name, packages)
    if pathlib.Path(sys.prefix) != interpreter.parents[1]:
        os.execv(interpreter, [str(interpreter), *sys.argv])
