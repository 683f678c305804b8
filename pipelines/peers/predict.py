"""Measures `mlsm predict` on small sets: `python3 predict.py MLSM STORE [FOLDER…]`.

Sets: drawn birds, and what scikit-learn, scikit-image and matplotlib ship (digits, patches of textures and photos,
letters in several fonts); each folder given, of CUB or with a folder a class, is a set more. Of each, 5 classes are drawn 10 times, with 1,
2, 5 and 10 labelled photos, and 10 other photos of each class are predicted. For each number the table states accuracy ±
the spread between draws, the temperature under which the true classes of the predicted photos are most probable, the expected
calibration error (10 bins; at the usual temperature and at the fitted one), how well the probability tells photos of those
classes from photos of others (area under the ROC curve), and seconds a call.
"""

import collections
import json
import math
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import environment

PACKAGES = ["safetensors==0.8.0", "scikit-image==0.26.0", "scikit-learn==1.9.1", "matplotlib==3.11.2", "pillow==13.0.0"]
SHOTS, DRAWS, WAYS, QUERIES = (1, 2, 5, 10), 10, 5, 10
PHOTOS = max(SHOTS) + QUERIES  # of each class
USUAL = 0.45  # the usual temperature with one photo a class, as in `src/scoring.rs`


def save(folder, name, image):
    folder.mkdir(parents=True, exist_ok=True)
    image.convert("RGB").save(folder / f"{name}.png")


def digits(folder):
    """Handwritten digits, 8x8 pixels enlarged."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data, counts = load_digits(), collections.Counter()
    for pixels, digit in zip(data.images, data.target):
        counts[digit] += 1
        if counts[digit] <= 2 * PHOTOS:
            image = Image.fromarray((255 - pixels * 15.9).astype("uint8")).resize((96, 96), Image.BICUBIC)
            save(folder / str(digit), counts[digit], image)


def patches(folder):
    """Patches of photos that scikit-image ships: a photo is a class."""
    from PIL import Image
    from skimage import data

    chance = random.Random(0)
    for name in ("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "page", "rocket"):
        photo = Image.fromarray(getattr(data, name)())
        for number in range(2 * PHOTOS):
            side = chance.randrange(64, min(photo.size) // 2)
            x, y = (chance.randrange(0, extent - side) for extent in photo.size)
            save(folder / name, number, photo.crop((x, y, x + side, y + side)))


def letters(folder):
    """Capital letters in the fonts of matplotlib, turned a little: a letter is a class."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    fonts = sorted(pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf").glob("*.ttf"))
    fonts = [font for font in fonts if font.stem.startswith(("DejaVu", "STIXGeneral", "cm"))][:20]
    chance = random.Random(0)
    for letter in "ABDEGHKMPRSWZ":
        for number in range(2 * PHOTOS):
            image = Image.new("RGB", (112, 112), "white")
            font = ImageFont.truetype(fonts[number % len(fonts)], chance.randrange(40, 76))
            ImageDraw.Draw(image).text((chance.randrange(8, 40), chance.randrange(4, 30)), letter, "black", font)
            save(folder / letter, number, image.rotate(chance.uniform(-12, 12), fillcolor="white"))


def classes_of(folder):
    """The classes of a folder that have enough photos, with them."""
    found = {f.name: sorted(f.glob("*")) for f in sorted(folder.iterdir()) if f.is_dir()}
    return {name: photos for name, photos in found.items() if len(photos) >= PHOTOS}


def classes_below(place):
    """The folder that holds the folders of classes: `images/` of CUB, or the place itself."""
    place = pathlib.Path(place).resolve()
    found = next((f for f in (place / "images", place / "CUB_200_2011" / "images", place) if f.is_dir()), None)
    if found is None or len(classes_of(found)) < WAYS:
        sys.exit(f"error: {place} is no set\n  why: it lacks {WAYS} folders with {PHOTOS} photos each\n  fix: give a CUB folder, or one with a folder a class")
    return found


def sets(mlsm, folder, given):
    """All sets by name: classes, with their photos."""
    for make in (digits, patches, letters):
        make(folder / make.__name__)
    for number in "01":
        command = [mlsm, "data", "synthesize", folder / f"birds-{number}", "--classes", "16", "--images", "40", "--seed", number]
        subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    places = {f"drawn birds, seed {n}": folder / f"birds-{n}" / "images" for n in "01"}
    places |= {make.__name__: folder / make.__name__ for make in (digits, patches, letters)}
    places |= {pathlib.Path(place).resolve().name: below for place, below in given.items()}
    return {name: classes_of(place) for name, place in places.items()}


def softmax(scores, temperature):
    powers = [math.exp((score - max(scores)) / temperature) for score in scores]
    return [power / sum(powers) for power in powers]


def best_temperature(photos):
    """The temperature, in steps of a tenth of a power of 2, under which the true classes are most probable."""

    def loss(temperature):
        return -sum(math.log(max(softmax(scores, temperature)[true], 1e-300)) for scores, true in photos)

    return min((2 ** (step / 10) for step in range(-100, 31)), key=loss)


def calibration_error(pairs):
    """The expected calibration error of (probability, right) in 10 bins."""
    bins = collections.defaultdict(list)
    for probability, right in pairs:
        bins[min(int(probability * 10), 9)].append((probability, right))
    gap = lambda photos: abs(sum(p for p, _ in photos) - sum(r for _, r in photos))
    return sum(gap(photos) for photos in bins.values()) / len(pairs)


def under_roc(known, others):
    """The share of pairs in which the photo of a known class is more probable."""
    wins = sum((k > o) + 0.5 * (k == o) for k in known for o in others)
    return wins / (len(known) * len(others))


def predict(mlsm, store, classes, k_shot, chance):
    """One draw: (true class, or None of other classes; probabilities and scores, the closest first; its name)."""
    names = chance.sample(sorted(classes), min(WAYS + 2, len(classes)))
    with tempfile.TemporaryDirectory() as folder:
        folder, truths = pathlib.Path(folder), {}
        for place, name in enumerate(names):
            photos = chance.sample(classes[name], PHOTOS)
            asked = photos[max(SHOTS) :] if place < WAYS else photos[: 2 * QUERIES]
            for number, photo in enumerate(photos[:k_shot] if place < WAYS else []):
                target = folder / "known" / name / f"{number}{photo.suffix}"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(photo, target)
            for number, photo in enumerate(asked):
                target = folder / "asked" / f"{place}-{number}{photo.suffix}"
                target.parent.mkdir(exist_ok=True)
                shutil.copy(photo, target)
                truths[target.name] = name if place < WAYS else None
        command = [mlsm, "predict", "--store", store, "--support", folder / "known", "--query", folder / "asked"]
        start = time.monotonic()
        done = subprocess.run([*command, "--top", str(WAYS), "--format", "json", "--quiet"], capture_output=True, text=True)
        seconds = time.monotonic() - start
        if done.returncode != 0:
            sys.exit(done.stderr)
    photos = collections.defaultdict(list)
    for line in json.loads(done.stdout.splitlines()[-1]):
        photos[line["path"]].append(line)
    return [(truths[path], sorted(lines, key=lambda line: line["rank"])) for path, lines in photos.items()], seconds


def measure(mlsm, store, classes, k_shot):
    accuracies, fitted, plain, known, others, seconds, scored = [], [], [], [], [], [], []
    for draw in range(DRAWS):
        answers, took = predict(mlsm, store, classes, k_shot, random.Random(draw))
        seconds.append(took)
        of_known = [(truth, lines) for truth, lines in answers if truth is not None]
        rights = [float(lines[0]["class_name"] == truth) for truth, lines in of_known]
        accuracies.append(100 * statistics.mean(rights))
        fitted += [(lines[0]["probability"], right) for (_, lines), right in zip(of_known, rights)]
        plain += [(softmax([l["score"] for l in lines], USUAL / k_shot)[0], right) for (_, lines), right in zip(of_known, rights)]
        places = [[line["class_name"] for line in lines].index(truth) for truth, lines in of_known]
        scored += [([line["score"] for line in lines], place) for (_, lines), place in zip(of_known, places)]
        known += [lines[0]["probability"] for _, lines in of_known]
        others += [lines[0]["probability"] for truth, lines in answers if truth is None]
    return {
        "accuracy": statistics.mean(accuracies),
        "spread": statistics.stdev(accuracies),
        "best": best_temperature(scored),
        "error, usual": 100 * calibration_error(plain),
        "error, fitted": 100 * calibration_error(fitted),
        "others": under_roc(known, others) if others else float("nan"),
        "seconds": statistics.median(seconds),
    }


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: predict.py MLSM STORE [FOLDER…]")
    given = {place: classes_below(place) for place in sys.argv[3:]}
    environment.inside("sets", PACKAGES)
    mlsm, store = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    subprocess.run([mlsm, "weights", "fetch", "efficientnet-lite0", "--store", store, "--quiet"], check=True)
    print(f"{'set':24} shots  accuracy ± spread  best temperature  calibration error, usual → fitted  others told  seconds", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, classes in sets(mlsm, pathlib.Path(folder), given).items():
            for k_shot in SHOTS:
                m = measure(mlsm, store, classes, k_shot)
                print(
                    f"{name:24} {k_shot:5}  {m['accuracy']:8.1f} ± {m['spread']:4.1f}    {m['best']:14.3f}    {m['error, usual']:22.1f} → {m['error, fitted']:6.1f}"
                    f"  {m['others']:11.2f}  {m['seconds']:7.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
