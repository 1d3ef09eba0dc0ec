"""Benchmark: what the start of a run on image–text pairs of COCO's size costs.

python scripts/bench/captions.py [images=118287] [data=DIR] [KEY=VALUE …]

The official layout is made once: in `data`, where it is kept, else in a temporary folder. Its 118,287 images for training
and 5,000 to test are hard links to 64 pictures of 64 pixels, of which some are grey, and each has five captions of eight to
fourteen words. A run in a process of its own, from the launch to the first step. The first start knows nothing, the second
what the first has learnt.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _start import started, until_the_first_step
from PIL import Image
from scale import line

IMAGES, TEST, CAPTIONS = 118_287, 5_000, 5
FORMS = {"a row an image": [], "a row a caption": ["data.source.rows=caption", "data.split.by=image"]}
RUN = [
    "experiment=clip", "data=coco", "log=none", "figures=[]", "evaluate=[retrieval]", "data.size=32", "data.batch_size=64",
]  # fmt: skip


def write(root: Path, images: int) -> None:
    """annotations/captions_train2017.json and captions_val2017.json, train2017/ and val2017/."""
    rng = np.random.default_rng(0)
    words = np.array(
        [f"{a}{b}" for a in ("ba", "de", "fi", "go", "lu", "ma", "ne", "po") for b in ("r", "st", "nd", "l", "k") * 20]
    )
    (root / "annotations").mkdir(parents=True)
    (root / "pictures").mkdir()
    for i in range(64):
        picture = Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
        picture.convert("L" if i % 32 == 0 else "RGB").save(root / f"pictures/{i}.jpg")
    first = 0
    for split, count in (("train", images), ("val", TEST)):
        (root / f"{split}2017").mkdir()
        numbers = range(first, first + count)
        for i in numbers:
            os.link(root / f"pictures/{i % 64}.jpg", root / f"{split}2017/{i:012d}.jpg")
        known = [
            {"license": 1, "file_name": f"{i:012d}.jpg", "coco_url": f"http://images.cocodataset.org/{split}2017/{i:012d}.jpg",
             "height": 64, "width": 64, "date_captured": "2013-11-14 11:18:45", "flickr_url": "http://farm3.staticflickr.com/x.jpg",
             "id": i}
            for i in numbers
        ]  # fmt: skip
        said = [
            {"image_id": i, "id": i * CAPTIONS + k, "caption": " ".join(rng.choice(words, rng.integers(8, 15))) + "."}
            for i in numbers for k in range(CAPTIONS)
        ]  # fmt: skip
        found = {"info": {}, "images": known, "licenses": [], "annotations": said}
        (root / f"annotations/captions_{split}2017.json").write_text(json.dumps(found))
        first += count


def main() -> None:
    """Make the set, and print the table."""
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(given.pop("data", temporary)) / "coco"
        images = int(given.pop("images", IMAGES))
        if not root.exists():
            began = time.time()
            write(root, images)
            print(f"{images + TEST:,} images with {CAPTIONS} captions each written in {time.time() - began:.0f} s")
        rest = [f"{key}={value}" for key, value in given.items()]
        print(f"{'':34}" + "".join(f"{name:>10}" for name in ("wall s", "CPU s", "GB")))
        for number, (form, words) in enumerate(FORMS.items()):
            for turn in ("first", "second"):
                out = f"dir={temporary}/{number}{turn}"
                found = started(
                    __file__,
                    [*RUN, *words, f"data.root={root}", out, *rest],
                    {"XDG_CACHE_HOME": f"{temporary}/c{number}"},
                )
                line(f"{turn}, {form}".ljust(34), found["start_s"], found["start_cpu"], found["start_gb"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watched"]:
        sys.argv.pop(1)
        until_the_first_step()
    else:
        main()
