"""Images of drawn shapes with five captions each, for `clip.py`: COCO's layout, the same files in tars, and a packed store."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE, SHARD = 64, 10_000  # pixels; images in a tar, as img2dataset has it
COLOURS = {"red": (210, 40, 40), "green": (40, 160, 60), "blue": (50, 80, 210), "yellow": (230, 210, 50),
           "purple": (140, 60, 170), "orange": (235, 140, 40), "white": (240, 240, 240), "black": (20, 20, 20)}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "cross")
SIZES = {"small": 8, "large": 13}
PLACES = ("in the upper left", "in the upper right", "in the lower left", "in the lower right")
GROUNDS = {"sand": (200, 180, 140), "grass": (110, 150, 90), "water": (110, 160, 190), "stone": (130, 130, 130)}


def draw(rng: np.random.Generator) -> tuple[Image.Image, list[str]]:
    """Two or three shapes on a noisy ground, and five captions that tell what is there, and mostly where."""
    name = rng.choice([*GROUNDS])
    noise = rng.integers(-20, 20, (SIDE, SIDE, 3))
    image = Image.fromarray((np.array(GROUNDS[name]) + noise).astype(np.uint8))
    pen, said = ImageDraw.Draw(image), []
    for place in rng.choice(4, rng.integers(2, 4), replace=False):
        size, colour, shape = (str(rng.choice([*x])) for x in (SIZES, COLOURS, SHAPES))
        down, across = (int(16 + 32 * x + rng.integers(-3, 4)) for x in divmod(int(place), 2))
        _shape(pen, shape, across, down, SIZES[size], COLOURS[colour])
        said.append((f"a {size} {colour} {shape}", PLACES[place]))
    (one, here), (two, there) = said[:2]
    every = ", ".join(what for what, _ in said)
    return image, [
        f"{one} {here} and {two} {there} on {name}.",
        f"A picture of {two} {there}, beside {one}.",
        f"On {name} there are {every}.",
        f"{len(said)} shapes drawn on {name}: {every}.",
        f"Someone has painted {one} {here} of a ground of {name}.",
    ]


def _shape(pen: ImageDraw.ImageDraw, shape: str, x: int, y: int, r: int, fill: tuple[int, int, int]) -> None:
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill=fill)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=fill)
    else:
        pen.line((x - r, y, x + r, y), fill=fill, width=r // 2)
        pen.line((x, y - r, x, y + r), fill=fill, width=r // 2)


def write(root: Path, train: int, test: int) -> None:
    """coco/ (annotations/, train2017/, val2017/) and tars/NUMBER.tar with the training images and one caption of each."""
    rng = np.random.default_rng(0)
    first = 0
    for split, count in (("train", train), ("val", test)):
        folder = root / f"coco/{split}2017"
        folder.mkdir(parents=True)
        known, said = [], []
        for number, data, captions in _drawn(rng, first, count):
            (folder / f"{number:012d}.jpg").write_bytes(data)
            known.append({"id": number, "file_name": f"{number:012d}.jpg", "height": SIDE, "width": SIDE})
            said += [
                {"id": number * len(captions) + k, "image_id": number, "caption": c} for k, c in enumerate(captions)
            ]
        path = root / f"coco/annotations/captions_{split}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"info": {}, "licenses": [], "images": known, "annotations": said}))
        first += count
    tars(root)
    (root / "count").write_text(str(train))


def _drawn(rng: np.random.Generator, first: int, count: int) -> Iterator[tuple[int, bytes, list[str]]]:
    for number in range(first, first + count):
        image, captions = draw(rng)
        held = io.BytesIO()
        image.save(held, "JPEG", quality=90)
        yield number, held.getvalue(), captions


def tars(root: Path) -> None:
    """The training images as webdataset has them, with one caption of each."""
    found = json.loads((root / "coco/annotations/captions_train2017.json").read_text())
    caption = {said["image_id"]: said["caption"] for said in found["annotations"]}
    (root / "tars").mkdir()
    for first in range(0, len(found["images"]), SHARD):
        with tarfile.open(root / f"tars/{first // SHARD:05d}.tar", "w") as tar:
            for image in found["images"][first : first + SHARD]:
                data = (root / "coco/train2017" / image["file_name"]).read_bytes()
                for end, content in (("jpg", data), ("txt", caption[image["id"]].encode())):
                    member = tarfile.TarInfo(f"{image['id']:012d}.{end}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def pack(root: Path) -> None:
    """packed/, by the command that a user would type."""
    script = Path(__file__).parents[1] / "pack.py"
    words = ["data=coco", f"data.root={root / 'coco'}", "data.size=null", f"out={root / 'packed'}", "duplicates=report"]
    subprocess.run([sys.executable, str(script), *words], check=True)
