"""The stages of a toy pipeline for other tools: `toy.py STAGE`, in the folder of the pipeline."""

import hashlib
import pathlib
import shutil
import sys


def digest(*paths):
    """One digest of files, or of the files in folders."""
    total = hashlib.sha256()
    for path in map(pathlib.Path, paths):
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            total.update(file.read_bytes())
    return total.hexdigest() + "\n"


def copy_photos():
    for photo in sorted(pathlib.Path("data").rglob("*.jpg")):
        copy = pathlib.Path("crops") / photo.relative_to("data")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, copy)


def main():
    write = lambda name, text: pathlib.Path(name).write_text(text)
    match sys.argv[1]:
        case "ingest":
            write("photos.txt", "".join(f"{photo}\n" for photo in sorted(pathlib.Path("data").rglob("*.jpg"))))
        case "train":
            write("model.txt", digest("photos.txt"))
        case "crop":
            copy_photos()
        case "extract":
            write("features.txt", digest("crops"))
        case "heads":
            write("heads.txt", digest("features.txt", "model.txt"))
        case "evaluate":
            write("results.txt", digest("heads.txt", "params.yaml"))


if __name__ == "__main__":
    main()
