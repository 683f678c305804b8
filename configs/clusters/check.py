"""Runs a plan of mlsm on a real Slurm and a real Ray, three machines each on loopback, and compares with one machine.

Usage: python3 check.py PROGRAM [--slurm] [--ray] [--kubernetes [--container]] [--outage] [--config FILE]. Without a scheduler's
name each is tried.
Slurm must be installed (Debian: `slurm-wlm munge`, as root); Ray is installed from PyPI into an environment of its own,
once. The store is an S3 server (of store/remote/setup/servers.py). One machine of Slurm and of Ray is killed in the middle.
Of Kubernetes no cluster is started: its manifests are checked by the published schemas, and the command of the Job is run as
it stands for each index in turn: on this machine or, with `--container`, where the steps of the container file were done
(see container.py). `mlsm status --follow` looks on all the while: the jobs that it names are those of the scheduler.
Prints a table: seconds on the cluster, what was computed twice, and whether the digests are those of one machine.
"""

import argparse
import collections
import contextlib
import functools
import json
import os
import pathlib
import re
import signal
import socket
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "pipelines" / "peers"))
import environment  # noqa: E402
from container import Container  # noqa: E402

PACKAGES = ["kubernetes-validate==1.37.0", "pyyaml==6.0.3", "dockerfile-parse==2.0.1"]
RAY = ["ray==2.60.0"]
SLURM_CONF = """
ClusterName=mlsm
SlurmctldHost=localhost
SlurmctldPort=17000
AuthType=auth/munge
AuthInfo=cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/prolog
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdTimeout=10
ReturnToService=2
JobRequeue=1
MpiDefault=none
SlurmdParameters=config_overrides
NodeName=n[1-3] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[17001-17003] CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=n[1-3] Default=YES MaxTime=INFINITE State=UP
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--slurm", action="store_true")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--kubernetes", action="store_true")
    parser.add_argument("--container", action="store_true", help="runs the Job's command where the container file's steps were done")
    parser.add_argument("--build-arg", metavar="NAME=VALUE", action="append", default=[], help="an argument of the container file")
    parser.add_argument("--outage", action="store_true", help="stops the S3 server for 30 seconds in the middle, too")
    parser.add_argument("--config", default=str(HERE / "quick.toml"))
    given = parser.parse_args()
    environment.inside("clusters", PACKAGES)
    if "MLSM_TEST_S3" not in os.environ:
        server = ROOT / "store" / "remote" / "setup" / "servers.py"
        os.execv(sys.executable, [sys.executable, str(server), sys.executable, *sys.argv])
    names = ["slurm", "ray", "kubernetes"]
    wanted = [name for name in names if getattr(given, name)] or names
    with tempfile.TemporaryDirectory(prefix="mlsm-clusters-", ignore_cleanup_errors=True) as folder:
        check = Check(given.program.resolve(), given.config, pathlib.Path(folder))
        schedulers = {"slurm": Slurm, "ray": Ray, "kubernetes": Kubernetes}
        if given.container:
            arguments = dict(argument.split("=", 1) for argument in given.build_arg)
            schedulers["kubernetes"] = functools.partial(Pods, arguments)
        rows = []
        for name in wanted:
            rows.append(check.cluster(name, schedulers[name], given.outage))
            print(rows[-1], file=sys.stderr)
    print("\n| scheduler | computing, one machine, s | cluster, s | a machine killed | computed twice | digests | verify | second submission | jobs that status named |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    sys.exit(any("WRONG" in str(cell) for row in rows for cell in row))


def signal_server(number):
    """Stops the S3 server, or lets it go on."""
    address = os.environ["MLSM_TEST_S3"]
    subprocess.run(["pkill", f"-{number.name}", "-f", f"DomainDispatcherApplication.*{address.rsplit(':', 1)[1]}"], check=False)
    print(f"S3 server: {number.name}", file=sys.stderr)


class Check:
    """One configuration, computed by one machine first."""

    def __init__(self, program, config, folder):
        self.program, self.config, self.folder = program, config, folder
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith("MLSM_")}
        self.variables |= {
            "AWS_ENDPOINT": os.environ["MLSM_TEST_S3"],
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "MLSM_CACHE": str(folder / "cache"),
            "MLSM_OUTPUT": "json",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        began = time.monotonic()
        self.alone = self.finished("run", "--config", config, "--store", str(folder / "alone"))
        self.seconds = time.monotonic() - began

    def mlsm(self, *arguments, cache=None, check=True):
        variables = self.variables | ({"MLSM_CACHE": str(self.folder / cache)} if cache else {})
        done = subprocess.run([self.program, *arguments], env=variables, capture_output=True, text=True)
        if check and done.returncode != 0:
            sys.exit(f"mlsm {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}\n{done.stdout[-2000:]}")
        return done

    def submit(self, name, store, out):
        more = ["--image", "example.org/mlsm:1"] if name == "kubernetes" else []
        return self.mlsm("submit", name, "--config", self.config, "--store", store, "--out", str(out), *more)

    def finished(self, *arguments, cache=None):
        return json.loads(self.mlsm(*arguments, cache=cache).stdout.splitlines()[-1])

    def cluster(self, name, scheduler, outage):
        """Computes everything on a cluster, one machine of which is killed; returns a row of the table.

        outage: whether the S3 server stops for 30 seconds after 8.
        """
        store, out = f"s3://mlsm/{name}-{os.getpid()}", self.folder / f"{name}-plan"
        cluster = scheduler(self, out)
        follower = Follower(self, store)
        try:
            began = time.monotonic()
            for delay, number in ((8, signal.SIGSTOP), (38, signal.SIGCONT)) if outage else ():
                threading.Timer(delay, signal_server, [number]).start()
            cluster.submit(store)
            seconds = time.monotonic() - began
            again = self.submit(name, store, out / "again")
        finally:
            cluster.stop()
            jobs = follower.stop()
        after = self.finished("run", "--config", self.config, "--store", store, cache="after")
        computed = [node["node"] for node in after["nodes"] if node["outcome"] != "cached"]
        same = digests(after) == digests(self.alone)
        if computed or "nothing is submitted" not in again.stderr:
            print(f"{name} left {computed}\n{again.stderr}{cluster.log()}", file=sys.stderr)
        verify = self.mlsm("verify", "--config", self.config, "--store", store, cache="after", check=False)
        executed = cluster.executed()
        twice = [node for node, count in executed.items() if count > 1]
        return [
            name,
            f"{self.seconds:.0f}",
            f"{seconds:.0f}",
            cluster.killed or "WRONG: none",
            (", ".join(twice) or f"none of {len(executed)}") if executed else "WRONG: no task told what it computed",
            "WRONG" if not same else f"equal, {len(computed)} computed afterwards",
            "whole" if verify.returncode == 0 else "WRONG",
            "nothing" if "nothing is submitted" in again.stderr else "WRONG",
            told(jobs, cluster.is_job),
        ]


class Follower:
    """`mlsm status --follow`, beside a cluster."""

    def __init__(self, check, store):
        self.lines = open(check.folder / "status.jsonl", "w+", encoding="utf-8")
        command = [check.program, "status", "--follow", "--every", "1", "--config", check.config, "--store", store]
        self.process = subprocess.Popen(command, env=check.variables, stdout=self.lines, stderr=subprocess.DEVNULL)

    def stop(self):
        """Ends it where it has not ended by itself; returns the jobs that it named."""
        self.process.terminate()
        self.process.wait()
        self.lines.seek(0)
        documents = [json.loads(line) for line in self.lines if line.endswith("\n")]
        return {unit.get("job") for document in documents for unit in document["working"]}


def told(jobs, is_job):
    foreign = [job for job in jobs if not (job and is_job(job))]
    if foreign or not jobs:
        return f"WRONG: {foreign or 'none'}"
    return f"{len(jobs)}, such as {min(jobs)}"


def digests(finished):
    return [(node["node"], node["fingerprint"], node["outputs"]) for node in finished["nodes"]]


def executed_in(texts):
    """How often each node of one unit was computed, by the events that tasks wrote."""
    counts = collections.Counter()
    for line in (line for text in texts for line in text.splitlines()):
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "node-finished" and event["outcome"] == "executed" and event["shards"]["executed"] == 1:
            if event["stage"] in ("train-base", "meta-train", "evaluate"):
                counts[event["node"]] += 1
    return counts


class Slurm:
    """A controller and three machines of this one."""

    def __init__(self, check, out):
        self.check, self.out, self.killed = check, out, None
        self.folder = check.folder / "slurm"
        (self.folder / "state").mkdir(parents=True)
        prolog = self.folder / "prolog"  # a cache for each machine, as machines have
        prolog.write_text(f"#!/bin/sh\necho export MLSM_CACHE={self.folder}/cache-$SLURMD_NODENAME\n")
        prolog.chmod(0o755)
        conf = self.folder / "slurm.conf"
        conf.write_text(SLURM_CONF.format(folder=self.folder, cpus=os.cpu_count()))
        check.variables["SLURM_CONF"] = str(conf)
        start_munge()
        self.machines = {}
        self.start("slurmctld", "-D", "-i")
        for name in ("n1", "n2", "n3"):
            self.machines[name] = self.start("slurmd", "-D", "-N", name)
        self.wait_for(lambda: self.answer("sinfo", "-h", "-o", "%T").split() == ["idle"], 60)

    def start(self, *command):
        process = subprocess.Popen(
            command, env=self.check.variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.machines[command[0]] = process
        return process

    def answer(self, *command):
        done = subprocess.run(command, env=self.check.variables, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else "the controller does not answer"

    def wait_for(self, holds, seconds):
        for _ in range(int(seconds * 4)):
            if holds():
                return
            time.sleep(0.25)
        log = (self.folder / "slurmctld.log").read_text()[-3000:]
        sys.exit(f"Slurm did not come so far within {seconds} s\n{self.answer('squeue')}{self.answer('sinfo')}{log}")

    def submit(self, store):
        submitted = self.check.submit("slurm", store, self.out)
        jobs = json.loads(submitted.stdout.splitlines()[-1])
        self.jobs = {job["job"] for job in jobs}
        middle = jobs[len(jobs) // 2]["job"]
        running = ("squeue", "-h", "-j", middle, "-t", "RUNNING", "-o", "%N")
        self.wait_for(lambda: self.answer(*running).startswith("n"), 7200)
        self.kill(self.answer(*running).split()[0])
        self.wait_for(lambda: not self.answer("squeue", "-h").strip(), 7200)

    def is_job(self, job):
        found = re.fullmatch(r"slurm (\d+)_\d+", job)
        return bool(found) and found[1] in self.jobs

    def kill(self, machine):
        """Kills a machine with all that it computes."""
        doomed = [self.machines.pop(machine).pid]
        for pid in subprocess.run(["pgrep", "-f", f"{self.check.program} work"], capture_output=True, text=True).stdout.split():
            with contextlib.suppress(OSError):  # it has ended by itself
                if f"SLURMD_NODENAME={machine}".encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes():
                    doomed += [int(pid), *steps_above(int(pid))]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: no part may report how another one ended
            for pid in doomed:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        self.killed = machine

    def log(self):
        return (self.folder / "slurmctld.log").read_text()[-6000:]

    def executed(self):
        return executed_in(path.read_text() for path in self.out.glob("*.log"))

    def stop(self):
        for process in self.machines.values():
            process.terminate()


def steps_above(pid):
    """The processes of Slurm that watch a task."""
    while True:
        pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        if not pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("slurmstepd"):
            return
        yield pid


def start_munge():
    """Starts the service by which Slurm's parts know each other, where it does not run."""
    if subprocess.run(["munge", "-n"], capture_output=True).returncode != 0:
        pathlib.Path("/run/munge").mkdir(exist_ok=True)
        shutil.chown("/run/munge", "munge", "munge")
        subprocess.run(["su", "munge", "-s", "/bin/sh", "-c", "/usr/sbin/munged"], check=True)


class Ray:
    """A head and two machines of this one."""

    def __init__(self, check, out):
        self.check, self.out, self.killed = check, out, None
        self.python = environment.python("clusters", RAY)
        self.ray = str(self.python.parent / "ray")
        # Ray takes 127.0.0.1 for the address of this machine in its network: all three have that one.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
            self.address = f"{probe.getsockname()[0]}:9100"
        self.start("--head", "--port=9100", "--include-dashboard=false")
        self.others = [self.start(f"--address={self.address}") for _ in range(2)]

    def start(self, *more):
        command = [self.ray, "start", "--block", "--num-cpus=1", "--disable-usage-stats", *more]
        process = subprocess.Popen(
            command, env=self.check.variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(8)
        return process

    def submit(self, store):
        arguments = ["submit", "ray", "--config", self.check.config, "--store", store, "--out", str(self.out)]
        command = [self.check.program, *arguments, "--python", self.python, "--address", self.address]
        self.driver = subprocess.Popen(command, env=self.check.variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.driver.stdout:
            print(line.rstrip(), file=sys.stderr)
            if line.startswith("level 2:"):
                os.killpg(self.others[0].pid, 9)
                self.killed = "one of three"
        if self.driver.wait() != 0:
            sys.exit("the driver failed")

    def is_job(self, job):
        return bool(re.fullmatch(r"ray job [0-9a-f]+, task [0-9a-f]+", job))

    def log(self):
        return ""

    def executed(self):
        return executed_in(path.read_text() for path in self.out.glob("task-*.jsonl"))

    def stop(self):
        subprocess.run([self.ray, "stop", "--force"], capture_output=True)


class Kubernetes:
    """No cluster: the manifests, and the command of the Job on this machine."""

    POD = "mlsm-test-0"

    def __init__(self, check, out):
        self.check, self.out, self.killed, self.said = check, out, "no cluster", []

    def submit(self, store):
        import kubernetes_validate
        import yaml

        self.check.submit("kubernetes", store, self.out)
        job = yaml.safe_load((self.out / "job.yaml").read_text())
        kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
        assert yaml.safe_load((self.out / "kustomization.yaml").read_text())["resources"] == ["job.yaml"]
        container = job["spec"]["template"]["spec"]["containers"][0]
        self.prepare()
        for index in range(job["spec"]["completions"]):
            self.pod(container, {"JOB_COMPLETION_INDEX": str(index), "HOSTNAME": self.POD})

    def prepare(self):
        """Nothing is needed: the program is here."""

    def pod(self, container, variables):
        *shell, line = container["command"]
        line = line.replace("/plan/", f"{self.out}/").replace("exec mlsm ", f"exec {self.check.program} ")
        variables = self.check.variables | variables
        self.said.append(subprocess.run([*shell, line], env=variables, check=True, stdout=subprocess.PIPE, text=True).stdout)

    def is_job(self, job):
        return bool(re.fullmatch(rf"kubernetes pod {self.POD}, index \d+", job))

    def log(self):
        return ""

    def executed(self):
        return executed_in(self.said)

    def stop(self):
        pass


class Pods(Kubernetes):
    """The command of the Job as it stands, where the steps of the container file were done."""

    def __init__(self, arguments, *more):
        super().__init__(*more)
        self.arguments = arguments

    def prepare(self):
        wheel = [sys.executable, ROOT / "src" / "dist" / "wheel.py", self.check.program, self.out]
        subprocess.run(wheel, check=True, stdout=subprocess.DEVNULL)
        self.container = Container(self.check.folder / "root", self.out / "Containerfile", self.arguments)
        said = self.container.run([*self.container.entry, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
        print(f"container: {said.strip()}", file=sys.stderr)
        for name in ("plan", "cache"):
            (self.container.root / name).mkdir()
        shutil.copy(self.out / "plan.json", self.container.root / "plan")
        os.chown(self.container.root / "cache", int(self.container.user), int(self.container.user))

    def pod(self, container, variables):
        variables = {name: value for name, value in self.check.variables.items() if name.startswith("AWS_")} | variables
        variables |= {"MLSM_OUTPUT": "json"} | {entry["name"]: entry["value"] for entry in container["env"]}
        photos = [self.check.folder / "cache"]  # the store's drawn photos, as this machine has them
        done = self.container.run(container["command"], variables, photos, check=True, stdout=subprocess.PIPE, text=True)
        self.said.append(done.stdout)


if __name__ == "__main__":
    main()
