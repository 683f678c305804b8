"""Where the time of a large run goes on 1 to 256 machines: `python3 simulate.py PROGRAM STORE [--photos N] [--failures SHARE]`.

A simulation over measured times: seconds of each stage are those of the last run in STORE that computed it, a photo each for
`ingest`, `crop` and `extract` (times the threads of that run, since a task has a machine of one thread here), a node each for
the others. Tasks of each level are handed to workers as a scheduler's array does; a share of them is lost halfway and done
again; the next level begins when the last task has ended. Before a task computes, its process assembles the outline of the
graph, looks up what its units rest on, and reads the lists of the photos that it opens. Bytes a photo are those of the store.
"""

import argparse
import collections
import heapq
import json
import os
import pathlib
import random
import subprocess

MAPPED, NODES = ("ingest", "crop", "extract"), ("train-base", "meta-train", "evaluate")
SHARD = 512  # photos of a shard
LIST = 1 << 14  # photos of a list, at most this many more than a task opens
# Seconds until a task's process has opened the store, for each photo of its lists, and for each shard of the data set.
START, READ, ANSWER = 1.0, 1e-6, 35e-6
DISPATCH = 0.05  # seconds that a scheduler needs to begin a task (Slurm: 0.015 to 0.045)
WORTH, STARTS = 30.0, 10.0  # seconds that a task is worth at least, and in starts of its process
STEPS = 5  # requests of a unit beside its artifacts: look up, lease, renew, look up again, give up
READS = 2  # how often an artifact is read


def measured(program, store):
    """Seconds and nodes of each stage, photos and bytes of a store."""
    query = (
        "SELECT stage, sum(seconds) AS seconds, count(*) AS nodes, (SELECT count(*) FROM images) AS photos FROM "
        "(SELECT *, row_number() OVER (PARTITION BY node ORDER BY run_id DESC) AS place FROM nodes WHERE outcome = 'executed') "
        "WHERE place = 1 GROUP BY stage"
    )
    command = [program, "query", query, "--store", store, "--format", "json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    stored = sum(file.stat().st_size for file in pathlib.Path(store, "blobs").rglob("*") if file.is_file())
    return {row["stage"]: row for row in rows}, rows[0]["photos"], stored


def level(seconds, workers, failures, start, rng):
    """How long a level takes whose tasks need these seconds."""
    free, waiting = [0.0] * min(workers, len(seconds)), collections.deque(seconds)
    heapq.heapify(free)
    begun = ended = 0.0
    while waiting:
        task = waiting.popleft()
        begun = max(begun + DISPATCH, heapq.heappop(free))
        is_lost = rng.random() < failures
        if is_lost:
            waiting.append(task)
        end = begun + start + (task / 2 if is_lost else task)
        ended = max(ended, end)
        heapq.heappush(free, end)
    return ended


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("store")
    parser.add_argument("--photos", type=int, default=10_000_000)
    parser.add_argument("--classes", type=int, default=10_000)
    parser.add_argument("--failures", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the measured run")
    given = parser.parse_args()
    stages, photos, stored = measured(given.program, given.store)
    shards = given.classes * -(-given.photos // given.classes // SHARD)
    tasks, starts = {}, {}
    start = START + ANSWER * shards
    for stage in MAPPED:
        shard = stages[stage]["seconds"] * given.threads / photos * given.photos / shards
        group = max(1, round(max(WORTH, STARTS * start) / shard))
        tasks[stage] = [shard * min(group, shards - first) for first in range(0, shards, group)]
        opened = READ * (group * given.photos / shards + LIST) if stage != "extract" else 0
        starts[stage] = start + opened
    for stage in NODES:
        nodes = stages[stage]["nodes"]
        tasks[stage] = [stages[stage]["seconds"] / nodes] * nodes
        starts[stage] = start
    order = ["ingest", "train-base", "crop", "extract", "meta-train", "evaluate"]
    total = sum(map(sum, tasks.values()))
    print(f"{given.photos:,} photos, {given.classes:,} classes, {shards:,} shards, {sum(map(len, tasks.values())):,} tasks, {given.failures:.0%} of them lost, {min(starts.values()):.1f} to {max(starts.values()):.1f} s until one begins to compute; measured on {photos:,} photos\n")
    print("| workers | " + " | ".join(f"{stage}, h" for stage in order) + " | all, h | computing, of all |")
    print("|---|" + "---|" * (len(order) + 2))
    for power in range(9):
        workers, rng = 2**power, random.Random(power)
        hours = [level(tasks[stage], workers, given.failures, starts[stage], rng) / 3600 for stage in order]
        share = total / 3600 / workers / sum(hours)
        print(f"| {workers} | " + " | ".join(f"{h:.2f}" for h in hours) + f" | {sum(hours):.2f} | {share:.0%} |")
    units = len(MAPPED) * shards
    requests = units * STEPS + units * 4 * (1 + READS)  # four objects a unit, its manifest included
    print(f"\nStore: {stored * given.photos / photos / 1e12:.1f} TB, {units * 4:,} objects, {requests:,} requests")


if __name__ == "__main__":
    main()
