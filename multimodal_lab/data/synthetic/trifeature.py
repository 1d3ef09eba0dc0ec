"""Bimodal Trifeature (CoMM): image pairs with a shared shape, own textures and colours, and a synergy rule."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Count, Fraction, Natural, Positive
from multimodal_lab.data.source import DataError, NoStream, Raw
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.data.synthetic.trifeature_draw import COLOURS, SHAPES, TEXTURES, draw
from multimodal_lab.types import Band, Stream

TEXTURE_NAMES, COLOUR_NAMES = tuple(TEXTURES), tuple(COLOURS)
MANY = 10  # shapes, textures and colours each
PARTS = {"train": range(7), "val": range(7, 8), "test": range(8, 10)}  # tenths of the 1000 combinations
FIELDS = ("image_1", "image_2")


class Trifeature:
    """The bimodal Trifeature of CoMM (Dufumier et al., ICLR 2025), drawn from (seed, image): nothing is stored.

    Both images of a pair show the same `shape`; `texture_1`, `colour_1` and `texture_2`, `colour_2` are theirs alone.
    `synergy` is `match` where the texture of the first goes with the colour of the second: each texture goes with
    `matches` colours, 1 as published, 5 for a label that is true of half of all pairs.

    The 1000 combinations of shape, texture and colour are dealt to the splits so that each has every texture and every
    colour of every shape equally often: 8 tenths to training (7 and 1 where there are `val` pairs), 2 to test. `views`
    and `held_out_views` images are drawn of each, and paired with all of the same shape and split (themselves too, so
    that what is not shared is independent). train, val, test: pairs taken of these, as level over shape, texture_1 and
    colour_2 as their number allows. mapped, held_out_mapped: the share that matches; None is what falls, matches / 10.
    A share apart from that makes texture_1 and colour_2 tell of each other. val_images: `own`, as above; or those of `train`, in
    pairs that are drawn anew, as `held_out_mapped` says: for a probe (`fit_on`), as published. They hold nothing out.

    size, side, period: pixels of an image, of the square that a shape fills, of a period of texture. Images are
    (3, size, size) uint8; a stream names its own by `field`, `image_1` or `image_2`. `DataError` for impossible dials.
    """

    bands = (Band("R"), Band("G"), Band("B"))

    def __init__(
        self,
        *,
        train: Count = 10000,
        val: Natural = 0,
        test: Count = 4000,
        views: Count = 3,
        held_out_views: Count = 1,
        matches: Count = 1,
        mapped: Fraction | None = None,
        held_out_mapped: Fraction | None = None,
        val_images: Literal["own", "train"] = "own",
        size: Count = 224,
        side: Count = 128,
        period: Positive = 10.0,
        seed: Natural = 0,
    ) -> None:
        if matches >= MANY:
            raise DataError(f"data.source.matches: {matches} of {MANY} colours, expected 1 to {MANY - 1}")
        if side * 2**0.5 > size:
            raise DataError(
                f"data.source.side: a square of {side} pixels, turned, leaves an image of {size}; at most "
                f"{int(size / 2**0.5)}"
            )
        self.counts = {"train": train, "val": val, "test": test}
        self.val_images = val_images
        self.views, self.held_out_views = views, held_out_views
        self.matches, self.mapped, self.held_out_mapped = matches, mapped, held_out_mapped
        self.size, self.side, self.period, self.seed = size, side, period, seed
        self.goes_with = self._rule()
        self.pairs = np.concatenate([self._taken(split) for split, count in self.counts.items() if count])

    @property
    def identity(self) -> dict[str, Any]:
        """The dials: two generators with equal dials give equal pixels."""
        made = ("goes_with", "pairs", "samples", *(["val_images"] if self.val_images == "own" else []))
        return {k: v for k, v in sorted(vars(self).items()) if k not in made}

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a pair: its split, its labels, and the names of its images."""
        split = np.repeat(list(self.counts), list(self.counts.values()))
        place = np.concatenate([np.arange(count) for count in self.counts.values()])
        (shape, texture_1, colour_1, _), (_, texture_2, colour_2, _) = self.pairs[:, 0].T, self.pairs[:, 1].T
        columns = {
            "id": [f"{s}_{i:05d}" for s, i in zip(split, place, strict=True)],
            "split": split,
            "shape": np.take(SHAPES, shape),
            "texture_1": np.take(TEXTURE_NAMES, texture_1),
            "colour_1": np.take(COLOUR_NAMES, colour_1),
            "texture_2": np.take(TEXTURE_NAMES, texture_2),
            "colour_2": np.take(COLOUR_NAMES, colour_2),
            "synergy": np.where(self.goes_with[texture_1, colour_2], "match", "mismatch"),
            **{field: [_named(image) for image in self.pairs[:, i]] for i, field in enumerate(FIELDS)},
        }
        return pd.DataFrame({name: np.asarray(values, dtype=object) for name, values in columns.items()})

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Draw the images of one pair that the streams ask for."""
        need_kind(streams, ["image"], "data=trifeature")
        drawn = {place: self.image(index, place) for place in sorted({self._place(s) for s in streams})}
        return Raw({s.name: drawn[self._place(s)][indices(s, self.bands)] for s in streams}, None, 255.0)

    def image(self, index: int, place: int) -> np.ndarray:
        """The first (`place` 0) or second (1) image of a pair, (3, size, size) uint8."""
        shape, texture, colour, _ = own = self.pairs[index, place]
        rng = np.random.default_rng((self.seed, 1, *own))
        names = SHAPES[shape], TEXTURE_NAMES[texture], COLOUR_NAMES[colour]
        return draw(*names, size=self.size, side=self.side, period=self.period, rng=rng)

    def _place(self, stream: Stream) -> int:
        if stream.field not in FIELDS:
            raise NoStream(f"modality.{stream.name}.field: {stream.field or 'none'}, expected {' or '.join(FIELDS)}")
        return FIELDS.index(stream.field)

    def _rule(self) -> np.ndarray:
        """(textures, colours) bool: what goes with what, as many colours for each texture as textures for each colour."""
        rng = np.random.default_rng((self.seed, 2))
        step = rng.permutation(MANY)[:, None] - rng.permutation(MANY)[None, :]
        return np.asarray(step % MANY < self.matches)

    def _trains(self, split: str) -> bool:
        """Whether the images of a split are those of training."""
        return split == "train" or (split == "val" and self.val_images == "train")

    def _combinations(self, split: str) -> np.ndarray:
        """(N, 3): shape, texture and colour; for every shape, Latin squares over the other two."""
        parts = [*PARTS[split]]
        if self._trains(split):
            parts = [*PARTS["train"]] + ([] if self.counts["val"] and self.val_images == "own" else [*PARTS["val"]])
        texture, colour = np.divmod(np.arange(MANY**2), MANY)
        found = []
        for shape in range(MANY):
            rng = np.random.default_rng((self.seed, 3, shape))
            part = (rng.permutation(MANY)[texture] + rng.permutation(MANY)[colour]) % MANY
            kept = np.isin(part, parts)
            found.append(np.stack([np.full(kept.sum(), shape), texture[kept], colour[kept]], 1))
        return np.concatenate(found)

    def _taken(self, split: str) -> np.ndarray:
        """(pairs, 2, 4): shape, texture, colour and view of both images of every pair of a split, in random order."""
        views = self.views if self._trains(split) else self.held_out_views
        combinations = self._combinations(split)
        images = np.column_stack([combinations.repeat(views, 0), np.tile(np.arange(views), len(combinations))])
        a, b = np.nonzero(images[:, None, 0] == images[None, :, 0])
        cell = (images[a, 0] * MANY + images[a, 1]) * MANY + images[b, 2]
        match = self.goes_with[images[a, 1], images[b, 2]]
        share, count = self.mapped if split == "train" else self.held_out_mapped, self.counts[split]
        rng = np.random.default_rng((self.seed, 4, list(PARTS).index(split)))
        if share is None:
            wanted = [(np.ones_like(match), count)]
        else:
            wanted = [(match, round(share * count)), (~match, count - round(share * count))]
        places = [self._level(np.flatnonzero(of), cell, number, rng, split) for of, number in wanted]
        chosen = rng.permutation(np.concatenate(places))
        return np.stack([images[a[chosen]], images[b[chosen]]], 1)

    def _level(
        self, rows: np.ndarray, cell: np.ndarray, number: int, rng: np.random.Generator, split: str
    ) -> np.ndarray:
        """`number` of `rows`, in turns: one of every cell, then another of every cell, …"""
        if number > len(rows):
            what = "views" if split == "train" else "held_out_views"
            raise DataError(
                f"data.source.{split}: {number} pairs of one kind, but its images make {len(rows)}; take fewer, another "
                f"share that matches, or more data.source.{what}"
            )
        mixed = rng.permutation(rows)
        turn = pd.Series(cell[mixed]).groupby(cell[mixed]).cumcount().to_numpy()
        return np.asarray(mixed[np.argsort(turn, kind="stable")[:number]])


def _named(image: np.ndarray) -> str:
    shape, texture, colour, view = image
    return f"{SHAPES[shape]}_{TEXTURE_NAMES[texture]}_{COLOUR_NAMES[colour]}_{view}"
