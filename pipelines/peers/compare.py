"""Measures the rows of `configs/peers.toml` with easyfsl, too: `python3 compare.py MLSM STORE [FLAGS OF mlsm run]`.

`mlsm run` trains, stores features and episodes, and measures. Its published tables and the Relation head's weights are
all that easyfsl is given: the same embeddings, the same support and query photos. Prints each pair of accuracies; ends
with 1 where a head without weights differs by more than 1e-6, or the Relation head by more than one query in 10,000.
"""

import json
import pathlib
import subprocess
import sys

import environment

PACKAGES = ["easyfsl==1.5.0", "torch==2.11.0", "pyarrow==26.0.1", "safetensors==0.8.0"]
EXACT, LEARNT = 1e-6, 1e-4
MATCHING_SCALE = 100.0  # of cosines, the default of `matching`


def run(program, store, flags):
    """Brings the tables up to date; returns the digests of each node's outputs."""
    command = [program, "run", "--config", "peers", "--store", store, "--output", "json", *flags]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if finished.returncode != 0:
        sys.exit(finished.returncode)
    last = json.loads(finished.stdout.splitlines()[-1])
    return {node["node"]: node["outputs"] for node in last["nodes"]}


def relation_module(weights):
    """The Relation head of a 5x5 map: two convolution blocks, a mean over 3x3 cells, two linear layers."""
    from torch import nn

    def block(number, read):
        layers = nn.Sequential(nn.Conv2d(read, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU())
        name = f"relation.block{number}."
        for layer, part in ((layers[0], "conv."), (layers[1], "bn.")):
            own = [key for key in layer.state_dict() if key != "num_batches_tracked"]
            layer.load_state_dict({key: weights[name + part + key] for key in own}, strict=False)
        return layers

    def linear(number, read, write):
        layer = nn.Linear(read, write)
        layer.load_state_dict({key: weights[f"similarity.{number}.{key}"] for key in ("weight", "bias")})
        return layer

    cells = [nn.AdaptiveAvgPool2d(3), nn.Flatten()]
    module = nn.Sequential(block(1, 128), block(2, 64), *cells, linear(0, 576, 8), nn.ReLU(), linear(1, 8, 1))
    return module.eval()


def heads(base_mean, weights):
    """The same rows in easyfsl, by the name that `configs/peers.toml` gives them."""
    import torch
    from easyfsl.methods import MatchingNetworks, PrototypicalNetworks, RelationNetworks, SimpleShot

    class PlainMatching(MatchingNetworks):
        """Without full-context embeddings, which both libraries can leave out."""

        def encode_support_features(self, support_features):
            return support_features

        def encode_query_features(self, query_features):
            return MATCHING_SCALE * query_features

    maps = torch.nn.Unflatten(1, (64, 5, 5))
    return {
        "prototypical": PrototypicalNetworks(),
        "simpleshot": SimpleShot(feature_centering=base_mean, feature_normalization=2),
        "matching": PlainMatching(feature_dimension=base_mean.shape[0], feature_normalization=2),
        "relation": RelationNetworks(maps, feature_dimension=64, relation_module=relation_module(weights)),
    }


def main(program, store, flags):
    import torch
    from pyarrow import dataset as arrow
    from safetensors.torch import load_file

    outputs = run(program, store, flags)
    tables = pathlib.Path(store) / "tables" / "current"

    def table(name):
        return arrow.dataset(tables / name, partitioning="hive").to_table()

    features = table("features").select(["image_id", "class_id", "split", "source", "embedding"]).to_pylist()
    whole = [row for row in features if row["source"] == "image"]
    vectors = {row["image_id"]: torch.tensor(row["embedding"]) for row in whole}
    classes = {row["image_id"]: row["class_id"] for row in whole}
    base = torch.stack([vectors[row["image_id"]] for row in whole if row["split"] == "base"])
    digest = next(made["weights"] for node, made in outputs.items() if node.startswith("meta-train:relation"))
    weights = load_file(pathlib.Path(store) / "blobs" / digest[:2] / digest[2:])
    episodes = table("episodes").to_pylist()

    worst = 0
    print(f"{'row':<14}{'shots':>5}{'episodes':>10}{'mlsm':>14}{'easyfsl':>14}{'difference':>12}")
    for name, head in heads(base.double().mean(0).float(), weights).items():
        for shots in sorted({row["k_shot"] for row in episodes}):
            rows = [row for row in episodes if (row["method"], row["k_shot"]) == (name, shots)]
            theirs = []
            for row in rows:
                labels = [classes[image] for image in row["support_ids"]]
                order = list(dict.fromkeys(labels))
                with torch.no_grad():
                    support = torch.stack([vectors[image] for image in row["support_ids"]])
                    head.process_support_set(support, torch.tensor([order.index(label) for label in labels]))
                    scores = head(torch.stack([vectors[image] for image in row["query_ids"]]))
                truth = torch.tensor([order.index(classes[image]) for image in row["query_ids"]])
                theirs.append((scores.argmax(1) == truth).double().mean().item())
            ours, peer = (sum(values) / len(rows) for values in ([row["accuracy"] for row in rows], theirs))
            print(f"{name:<14}{shots:>5}{len(rows):>10}{ours:>14.8f}{peer:>14.8f}{ours - peer:>12.1e}")
            worst = max(worst, abs(ours - peer) / (LEARNT if name == "relation" else EXACT))
    sys.exit("error: accuracies differ" if worst > 1 else 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    environment.inside("peers", PACKAGES)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
