"""The embeddings and thumbnails of the scored split that a run's figures show, subsampled."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from multimodal_lab.evaluate import parquet, thumbnails
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import kind
from multimodal_lab.report.style import CLASSES

POINTS = 2000
CALLED = {"test": "held-out (test)", "val": "validation"}
log = logging.getLogger(__name__)


@dataclass
class Shown:
    """Embeddings of at most 2000 samples, what to call them, and pictures[stream] (N, h, w, 3) uint8.

    has_picture (N,): where there is one; a picture of a missing modality is black.
    """

    embeddings: Embeddings
    called: str
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    has_picture: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def names(self) -> list[str]:
        """Streams, then fused."""
        return list(self.embeddings.vectors)

    def picture(self, name: str) -> np.ndarray | None:
        """Pictures for `name`: its own, else (fused, a spectrum) those of the first stream that has any."""
        return self.pictures.get(name, next(iter(self.pictures.values()), None))

    def labels(self, first: str | None = None) -> list[str]:
        """Labels to colour by: classes that fit the palette, and single numbers; `first` leads if it is one."""
        fit = [label for label in self.embeddings.targets if self._fits(label)]
        return sorted(fit, key=lambda label: label != first)

    def _fits(self, label: str) -> bool:
        target = self.embeddings.targets[label]
        what = kind(target)
        if what == "values":
            return target.ndim == 1 and bool(np.isfinite(target).any())
        known = target[target >= 0] if what == "classes" else np.zeros(0)
        return len(np.unique(known)) > 1 and int(known.max()) < CLASSES


def shown(folder: Path, seed: int = 0) -> Shown:
    """Read `embeddings/` and `thumbnails.npz` of a run.

    The test split is shown if it was embedded; else, as with `eval_split=val`, the validation split; else all samples.
    Beyond 2000 samples a seeded draw is, of those that have a picture first.
    """
    paths = sorted((folder / "embeddings").glob("*.parquet"))
    of = parquet.splits(paths[0]) if paths else np.zeros(0, dtype=str)  # without any, loading says so
    split = next((name for name in CALLED if (of == name).any()), None)
    candidates = np.arange(len(of)) if split is None else np.flatnonzero(of == split)
    file = folder / "thumbnails.npz"
    rows, pictures = thumbnails.load(file) if file.is_file() else (np.zeros(0, dtype=np.int64), {})
    place = np.full(len(of), -1)
    place[rows] = np.arange(len(rows))
    order = np.random.default_rng(seed).permutation(candidates)
    chosen = np.sort(order[np.argsort(place[order] < 0, kind="stable")][:POINTS])
    called = f"{len(chosen)} of {len(candidates)}" if len(chosen) < len(candidates) else f"{len(chosen)}"
    called += " samples (there is no test or val split)" if split is None else f" {CALLED[split]} samples"
    cut = {name: images[place[chosen]] for name, images in pictures.items() if len(images)}
    return Shown(Embeddings.load(folder / "embeddings", chosen), called, cut, place[chosen] >= 0)
