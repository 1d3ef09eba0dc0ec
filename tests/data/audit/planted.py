"""A clean data set in memory, and two dozen ways of spoiling it, each with what the audit must say."""

import io
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from PIL import Image

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.source import Raw
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Band

SIDE = 24
RGB_UV = {"rgb": {"kind": "image", "bands": ["R", "G", "B"]}, "uv": {"kind": "image", "bands": ["UV"]}}
SPECTRUM = {"spectrum": {"kind": "vector", "bands": "all"}}
CAPTIONED = {**RGB_UV, "words": {"kind": "text", "field": "caption", "length": 8}}


class Clean:
    """240 images (4, side, side) uint8, two of each individual; kind, batch and site are independent. No fault in it."""

    bands = (Band("R", 620.0), Band("G", 540.0), Band("B", 460.0), Band("UV", 370.0))
    side = SIDE

    def __init__(self, individuals=120):
        n = 2 * individuals
        waves = np.random.default_rng(0).normal(size=(n, 4, 6, 6))
        waves[:, :3] = waves[:, :1] + 0.4 * waves[:, :3]  # colours of a photograph go together, and
        waves /= 1 + np.arange(6) + np.arange(6)[:, None]  # large parts weigh more than small ones
        basis = np.cos(np.pi * (np.arange(self.side) + 0.5)[:, None] * np.arange(6) / self.side)
        images = basis @ waves @ basis.T
        images = (images - images.min()) / (images.max() - images.min())
        self.cubes = [np.round(255 * one).astype(np.uint8) for one in images]
        self.missing = np.zeros((n, 2), dtype=bool)  # of RGB, of UV
        who = np.arange(n) // 2
        table = {
            "id": [f"q{i:03d}" for i in range(n)],
            "path": [f"files/q{i:03d}.tif" for i in range(n)],
            "individual": [f"n{w:03d}" for w in who],
            "kind": np.where(who % 2, "moth", "bird"),
            "batch": [f"plate {w // 2 % 4}" for w in who],
            "site": [f"hill {w // 8 % 3}" for w in who],
            "caption": [f"a small one of brood {w % 7}" for w in who],
        }
        self.samples = pd.DataFrame(table)

    def read(self, index, streams):
        inputs = {}
        for s in streams:
            if s.kind == "text":
                inputs[s.name] = self.samples[s.field].iloc[index]
            elif s.kind == "vector":
                inputs[s.name] = self.spectra[index]
            else:
                gone = self.missing[index, 1 if s.name == "uv" else 0]
                inputs[s.name] = None if gone else self.cubes[index][indices(s, self.bands)]
        return Raw(inputs, None, 255.0)


class Small(Clean):
    """Of 12 pixels, which are compared as lists of numbers, in no time."""

    side = 12


class Fewer(Clean):
    """Images of 60 individuals."""

    def __init__(self):
        super().__init__(60)


class Spectra(Clean):
    """The same with 60 bands a sample: a shape that all share, broad differences, and the noise of each measurement."""

    bands = tuple(Band(f"nm{i}", 300.0 + 5 * i) for i in range(60))

    def __init__(self):
        super().__init__()
        rng, at = np.random.default_rng(1), np.linspace(0, 1, 60)
        shared = 0.5 + 0.3 * np.sin(3 * at)
        broad = 0.05 * rng.normal(size=(len(self.samples), 5)) @ np.cos(np.pi * np.arange(5)[:, None] * at)
        self.spectra = (shared + broad + 0.01 * rng.normal(size=(len(self.samples), 60))).astype(np.float32)


@dataclass
class Case:
    """One data set on its way to an audit. splits: None takes those of the data."""

    source: Clean = field(default_factory=Clean)
    modality: dict = field(default_factory=lambda: dict(RGB_UV))
    split: dict = field(default_factory=lambda: {"by": "individual", "stratify": "kind"})
    splits: dict | None = None

    def __post_init__(self):
        self.parts = self.prepare().splits

    def prepare(self):
        split = Split(**{"train": 0.5, "val": 0.2, "test": 0.3, **self.split})
        return Data(self.source, scaling=DtypeMax(), split=split, labels=["kind"], batch_size=8).prepare(
            self.modality, 0
        )

    @property
    def table(self):
        return self.source.samples

    def first(self, part, count=1, kind="bird"):
        """The first rows of a part and kind, each of another individual."""
        rows = [r for r in self.parts[part] if self.table.kind[r] == kind]
        return rows[0] if count == 1 else np.array(rows[::2][:count])

    def set(self, rows, column, value):
        self.table.loc[rows, column] = value


def copied(case, change=lambda x: x, bands=slice(None)):
    """A test sample becomes a training sample's image, changed."""
    case.source.cubes[case.first("test")][bands] = change(case.source.cubes[case.first("train")])[bands]


def jpeg(x):
    made = []
    for image in (np.moveaxis(x[:3], 0, -1), x[3]):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=85)
        made.append(np.atleast_3d(np.asarray(Image.open(buffer))))
    return np.moveaxis(np.concatenate(made, axis=-1), -1, 0)


def resized(x):
    small = [np.asarray(Image.fromarray(b).resize((17, 17)).resize((SIDE, SIDE))) for b in x]
    return np.stack(small)


def brighter(x):
    return np.clip(np.round(x * 1.15 + 8), 0, 255).astype(np.uint8)


def near_spectrum(case):
    a, b = case.first("test"), case.first("train")
    case.source.spectra[a] = case.source.spectra[b] * 1.2 + 0.03


def repeated(case):
    a, b = case.first("train", 2)
    case.source.cubes[b] = case.source.cubes[a]


def contradiction(case):
    a, b = case.first("train"), case.first("train", kind="moth")
    case.source.cubes[b] = case.source.cubes[a]


def one_bird_twice(case):
    case.table["specimen"] = [f"m{i // 2:03d}" for i in range(len(case.table))]
    case.set(case.first("test"), "specimen", case.table.specimen[case.first("train")])


def moved(case):
    """One image of a tested individual goes to train."""
    row = case.first("test")
    case.splits = {"": {**case.parts, "test": np.setdiff1d(case.parts["test"], row),
                        "train": np.union1d(case.parts["train"], row)}}  # fmt: skip


def moved_to_val(case):
    row = case.first("val")
    case.splits = {"": {**case.parts, "val": np.setdiff1d(case.parts["val"], row),
                        "train": np.union1d(case.parts["train"], row)}}  # fmt: skip


def spelled(case):
    a, b = case.first("test"), case.first("train")
    case.set(case.table.index[case.table.individual == case.table.individual[a]], "individual", "Ring 77")
    case.set(case.table.index[case.table.individual == case.table.individual[b]], "individual", "ring_77")
    case.splits = {"": case.parts}


def views(case):
    case.set(case.first("test"), "id", "wing_left")
    case.set(case.first("train"), "id", "wing_right")
    case.splits = {"": case.parts}


def overlapping(case):
    """Patches of 24 pixels, 24 apart, but for one test patch that lies half over a training one."""
    case.table["path"] = "scene.tif"
    side = case.source.side
    top, left = side * (np.arange(240) // 16), side * (np.arange(240) % 16)
    top[case.first("test")] = top[case.first("train")] + side // 2
    left[case.first("test")] = left[case.first("train")]
    case.source.window = lambda i: (top[i] + np.arange(side), left[i] + np.arange(side))


def without(part):
    def spoil(case):
        case.splits = {"": {**case.parts, part: np.zeros(0, dtype=int)}}

    return spoil


def no_test(case):
    case.splits = {"": {k: v for k, v in case.parts.items() if k != "test"}}


def one_class(part):
    def spoil(case):
        rows = case.parts[part]
        case.splits = {"": {**case.parts, part: rows[case.table.kind[rows] == "bird"]}}

    return spoil


def third_class(rare, count):
    """`count` samples of a third class in the part `rare`, and ten in the other."""

    def spoil(case):
        other = "test" if rare == "train" else "train"
        for part, n in ((rare, count), (other, 10)):
            case.set(case.parts[part][:n], "kind", "wasp")
        case.splits, case.split = {"": case.parts}, {"by": "individual"}

    return spoil


def gone(part, share=1.0):
    def spoil(case):
        rows = case.parts[part]
        case.source.missing[rows[: int(share * len(rows))], 1] = True

    return spoil


def column(name, of):
    """A column made of kind: of(kind's number, row) to a text."""

    def spoil(case):
        kinds = (case.table.kind == "moth").astype(int)
        case.table[name] = [of(k, i // 2) for i, k in enumerate(kinds)]

    return spoil


def ringed(name):
    """Individuals under another column name, and a split of single images."""

    def spoil(case):
        case.source.samples = case.table.rename(columns={"individual": name})
        case.split = {"by": None, "stratify": "kind"}

    return spoil


def gone_from_train(case):
    rows = case.parts["train"][:60]
    case.source.missing[rows, 1] = True
    case.splits = {"": {**case.parts, "train": rows}}


def absent_for_moths(case):
    case.source.missing[(case.table.kind == "moth").to_numpy() & (np.arange(240) // 2 % 6 > 1), 1] = True


def other_files(case):
    column("path", lambda k, i: f"files/{i}.{'png' if k and i % 3 else 'tif'}")(case)
    case.table["path"] = [f"{p[:-4]}_{i}{p[-4:]}" for i, p in enumerate(case.table.path)]


def told_by_caption(case):
    column("caption", lambda k, i: f"a {'moth' if k else 'bird'} of brood {i % 7}")(case)


def blank(case):
    case.source.cubes[case.first("test")][3] = 40


def few(case):
    keep = case.table.individual[[*case.first("test", 2), *case.parts["test"][-2:]]]
    case.splits = {"": {**case.parts, "test": np.flatnonzero(case.table.individual.isin(keep))}}


# name: (spoil, kind, where, void, words of the sentence)
FAULTS = {
    "exact duplicate": (copied, "exact duplicate", "all streams", True, "equal a training sample"),
    "exact duplicate of one stream": (lambda c: copied(c, bands=slice(3)), "exact duplicate", "rgb", True, "in stream rgb"),
    "duplicate within train": (repeated, "exact duplicate", "train", False, "count as if they were measured apart"),
    "re-encoded duplicate": (lambda c: copied(c, jpeg), "near duplicate", "rgb", False, "nearly, in stream rgb"),
    "resized duplicate": (lambda c: copied(c, resized), "near duplicate", "rgb", False, "(test) ≈ "),
    "brightened duplicate": (lambda c: copied(c, brighter), "near duplicate", "rgb", False, "nearly"),
    "mirrored duplicate": (lambda c: copied(c, lambda x: x[..., ::-1]), "near duplicate", "uv", False, ", mirrored"),
    "turned duplicate of one stream": (lambda c: copied(c, lambda x: np.rot90(x, 2, (1, 2)), slice(3)), "near duplicate",
                                       "rgb", False, ", turned by 180°"),
    "rescaled spectrum": (near_spectrum, "near duplicate", "spectrum", False, "keep one of each"),
    "contradictory labels": (contradiction, "contradiction", "kind", False, "with different kind"),
    "group of another column": (one_bird_twice, "group leak", "specimen", True, "data.split.by=[individual,specimen] keeps each"),
    "group of the split": (moved, "group leak", "individual", True, "the split was made to leak"),
    "group in train and val": (moved_to_val, "group leak", "individual", False, "(train, val)"),
    "spelling of a group": (spelled, "group leak", "individual", False, "'Ring 77' and 'ring_77'"),
    "views under one name": (views, "id", "id", False, "wing_left (test) and wing_right (train)"),
    "random split": (
        lambda c: c.split.update(group_policy="samples"), "random split", "data.split.group_policy", True, "leak gap"
    ),
    "shared pixels": (overlapping, "shared pixels", "path", True, "1 of 72 test samples"),
    "empty val": (without("val"), "empty split", "val", False, "nothing to choose the epoch by"),
    "empty test": (without("test"), "empty split", "test", True, "nothing can be scored"),
    "no test part": (no_test, "empty split", "test", True, "there is none"),
    "one class in test": (one_class("test"), "single class", "kind", True, "test has only 'bird' of kind"),
    "one class in train": (one_class("train"), "single class", "kind", True, "train has only 'bird' of kind"),
    "class absent in train": (third_class("train", 0), "absent class", "kind", False, "not in train: wasp"),
    "class absent in test": (third_class("test", 0), "absent class", "kind", False, "not in test: wasp"),
    "thin class": (third_class("test", 2), "thin class", "kind", False, "wasp (10 in train, 2 in test)"),
    "modality absent in train": (gone_from_train, "absent modality", "uv", True, "can't be learnt"),
    "modality absent in test": (gone("test"), "absent modality", "uv", True, "isn't seen"),
    "modality rare in test": (gone("test", 0.5), "uneven modality", "uv", False, "100% of train have it, 50% of test"),
    "label by batch": (column("plate", lambda k, i: f"p{2 * k + i // 2 % 2}"), "confounded label", "kind × plate", True,
                       "each value of plate has one kind only"),
    "label mostly by site": (column("camera", lambda k, i: f"c{k if i % 10 > 2 else i // 10 % 2}"), "confounded label",
                             "kind × camera", True, "kind goes with camera"),
    "label partly by day": (column("date", lambda k, i: f"d{k if i % 10 < 3 else i // 2 % 2}"), "confounded label",
                            "kind × date", False, "part of a score may be read off it"),
    "label by an unnamed column": (column("finish", lambda k, i: "ab"[k if i % 10 > 1 else i // 10 % 2]), "confounded label",
                                   "kind × finish", False, "part of a score may be read off it"),
    "label by an unnamed column, without fail": (column("finish", lambda k, i: "ab"[k]), "confounded label", "kind × finish",
                                                 False, "each value of finish has one kind only"),
    "individuals by a likely name": (ringed("ring"), "group leak", "ring", True, "as those of individuals"),
    "individuals by their rows alone": (ringed("kuikuko"), "group leak", "kuikuko", False, "share their kind (100% of pairs"),
    "label by presence": (absent_for_moths, "confounded label", "kind × presence of uv", False, "that have uv"),
    "label by file type": (other_files, "confounded label", "kind × file type", False, "one size and type"),
    "label in caption": (told_by_caption, "label in text", "kind × words", False, "no evidence from words"),
    "blank input": (blank, "blank input", "uv", False, "uv is blank"),
    "few groups": (few, "few groups", "individual", False, "fewer than 5"),
}  # fmt: skip
IMAGES = ["re-encoded", "resized", "brightened", "mirrored", "turned", "exact"]
SOURCES = {
    "rescaled spectrum": (Spectra, SPECTRUM),
    "label in caption": (Small, CAPTIONED),
    **{name: (Fewer, RGB_UV) for name in FAULTS if name.split()[0] in IMAGES},
}


def spoilt(name):
    """The case of one fault, and what the audit must say of it."""
    source, modality = SOURCES.get(name, (Small, RGB_UV))
    case = Case(source(), dict(modality))
    spoil, *expected = FAULTS[name]
    spoil(case)
    return case, expected
