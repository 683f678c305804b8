"""Measures what the choices of `mlsm predict` bring: `python3 choices.py MLSM STORE [FOLDER…]`.

Of the sets of predict.py, the embeddings of all photos (`mlsm support build`) are compared here as `mlsm predict` compares
them, with one choice changed at a time. 5 classes are drawn 60 times; each has the labelled photos that a column's heading says,
and 10 photos are predicted of each, or of one class alone. Prints accuracy in %, of each set and their mean.
"""

import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import environment
import predict

DRAWS, WAYS, QUERIES = 60, 5, 10
SPREAD = 0.6  # as in `src/scoring.rs`
# Labelled photos of the five classes, and whether photos of all classes are asked for, or of the first alone.
SETTINGS = {
    "1 each": ([1] * 5, True),
    "2 each": ([2] * 5, True),
    "5 each": ([5] * 5, True),
    "10 each": ([10] * 5, True),
    "1 each, one class asked": ([1] * 5, False),
    "10, 1, 1, 1, 1": ([10, 1, 1, 1, 1], True),
    "10, 5, 2, 1, 1": ([10, 5, 2, 1, 1], True),
}
# The default, and what is changed of it.
DEFAULT = {"object": True, "centre": "labelled", "spread": SPREAD}
CHOICES = {
    "as `mlsm predict`": {},
    "the whole photo alone": {"object": False},
    "not centred": {"centre": "none"},
    "centred by the weights' own photos": {"centre": "weights"},
    "centred by labelled and asked photos": {"centre": "all"},
    "means of many photos not corrected": {"spread": 0.0},
    "corrected by .4": {"spread": 0.4},
    "corrected by .8": {"spread": 0.8},
}


def expected_activation(weights):
    """The mean embedding of the photos that Lite0's weights were trained on: its last layer is batch-normalised, so each channel
    is, before ReLU6, about normal there, with the layer's weight and bias for spread and mean.
    """
    import numpy as np

    points = np.linspace(-8, 8, 4001)
    density = np.exp(-points * points / 2)
    spread, mean = (weights.get_tensor(f"_bn1.{name}").astype(float) for name in ("weight", "bias"))
    return np.clip(mean[:, None] + np.abs(spread)[:, None] * points, 0, 6) @ (density / density.sum())


def embeddings(mlsm, store, classes, folder):
    """The embeddings of all photos: `[2, n, d]`, of the whole and of its object; and the rows of each class."""
    import numpy as np
    from safetensors import safe_open

    file = folder / "set.support"
    labelled = folder / "labelled"
    for name, photos in classes.items():
        (labelled / name).mkdir(parents=True)
        for photo in photos:
            shutil.copy(photo, labelled / name)
    subprocess.run([mlsm, "support", "build", labelled, "--out", file, "--store", store, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    with safe_open(file, "numpy") as tensors:
        about = json.loads(tensors.metadata()["mlsm"])["about"]
        sides = []
        for side in ("image", "class-free"):
            ids = tensors.get_tensor(f"extract:lite0/{side}/embedding/image_id")
            rows = tensors.get_tensor(f"extract:lite0/{side}/embedding/embedding").astype(float)
            sides.append(rows[np.argsort(ids)])
    rows = {image_id: row for row, image_id in enumerate(sorted(ids))}
    of_class = {entry["class_id"]: [] for entry in about["classes"]}
    for photo in about["photos"]:
        of_class[photo["class_id"]].append(rows[photo["image_id"]])
    return np.stack(sides), list(of_class.values()), next(whole["digest"] for whole in about["wholes"])


def accuracy(data, classes, weights_centre, shots, all_asked, chosen):
    """The accuracy over all draws, in %."""
    import numpy as np

    rights = []
    for draw in range(DRAWS):
        chance = random.Random(draw)
        support, query = [], []
        for rows, shot in zip(chance.sample(classes, WAYS), chance.sample(shots, WAYS)):
            photos = chance.sample(rows, shot + QUERIES)
            support.append(photos[:shot])
            query.append(photos[shot:])
        asked = query if all_asked else query[:1]
        used = data if chosen["object"] else data[:1]
        labelled = sum(support, [])
        centre = {
            "none": lambda: 0.0,
            "labelled": lambda: used[:, labelled].mean(1, keepdims=True),
            "all": lambda: used[:, labelled + sum(asked, [])].mean(1, keepdims=True),
            "weights": lambda: weights_centre,
        }[chosen["centre"]]()
        vectors = used - centre
        vectors = np.concatenate(list(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)), 1)
        means = np.stack([vectors[photos].mean(0) for photos in support])
        counts = np.array([len(photos) for photos in support])
        distances = ((vectors[sum(asked, [])][:, None] - means) ** 2).sum(-1) + len(used) * chosen["spread"] * (1 - 1 / counts)
        truths = np.repeat(np.arange(len(asked)), QUERIES)
        rights.append((distances.argmin(1) == truths).mean())
    return 100 * np.mean(rights)


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: choices.py MLSM STORE [FOLDER…]")
    given = {place: predict.classes_below(place) for place in sys.argv[3:]}
    environment.inside("sets", predict.PACKAGES)
    import numpy as np
    from safetensors import safe_open

    mlsm, store = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    subprocess.run([mlsm, "weights", "fetch", "efficientnet-lite0", "--store", store, "--quiet"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        found = {}
        for number, (name, classes) in enumerate(predict.sets(mlsm, folder / "photos", given).items()):
            place = folder / str(number)
            place.mkdir()
            data, rows, digest = embeddings(mlsm, store, classes, place)
            found[name] = data, rows
        with safe_open(store / "blobs" / digest[:2] / digest[2:], "numpy") as weights:
            weights_centre = expected_activation(weights)
    for setting, (shots, all_asked) in SETTINGS.items():
        print(f"\n{setting:38}" + "".join(f"{name:>24}" for name in found) + f"{'mean':>8}")
        for choice, change in CHOICES.items():
            row = [accuracy(data, rows, weights_centre, shots, all_asked, DEFAULT | change) for data, rows in found.values()]
            print(f"{choice:38}" + "".join(f"{value:24.1f}" for value in row) + f"{np.mean(row):8.1f}", flush=True)


if __name__ == "__main__":
    main()
