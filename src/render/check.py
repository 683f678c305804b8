"""Runs the tiny pipeline as a scheduler would, and holds what it leaves against its standards: `python3 check.py MLSM`.

Four runs in one store: computed, reused, refused (a wrong key), stopped (--max-time), each with --log-file, --metrics-file and
--lineage. Every line of the log is valid by `events.schema.json`, the metrics are read by Prometheus' own parser, and the
lineage goes through `lineage/check.py`. Exit code 1 when anything does not fit.
"""

import collections
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "pipelines" / "peers"))
import environment  # noqa: E402

PACKAGES = ["prometheus-client==0.26.0", "jsonschema==4.26.0"]
RUNS = [
    ("computed", [], 0),
    ("reused", [], 0),
    ("refused", ["--set", "evaluate.episodse=1"], 2),
    ("stopped", ["--set", "seed=1", "--max-time", "1s"], 130),
]


def metrics_of(file):
    """The samples of a file in Prometheus' text format, by name."""
    from prometheus_client.parser import text_string_to_metric_families

    families = list(text_string_to_metric_families(file.read_text()))
    assert all(family.type == "gauge" and family.documentation for family in families), families
    return {sample.name: sample.value for family in families for sample in family.samples}


def sequence(lines):
    """What is wrong with the order of the lines of one run."""
    started, ended, wrong = set(), set(), []
    for line in lines:
        event, node = line["event"], line.get("node")
        if event == "node-started" and (node in started or node in ended):
            wrong.append(f"{node} began twice")
        elif event in ("progress", "waiting", "failed") and node != "data" and (node not in started or node in ended):
            wrong.append(f"{event} of {node}, which is not at work")
        elif event == "node-finished" and node in ended:
            wrong.append(f"{node} ended twice")
        {"node-started": started, "node-finished": ended}.get(event, set()).add(node)
    ends = [place for place, line in enumerate(lines) if line["event"] == "run-finished"]
    return wrong + ([] if ends == [len(lines) - 1] else [f"run-finished at {ends} of {len(lines)} lines"])


def main():
    environment.inside("batch", PACKAGES)
    import jsonschema

    program = pathlib.Path(sys.argv[1]).resolve()
    validator = jsonschema.Draft202012Validator(json.loads((HERE / "events.schema.json").read_text()))
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        log, prom, lineage = folder / "log.jsonl", folder / "mlsm.prom", folder / "lineage.jsonl"
        watch = ["--log-file", log, "--metrics-file", prom, "--lineage", lineage]
        for name, words, code in RUNS:
            command = [program, "--store", folder / "store", "--device", "cpu", "--config", "tiny", "run", *watch, *words]
            done = subprocess.run(command, capture_output=True, text=True)
            found = metrics_of(prom)["mlsm_run_exit_code"]
            if (done.returncode, found) != (code, code):
                wrong.append(f"{name}: ended with {done.returncode}, the metrics say {found}: {done.stderr}")
        runs = collections.defaultdict(list)
        for line in map(json.loads, log.read_text().splitlines()):
            wrong += [f"{line['event']}: {error.message[:300]}" for error in validator.iter_errors(line)]
            runs[line["run_id"]].append(line)
        for lines in runs.values():
            wrong += sequence(lines)
        print(f"{sum(map(len, runs.values()))} lines of {len(runs)} runs, by events.schema.json; metrics by {PACKAGES[0]}")
        checked = subprocess.run([sys.executable, HERE / "lineage" / "check.py", lineage, *sys.argv[2:]])
    print("\n".join(wrong))
    sys.exit(1 if wrong or checked.returncode or len(runs) != len(RUNS) else 0)


if __name__ == "__main__":
    main()
