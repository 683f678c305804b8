"""Computes a plan of mlsm on a Ray cluster: level after level, each task one process of `mlsm work`.

Usage: ray_driver.py PLAN PROGRAM STORE ADDRESS RETRIES. Every machine must see the plan, the program and the photos; the
store holds what is computed, so that a task which was lost with its machine is done again without loss. The events of each
task are added to `task-N.jsonl` beside the plan.
"""

import json
import os
import subprocess
import sys
import time

import ray


@ray.remote
def work(program, plan, store, task, threads):
    """Does one task; its output goes to the driver's when it fails."""
    log = os.path.join(os.path.dirname(plan), f"task-{task}.jsonl")
    command = [program, "work", "--plan", plan, "--store", store, "--threads", str(threads), "--task", str(task)]
    command += ["--log-file", log, "--quiet"]
    here = ray.get_runtime_context()
    job = {"MLSM_JOB": f"ray job {here.get_job_id()}, task {here.get_task_id()}"}  # what `mlsm status` shows
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **job})
    if done.returncode != 0:
        raise RuntimeError(f"task {task} ended with exit code {done.returncode}\n{done.stderr}")
    return task


def main():
    plan, program, store, address, retries = sys.argv[1:]
    with open(plan, encoding="utf-8") as file:
        tasks = json.load(file)["tasks"]
    handed_on = ("AWS_", "GOOGLE_", "AZURE_", "MLSM_", "OMP_")
    variables = {name: value for name, value in os.environ.items() if name.startswith(handed_on)}
    ray.init(address=address, log_to_driver=False, runtime_env={"env_vars": variables})
    has_gpu = ray.cluster_resources().get("GPU", 0) > 0
    began = time.monotonic()
    for level in sorted({task["level"] for task in tasks}):
        waiting = [
            work.options(
                num_cpus=task["threads"],
                num_gpus=1 if has_gpu and task["wants_gpu"] else 0,
                max_retries=int(retries),
                retry_exceptions=True,
            ).remote(program, plan, store, at, task["threads"])
            for at, task in enumerate(tasks)
            if task["level"] == level
        ]
        total = len(waiting)
        while waiting:
            done, waiting = ray.wait(waiting)
            ray.get(done)
        print(f"level {level}: {total} tasks, {time.monotonic() - began:.1f} s since the start", flush=True)


if __name__ == "__main__":
    main()
