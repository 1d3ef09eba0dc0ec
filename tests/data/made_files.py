"""Made-up files for each reader of conf/data, by the name of its module: `tiff(folder)` writes and opens them."""

import io
import json
import tarfile

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from made_geotiff import write
from made_sounds import audio, audiocaps, clotho, esc  # noqa: F401  # found here by name
from made_source import Made
from made_videos import activitynet, msrvtt, video  # noqa: F401  # found here by name
from PIL import Image

from multimodal_lab.data.packed import finalize, probe, reader, writer
from multimodal_lab.data.readers.band_files import BandFiles
from multimodal_lab.data.readers.bigearthnet import BigEarthNet
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.coco import Coco
from multimodal_lab.data.readers.easy_vqa import EasyVqa
from multimodal_lab.data.readers.envi import Envi
from multimodal_lab.data.readers.flickr30k import Flickr30k
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.imagefolder import ImageFolder
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.joined import Joined
from multimodal_lab.data.readers.lmdb import Lmdb
from multimodal_lab.data.readers.long_table import LongTable
from multimodal_lab.data.readers.masks import Masks
from multimodal_lab.data.readers.mixed import Mixed
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.readers.questions import Questions
from multimodal_lab.data.readers.scene import Scene
from multimodal_lab.data.readers.scene_tiles import SceneTiles
from multimodal_lab.data.readers.series_arrays import SeriesArrays
from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.readers.ts import Ts
from multimodal_lab.data.readers.webdataset import WebDataset
from multimodal_lab.data.synthetic.motions import Motions
from multimodal_lab.data.synthetic.sentinel import Sentinel
from multimodal_lab.data.synthetic.sounding_objects import SoundingObjects
from multimodal_lab.data.synthetic.specimens import Specimens
from multimodal_lab.data.synthetic.trifeature import Trifeature

NAMES = ["a", "b", "c"]
BANDS = ["R", "G", "B", "NIR"]
# of an image or a sensor, where a set has several
FIELD = {
    "pairs": "photo",
    **dict.fromkeys(("coco", "flickr30k", "imagefolder", "easy_vqa", "questions"), "image"),
    "joined": "image",
    "mixed": "one",
    "trifeature": "image_1",
    "motions": "wrist",
    **dict.fromkeys(("sounding_objects", "video", "msrvtt", "activitynet"), "video"),
}


def pixels(i, bands=4):
    return np.random.default_rng(i).integers(1, 60000, (bands, 5, 6)).astype(np.uint16)


def tiff(folder):
    for i, name in enumerate(NAMES):
        x = np.concatenate([pixels(i), (pixels(9, 1) > 20000) * 255]).astype(np.uint16)
        tifffile.imwrite(folder / f"{name}.tif", x, photometric="minisblack", planarconfig="separate")
    return Tiff(str(folder), card=card([*BANDS, "mask"], mask_band="mask"))


def band_files(folder):
    for i, name in enumerate(NAMES):
        for k, band in enumerate(BANDS):
            write(folder / name / f"{band}.tif", pixels(i)[k])
    return BandFiles(str(folder), files={"x": "{id}/{band}.tif"}, bands={"x": BANDS}, card=card(BANDS))


def envi(folder):
    for i, name in enumerate(NAMES):
        head = ["samples = 6", "lines = 5", "bands = 4", "data type = 12", "interleave = bsq", "byte order = 0"]
        (folder / f"{name}.img.hdr").write_text("\n".join(["ENVI", *head]) + "\n")
        (folder / f"{name}.img").write_bytes(pixels(i).tobytes())
    return Envi(str(folder))


def hdf5(folder):
    with h5py.File(folder / "all.h5", "w") as file:
        file["cubes"] = np.stack([pixels(i) for i in range(len(NAMES))])
    return Hdf5(str(folder), datasets={"cubes": BANDS}, card=card(BANDS))


def images(folder):
    for i, name in enumerate(NAMES):
        Image.fromarray((pixels(i, 3) % 256).astype(np.uint8).transpose(1, 2, 0)).save(folder / f"{name}.png")
    return Images(str(folder))


def pairs(folder):
    images(folder)
    rows = [{"id": name, "photo": f"{name}.png", "text": f"a picture of {name}"} for name in NAMES]
    (folder / "index.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return Pairs(str(folder), images=["photo"], texts=["text"])


def coco(folder):
    """One image for training and two to test, as published."""
    for split, numbers in (("train", [0]), ("val", [1, 2])):
        (folder / f"{split}2017").mkdir(exist_ok=True)
        (folder / "annotations").mkdir(exist_ok=True)
        found = {"images": [], "annotations": []}
        for i in numbers:
            x = (pixels(i, 3) % 256).astype(np.uint8).transpose(1, 2, 0)
            Image.fromarray(x).save(folder / f"{split}2017/{i:012d}.png")
            found["images"].append({"id": i, "file_name": f"{i:012d}.png"})
            found["annotations"] += [{"id": 10 * i + k, "image_id": i, "caption": f"{i} {k}"} for k in range(5)]
        (folder / f"annotations/captions_{split}2017.json").write_text(json.dumps(found))
    return Coco(str(folder))


def flickr30k(folder):
    (folder / "flickr30k_images").mkdir(exist_ok=True)
    images(folder / "flickr30k_images")
    (folder / "results_20130124.token").write_text("".join(f"{n}.png#{k}\t{n} {k}\n" for n in NAMES for k in range(5)))
    return Flickr30k(str(folder))


def imagefolder(folder):
    images(folder)
    (folder / "metadata.csv").write_text("file_name,text\n" + "".join(f"{n}.png,{n}\n" for n in NAMES))
    return ImageFolder(str(folder))


def _questions(folder):
    images(folder)
    asked = [
        {"image": f"{n}.png", "question": "what color is the circle?", "answer": "red", "split": "train"} for n in NAMES
    ]
    (folder / "qa.jsonl").write_text("\n".join(map(json.dumps, asked)))
    return str(folder)


def easy_vqa(folder):
    return EasyVqa(_questions(folder))


def questions(folder):
    return Questions(_questions(folder))


def table(folder):
    rows = pd.DataFrame(np.random.default_rng(0).random((3, 4)), columns=[f"nm{c}" for c in range(300, 340, 10)])
    rows.assign(name=NAMES, species="x").to_csv(folder / "spectra.csv", index=False)
    return Table(str(folder), file="spectra.csv", pattern=r"nm(?P<nm>\d+)", id="name")


def joined(folder):
    """Pictures, and spectra of two of them and of another."""
    source = table(folder)
    source.samples["id"] = ["b", "c", "d"]
    return Joined({"image": images(folder), "spectrum": source}, root=str(folder))


def mixed(folder):
    """Pictures, and spectra."""
    return Mixed({"one": images(folder), "two": table(folder)}, root=str(folder))


def webdataset(folder):
    """Two tars, three pictures."""
    for number, names in enumerate((NAMES[:2], NAMES[2:])):
        with tarfile.open(folder / f"{number}.tar", "w") as tar:
            for name in names:
                data = io.BytesIO()
                Image.fromarray((pixels(ord(name), 3) % 256).astype(np.uint8).transpose(1, 2, 0)).save(data, "png")
                for rest, content in (("png", data.getvalue()), ("txt", b"a picture"), ("cls", b"1")):
                    member = tarfile.TarInfo(f"{name}.{rest}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return WebDataset(str(folder), index="make")


def lmdb(folder):
    """Three pictures by key."""
    library = pytest.importorskip("lmdb", reason="lmdb is not installed: pip install -e '.[lmdb]'")
    if not (folder / "data.mdb").exists():
        with library.open(str(folder), map_size=1 << 24) as made, made.begin(write=True) as writing:
            for name in NAMES:
                data = io.BytesIO()
                Image.fromarray((pixels(ord(name), 3) % 256).astype(np.uint8).transpose(1, 2, 0)).save(data, "png")
                writing.put(name.encode(), data.getvalue())
    return Lmdb(str(folder))


def masks(folder):
    """Three pictures, and maps of them."""
    for name in ("images", "masks"):
        (folder / name).mkdir(exist_ok=True)
    for i, name in enumerate(NAMES):
        Image.fromarray((pixels(i, 1)[0] % 4).astype(np.uint8)).save(folder / "masks" / f"{name}.png")
    return Masks(str(folder), images=images(folder / "images"), masks="masks/{stem}.png")


def sentinel(folder):
    return Sentinel(patches=4, tiles=3, size=8)


def bigearthnet(folder):
    """Made-up patches: nothing is written."""
    return BigEarthNet(None, made=Sentinel(patches=4, tiles=3, size=8))


def _scene(kind, folder, patch):
    draw = np.random.default_rng(0)
    np.save(folder / "cube.npy", draw.integers(0, 9000, (31, 26, 4)).astype(np.uint16))
    np.save(folder / "map.npy", draw.integers(0, 4, (31, 26)).astype(np.uint8))
    shares = {"train": 0.5, "val": 0.2, "test": 0.3}
    return kind(str(folder), cube="cube.npy", map="map.npy", patch=patch, block=8, **shares)


def scene(folder):
    return _scene(Scene, folder, 5)


def scene_tiles(folder):
    return _scene(SceneTiles, folder, 4)


def packed(folder):
    source = Made(6)
    if not (folder / "store").exists():
        plan = writer.begin(source, probe.probe(source), folder / "store", {})
        writer.write(plan, 1, lambda done, total: None)
        finalize.finish(plan, "", {}, {}, "report")
    return reader.Packed(str(folder / "store"))


def specimens(folder):
    return Specimens(individuals=8, size=16, species=2)


def trifeature(folder):
    return Trifeature(train=40, val=8, test=40, size=32, side=16)


def series(i):
    return np.random.default_rng(i).random((4, 5 + i)).astype(np.float32)


def ts(folder):
    head = "@problemName p\n@univariate false\n@classLabel true x y\n@data\n"
    lines = [":".join(",".join(f"{v:.6f}" for v in band) for band in series(i)) + ":x\n" for i in range(3)]
    (folder / "p.ts").write_text(head + "".join(lines))
    return Ts(str(folder))


def long_table(folder):
    parts = [
        pd.DataFrame(series(i).T, columns=[f"c{k}" for k in range(4)]).assign(
            recording=name, time=np.arange(5 + i) / 10
        )
        for i, name in enumerate(NAMES)
    ]
    pd.concat(parts).to_csv(folder / "long.csv", index=False)
    return LongTable(str(folder), file="long.csv", pattern=r"c\d", recording=["recording"])


def series_arrays(folder):
    (folder / "each").mkdir(exist_ok=True)
    for i, name in enumerate(NAMES):
        np.save(folder / "each" / f"{name}.npy", series(i))
    return SeriesArrays(str(folder), arrays={"s": "each/*.npy"}, axes="CT")


def motions(folder):
    return Motions(subjects=1, gaps=0.0)


def sounding_objects(folder):
    return SoundingObjects(clips=6, size=8)
