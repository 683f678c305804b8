"""Writes seeds/: small files of each kind for the fuzz targets to begin with: `python3 seeds.py`. Photos are those of
`pipelines/data/fixtures/photos`, linked; PyTorch's files those of `pipelines/nets/fixtures`.
"""
import bz2
import gzip
import io
import json
import lzma
import pathlib
import shutil
import struct
import tarfile
import zipfile
import zlib

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
SEEDS = HERE / "seeds"
JPEG = b"\xff\xd8\xff\xe0 begins as a photo does"


def seed(target, name, content):
    (SEEDS / target).mkdir(parents=True, exist_ok=True)
    (SEEDS / target / name).write_bytes(content)


def tar(entries, form=tarfile.GNU_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                archive.addfile(info)
        length = archive.offset
    return out.getvalue()[:length] + bytes(1024)


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def zstd(content):
    """One block as it is; no checksum, so that changed bytes are read on."""
    block = struct.pack("<I", len(content) << 3 | 1)[:3]
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(content)) + block + content


def archives():
    file = tarfile.REGTYPE
    two = tar([("birds/a/x.jpg", file, JPEG), ("birds/b/y", file, JPEG), ("birds/classes.txt", file, b"1 a\n")])
    seed("archive", "two.tar", two)
    seed("archive", "two.tgz", gzip.compress(two, mtime=0))
    seed("archive", "two.tar.bz2", bz2.compress(two))
    seed("archive", "two.tar.xz", lzma.compress(two, check=lzma.CHECK_NONE))
    seed("archive", "two.tar.zst", zstd(two))
    linked = [("a/x.jpg", file, JPEG), ("a/y.jpg", tarfile.LNKTYPE, "a/x.jpg"), ("a/x.jpg", file, JPEG * 2)]
    seed("archive", "again.tar", tar([("a", tarfile.DIRTYPE, "")] + linked))
    seed("archive", "link.tar", tar(linked + [("b", tarfile.SYMTYPE, "/tmp")]))
    seed("archive", "long.tar", tar([("a/" + "x" * 200 + ".jpg", file, JPEG)]))
    seed("archive", "pax.tar", tar([("a/" + "\u00fc" * 80 + ".jpg", file, JPEG)], tarfile.PAX_FORMAT))
    names = [("birds/a/x.jpg", JPEG), ("birds/b/y", JPEG), ("__MACOSX/a/._x.jpg", b"")]
    seed("archive", "two.zip", zipped(names))
    seed("archive", "stored.zip", zipped(names, zipfile.ZIP_STORED))
    seed("archive", "behind.zip", b"MZ a program" + zipped([("a\\x.jpg", JPEG)], zipfile.ZIP_STORED))
    seed("archive", "out.zip", zipped([("../x.jpg", JPEG)], zipfile.ZIP_STORED))


def entries(*records):
    """Kind, name, link and content each, as the target lays them out."""
    return b"".join(kind + b"".join(bytes([len(field)]) + field for field in fields) for kind, *fields in records)


def tars():
    photo = (b"0", b"a/x.jpg", b"", JPEG)
    seed("archive_entries", "again", entries((b"5", b"a/", b"", b""), photo, (b"0", b"./a//x.jpg", b"", b"")))
    seed("archive_entries", "links", entries(photo, (b"1", b"b/y.jpg", b"a/x.jpg", b""), (b"2", b"c", b"..", b"")))
    seed("archive_entries", "link-of-link", entries(photo, (b"1", b"b", b"a/x.jpg", b""), (b"1", b"c.jpg", b"b", b"")))
    seed("archive_entries", "both", entries(photo, (b"0", b"a/x.jpg/y.jpg", b"", JPEG), (b"0", b"a", b"", JPEG)))
    seed("archive_entries", "out", entries((b"0", b"a/../../x.jpg", b"", JPEG), (b"0", b"/x.jpg", b"", JPEG)))
    seed("archive_entries", "long", entries((b"L", b"././@LongLink", b"", b"a/" + b"x" * 99 + b".jpg\0"), photo))
    pax = b"17 path=b/z.jpg\n" + b"11 size=99\n"
    seed("archive_entries", "pax", entries((b"x", b"p", b"", pax), photo, (b"g", b"g", b"", pax), (b"S", b"s", b"", b"")))


def lists():
    images, labels = b"1 1.A/x.jpg\n2 1.A/y.jpg\n5 2.B/z.jpg\n", b"1 1\n2 1\n5 2\n"
    classes, boxes = b"1 1.A\n2 2.B\n", b"1 60.0 27.0 325.0 304.0\n2 -1 0 1e3 2\n5 139 30 153 264.0\n"
    seed("cub_lists", "whole", b"\0".join([images, labels, classes, boxes]))
    seed("cub_lists", "no-boxes", b"\0".join([images, labels, classes]))
    seed("cub_lists", "windows", b"\0".join([b"\xef\xbb\xbf1 1.A/x.jpg\r\n", b"1 1\r\n\r\n", b"1 1.A\r\n"]))
    seed("cub_lists", "out", b"\0".join([b"1 ../x.jpg\n", b"1 1\n", b"1 1.A\n"]))
    seed("split_file", "lines", b"\xef\xbb\xbf# split\r\n1 base # first\r\nGreat Grey Shrike val\n'#1' novel\n")
    seed("split_file", "lists", b'novel = [3, "wren", # three\n  \'it]\', "say \\"hi\\"",\n]\nbase=[1,]\n2 val\n')


def weights():
    for name in ["legacy.pth", "nested.pth", "zip.pth"]:
        seed("pth", name, (ROOT / "pipelines/nets/fixtures" / name).read_bytes())
    seed("pth", "wheel.whl", zipped([("a/b.pth", (SEEDS / "pth/legacy.pth").read_bytes())]))
    arrays = {"f": ("F32", [2], 8), "i": ("I64", [3], 24), "h": ("F16", [2, 2], 8), "u": ("U8", [], 1), "e": ("BF16", [0, 3], 0)}
    for name, about in [("plain", None), ("text", {"json": "{}"}), ("kept", {"mlsm": '{"digest":"' + "0" * 64 + '"}'})]:
        header, at = {} if about is None else {"__metadata__": about}, 0
        for key, (kind, shape, length) in arrays.items():
            header[key] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + length]}
            at += length
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        seed("safetensors", name, struct.pack("<Q", len(text)) + text + bytes(range(at)))


def text(words):
    return struct.pack("<Q", len(words)) + words


def store():
    kept = ROOT / "store/fixtures/store-1"
    manifest = next((kept / "manifests").glob("*/*.json")).read_bytes()
    run = (kept / "runs/r1.json").read_bytes()
    seed("store", "manifest", manifest)
    seed("store", "manifest-unsealed", manifest[: manifest.rindex(b',"seal"')] + b"}")
    seed("store", "run", run)
    seed("store", "run-unsealed", run[: run.rindex(b',"seal"')] + b"}" if b',"seal"' in run else run)
    values = [b"n", b"b\1", b"i" + struct.pack("<q", -7), b"f" + struct.pack("<d", 0.1), b"t" + text(b"x")]
    values.append(b"l" + struct.pack("<Q", len(values)) + b"".join(values))
    recipe = b"".join(text(b"k%d" % i) + value for i, value in enumerate(values))
    inputs = struct.pack("<Q", 1) + text(b"photo") + bytes(range(32))
    head = b"mlsm request 1\n" + text(b"extract") + struct.pack("<I", 3) + struct.pack("<Q", len(values))
    seed("store", "request", head + recipe + inputs)
    # `@F` and `@M` stand for the fingerprint and the manifest of the store of the target.
    seed("store_folder", "index", b"\0@F @M\n" + (kept / "index.jsonl").read_bytes())
    seed("store_folder", "index-taken-back", b"\0@F @M\n@F \n@F {}")
    seed("store_folder", "manifest", b"\1@M")
    entry = b'{"size":1,"mtime_ns":2,"ctime_ns":3,"device":4,"inode":5,"written_ns":6,"digest":"@F"}'
    seed("store_folder", "stat-cache", b'\2{"/x/y.jpg":' + entry + b"}")
    seed("store_folder", "run", b"\3" + run)


def orientation():
    big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    xmp = b'<rdf:Description tiff:Orientation="6"/><tiff:Orientation>3</tiff:Orientation>'
    raw = b"\nexif\n      26\n" + big.hex().encode() + b"\n"
    bodies = [big, xmp, zlib.compress(raw), b"\0\0\0\0" + xmp, raw, little, xmp, b"XML:com.adobe.xmp\0" + xmp]
    for place, body in enumerate(bodies):
        seed("orientation", str(place), bytes([place]) + body)
    packed = b"\1\0\0\0" + zlib.compress(xmp)
    seed("orientation", "packed", b"\3" + packed)


def main():
    shutil.rmtree(SEEDS, ignore_errors=True)
    for make in [archives, tars, lists, weights, store, orientation]:
        make()
    for target in ["photo_front", "photo_jpeg", "photo_other", "photo_tiff"]:
        (SEEDS / target).symlink_to("../../data/fixtures/photos")


main()
