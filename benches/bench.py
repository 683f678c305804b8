"""Measures mlsm beside what people would use instead: `python3 bench.py PROGRAM [ROW…] [--photos N] [--times N] [--out FILE]`.

README.md beside this file says what the rows are.
"""

import argparse
import itertools
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import contenders
import environment

PACKAGES = ["pyarrow==25.0.1", "pillow==12.3.0", "numpy"]
CONFIG = """
[data]
path = "{photos}"
shard_photos = 256

[splits]
rule = "random"

[train-base.small]
backbone = "conv4-pooled"
width = 8
head = "gap"
steps = {steps}

[train-base.other]
backbone = "conv4-pooled"
width = 8
head = "gap"
steps = {steps}
seed = 1

[cam]
localiser = "small"

[meta-train.mlsm]
embedding = "small"
levels = "I+G+O"
object = "grad-cam"
episodes = 20
val_every = 10
val_episodes = 10
val_query = 5
train_query = 5

[evaluate]
episodes = 50
n_query = 5
baselines = ["cl2n:other"]

[numerics]
threads = 1
"""


class Bench:
    """Photos, mlsm's configuration over them, and all times."""

    def __init__(self, program, folder, count, times):
        self.program, self.folder, self.times, self.rows = program, folder, times, []
        classes = max(30, count // 200)
        self.count = classes * (count // classes)
        self.photos = self.draw("photos", classes, count // classes, 200)
        self.store = folder / "store"
        self.config = self.configure("bench.toml", self.photos)

    def draw(self, name, classes, images, size):
        folder = self.folder / name
        each = ["--classes", str(classes), "--images", str(images), "--size", str(size)]
        subprocess.run([self.program, "data", "synthesize", folder, *each], check=True, capture_output=True, env=self.environment())
        return folder

    def configure(self, name, photos, steps=60):
        path = self.folder / name
        path.write_text(CONFIG.format(photos=photos, steps=steps))
        return path

    def mlsm(self, *arguments, store=None, config=None):
        return [self.program, *arguments, "--config", config or self.config, "--store", store or self.store, "--quiet"]

    @staticmethod
    def environment():
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLSM_")}
        return kept | {"MLSM_DEVICE": "cpu", "OMP_WAIT_POLICY": "PASSIVE"}

    def timed(self, command, folder=None):
        """Seconds and the most memory, in MB, of one process."""
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        error = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{error.decode()[-3000:]}")
        return time.perf_counter() - began, usage.ru_maxrss / 1024

    def row(self, work, ways):
        """Measures ways to do some work, in turn; `ways`: a name, and a function that does it and returns seconds and MB."""
        measured = {name: [] for name, _ in ways}
        for round in range(self.times):
            for name, way in ways:
                measured[name].append(way(round))
        for name, values in measured.items():
            self.rows += [{"work": work, "tool": name, "seconds": s, "megabytes": m} for s, m in values]
        print_row(work, measured)


def print_row(work, measured):
    middle = {name: statistics.median(s for s, _ in values) for name, values in measured.items()}
    first, *others = middle
    best = min(others, key=middle.get) if others else None
    ratio = f"{middle[best] / middle[first]:.2f} × {best}" if best else ""
    cells = [
        f"{name} {middle[name]:.3f} s ({min(s for s, _ in values):.3f} to {max(s for s, _ in values):.3f}), {max(m for _, m in values):.0f} MB"
        for name, values in measured.items()
    ]
    print(f"| {work} | {'; '.join(cells)} | {ratio} |", flush=True)


class Tools:
    """mlsm, DVC and Snakemake over the same photos, each brought up to date."""

    def __init__(self, bench):
        self.bench = bench
        self.all = [contenders.Dvc(bench.folder, bench.photos), contenders.Snakemake(bench.folder, bench.photos)]
        bench.timed(bench.mlsm("run"))
        for tool in self.all:
            bench.timed(tool.run, tool.folder)

    def noop(self):
        bench = self.bench
        for work, verb, command in (("nothing to do", "run", "run"), ("a look", "status", "look")):
            ways = [("mlsm", lambda _, verb=verb: bench.timed(bench.mlsm(verb)))]
            ways += [(t.name, lambda _, t=t, c=command: bench.timed(getattr(t, c), t.folder)) for t in self.all]
            bench.row(f"{work}, {bench.count} photos", ways)

    def changed(self):
        bench = self.bench
        asked = "SELECT path FROM images WHERE split = 'novel' ORDER BY path"
        command = [bench.program, "query", asked, "--store", bench.store, "--format", "jsonl"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True, env=bench.environment()).stdout.splitlines()
        novel = [json.loads(line)["path"] for line in lines]  # of the other photos, training would begin anew

        def edited(photos, run, folder, first):
            def once(round):
                photo = photos / novel[(first + round * 97) % len(novel)]
                other = (photos / novel[(first + round * 97 + 1) % len(novel)]).read_bytes()
                photo.unlink()
                photo.write_bytes(other)
                return bench.timed(run, folder)

            return once

        for first, (work, verb) in enumerate((("its crops and features", ["run", "--until", "extract"]), ("all that follows", ["run"]))):
            first *= 2  # another photo each time
            ways = [("mlsm", edited(bench.photos / "images", bench.mlsm(*verb), None, first))]
            ways += [(tool.name, edited(tool.folder / "data" / "images", tool.run, tool.folder, first)) for tool in self.all]
            bench.row(f"one photo of a novel class changed, of {bench.count}: {work} (toys copy)", ways)

    def late(self):
        bench = self.bench

        def changed(tool):
            def once(round):
                tool.parameter(round + 2)
                return bench.timed(tool.run, tool.folder)

            return once

        ways = [("mlsm", lambda round: bench.timed([*bench.mlsm("run"), "--set", f"evaluate.episodes={51 + round}"]))]
        bench.row("a late parameter changed", ways + [(tool.name, changed(tool)) for tool in self.all])


def hashed(bench):
    root = environment_folder() / "b3sum-1.8.3"
    if not (root / "bin" / "b3sum").exists():
        subprocess.run(["cargo", "install", "--quiet", "--root", root, "b3sum@1.8.3"], check=True)
    photos = sorted(bench.photos.rglob("*.jpg"))
    listed = bench.folder / "photos.list"
    listed.write_text("\0".join(map(str, photos)))
    bench.timed(bench.mlsm("plan"))
    floor = bench.timed(bench.mlsm("plan"))[0]
    ways = [
        ("mlsm", lambda _: bench.timed([*bench.mlsm("plan"), "--rehash"])),
        ("b3sum", lambda _: bench.timed(["xargs", "-0", "-a", listed, "-n", "20000", root / "bin" / "b3sum"])),
    ]
    bench.row(f"fingerprints of {len(photos)} photos (of mlsm's time {floor:.3f} s is the plan)", ways)


PILLOW = """
import pathlib, sys
import numpy, PIL.Image
out = []
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.jpg")):
    with PIL.Image.open(path) as image:
        image.draft("RGB", (84, 84))
        out.append(numpy.asarray(image.convert("RGB").resize((84, 84), PIL.Image.Resampling.BILINEAR)))
numpy.save(sys.argv[2], numpy.stack(out))
"""


def ingest(bench):
    some = bench.draw("some", 40, 50, 500)
    config, store = bench.configure("some.toml", some), bench.folder / "some-store"

    def own(_):
        shutil.rmtree(store, ignore_errors=True)
        return bench.timed([*bench.mlsm("run", "ingest", store=store, config=config), "--threads", "1"])

    pillow = [sys.executable, "-c", PILLOW, some, bench.folder / "some.npy"]
    count = len(list(some.rglob("*.jpg")))
    bench.row(f"{count} photos of 500 to 84 pixels, one core (mlsm also digests what it decodes)", [("mlsm", own), ("Pillow", lambda _: bench.timed(pillow))])


def side(bench):
    store, seeds = bench.folder / "store", itertools.count(100, 2)
    config = bench.configure("side.toml", bench.photos, steps=400)
    bench.timed(bench.mlsm("run", "ingest", store=store, config=config))

    def training(threads):
        """Two trainings that nobody has made yet."""
        seed = next(seeds)
        new = ["--set", f"train-base.small.seed={seed}", "--set", f"train-base.other.seed={seed + 1}"]
        return [*bench.mlsm("run", "train-base", store=store, config=config), *new, "--threads", str(threads)]

    def two_processes(_):
        command, began = training(1), time.perf_counter()
        pair = [subprocess.Popen(command, env=bench.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
        if any([process.wait() for process in pair]):
            sys.exit("one of two processes failed")
        return time.perf_counter() - began, 0

    after = ("one after the other", lambda _: bench.timed(training(1)))
    bench.row("two trainings of one thread each", [("side by side", lambda _: bench.timed(training(2))), after])
    bench.row("the same by two processes of one thread", [("two processes", two_processes), after])


def memory(bench):
    if bench.count < 6_000:
        sys.exit("memory wants 6,000 photos or more, so that a tenth of them still makes episodes: --photos 6000")
    tenth = bench.folder / "tenth"
    for photo in sorted(bench.photos.rglob("*.jpg"))[::10]:
        (tenth / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, tenth / photo.parent.name / photo.name)
    few = bench.configure("tenth.toml", tenth)
    for stage in ("ingest", "train-base", "crop", "extract"):
        measured = {}
        for name, config in (("all photos", bench.config), ("a tenth", few)):
            store = bench.folder / f"memory-{name.split()[0]}"
            measured[name] = [bench.timed([*bench.mlsm("run", stage, store=store, config=config)])]
            bench.rows += [{"work": f"memory {stage}", "tool": name, "seconds": s, "megabytes": m} for s, m in measured[name]]
        print_row(f"memory of `{stage}`, {bench.count} photos and a tenth", measured)


def environment_folder():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mlsm"


def main():
    environment.inside("bench", PACKAGES)
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("rows", nargs="*", default=[])
    parser.add_argument("--photos", type=int, default=11_800)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).with_name("results.parquet"))
    given = parser.parse_args()
    names = ["hash", "ingest", "side", "memory", "noop", "changed", "late"]
    wanted = given.rows or names
    if unknown := set(wanted) - set(names):
        parser.error(f"there is no row {', '.join(unknown)}; there are: {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="mlsm-bench-") as folder:
        bench = Bench(given.program.resolve(), pathlib.Path(folder), given.photos, given.times)
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n")
        print("| work | median (smallest to largest), most memory | how many times as fast as the best other |")
        print("|---|---|---|")
        alone = {"hash": hashed, "ingest": ingest, "side": side, "memory": memory}
        for name in (name for name in names if name in wanted and name in alone):
            alone[name](bench)
        if beside := [name for name in ("noop", "changed", "late") if name in wanted]:
            tools = Tools(bench)
            for name in beside:
                getattr(tools, name)()
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(bench.rows), given.out)


if __name__ == "__main__":
    main()
