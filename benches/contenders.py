"""Pipelines of DVC and Snakemake over the photos that mlsm reads: the toy of `toy.py`, six stages each."""

import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "pipelines" / "peers"))
import environment  # noqa: E402

DVC = ["dvc==3.67.1"]
SNAKEMAKE = ["snakemake==9.27.1"]
STAGES = {
    # name: (what it reads, what it makes)
    "ingest": (["data"], "photos.txt"),
    "train": (["photos.txt"], "model.txt"),
    "crop": (["data", "model.txt"], "crops"),
    "extract": (["crops"], "features.txt"),
    "heads": (["features.txt", "model.txt"], "heads.txt"),
    "evaluate": (["heads.txt"], "results.txt"),
}


class Contender:
    """A pipeline in a folder of its own."""

    def __init__(self, name, packages, folder, photos):
        self.name, self.folder = name, folder / name
        self.bin = environment.python("bench", packages).parent
        self.folder.mkdir()
        shutil.copytree(photos, self.folder / "data")
        shutil.copy(HERE / "toy.py", self.folder)
        self.parameter(1)

    def parameter(self, value):
        """Changes the late parameter."""
        (self.folder / "params.yaml").write_text(f"episodes: {value}\n")


class Dvc(Contender):
    def __init__(self, folder, photos):
        super().__init__("dvc", DVC, folder, photos)
        text = "stages:\n"
        for stage, (reads, makes) in STAGES.items():
            text += f"  {stage}:\n    cmd: {sys.executable} toy.py {stage}\n    deps:\n"
            text += "".join(f"    - {name}\n" for name in [*reads, "toy.py"])
            text += "    params:\n    - episodes\n" if stage == "evaluate" else ""
            text += f"    outs:\n    - {makes}\n"
        (self.folder / "dvc.yaml").write_text(text)
        for command in (["init", "--no-scm", "--quiet"], ["config", "core.analytics", "false"]):
            subprocess.run([self.bin / "dvc", *command], cwd=self.folder, check=True, capture_output=True)

    run = property(lambda self: [self.bin / "dvc", "repro", "--quiet"])
    look = property(lambda self: [self.bin / "dvc", "status", "--quiet"])


class Snakemake(Contender):
    def __init__(self, folder, photos):
        super().__init__("snakemake", SNAKEMAKE, folder, photos)
        text = 'import pathlib\nPHOTOS = sorted(map(str, pathlib.Path("data").rglob("*.jpg")))\n'
        text += 'rule all:\n    input: "results.txt"\n'
        for stage, (reads, makes) in STAGES.items():
            inputs = ["PHOTOS" if name == "data" else repr(name) for name in reads]
            inputs += ["'params.yaml'"] if stage == "evaluate" else []
            output = f'directory("{makes}")' if makes == "crops" else repr(makes)
            text += f"rule {stage}:\n    input: {', '.join(inputs)}\n    output: {output}\n"
            text += f'    shell: "{sys.executable} toy.py {stage}"\n'
        (self.folder / "Snakefile").write_text(text)

    run = property(lambda self: [self.bin / "snakemake", "--cores", "2", "--quiet", "all"])
    look = property(lambda self: [self.bin / "snakemake", "--dry-run", "--quiet", "all"])
