"""A run that was never trained: embeddings of known shape, and for every sample a picture of a colour of its own."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from multimodal_lab.data.kinds.text import Text
from multimodal_lab.evaluate import texts
from multimodal_lab.evaluate.embeddings import Embeddings

COLOURS = np.stack(np.meshgrid([40, 100, 160, 220], [40, 100, 160, 220], [40, 100, 160, 220]), -1).reshape(-1, 3)


def embeddings(
    n=48, classes=("a", "b", "c"), ids=None, label="species", split=("train", "test"), names=("rgb", "uv"), width=8
):
    """Three groups in each space; every seventh sample lacks the second stream; projections of both streams."""
    rng = np.random.default_rng(0)
    species = np.arange(n) % len(classes)
    centres = rng.normal(size=(len(classes), width)) * 2
    first, second, fused = ((centres[species] + rng.normal(size=(n, width))).astype(np.float32) for _ in range(3))
    seen, whole = np.arange(n) % 7 != 0, np.ones(n, dtype=bool)
    a, b = names
    return Embeddings(
        {a: first, b: second * seen[:, None], "fused": fused}, {a: whole, b: seen, "fused": whole},
        {label: species, "mass": np.where(np.arange(n) == 3, np.nan, np.linspace(0, 1, n))}, {label: list(classes)},
        list(ids or (f"dir/{i:03d}.tif" for i in range(n))), np.arange(n), np.array([split[i % 2] for i in range(n)]),
        {a: first[:, :5], b: second[:, :5] * seen[:, None]},
    )  # fmt: skip


def run(folder, pictures=True, said=None, **more):
    """Write it; gives what was written. Picture i of the first stream is all of COLOURS[i], of the second its inverse.

    said: {stream: the texts of each sample}.
    """
    e = embeddings(**more)
    e.save(folder / "embeddings")
    if pictures:
        images = np.broadcast_to(COLOURS[np.arange(len(e)) % 64][:, None, None], (len(e), 48, 48, 3)).astype(np.uint8)
        a, b = list(e.vectors)[:2]
        np.savez(folder / "thumbnails.npz", rows=np.arange(len(e)), **{a: images, b: 255 - images})
    if said:
        texts.save(Said(said, e.ids), ["all"], folder / texts.FILE)
    return e


class Said:
    """Data of which nothing is known but what its samples say."""

    def __init__(self, said, ids):
        self.said, self.count, self.streams = said, len(ids), {}
        self.samples = pd.DataFrame({"id": ids})
        self.stack = SimpleNamespace(kinds={name: Text() for name in said})

    def rows(self, split):
        return np.arange(self.count)

    def texts(self, rows):
        return {name: [own[i] for i in rows] for name, own in self.said.items()}
