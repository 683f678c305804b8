"""Provides the pinned libtorch behind one link: `python3 libtorch.py LINK`.

LINK becomes a symbolic link to a folder that holds `torch/` (include, lib) and, for the wheel, `nvidia/`.
Candidates, in order: an exported LIBTORCH, a PyTorch that python3 can import, the cache, the package registry.
Only what linking and running need is unpacked from the wheels: about 500 MB instead of a 4.8 GB installation.
"""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

VERSION = "2.11.0"
# The wheels by digest, which pip checks; the tags below fix which wheel that is, whatever python3 is at hand.
WHEELS = {
    f"torch=={VERSION}": "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
    "nvidia-cuda-runtime==13.0.96": "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    "nvidia-cuda-cupti==13.0.85": "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
}
TAGS = [
    *("--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=none"),
    *("--platform=manylinux_2_28_x86_64", "--platform=manylinux_2_25_x86_64", "--platform=manylinux2014_x86_64"),
]
KEEP = re.compile(
    r"torch/include/.*|torch/version\.py|torch/lib/(libtorch_cpu|libc10|libtorch)\.so|torch/lib/libgomp\.so\.1"
    r"|nvidia/cu13/lib/lib(cudart|cupti)\.so\.13"
)


def fail(what, why, fix):
    sys.exit(f"error: {what}\n  why: {why}\n  fix: {fix}")


def version_of(torch_dir):
    """The version a torch folder states, or None when it states none."""
    for name, pattern in (("version.py", r"__version__ = '([^']+)'"), ("build-version", r"(\S+)")):
        path = torch_dir / name
        if path.is_file():
            found = re.search(pattern, path.read_text())
            if found:
                return found.group(1)
    return None


def fits(torch_dir):
    has_parts = (torch_dir / "lib" / "libtorch_cpu.so").is_file() and (torch_dir / "include").is_dir()
    return has_parts and (version_of(torch_dir) or "").split("+")[0] == VERSION


def exported():
    value = os.environ.get("LIBTORCH")
    if not value:
        return None
    torch_dir = pathlib.Path(value)
    if not fits(torch_dir):
        fail(
            f"LIBTORCH={value} does not fit",
            f"it states version {version_of(torch_dir) or 'unknown'}, needed is {VERSION} with lib/ and include/",
            "unset LIBTORCH, or point it at a libtorch of that version",
        )
    return torch_dir


def installed():
    """The torch folder that python3 would import, found without importing it."""
    code = "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
    found = subprocess.run(["python3", "-c", code], capture_output=True, text=True, check=False).stdout.strip()
    torch_dir = pathlib.Path(found) if found else None
    return torch_dir if torch_dir and fits(torch_dir) else None


def fetch(cache):
    """Downloads and unpacks into `cache`, which appears by one rename when it is whole."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        fail(
            f"no pinned libtorch for {platform.system()} {platform.machine()}",
            "the wheels that are pinned are for Linux on x86-64",
            f"install PyTorch {VERSION} with pip, or export LIBTORCH",
        )
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as temporary:
        temporary = pathlib.Path(temporary)
        print(f"downloading libtorch {VERSION} (0.5 GB) ...", flush=True)
        wanted = temporary / "wheels.txt"
        wanted.write_text("".join(f"{name} --hash=sha256:{digest}\n" for name, digest in WHEELS.items()))
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        if subprocess.run([*pip, *TAGS, "--dest", temporary, "--requirement", wanted], check=False).returncode != 0:
            fail("libtorch was not downloaded", "pip failed, see above", "check the network and run again")
        unpacked = temporary / "unpacked"
        for wheel in sorted(temporary.glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked, [n for n in archive.namelist() if KEEP.fullmatch(n)])
            wheel.unlink()
        try:
            unpacked.rename(cache)
        except OSError:
            if not fits(cache / "torch"):  # a second set-up at the same time may have been first: then it serves
                raise


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: libtorch.py LINK")
    link = pathlib.Path(sys.argv[1])
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    cache = base / "mlsm" / f"libtorch-{VERSION}"
    torch_dir = exported() or installed()
    if torch_dir is None:
        if not fits(cache / "torch"):
            shutil.rmtree(cache, ignore_errors=True)
            fetch(cache)
        torch_dir = cache / "torch"
    target = torch_dir.resolve()
    if target.name != "torch":
        fail(f"{target} cannot be linked", "the folder must be named torch", "rename it, or unset LIBTORCH")
    if link.is_symlink() and link.resolve() == target.parent:
        return
    temporary = link.with_name(f"{link.name}.{os.getpid()}")
    temporary.symlink_to(target.parent)
    temporary.replace(link)
    print(f"libtorch {version_of(torch_dir)}: {target}")


if __name__ == "__main__":
    main()
