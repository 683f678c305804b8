"""Checks the examples for schedulers: `python3 check.py MLSM [--airflow]`.

Each is parsed by what its scheduler uses, and the command that it holds is run with the tiny configuration, its folders
replaced by temporary ones: systemd's own `systemd-analyze verify` where it exists, the cron line by cronsim and croniter, the
CronJob by the published schemas of Kubernetes (kubernetes-validate), the DAG compiled and, with --airflow, imported by
Airflow, whose task is then called. The exit codes that an example forgives are those of the README. Exit code 1 when
anything differs.
"""

import ast
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "pipelines" / "peers"))
import environment  # noqa: E402

PACKAGES = ["cronsim==2.8", "croniter==7.0.0", "kubernetes-validate==1.37.0", "pyyaml==6.0.3"]
AIRFLOW = ["apache-airflow-core==3.3.2", "apache-airflow-providers-standard"]


class Place:
    """A temporary folder in which the commands of the examples work."""

    def __init__(self, folder, program):
        self.folder = pathlib.Path(folder)
        (self.folder / "bin").mkdir()
        os.symlink(program, self.folder / "bin" / "mlsm")
        (self.folder / "birds.toml").write_text('extends = "tiny"\n')

    def here(self, text):
        """The text with every folder of the examples replaced."""
        text = re.sub(r"/var/lib/node_exporter/textfile|/srv/mlsm|/configs|/data", str(self.folder), text)
        return text.replace("/usr/local/bin/", f"{self.folder}/bin/")

    def variables(self, **more):
        return {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "HOME": str(self.folder), "MLSM_DEVICE": "cpu", **more}

    def run(self, command, **variables):
        """Runs a command in the folder; returns its exit code."""
        variables = self.variables(MLSM_STORE=str(self.folder / "store"), **variables)
        done = subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, shell=isinstance(command, str))
        if done.returncode:
            print(done.stderr, file=sys.stderr)
        return done.returncode

    def pretend(self, code):
        """A folder of programs with an `mlsm` that ends with this code."""
        folder = self.folder / f"bin-{code}"
        folder.mkdir(exist_ok=True)
        (folder / "mlsm").write_text(f"#!/bin/sh\nexit {code}\n")
        (folder / "mlsm").chmod(0o755)
        return f"{folder}:/usr/bin:/bin"


def unit(text):
    """The keys of a unit of systemd, with lines that go on joined."""
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line and line[0] not in "#;["]
    return dict(line.split("=", 1) for line in lines)


def systemd(place):
    service = unit((HERE / "mlsm.service").read_text())
    assert place.run(shlex.split(place.here(service["ExecStart"]))) == 0
    assert service["SuccessExitStatus"].split() == ["5", "130"] and service["RestartPreventExitStatus"].split() == ["2", "6"]
    if not shutil.which("systemd-analyze"):
        return "command run; not verified, as systemd-analyze is not here"
    units = place.folder / "units"
    units.mkdir()
    for name in ("mlsm.service", "mlsm.timer"):
        text = (HERE / name).read_text().replace("/usr/local/bin/mlsm", str(place.folder / "bin" / "mlsm"))
        (units / name).write_text(re.sub("User=mlsm", "User=root", text))
    files = [str(units / name) for name in ("mlsm.service", "mlsm.timer")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True)
    found = [line for line in done.stderr.splitlines() if "mlsm" in line]
    assert done.returncode == 0 and not found, done.stderr
    calendar = unit((HERE / "mlsm.timer").read_text())["OnCalendar"]
    subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)
    return "command run, both units verified by systemd-analyze"


def cron(place):
    import datetime

    import croniter
    import cronsim

    lines = [line for line in (HERE / "mlsm.crontab").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0].startswith("MAILTO=") and len(lines) == 2, lines
    schedule, command = " ".join(lines[1].split()[:5]), lines[1].split(None, 5)[5]
    start = datetime.datetime(2026, 3, 1)
    assert next(cronsim.CronSim(schedule, start)) == croniter.croniter(schedule, start).get_next(datetime.datetime)
    assert "%" not in command, "cron reads % as the end of a line"
    command = place.here(command)
    assert place.run(command) == 0 and (place.folder / "results.txt").read_text()
    for code, expected in [(0, 0), (5, 0), (130, 0), (3, 1), (6, 1)]:
        assert place.run(command, PATH=place.pretend(code)) == expected, code
    return "line parsed by cronsim and croniter, run, and its exit codes tried"


def kubernetes(place):
    import kubernetes_validate
    import yaml

    job = yaml.safe_load((HERE / "kubernetes-cronjob.yaml").read_text())
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(job, version, strict=True)
    job["spec"]["no_such_field"] = 1
    try:
        kubernetes_validate.validate(job, version, strict=True)
        raise AssertionError("a wrong field is accepted")
    except kubernetes_validate.ValidationError:
        pass
    pod = job["spec"]["jobTemplate"]["spec"]
    rules = {rule["action"]: rule["onExitCodes"]["values"] for rule in pod["podFailurePolicy"]["rules"]}
    assert rules == {"Ignore": [5, 130], "FailJob": [2, 6]}, rules
    args = [place.here(word) for word in pod["template"]["spec"]["containers"][0]["args"]]
    assert place.run(args) == 0
    return f"valid for Kubernetes {version}, command run"


def airflow(place, is_installed):
    text = (HERE / "airflow_dag.py").read_text()
    constants = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constants[node.targets[0].id] = ast.literal_eval(node.value)
    for command in ("RUN", "REPORT"):
        assert place.run([place.here(word) for word in constants[command]]) == 0
    if not is_installed:
        return "compiled and its commands run; not imported (--airflow installs Airflow and does)"
    file = place.folder / "dags" / "airflow_dag.py"
    file.parent.mkdir()
    file.write_text(place.here(text))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import airflow_dag as d\n"
        "assert sorted(d.dag.task_ids) == ['report', 'run'], d.dag.task_ids\n"
        "assert d.dag.get_task('run').downstream_task_ids == {'report'}\n"
        "d.call(d.RUN, d.parent()); d.call(d.REPORT, {})\n"
        "from airflow.exceptions import AirflowException, AirflowFailException\n"
        "import os\n"
        "for code, kind in [(6, AirflowFailException), (130, AirflowException)]:\n"
        "    os.environ['PATH'] = sys.argv[2].replace('CODE', str(code))\n"
        "    try: d.call(d.RUN, {})\n"
        "    except AirflowException as raised: assert type(raised) is kind, raised\n"
        "    else: raise AssertionError(code)\n"
    )
    pretended = place.pretend(6).replace("bin-6", "bin-CODE")
    place.pretend(130)
    python = environment.python("airflow", AIRFLOW)
    command = [python, "-c", code, file.parent, pretended]
    variables = place.variables(AIRFLOW_HOME=str(place.folder / "airflow"), AIRFLOW__CORE__LOAD_EXAMPLES="False")
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return f"imported by {AIRFLOW[0]}, its task called, exit codes tried"


def main():
    environment.inside("schedulers", PACKAGES)
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder, program)
        for name, found in (
            ("systemd", systemd(place)),
            ("cron", cron(place)),
            ("Kubernetes", kubernetes(place)),
            ("Airflow", airflow(place, "--airflow" in sys.argv)),
        ):
            print(f"{name}: {found}")


if __name__ == "__main__":
    main()
