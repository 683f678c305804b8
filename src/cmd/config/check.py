"""Holds the JSON Schema of the configuration against a validator: `python3 check.py MLSM`.

Every preset fits; a key that does not exist and a value of another type are refused at each key of the schema; what the
schema accepts of the written cases, the program accepts, and the other way round. Where npm is, Taplo, which is what editors
use, checks the presets by the same schema. Exit code 1 when anything differs.
"""

import copy
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "pipelines" / "peers"))
import environment  # noqa: E402

PACKAGES = ["jsonschema==4.26.0"]
TAPLO = "@taplo/cli@0.7.0"

BASE = 'data.synthetic = {}\nsplits.rule = "random"\n[train-base.conv]\n[cam]\nlocaliser = "conv"\n'
# Sections that are laid under BASE, and whether they are to be accepted.
CASES = [
    ('[meta-train.a]\nembedding = "conv"\n', True),
    ('[meta-train.a]\nembedding = "conv"\nlevels = ["I", "O+I"]\nsim_hidden = [8]\n', True),
    ('[meta-train.a]\nembedding = "conv"\nlevels = "X"\n', False),
    ('[meta-train.a]\nembedding = "conv"\ntemperature = 2.0\n', False),
    ('[meta-train.a]\nembedding = "conv"\nmethod = "prototypical"\ntemperature = 2.0\n', True),
    ('[meta-train.a]\nembedding = "conv"\nmethod = "prototypical"\ntemperature = "warm"\n', False),
    ('[meta-train.a]\nembedding = "conv"\nmethod = "prototypical"\nmetric = "cosine"\nimage_source = ["raw", "cam"]\n', False),
    ('[meta-train.a]\nembedding = "conv"\nmethod = "prototypical"\nmetric = "cosine"\nimage_source = ["raw", "ddt"]\n', True),
    ('[meta-train.a]\nembedding = "conv"\nmethod = "prototypical"\nlevels = "I"\n', False),
    ('[meta-train.a]\nembedding = "conv"\nmethod = "maml"\nbn_eval = "batch"\n', False),
    ('[meta-train.a]\nembedding = "conv"\nmethod = "r2d3"\n', False),
    ('[evaluate]\nk_shot = 3\nprotocol = ["paper", "strict"]\nbaselines = ["cl2n:conv+ddt"]\n', True),
    ('[evaluate]\nbaselines = ["cl2n:conv+nothing"]\n', False),
    ('[evaluate]\nepisodes = -1\n', False),
    ('[evaluate]\nepisodes = 2.5\n', False),
    ('[numerics]\nthreads = "two"\n', False),
    ('[train-base.b]\nlr = 1\nresize = "squash-center"\n', True),
    ('[train-base.b]\nbackbone = "vgg"\n', False),
    ('[nonesuch]\n', False),
]
# The one case above that only the program refuses: CAM needs a head on the mean, which is a matter of another section.
OF_OTHER_SECTIONS = {6}


def sections(schema, path=()):
    """Yields each section of the schema, with the path of an instance of it."""
    yield path, schema
    for key, inner in schema.get("properties", {}).items():
        if "properties" in inner:
            yield from sections(inner, (*path, key))
        if "properties" in inner.get("additionalProperties", {}) if isinstance(inner.get("additionalProperties"), dict) else False:
            yield from sections(inner["additionalProperties"], (*path, key, "any"))


def nested(path, value):
    for key in reversed(path):
        value = {key: value}
    return value


def refused_everywhere(schema, validator):
    """Lists where an unknown key, or a value of a type that no key takes, is accepted."""
    accepted, tried = [], 0
    for path, section in sections(schema):
        wrongs = {"no_such_key": 1} | {key: [{"x": [[]]}] for key in section["properties"]}
        for key, value in wrongs.items():
            tried += 1
            if validator.is_valid(nested(path, {key: value})):
                accepted.append(".".join((*path, key)))
    return accepted, tried


def program_accepts(program, text):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "x.toml")
        file.write_text(text)
        command = [program, "--config", file, "config", "show"]
        return subprocess.run(command, capture_output=True).returncode == 0


def taplo(schema_text, presets):
    """Checks the presets as an editor would; returns what it printed when it refused."""
    if not shutil.which("npx"):
        return "skipped: no npm here", True
    with tempfile.TemporaryDirectory() as folder:
        schema = pathlib.Path(folder, "mlsm.schema.json")
        schema.write_text(schema_text)
        check = lambda *files: subprocess.run(
            ["npx", "--yes", TAPLO, "lint", "--schema", schema.as_uri(), *files], capture_output=True, text=True, cwd=folder
        )
        wrong = pathlib.Path(folder, "wrong.toml")
        wrong.write_text("[evaluate]\nepisodse = 3\n")
        right, refused = check(*presets), check(wrong)
        good = right.returncode == 0 and refused.returncode != 0 and "episodse" in refused.stderr
        return ("accepts the presets and refuses a wrong key" if good else right.stderr + refused.stderr), good


def main():
    environment.inside("schema", PACKAGES)
    import jsonschema

    program = pathlib.Path(sys.argv[1]).resolve()
    text = subprocess.run([program, "config", "schema"], capture_output=True, text=True, check=True).stdout
    schema = json.loads(text)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    wrong = []
    presets = sorted((ROOT / "configs").glob("*.toml"))
    for preset in presets:
        errors = validator.iter_errors(tomllib.loads(preset.read_text()))
        wrong += [f"{preset.name}: {error.json_path}: {error.message[:200]}" for error in errors]
    accepted, tried = refused_everywhere(copy.deepcopy(schema), validator)
    wrong += [f"{key}: a wrong value is accepted" for key in accepted]
    for number, (case, is_right) in enumerate(CASES):
        found = validator.is_valid(tomllib.loads(BASE + case))
        if found != (is_right or number in OF_OTHER_SECTIONS):
            wrong.append(f"case {number}: the schema says {found}: {case}")
        if program_accepts(program, BASE + case) != is_right:
            wrong.append(f"case {number}: the program does not say {is_right}: {case}")
    said, good = taplo(text, presets)
    if not good:
        wrong.append(said)
    print(f"schema: {len(presets)} presets fit, {tried} wrong keys and values tried, {len(CASES)} cases, {TAPLO}: {said if good else 'differs'}")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
